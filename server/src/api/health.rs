use axum::{extract::State, http::StatusCode};

use super::{AppError, AppState, ErrorBody};
use crate::engine::LoadState;

/// Whether the process answers at all.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200)))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether questions can be answered: the model is loaded and the database is there.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses((status = 200), (status = 503, body = ErrorBody)),
)]
pub(super) async fn readyz(
    State(state): State<AppState>,
) -> Result<(StatusCode, &'static str), AppError> {
    match state.engine.load_state() {
        LoadState::Ready(_) => {}
        LoadState::Loading => return Err(AppError::Unavailable("The model is still loading.")),
        LoadState::Failed(_) => {
            return Err(AppError::Unavailable(
                "The model has failed; the server's log says why.",
            ));
        }
    }
    match state.store.is_alive().await {
        true => Ok((StatusCode::OK, "ok\n")),
        false => Err(AppError::Unavailable("The database does not answer.")),
    }
}
