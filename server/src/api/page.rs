use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use fclm_app::{Boot, WorkerAssets};
use tower::ServiceExt;

use super::{AppError, AppState};
use crate::engine::LoadState;

/// What the page's workers may do: a worker has a policy of its own, that of its script.
const WORKER_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    connect-src 'self'; frame-ancestors 'none'";

/// The page, rendered for the path that was asked for.
pub(super) async fn show(State(state): State<AppState>, request: Request) -> Response {
    render(&state, &request, StatusCode::OK)
}

/// Everything that is no route: the site's files, and what is not there.
pub(super) async fn fallback(State(state): State<AppState>, request: Request) -> Response {
    let path = request.uri().path();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if path.starts_with("/api/") || !is_read {
        return AppError::NotFound("address").into_response();
    }
    let is_named_by_content = path.starts_with("/pkg/");
    let is_worker = state
        .site
        .assets
        .as_ref()
        .is_some_and(|assets| assets.is_worker(path));
    let wants_page = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if let Some(files) = state.site.files.clone() {
        let (parts, body) = request.into_parts();
        let again = Request::from_parts(parts.clone(), axum::body::Body::empty());
        let found = match files.oneshot(again).await {
            Ok(found) => found,
            Err(never) => match never {},
        };
        if is_file(found.status()) {
            let mut response = found.map(axum::body::Body::new);
            let caching = match is_named_by_content {
                true => "public, max-age=31536000, immutable",
                false => "no-cache",
            };
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
            if is_worker {
                headers.insert(
                    header::CONTENT_SECURITY_POLICY,
                    HeaderValue::from_static(WORKER_POLICY),
                );
            }
            return response;
        }
        let request = Request::from_parts(parts, body);
        if wants_page {
            return render(&state, &request, StatusCode::NOT_FOUND);
        }
    }
    AppError::NotFound("address").into_response()
}

/// Whether the file service has answered from a file. Whatever else keeps it from one, such as a
/// name that is longer than the system takes, means that there is none for this address.
pub(super) fn is_file(status: StatusCode) -> bool {
    status.is_success()
        || matches!(
            status,
            StatusCode::NOT_MODIFIED
                | StatusCode::PRECONDITION_FAILED
                | StatusCode::RANGE_NOT_SATISFIABLE
        )
}

fn render(state: &AppState, request: &Request, status: StatusCode) -> Response {
    let Some(assets) = &state.site.assets else {
        let message = "The page has not been built; run `cargo xtask build`.";
        return AppError::Unavailable(message).into_response();
    };
    let model = match state.engine.load_state() {
        LoadState::Ready(info) => Some((*info).clone()),
        LoadState::Loading | LoadState::Failed(_) => None,
    };
    let script = |worker: &Option<WorkerAssets>| Some(worker.as_ref()?.worker.clone());
    let boot = Boot {
        model,
        samples: state.site.sample_infos(),
        extractor: script(&assets.extractor),
        heic: script(&assets.heic),
    };
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let html = fclm_app::render_page(path, assets, &boot, &nonce);
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; \
         style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; \
         manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    (
        status,
        [(header::CONTENT_SECURITY_POLICY, policy)],
        Html(html),
    )
        .into_response()
}
