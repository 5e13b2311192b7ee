//! What goes down while somebody waits for it: the server, and the model.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fclm_core::wire::{ApiError, ErrorCode, FinishReason, ImageInfo, Mode, RunEvent};
use fclm_server::engine::{Engine, EngineOptions, ImageSource, LoadState, Question};
use fclm_tests::api::{Api, EventStream, ask, png, read, refused};
use fclm_tests::double::Words;
use reqwest::StatusCode;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Time for what was begun to reach the server.
const BEGUN: Duration = Duration::from_millis(500);

/// The last event of a stream.
async fn last(mut stream: EventStream) -> RunEvent {
    let mut last = None;
    while let Some(event) = stream.next().await {
        last = Some(event.event);
    }
    last.expect("at least one event")
}

fn error(event: RunEvent) -> ApiError {
    match event {
        RunEvent::Error(error) => error,
        other => panic!("not an error: {other:?}"),
    }
}

#[tokio::test]
async fn going_down_lets_an_upload_arrive() {
    let api = Api::start().await;
    let picture = png(5);
    let (first, rest) = picture.split_at(picture.len() / 2);
    let upload = api.client.begin_upload(first);
    sleep(BEGUN).await;
    let ending = tokio::spawn(api.shut_down());
    sleep(BEGUN).await;
    assert!(!ending.is_finished());
    read::<ImageInfo>(upload.finish(rest).await, StatusCode::CREATED).await;
    let data = ending.await.expect("it ends");
    let kept = fs::read_dir(data.path().join("images")).expect("a folder");
    assert_eq!(kept.count(), 1);
}

#[tokio::test]
async fn an_upload_that_does_not_arrive_holds_nothing_up_for_ever() {
    let api = Api::with(EngineOptions::default(), |options| {
        options.grace = Duration::from_millis(200);
    })
    .await;
    let picture = png(5);
    let _upload = api.client.begin_upload(&picture[..20]);
    sleep(BEGUN).await;
    let ended = timeout(Duration::from_secs(20), api.shut_down()).await;
    ended.expect("the server ends");
}

#[tokio::test]
async fn going_down_tells_readers_what_became_of_their_answer() {
    let api = Api::with(EngineOptions::default(), |options| {
        options.grace = Duration::from_millis(200);
    })
    .await;
    let chat = api.client.chat().await;
    let posted = api.client.ask(&chat.id, &ask("count 100000 delay 5")).await;
    let stream = api.client.follow(&posted.run_id, 0).await;
    api.shut_down().await;
    let error = error(last(stream).await);
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(error.request_id.is_some());
}

#[tokio::test]
async fn a_question_that_comes_too_late_is_told_so() {
    let engine = Engine::start(EngineOptions::default(), || Ok(Words::default()));
    let engine = engine.expect("a thread");
    engine.loaded().await;
    let permit = engine.reserve().expect("there is room");
    engine.abort();
    let question = Question {
        request_id: Some("r".to_owned()),
        chat_id: "c".to_owned(),
        image: ImageSource {
            sha256: String::new(),
            path: PathBuf::new(),
        },
        mode: Mode::Ask,
        text: "hello".to_owned(),
        regions: Vec::new(),
    };
    let (events, mut written) = mpsc::unbounded_channel();
    permit.submit(question, Arc::default(), events);
    let told = timeout(Duration::from_secs(20), written.recv()).await;
    let error = error(told.expect("in time").expect("an event"));
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert_eq!(error.request_id.as_deref(), Some("r"));
    assert!(engine.reserve().is_err());
}

#[tokio::test]
async fn a_model_that_breaks_down_ends_every_answer() {
    let api = Api::start().await;
    let client = &api.client;
    let (long, short) = (client.chat().await, client.chat().await);
    let other = client.ask(&long.id, &ask("count 100000 delay 5")).await;
    let breaking = client.ask(&short.id, &ask("count 1 break down")).await;
    let done = last(client.follow(&breaking.run_id, 0).await).await;
    assert_eq!(
        done,
        RunEvent::Done {
            finish: FinishReason::Stop,
        }
    );
    let error = error(last(client.follow(&other.run_id, 0).await).await);
    assert_eq!(error.code, ErrorCode::Internal);
    let late = client.post_message(&short.id, &ask("hello")).await;
    refused(late, ErrorCode::Unavailable).await;
    refused(client.get("/readyz").await, ErrorCode::Unavailable).await;
}

#[tokio::test]
async fn a_model_that_panics_while_it_is_loaded_has_failed() {
    let load = || -> Result<Words, String> { panic!("asked to") };
    let engine = Engine::start(EngineOptions::default(), load).expect("a thread");
    let LoadState::Failed(why) = engine.loaded().await else {
        panic!("it is ready");
    };
    assert!(why.contains("asked to"), "{why}");
    assert_eq!(engine.failed().await, why);
}
