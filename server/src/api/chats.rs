use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use fclm_core::wire::{Chat, ChatSummary, CreateChat, PutRegions};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    AppError, AppState, ErrorBody,
    body::{Id, JsonBody},
    regions::check_regions,
};

/// Longest title, in characters.
const MAX_TITLE: usize = 200;
/// Title of a chat about an upload without a name.
const UNTITLED: &str = "Picture";

/// Which chats a list begins with.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Id of the last chat of the page before.
    after: Option<String>,
}

/// At most 200 chats, newest first: the newest, or those behind the chat `after`.
#[utoipa::path(
    get,
    path = "/api/v1/chats",
    tag = "chats",
    params(Page),
    responses(
        (status = 200, body = [ChatSummary]),
        (status = 400, body = ErrorBody, description = "an unknown parameter"),
        (status = 404, body = ErrorBody, description = "no such chat"),
    ),
)]
pub(super) async fn list(
    State(state): State<AppState>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Vec<ChatSummary>>, AppError> {
    let Query(page) =
        page.map_err(|error| AppError::BadRequest(format!("{}.", error.body_text())))?;
    Ok(Json(state.store.chats(page.after.as_deref()).await?))
}

/// Opens a chat about an uploaded picture or a sample scene.
#[utoipa::path(
    post,
    path = "/api/v1/chats",
    tag = "chats",
    request_body = CreateChat,
    responses(
        (status = 201, body = Chat),
        (status = 400, body = ErrorBody, description = "not exactly one of the two ids, or a title of more lines"),
        (status = 404, body = ErrorBody, description = "no such picture or sample"),
        (status = 413, body = ErrorBody, description = "the title is too long"),
    ),
)]
pub(super) async fn create(
    State(state): State<AppState>,
    JsonBody(request): JsonBody<CreateChat>,
) -> Result<(StatusCode, Json<Chat>), AppError> {
    if let Some(title) = &request.title {
        check_title(title)?;
    }
    let given = request.title.filter(|title| !title.trim().is_empty());
    let (image_id, title) = match (request.image_id, request.sample_id) {
        (Some(image_id), None) => (image_id, UNTITLED.to_owned()),
        (None, Some(sample_id)) => {
            let sample = state
                .site
                .sample(&sample_id)
                .ok_or(AppError::NotFound("sample"))?;
            let title = sample.info.title.clone();
            let bytes = tokio::fs::read(&sample.path)
                .await
                .map_err(|error| AppError::Internal(Box::new(error)))?;
            let picture = state.decoder.decode(bytes.into()).await?;
            (state.store.put_image(picture).await?.id, title)
        }
        _ => {
            let message = "Give exactly one of image_id and sample_id.";
            return Err(AppError::BadRequest(message.to_owned()));
        }
    };
    let chat = state
        .store
        .create_chat(&given.unwrap_or(title), &image_id)
        .await?;
    Ok((StatusCode::CREATED, Json(chat)))
}

/// A chat, whole.
#[utoipa::path(
    get,
    path = "/api/v1/chats/{id}",
    tag = "chats",
    params(("id" = String, Path)),
    responses((status = 200, body = Chat), (status = 404, body = ErrorBody)),
)]
pub(super) async fn show(
    State(state): State<AppState>,
    Id(id): Id,
) -> Result<Json<Chat>, AppError> {
    Ok(Json(state.store.chat(&id).await?))
}

/// Deletes a chat with its messages, and its picture where no other chat is about it. What is
/// being written in it stops.
#[utoipa::path(
    delete,
    path = "/api/v1/chats/{id}",
    tag = "chats",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)),
)]
pub(super) async fn remove(
    State(state): State<AppState>,
    Id(id): Id,
) -> Result<StatusCode, AppError> {
    state.runs.stop_chat(&id);
    state.store.delete_chat(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces the chat's regions; their order gives each its `@k`.
#[utoipa::path(
    put,
    path = "/api/v1/chats/{id}/regions",
    tag = "chats",
    params(("id" = String, Path)),
    request_body = PutRegions,
    responses(
        (status = 200, body = PutRegions),
        (status = 404, body = ErrorBody),
        (status = 413, body = ErrorBody, description = "too many regions"),
        (status = 422, body = ErrorBody, description = "a region does not fit the picture"),
    ),
)]
pub(super) async fn put_regions(
    State(state): State<AppState>,
    Id(id): Id,
    JsonBody(request): JsonBody<PutRegions>,
) -> Result<Json<PutRegions>, AppError> {
    let chat = state.store.chat_head(&id).await?;
    let image = state.store.image(&chat.image_id).await?;
    check_regions(&request.regions, image.width, image.height)?;
    state.store.put_regions(&id, &request.regions).await?;
    Ok(Json(request))
}

fn check_title(title: &str) -> Result<(), AppError> {
    if title.chars().count() > MAX_TITLE {
        return Err(AppError::TooLarge {
            message: format!("A title has up to {MAX_TITLE} characters."),
            param: Some("title"),
        });
    }
    match title.chars().any(char::is_control) {
        true => Err(AppError::BadRequest(
            "A title is one line without control characters.".to_owned(),
        )),
        false => Ok(()),
    }
}
