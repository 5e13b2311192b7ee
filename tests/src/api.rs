//! A server in this process, and a client that speaks to it over a real socket.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use fclm_core::wire::{
    ApiError, Chat, Counts, CreateChat, ErrorCode, ImageInfo, MaskRle, MaskSource, Mode,
    PostMessage, PostedMessage, Region, RunEvent,
};
use fclm_server::api::{EventReader, NumberedEvent};
use fclm_server::engine::{Backend, Engine, EngineOptions, LoadState};
use fclm_server::serve::{ServeOptions, Server};
use futures::StreamExt;
use futures::channel::mpsc::{self, UnboundedSender};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::double::{Counters, Words};

/// Width of the picture that tests upload.
pub const WIDTH: u32 = 48;
/// Height of the picture that tests upload.
pub const HEIGHT: u32 = 32;

/// A client of a server at some address.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// A running server with the model of words and a data directory of its own.
#[derive(Debug)]
pub struct Api {
    /// Speaks to it.
    pub client: Client,
    /// What its model has computed.
    pub counters: Arc<Counters>,
    /// What a restart would find.
    pub data: TempDir,
    server: Server,
}

/// An upload of which a part is still to come.
#[derive(Debug)]
pub struct BegunUpload {
    body: UnboundedSender<std::io::Result<Vec<u8>>>,
    answer: JoinHandle<reqwest::Result<Response>>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ApiError,
}

impl Api {
    /// Starts a server with the usual options.
    pub async fn start() -> Self {
        Self::with(EngineOptions::default(), |_| {}).await
    }

    /// Starts a server with changed options.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn with(engine: EngineOptions, change: impl FnOnce(&mut ServeOptions)) -> Self {
        let data = tempfile::tempdir().expect("a folder for the server's data");
        let (words, counters) = Words::counted();
        let server = start_server(data.path(), words, engine, change).await;
        let client = Client::new(&format!("http://{}", server.addr()));
        Self {
            client,
            counters,
            data,
            server,
        }
    }

    /// Ends the server in good order and gives back its data directory.
    ///
    /// # Panics
    /// If it does not end well.
    pub async fn shut_down(self) -> TempDir {
        self.server.shut_down().await.expect("the server ends well");
        self.data
    }
}

/// Starts a server in this process on a free port.
///
/// # Panics
/// If it does not start.
pub async fn start_server<B: Backend + Send>(
    data: &Path,
    backend: B,
    engine: EngineOptions,
    change: impl FnOnce(&mut ServeOptions),
) -> Server {
    let engine = Engine::start(engine, move || Ok(backend)).expect("a thread");
    let mut options = ServeOptions::new(data.to_path_buf());
    options.addr.set_port(0);
    change(&mut options);
    let server = Server::start(options, engine)
        .await
        .expect("the server starts");
    assert!(matches!(server.loaded().await, LoadState::Ready(_)));
    server
}

/// A picture of `WIDTH` by `HEIGHT` pixels as PNG; another `shade`, another picture.
pub fn png(shade: u8) -> Vec<u8> {
    let picture =
        image::RgbImage::from_fn(WIDTH, HEIGHT, |x, y| image::Rgb([x as u8, y as u8, shade]));
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
        .expect("PNG encodes");
    bytes
}

/// A region that fits the picture.
pub fn region(id: &str) -> Region {
    Region {
        id: id.to_owned(),
        name: "thing".to_owned(),
        color: "#ff8800".to_owned(),
        mask: MaskRle {
            size: [HEIGHT, WIDTH],
            counts: Counts::Runs(vec![10, 20, WIDTH * HEIGHT - 30]),
        },
        box_px: Some([0.0, 10.0, 1.0, 30.0]),
        source: MaskSource::Brush,
        score: None,
    }
}

/// A question.
pub fn ask(text: &str) -> PostMessage {
    PostMessage {
        mode: Mode::Ask,
        text: text.to_owned(),
        region_ids: Vec::new(),
        regions: Vec::new(),
        region_vectors: Vec::new(),
    }
}

