//! What a client waits for: questions to a server of this process, over a socket.

use std::{
    fmt::Display,
    io::Cursor,
    ops::Range,
    time::{Duration, Instant},
};

use fclm_core::wire::{
    Chat, CreateChat, ImageInfo, MaskSource, Mode, PostMessage, PostedMessage, Region, RunEvent,
};
use image::{ImageFormat, RgbImage};
use reqwest::{Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::{BenchError, BenchReport, SEED};
use crate::api::{EventReader, NumberedEvent};
use crate::chat_client::prepare_tls;
use crate::data::scenes::{AnnotatedScene, Seeds, sample};
use crate::engine::{Engine, EngineOptions, FclmBackend, LoadState};
use crate::serve::{ServeOptions, Server};

/// Questions of each kind that are timed; one more before them warms up and does not count.
const RUNS: usize = 5;
/// Scenes whose objects are described.
const DESCRIBED: Range<u64> = 100..120;
/// Scenes in which something is searched for: more than are timed, because a search may end
/// without a mask.
const SEARCHED: Range<u64> = 200..220;

/// Times questions about new pictures, from the message that asks to the first event of the answer
/// that shows something. The picture is on the server, which has not looked at it yet; the model is
/// loaded.
///
/// # Errors
/// Where the server does not run, or does not answer.
pub(super) fn time_server(
    backend: &FclmBackend,
    report: &mut BenchReport,
) -> Result<(), BenchError> {
    let runtime = Runtime::new().map_err(no_server)?;
    runtime.block_on(async {
        let data = tempfile::tempdir().map_err(no_server)?;
        let backend = backend.clone();
        let engine = Engine::start(EngineOptions::default(), move || Ok(backend));
        let mut options = ServeOptions::new(data.path().to_path_buf());
        options.addr.set_port(0);
        let server = Server::start(options, engine.map_err(no_server)?)
            .await
            .map_err(no_server)?;
        let asked = match server.loaded().await {
            LoadState::Failed(why) => Err(BenchError::Server(why)),
            LoadState::Ready(_) | LoadState::Loading => time_questions(&server, report).await,
        };
        let ended = server.shut_down().await;
        asked?;
        ended.map_err(no_server)
    })
}

fn no_server(error: impl Display) -> BenchError {
    BenchError::Server(error.to_string())
}

async fn time_questions(server: &Server, report: &mut BenchReport) -> Result<(), BenchError> {
    prepare_tls();
    let caller = Caller {
        // Nothing between the two may be measured.
        http: Client::builder().no_proxy().build()?,
        base: format!("http://{}", server.addr()),
    };
    let first_words = Kind {
        name: "served, describe: message to first words, new picture",
        scenes: DESCRIBED,
        message: description,
        is_wanted: |event| matches!(event, RunEvent::Text { .. }),
    };
    let mask = Kind {
        name: "served, find: message to mask, new picture",
        scenes: SEARCHED,
        message: search,
        is_wanted: |event| matches!(event, RunEvent::Region(_)),
    };
    caller.time(&first_words, report).await?;
    caller.time(&mask, report).await
}

/// A kind of question.
struct Kind {
    name: &'static str,
    scenes: Range<u64>,
    /// What is asked about a scene; none where there is nothing to ask.
    message: fn(&AnnotatedScene) -> Option<PostMessage>,
    /// Whether an event shows what a person waits for.
    is_wanted: fn(&RunEvent) -> bool,
}

/// Asks for the description of an object, whose mask the message brings along.
fn description(scene: &AnnotatedScene) -> Option<PostMessage> {
    let described = scene.annotations.descriptions.first()?;
    let region = Region {
        id: "object".to_owned(),
        name: "object".to_owned(),
        color: "#4c6ef5".to_owned(),
        mask: scene.drawn.masks.get(described.object)?.to_wire(),
        box_px: None,
        source: MaskSource::Import,
        score: None,
    };
    Some(PostMessage {
        mode: Mode::Ask,
        text: String::new(),
        region_ids: vec![region.id.clone()],
        regions: vec![region],
        region_vectors: Vec::new(),
    })
}

/// Searches for an object.
fn search(scene: &AnnotatedScene) -> Option<PostMessage> {
    let mut expressions = scene.annotations.refs.iter();
    let expression = expressions.find(|expression| expression.targets.len() == 1)?;
    Some(PostMessage {
        mode: Mode::Find,
        text: expression.text.clone(),
        region_ids: Vec::new(),
        regions: Vec::new(),
        region_vectors: Vec::new(),
    })
}

/// A client of the server.
struct Caller {
    http: Client,
    base: String,
}

impl Caller {
    async fn time(&self, kind: &Kind, report: &mut BenchReport) -> Result<(), BenchError> {
        let mut answered = 0;
        for index in kind.scenes.clone() {
            let scene = sample(Seeds::public(SEED), index);
            let Some(message) = (kind.message)(&scene) else {
                continue;
            };
            let chat = self.chat_about(&scene.drawn.image).await?;
            let Some(time) = self.time_to(&chat, &message, kind.is_wanted).await? else {
                continue;
            };
            report.push(answered > 0, kind.name, time);
            answered += 1;
            if answered > RUNS {
                break;
            }
        }
        Ok(())
    }

    /// Uploads a picture and opens a chat about it.
    async fn chat_about(&self, picture: &RgbImage) -> Result<Chat, BenchError> {
        let mut png = Cursor::new(Vec::new());
        picture.write_to(&mut png, ImageFormat::Png)?;
        let upload = self.post("/api/v1/images").body(png.into_inner());
        let image: ImageInfo = answer(upload).await?;
        let body = CreateChat {
            image_id: Some(image.id),
            ..CreateChat::default()
        };
        answer(self.post("/api/v1/chats").json(&body)).await
    }

    /// Asks, and reads the answer to its end. Returns how long the first event that is wanted took;
    /// none where none came.
    async fn time_to(
        &self,
        chat: &Chat,
        message: &PostMessage,
        is_wanted: fn(&RunEvent) -> bool,
    ) -> Result<Option<Duration>, BenchError> {
        let path = format!("/api/v1/chats/{}/messages", chat.id);
        let started = Instant::now();
        let posted: PostedMessage = answer(self.post(&path).json(message)).await?;
        let path = format!("/api/v1/runs/{}/events", posted.run_id);
        let mut stream = accepted(self.http.get(self.url(&path))).await?;
        let (mut reader, mut first) = (EventReader::default(), None);
        while let Some(bytes) = stream.chunk().await? {
            reader.push(&bytes);
            while let Some(read) = reader.next_event() {
                let NumberedEvent { event, .. } = read?;
                if let RunEvent::Error(error) = event {
                    return Err(BenchError::Answer(error.message));
                }
                if first.is_none() && is_wanted(&event) {
                    first = Some(started.elapsed());
                }
            }
        }
        Ok(first)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, BenchError> {
    Ok(accepted(request).await?.json().await?)
}

async fn accepted(request: RequestBuilder) -> Result<Response, BenchError> {
    let response = request.send().await?;
    if response.status().is_success() {
        return Ok(response);
    }
    Err(BenchError::Refused {
        path: response.url().path().to_owned(),
        status: response.status().as_u16(),
        reason: response.text().await?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_something_to_ask_about_the_scenes() {
        let asked = |scenes: Range<u64>, message: fn(&AnnotatedScene) -> Option<PostMessage>| {
            let scenes = scenes.take(2 * RUNS);
            scenes
                .filter_map(|index| message(&sample(Seeds::public(SEED), index)))
                .count()
        };
        assert!(asked(DESCRIBED, description) > RUNS);
        assert!(asked(SEARCHED, search) > RUNS);
    }
}
