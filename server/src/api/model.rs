use axum::{Json, extract::State};
use fclm_core::wire::ModelInfo;

use super::{AppError, AppState, ErrorBody};
use crate::engine::LoadState;

/// The model that is served: what it knows and how far it is trained.
#[utoipa::path(
    get,
    path = "/api/v1/model",
    tag = "model",
    responses(
        (status = 200, body = ModelInfo),
        (status = 503, body = ErrorBody, description = "still loading"),
    ),
)]
pub(super) async fn show(State(state): State<AppState>) -> Result<Json<ModelInfo>, AppError> {
    match state.engine.load_state() {
        LoadState::Ready(info) => Ok(Json((*info).clone())),
        LoadState::Loading => Err(AppError::Unavailable(
            "The model is still loading; try again in a moment.",
        )),
        LoadState::Failed(_) => Err(AppError::Unavailable(
            "The model has failed; the server's log says why.",
        )),
    }
}
