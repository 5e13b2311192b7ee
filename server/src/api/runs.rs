use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use fclm_core::wire::{RunEvent, RunState};
use futures::{Stream, stream};

use super::{AppError, AppState, ErrorBody, body::Id, live::LiveRun};

/// How often a silent stream shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How soon a client that lost the stream comes back.
const RETRY: Duration = Duration::from_secs(1);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells proxies to pass events on at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The run's events, from the first or after `Last-Event-ID`. The name of an event is its kind,
/// its data the kind's content as JSON; ids count from 1.
///
/// Answers 204 where nothing comes after `Last-Event-ID`, which ends an `EventSource`.
#[utoipa::path(
    get,
    path = "/api/v1/runs/{id}/events",
    tag = "runs",
    params(
        ("id" = String, Path),
        ("Last-Event-ID" = Option<u64>, Header, description = "the last event that was seen"),
    ),
    responses(
        (status = 200, body = RunEvent, content_type = "text/event-stream"),
        (status = 204, description = "the run is over and all of it was seen"),
        (status = 400, body = ErrorBody, description = "Last-Event-ID is no number"),
        (status = 404, body = ErrorBody),
    ),
)]
pub(super) async fn events(
    State(state): State<AppState>,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, AppError> {
    let seen = last_seen(&headers)?;
    if let Some(live) = state.runs.get(&id) {
        return match live.is_over() && seen >= live.len() {
            true => Ok(StatusCode::NO_CONTENT.into_response()),
            // Whoever claims to have seen more than there is hears what comes now.
            false => Ok(sse(follow(Arc::clone(&live), seen.min(live.len())))),
        };
    }
    let events = ended_events(&state, &id).await?;
    let rest: Vec<_> = (1..).zip(events).skip(seen).collect();
    match rest.is_empty() {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Ok(sse(stream::iter(rest))),
    }
}

/// Stops the run; its answer keeps what is there. Stopping one that is over changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/runs/{id}/stop",
    tag = "runs",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)),
)]
pub(super) async fn stop(
    State(state): State<AppState>,
    Id(id): Id,
) -> Result<StatusCode, AppError> {
    match state.runs.get(&id) {
        Some(live) => live.stop(),
        None => drop(state.store.run(&id).await?),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The events of a run that is not live.
async fn ended_events(state: &AppState, id: &str) -> Result<Vec<RunEvent>, AppError> {
    let run = state.store.run(id).await?;
    let mut events = state.store.events(id).await?;
    if matches!(run.state, RunState::Queued | RunState::Running) {
        // Its last events could not be stored. Trying again here mends it once there is room.
        let interrupted = state.store.fail_run(id).await;
        if let Err(error) = &interrupted {
            tracing::warn!(%error, "an interrupted run cannot be closed");
        }
        events = state.store.events(id).await?;
        if !events.last().is_some_and(RunEvent::is_last) {
            let why = AppError::Unavailable("This answer was interrupted; ask again.");
            events.push(RunEvent::Error(why.to_wire()));
        }
    }
    Ok(events)
}

fn last_seen(headers: &HeaderMap) -> Result<usize, AppError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(0);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| {
            AppError::BadRequest("Last-Event-ID must be the number of an event.".to_owned())
        })
}

/// The live run's events after the first `seen` ones, up to the last.
fn follow(live: Arc<LiveRun>, seen: usize) -> impl Stream<Item = (u64, RunEvent)> {
    struct Reader {
        live: Arc<LiveRun>,
        seen: usize,
        ready: VecDeque<RunEvent>,
        over: bool,
    }
    let reader = Reader {
        live,
        seen,
        ready: VecDeque::new(),
        over: false,
    };
    stream::unfold(reader, async |mut reader| {
        if reader.over {
            return None;
        }
        if reader.ready.is_empty() {
            reader.ready = reader.live.after(reader.seen).await.into();
        }
        let event = reader.ready.pop_front()?;
        reader.seen += 1;
        reader.over = event.is_last();
        Some(((reader.seen as u64, event), reader))
    })
}

fn sse(events: impl Stream<Item = (u64, RunEvent)> + Send + 'static) -> Response {
    use futures::StreamExt;
    let events = events.map(|(number, event)| Ok::<_, Infallible>(to_sse(number, &event)));
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    let headers = response.headers_mut();
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers.insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    response
}

fn to_sse(number: u64, event: &RunEvent) -> Event {
    let mut json = serde_json::to_value(event).unwrap_or_default();
    let sse = Event::default().id(number.to_string()).event(event.name());
    let sse = sse.data(json["data"].take().to_string());
    if number == 1 { sse.retry(RETRY) } else { sse }
}
