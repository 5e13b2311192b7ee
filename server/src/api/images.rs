use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequest, Multipart, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fclm_core::wire::{ImageInfo, SegmentRequest, SegmentResponse};

use super::{
    AppError, AppState, ErrorBody,
    body::{Gathering, Id, JsonBody, discard, in_time, next_part, read_body},
    regions::check_prompts,
};
use crate::{engine::ImageSource, store::StoredImage};

/// How soon an upload that was turned away is worth trying again.
const RETRY_UPLOAD: Duration = Duration::from_secs(2);

/// Stores a picture: the body itself, or the field `file` of a multipart form.
///
/// JPEG, PNG and WebP are taken. The stored picture is upright and carries no metadata.
#[utoipa::path(
    post,
    path = "/api/v1/images",
    tag = "images",
    request_body(
        content(
            ("image/jpeg"), ("image/png"), ("image/webp"),
            ("multipart/form-data"),
        ),
        description = "the picture",
    ),
    responses(
        (status = 201, body = ImageInfo),
        (status = 408, body = ErrorBody, description = "the body took too long"),
        (status = 413, body = ErrorBody, description = "over a limit"),
        (status = 415, body = ErrorBody, description = "no picture that is taken"),
        (status = 422, body = ErrorBody, description = "broken, or too narrow"),
        (status = 429, body = ErrorBody, description = "too many uploads at a time"),
        (status = 507, body = ErrorBody, description = "the disk is full"),
    ),
)]
pub(super) async fn upload(
    State(state): State<AppState>,
    request: Request,
) -> Result<(StatusCode, Json<ImageInfo>), AppError> {
    // Taken before anything of the body is kept, and held until the picture is stored: however
    // many clients send, no more files than there are places are in memory. One that stalls is
    // given up soon, so that it does not keep the others out for as long as a body may take.
    let Ok(_place) = state.decoder.uploads.try_acquire() else {
        let (parts, body) = request.into_parts();
        discard(&parts.headers, body).await;
        return Err(AppError::Busy {
            retry_after: RETRY_UPLOAD,
        });
    };
    let gathering = Gathering::new("picture", state.decoder.limits.bytes);
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|media| {
            media
                .to_ascii_lowercase()
                .starts_with("multipart/form-data")
        });
    let bytes = match is_form {
        true => in_time(read_form(request, gathering)).await?,
        false => {
            let (parts, body) = request.into_parts();
            read_body(&parts.headers, body, gathering).await?
        }
    };
    let picture = state.decoder.decode(bytes).await?;
    let image = state.store.put_image(picture).await?;
    Ok((StatusCode::CREATED, Json(image.info())))
}

async fn read_form(request: Request, mut gathering: Gathering) -> Result<Bytes, AppError> {
    let bad = |error: &dyn std::fmt::Display| {
        AppError::BadRequest(format!("The form cannot be read: {error}."))
    };
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| bad(&error.body_text()))?;
    // A field that is passed over counts as one part: those beside the file are short.
    while let Some(mut field) = next_part(form.next_field())
        .await?
        .map_err(|error| bad(&error.body_text()))?
    {
        if field.file_name().is_none() && field.name() != Some("file") {
            continue;
        }
        while let Some(chunk) = next_part(field.chunk())
            .await?
            .map_err(|error| bad(&error.body_text()))?
        {
            gathering.push(&chunk)?;
        }
        return gathering.finish();
    }
    Err(AppError::BadRequest(
        "The form has no field `file`.".to_owned(),
    ))
}

/// The picture's bytes.
#[utoipa::path(
    get,
    path = "/api/v1/images/{id}",
    tag = "images",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "the picture", content(("image/jpeg"), ("image/png"))),
        (status = 404, body = ErrorBody),
    ),
)]
pub(super) async fn show(State(state): State<AppState>, Id(id): Id) -> Result<Response, AppError> {
    let image = state.store.image(&id).await?;
    let bytes = match tokio::fs::read(&image.path).await {
        Ok(bytes) => bytes,
        // It was deleted between the two.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(AppError::NotFound("image"));
        }
        Err(error) => return Err(AppError::Internal(Box::new(error))),
    };
    let headers = [
        (header::CONTENT_TYPE, image.format.media_type()),
        (header::CONTENT_DISPOSITION, "inline"),
        // The bytes behind an id never change.
        (
            header::CACHE_CONTROL,
            "private, max-age=31536000, immutable",
        ),
    ];
    Ok((headers, bytes).into_response())
}

/// Turns a box or clicks into masks, best first.
#[utoipa::path(
    post,
    path = "/api/v1/images/{id}/segment",
    tag = "images",
    params(("id" = String, Path)),
    request_body = SegmentRequest,
    responses(
        (status = 200, body = SegmentResponse),
        (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "outside the picture, or nothing given"),
        (status = 429, body = ErrorBody, description = "too much waits"),
        (status = 503, body = ErrorBody, description = "the model is still loading"),
    ),
)]
pub(super) async fn segment(
    State(state): State<AppState>,
    Id(id): Id,
    JsonBody(request): JsonBody<SegmentRequest>,
) -> Result<Json<SegmentResponse>, AppError> {
    let image = state.store.image(&id).await?;
    check_prompts(&request, image.width, image.height)?;
    let masks = state.engine.segment(source(&image), request).await?;
    Ok(Json(SegmentResponse { masks }))
}

/// What the engine needs to know of a picture.
pub(super) fn source(image: &StoredImage) -> ImageSource {
    ImageSource {
        sha256: image.sha256.clone(),
        path: image.path.clone(),
    }
}