impl Client {
    /// Speaks to the server at `base`, for example `http://127.0.0.1:3000`.
    pub fn new(base: &str) -> Self {
        fclm_server::chat_client::prepare_tls();
        Self {
            base: base.to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// A request to a path.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// The answer to a GET.
    pub async fn get(&self, path: &str) -> Response {
        self.request(reqwest::Method::GET, path)
            .send()
            .await
            .expect("the server answers")
    }

    /// The answer to a POST of JSON.
    pub async fn post(&self, path: &str, body: &impl serde::Serialize) -> Response {
        let request = self.request(reqwest::Method::POST, path).json(body);
        request.send().await.expect("the server answers")
    }

    /// The answer to a PUT of JSON.
    pub async fn put(&self, path: &str, body: &impl serde::Serialize) -> Response {
        let request = self.request(reqwest::Method::PUT, path).json(body);
        request.send().await.expect("the server answers")
    }

    /// The answer to an upload of bytes.
    pub async fn upload(&self, bytes: Vec<u8>) -> Response {
        let request = self
            .request(reqwest::Method::POST, "/api/v1/images")
            .body(bytes);
        request.send().await.expect("the server answers")
    }

    /// Begins an upload with the first part of its bytes.
    pub fn begin_upload(&self, first: &[u8]) -> BegunUpload {
        let (body, parts) = mpsc::unbounded::<std::io::Result<Vec<u8>>>();
        body.unbounded_send(Ok(first.to_vec()))
            .expect("the other end is here");
        let request = self
            .request(reqwest::Method::POST, "/api/v1/images")
            .body(reqwest::Body::wrap_stream(parts));
        BegunUpload {
            body,
            answer: tokio::spawn(request.send()),
        }
    }

    /// Uploads the picture of that shade.
    pub async fn upload_picture(&self, shade: u8) -> ImageInfo {
        read(self.upload(png(shade)).await, StatusCode::CREATED).await
    }

    /// A new chat about a new picture.
    pub async fn chat(&self) -> Chat {
        let image_id = Some(self.upload_picture(7).await.id);
        let body = CreateChat {
            image_id,
            ..CreateChat::default()
        };
        read(self.post("/api/v1/chats", &body).await, StatusCode::CREATED).await
    }

    /// A chat, whole.
    pub async fn show(&self, chat_id: &str) -> Chat {
        read(
            self.get(&format!("/api/v1/chats/{chat_id}")).await,
            StatusCode::OK,
        )
        .await
    }

    /// The answer to a posted message.
    pub async fn post_message(&self, chat_id: &str, message: &PostMessage) -> Response {
        self.post(&format!("/api/v1/chats/{chat_id}/messages"), message)
            .await
    }

    /// Asks, and expects to be heard.
    pub async fn ask(&self, chat_id: &str, message: &PostMessage) -> PostedMessage {
        read(
            self.post_message(chat_id, message).await,
            StatusCode::ACCEPTED,
        )
        .await
    }

    /// All events of a run after `seen`, waiting for its end.
    pub async fn events(&self, run_id: &str, seen: u64) -> Vec<NumberedEvent> {
        let mut stream = self.follow(run_id, seen).await;
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            events.push(event);
        }
        events
    }

    /// The events of a run as they come.
    ///
    /// # Panics
    /// If the stream is not what it should be.
    pub async fn follow(&self, run_id: &str, seen: u64) -> EventStream {
        self.try_follow(run_id, seen)
            .await
            .expect("the server answers")
    }

    /// As [`Client::follow`].
    ///
    /// # Errors
    /// If the server cannot be reached.
    ///
    /// # Panics
    /// As [`Client::follow`].
    pub async fn try_follow(&self, run_id: &str, seen: u64) -> reqwest::Result<EventStream> {
        let mut request = self.request(
            reqwest::Method::GET,
            &format!("/api/v1/runs/{run_id}/events"),
        );
        if seen > 0 {
            request = request.header("last-event-id", seen);
        }
        let response = request.send().await?;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Ok(EventStream {
            body: Box::pin(response.bytes_stream()),
            reader: EventReader::default(),
        })
    }
}

impl BegunUpload {
    /// The answer to the upload, after the rest of its bytes.
    pub async fn finish(self, rest: &[u8]) -> Response {
        // A server that has answered already need not read the rest.
        let _ = self.body.unbounded_send(Ok(rest.to_vec()));
        drop(self.body);
        let answer = self.answer.await.expect("the upload does not panic");
        answer.expect("the server answers")
    }
}

/// A stream of events.
pub struct EventStream {
    body: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    reader: EventReader,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl EventStream {
    /// The next event; none at the end or where the connection is lost.
    ///
    /// # Panics
    /// If something that comes is no event.
    pub async fn next(&mut self) -> Option<NumberedEvent> {
        loop {
            if let Some(event) = self.reader.next_event() {
                return Some(event.expect("events are those of the interface"));
            }
            self.reader.push(&self.body.next().await?.ok()?);
        }
    }
}

/// The text that events add up to.
pub fn text_of(events: &[NumberedEvent]) -> String {
    let delta = |numbered: &NumberedEvent| match &numbered.event {
        RunEvent::Text { delta } => Some(delta.clone()),
        _ => None,
    };
    events.iter().filter_map(delta).collect()
}

/// The JSON of an answer with that status.
///
/// # Panics
/// If it is another status or no such JSON.
pub async fn read<T: DeserializeOwned>(response: Response, status: StatusCode) -> T {
    let found = response.status();
    let text = response.text().await.expect("a body");
    assert_eq!(found, status, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Expects a typed refusal: code, its status, a sentence, the request's id.
///
/// # Panics
/// If it is something else.
pub async fn refused(response: Response, code: ErrorCode) -> ApiError {
    let header = response
        .headers()
        .get("x-request-id")
        .cloned()
        .expect("a request id");
    let status = StatusCode::from_u16(code.status()).expect("a status");
    let ErrorBody { error } = read(response, status).await;
    assert_eq!(error.code, code, "{}", error.message);
    assert!(
        error.message.len() > 10 && error.message.ends_with('.'),
        "{}",
        error.message
    );
    assert_eq!(error.request_id.as_deref(), header.to_str().ok());
    error
}
