use axum::{Json, Router, extract::DefaultBodyLimit, middleware, routing::get};
use tower_http::{catch_panic::CatchPanicLayer, csrf::CsrfLayer};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppError, AppState, chats, health, images, light, messages, model, page, runs, samples,
    security, trace,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "FCLM",
        description = "Region chat: ask about regions of a picture, or find what a text describes.\n\n\
            Masks travel as COCO RLE in pixels of the upright picture; boxes are x0, y0, x1, y1, \
            half-open, in the same pixels; spans count Unicode code points.",
    ),
    tags(
        (name = "images"), (name = "chats"), (name = "runs"), (name = "model"), (name = "health"),
    ),
)]
struct Description;

fn described() -> (Router<AppState>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(images::upload))
        .routes(routes!(images::show))
        .routes(routes!(images::segment))
        .routes(routes!(chats::list, chats::create))
        .routes(routes!(chats::show, chats::remove))
        .routes(routes!(chats::put_regions))
        .routes(routes!(messages::post))
        .routes(routes!(runs::events))
        .routes(routes!(runs::stop))
        .routes(routes!(model::show))
        .routes(routes!(light::show))
        .routes(routes!(samples::list))
        .routes(routes!(samples::image))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .split_for_parts()
}

/// The description of the interface, which `/api/openapi.json` serves.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().1
}

/// All routes, with everything that stands before them.
pub fn router(state: AppState) -> Router {
    let (api, description) = described();
    let routes = api
        .route("/api/openapi.json", get(async move || Json(description)))
        .route("/", get(page::show))
        .route("/c/{chat_id}", get(page::show))
        .fallback(page::fallback)
        .method_not_allowed_fallback(async || AppError::MethodNotAllowed);
    protected(routes).with_state(state)
}

/// Puts everything in front of the routes that each request goes through. What is added last is
/// outermost: a panic's answer gets the headers too, and every answer is traced.
fn protected<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    routes
        // Bodies are limited where they are read, so that the refusal is a typed one.
        .layer(DefaultBodyLimit::disable())
        .layer(CsrfLayer::new().with_rejection_response(|_| security::cross_site()))
        .layer(middleware::from_fn(security::check_host))
        .layer(CatchPanicLayer::custom(trace::panicked))
        .layer(middleware::from_fn(security::add_headers))
        .layer(middleware::from_fn(trace::trace))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_like_every_error() {
        let routes = Router::new().route("/", get(async || -> &'static str { panic!("asked to") }));
        let request = Request::get("/")
            .header("host", "localhost")
            .body(Body::empty())
            .expect("a request");
        let answer = protected(routes).oneshot(request).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 500);
        for name in ["content-security-policy", "x-frame-options", "x-request-id"] {
            assert!(answer.headers().contains_key(name), "{name}");
        }
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }

    #[test]
    fn every_route_is_described() {
        let description = serde_json::to_value(openapi()).expect("it is JSON");
        let paths = description["paths"].as_object().expect("paths");
        for path in [
            "/api/v1/images",
            "/api/v1/images/{id}",
            "/api/v1/images/{id}/segment",
            "/api/v1/chats",
            "/api/v1/chats/{id}",
            "/api/v1/chats/{id}/regions",
            "/api/v1/chats/{id}/messages",
            "/api/v1/runs/{id}/events",
            "/api/v1/runs/{id}/stop",
            "/api/v1/model",
            "/models/light.safetensors",
            "/api/v1/samples",
            "/api/v1/samples/{id}/image",
            "/livez",
            "/readyz",
        ] {
            assert!(paths.contains_key(path), "{path}");
        }
        assert!(description["components"]["schemas"]["RunEvent"].is_object());
    }
}
