use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    response::Response,
};
use fclm_core::wire::LightInfo;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::{AppError, AppState, ErrorBody, page::is_file};
use crate::engine::LoadState;

/// The weights that a browser computes masks with, as `light` of `/api/v1/model` announces them.
#[utoipa::path(
    get,
    path = "/models/light.safetensors",
    tag = "model",
    params(("sha256" = Option<String>, Query, description = "as announced; then it is kept")),
    responses(
        (status = 200, description = "safetensors", content(("application/octet-stream"))),
        (status = 404, body = ErrorBody, description = "browsers are not offered any"),
        (status = 503, body = ErrorBody, description = "the model is still loading"),
    ),
)]
pub(super) async fn show(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, AppError> {
    let info = match state.engine.load_state() {
        LoadState::Ready(info) => info,
        LoadState::Loading | LoadState::Failed(_) => {
            return Err(AppError::Unavailable(
                "The model is not loaded; try again in a moment.",
            ));
        }
    };
    let (Some(light), Some(file)) = (&info.light, &state.light) else {
        return Err(AppError::NotFound("file"));
    };
    let caching = match is_asked_for(light, request.uri().query()) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let found = match ServeFile::new(file).oneshot(request).await {
        Ok(found) => found,
        Err(never) => match never {},
    };
    if !is_file(found.status()) {
        // The folder is no longer as it was opened, which must not be kept.
        return Err(AppError::NotFound("file"));
    }
    let mut response = found.map(axum::body::Body::new);
    for (name, value) in [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, caching),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Whether a query names the weights that are served. Another model may be served tomorrow, and
/// what is kept under an address must not change.
fn is_asked_for(light: &LightInfo, query: Option<&str>) -> bool {
    query.and_then(|query| query.strip_prefix("sha256=")) == Some(light.sha256.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_served_weights_may_be_kept() {
        let light = LightInfo {
            url: String::new(),
            sha256: "ab12".to_owned(),
            bytes: 1,
            vector_len: 1,
            config: serde_json::Value::Null,
        };
        assert!(is_asked_for(&light, Some("sha256=ab12")));
        for other in [None, Some(""), Some("sha256=ab1"), Some("sha256=ab12&x=1")] {
            assert!(!is_asked_for(&light, other), "{other:?}");
        }
    }
}
