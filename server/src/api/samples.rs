use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use fclm_core::wire::SampleInfo;

use super::{AppError, AppState, ErrorBody, body::Id};

/// The sample scenes.
#[utoipa::path(
    get,
    path = "/api/v1/samples",
    tag = "images",
    responses((status = 200, body = [SampleInfo])),
)]
pub(super) async fn list(State(state): State<AppState>) -> Json<Vec<SampleInfo>> {
    Json(state.site.sample_infos())
}

/// A sample scene's picture.
#[utoipa::path(
    get,
    path = "/api/v1/samples/{id}/image",
    tag = "images",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "the picture", content(("image/jpeg"), ("image/png"))),
        (status = 404, body = ErrorBody),
    ),
)]
pub(super) async fn image(State(state): State<AppState>, Id(id): Id) -> Result<Response, AppError> {
    let sample = state.site.sample(&id).ok_or(AppError::NotFound("sample"))?;
    let bytes = tokio::fs::read(&sample.path)
        .await
        .map_err(|error| AppError::Internal(Box::new(error)))?;
    let headers = [
        (header::CONTENT_TYPE, sample.media_type),
        (header::CACHE_CONTROL, "private, max-age=3600"),
    ];
    Ok((headers, bytes).into_response())
}
