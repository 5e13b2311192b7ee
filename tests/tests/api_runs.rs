//! The HTTP interface when all is well, and when connections, runs or the process end early.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fclm_core::wire::{
    ChatSummary, CreateChat, ErrorCode, FinishReason, Mode, ModelInfo, PostMessage, PostedMessage,
    RegionVector, RunEvent, RunState, SegmentRequest, SegmentResponse,
};
use fclm_server::api::NumberedEvent;
use fclm_server::engine::EngineOptions;
use fclm_tests::api::{
    Api, Client, HEIGHT, WIDTH, ask, png, read, refused, region, start_server, text_of,
};
use fclm_tests::double::{LIGHT, Words, words};
use fclm_tests::words_server::WordsServer;
use reqwest::{Method, StatusCode};

/// A server that can be killed.
const SERVER: &str = env!("CARGO_BIN_EXE_words-server");

fn finish_of(events: &[NumberedEvent]) -> Option<FinishReason> {
    match events.last()?.event {
        RunEvent::Done { finish } => Some(finish),
        _ => None,
    }
}

/// Waits until the run's answer has that state.
async fn wait_for(client: &Client, chat_id: &str, state: RunState) {
    let started = Instant::now();
    while client
        .show(chat_id)
        .await
        .messages
        .last()
        .and_then(|m| m.run_state)
        != Some(state)
    {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the answer is never {state:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_question_about_a_region_is_answered_and_kept() {
    let api = Api::start().await;
    let client = &api.client;
    let chat = client.chat().await;
    let message = PostMessage {
        regions: vec![region("r1")],
        ..ask("What is <region:r1>? count 5")
    };
    let posted = client.ask(&chat.id, &message).await;
    assert_eq!(posted.message.text, "What is @1? count 5");
    assert_eq!(posted.message.region_ids, ["r1"]);
    let events = client.events(&posted.run_id, 0).await;
    assert_eq!(text_of(&events), words(5));
    assert_eq!(finish_of(&events), Some(FinishReason::Stop));
    assert!(
        events
            .iter()
            .enumerate()
            .all(|(index, event)| event.id == index as u64 + 1)
    );
    let RunEvent::Usage(usage) = events[events.len() - 2].event else {
        panic!("an answer ends without its cost: {events:?}");
    };

    let kept = client.show(&chat.id).await;
    assert_eq!(kept.regions, [region("r1")]);
    assert_eq!(kept.messages.len(), 2);
    assert_eq!(kept.messages[0], posted.message);
    assert_eq!(kept.messages[1].text, words(5));
    assert_eq!(kept.messages[1].run_state, Some(RunState::Done));
    assert_eq!(kept.messages[1].finish, Some(FinishReason::Stop));
    assert_eq!(kept.messages[1].usage, Some(usage));
    assert_eq!(kept.messages[0].usage, None);

    let posted = client.ask(&chat.id, &ask("And what colour is @1?")).await;
    client.events(&posted.run_id, 0).await;
    let counters = &api.counters;
    assert_eq!(counters.images.load(Ordering::Relaxed), 1);
    assert_eq!(counters.regions.load(Ordering::Relaxed), 1);
    assert_eq!(counters.kept.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_browsers_vector_spares_the_server_the_region_if_it_fits() {
    let data = tempfile::tempdir().expect("a folder");
    let (model, counters) = Words::counted();
    let server = start_server(
        data.path(),
        model.with_light(),
        EngineOptions::default(),
        |_| {},
    )
    .await;
    let client = Client::new(&format!("http://{}", server.addr()));
    let computed = || {
        (
            counters.vectors.load(Ordering::Relaxed),
            counters.regions.load(Ordering::Relaxed),
        )
    };
    let vector = |values: &[f32]| RegionVector {
        region_id: "r1".to_owned(),
        mask: region("r1").mask,
        values: values.to_vec(),
        sha256: LIGHT.to_owned(),
    };
    let chat = client.chat().await;
    let message = PostMessage {
        regions: vec![region("r1")],
        region_vectors: vec![vector(&[0.5, -1.0])],
        ..ask("What is <region:r1>?")
    };
    let posted = client.ask(&chat.id, &message).await;
    assert_eq!(
        finish_of(&client.events(&posted.run_id, 0).await),
        Some(FinishReason::Stop)
    );
    assert_eq!(computed(), (1, 0));

    let message = PostMessage {
        region_vectors: vec![vector(&[0.5])],
        ..ask("And what colour is @1?")
    };
    let posted = client.ask(&chat.id, &message).await;
    assert_eq!(
        finish_of(&client.events(&posted.run_id, 0).await),
        Some(FinishReason::Stop)
    );
    assert_eq!(computed(), (1, 1));
}

#[tokio::test]
async fn equal_pictures_are_encoded_once() {
    let api = Api::start().await;
    for _ in 0..2 {
        let chat = api.client.chat().await;
        let posted = api.client.ask(&chat.id, &ask("hello")).await;
        api.client.events(&posted.run_id, 0).await;
    }
    assert_eq!(api.counters.images.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_search_returns_masks() {
    let api = Api::start().await;
    let client = &api.client;
    let chat = client.chat().await;
    let message = PostMessage {
        mode: Mode::Find,
        ..ask("the corner")
    };
    let posted = client.ask(&chat.id, &message).await;
    let events = client.events(&posted.run_id, 0).await;
    let found = events.iter().find_map(|numbered| match &numbered.event {
        RunEvent::Region(found) => Some(found.clone()),
        _ => None,
    });
    let found = found.expect("a mask");
    assert_eq!(found.mask.size, [HEIGHT, WIDTH]);
    assert_eq!(client.show(&chat.id).await.messages[1].found, [found]);
}

#[tokio::test]
async fn boxes_become_masks() {
    let api = Api::start().await;
    let image = api.client.upload_picture(1).await;
    let request = SegmentRequest {
        box_px: Some([2.0, 2.0, 10.0, 8.0]),
        points: Vec::new(),
    };
    let path = format!("/api/v1/images/{}/segment", image.id);
    let answer: SegmentResponse =
        read(api.client.post(&path, &request).await, StatusCode::OK).await;
    assert_eq!(answer.masks[0].box_px, [2.0, 2.0, 10.0, 8.0]);
}

#[tokio::test]
async fn pictures_are_served_with_care() {
    let api = Api::start().await;
    let image = api.client.upload_picture(9).await;
    let answer = api.client.get(&image.url).await;
    let headers = answer.headers().clone();
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(
        headers["cache-control"],
        "private, max-age=31536000, immutable"
    );
    assert!(
        headers["content-security-policy"]
            .to_str()
            .expect("text")
            .contains("'none'")
    );
    assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
    let bytes = answer.bytes().await.expect("a body");
    let pixels = image::load_from_memory(&bytes)
        .expect("a picture")
        .into_rgb8();
    assert_eq!(
        pixels,
        image::load_from_memory(&png(9))
            .expect("a picture")
            .into_rgb8()
    );
}

#[tokio::test]
async fn chats_are_listed_and_deleted_with_their_picture() {
    let api = Api::start().await;
    let client = &api.client;
    let first = client.chat().await;
    let image_id = Some(client.upload_picture(1).await.id);
    let body = CreateChat {
        image_id,
        title: Some("Table".to_owned()),
        ..CreateChat::default()
    };
    let second: fclm_core::wire::Chat = read(
        client.post("/api/v1/chats", &body).await,
        StatusCode::CREATED,
    )
    .await;
    let posted = client.ask(&first.id, &ask("hello")).await;
    client.events(&posted.run_id, 0).await;
    let list: Vec<ChatSummary> = read(client.get("/api/v1/chats").await, StatusCode::OK).await;
    let ids: Vec<_> = list.iter().map(|chat| chat.id.as_str()).collect();
    assert_eq!(ids, [first.id.as_str(), second.id.as_str()]);
    assert_eq!(list[1].title, "Table");
    let behind = |id: &str| format!("/api/v1/chats?after={id}");
    let rest = client.get(&behind(&first.id)).await;
    let rest: Vec<ChatSummary> = read(rest, StatusCode::OK).await;
    assert_eq!(rest, list[1..]);
    let rest = client.get(&behind(&second.id)).await;
    assert_eq!(read::<Vec<ChatSummary>>(rest, StatusCode::OK).await, []);
    refused(client.get(&behind("nobody")).await, ErrorCode::NotFound).await;
    refused(
        client.get("/api/v1/chats?before=1").await,
        ErrorCode::BadRequest,
    )
    .await;

    let path = format!("/api/v1/chats/{}", first.id);
    let deleted = client
        .request(Method::DELETE, &path)
        .send()
        .await
        .expect("an answer");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    refused(client.get(&path).await, ErrorCode::NotFound).await;
    refused(client.get(&first.image.url).await, ErrorCode::NotFound).await;
    let events = format!("/api/v1/runs/{}/events", posted.run_id);
    refused(client.get(&events).await, ErrorCode::NotFound).await;
}

#[tokio::test]
async fn a_reader_that_comes_back_misses_nothing() {
    let api = Api::start().await;
    let client = &api.client;
    let chat = client.chat().await;
    let posted = client.ask(&chat.id, &ask("count 40 delay 10")).await;
    let mut stream = client.follow(&posted.run_id, 0).await;
    let mut events = Vec::new();
    while text_of(&events).len() < 30 {
        events.push(stream.next().await.expect("the run goes on"));
    }
    // The lost connection does not stop the run.
    drop(stream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let seen = events.last().expect("some were read").id;
    events.extend(client.events(&posted.run_id, seen).await);
    assert_eq!(text_of(&events), words(40));
    assert_eq!(finish_of(&events), Some(FinishReason::Stop));
    assert!(
        events
            .iter()
            .enumerate()
            .all(|(index, event)| event.id == index as u64 + 1)
    );

    // From the store it is the same, event by event.
    wait_for(client, &chat.id, RunState::Done).await;
    assert_eq!(client.events(&posted.run_id, 0).await, events);
    let path = format!("/api/v1/runs/{}/events", posted.run_id);
    let last = events.len();
    let over = client
        .request(Method::GET, &path)
        .header("last-event-id", last);
    assert_eq!(
        over.send().await.expect("an answer").status(),
        StatusCode::NO_CONTENT
    );
    let odd = client
        .request(Method::GET, &path)
        .header("last-event-id", "x");
    refused(odd.send().await.expect("an answer"), ErrorCode::BadRequest).await;
}

#[tokio::test]
async fn a_run_nobody_follows_is_finished() {
    let api = Api::start().await;
    let chat = api.client.chat().await;
    api.client.ask(&chat.id, &ask("count 20 delay 5")).await;
    wait_for(&api.client, &chat.id, RunState::Done).await;
    assert_eq!(api.client.show(&chat.id).await.messages[1].text, words(20));
}

#[tokio::test]
async fn a_run_is_stopped_on_request_only() {
    let api = Api::start().await;
    let client = &api.client;
    let chat = client.chat().await;
    let posted = client.ask(&chat.id, &ask("count 100000 delay 5")).await;
    let mut stream = client.follow(&posted.run_id, 0).await;
    let mut events = Vec::new();
    while text_of(&events).is_empty() {
        events.push(stream.next().await.expect("the run goes on"));
    }
    refused(
        client.post_message(&chat.id, &ask("me too")).await,
        ErrorCode::Conflict,
    )
    .await;
    let stop = format!("/api/v1/runs/{}/stop", posted.run_id);
    assert_eq!(
        client.post(&stop, &()).await.status(),
        StatusCode::NO_CONTENT
    );
    while let Some(event) = stream.next().await {
        events.push(event);
    }
    assert_eq!(finish_of(&events), Some(FinishReason::Cancelled));
    wait_for(client, &chat.id, RunState::Stopped).await;
    assert_eq!(
        client.show(&chat.id).await.messages[1].text,
        text_of(&events)
    );
    assert_eq!(
        client.post(&stop, &()).await.status(),
        StatusCode::NO_CONTENT
    );
    let posted = client.ask(&chat.id, &ask("again")).await;
    assert_eq!(text_of(&client.events(&posted.run_id, 0).await), words(3));
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let options = EngineOptions {
        queue: 1,
        active: 1,
        ..EngineOptions::default()
    };
    let api = Api::with(options, |_| {}).await;
    let client = &api.client;
    let (running, waiting, turned_away) = (
        client.chat().await,
        client.chat().await,
        client.chat().await,
    );
    let long = ask("count 100000 delay 5");
    let first = client.ask(&running.id, &long).await;
    let mut stream = client.follow(&first.run_id, 0).await;
    while !matches!(
        stream.next().await.expect("it goes on").event,
        RunEvent::Text { .. }
    ) {}
    let second = client.ask(&waiting.id, &ask("hello")).await;
    let answer = client.post_message(&turned_away.id, &ask("hello")).await;
    let seconds: u64 = answer.headers()["retry-after"]
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("seconds");
    assert!((1..=60).contains(&seconds));
    refused(answer, ErrorCode::Busy).await;
    assert!(client.show(&turned_away.id).await.messages.is_empty());

    let mut queued = client.follow(&second.run_id, 0).await;
    let place = queued.next().await.expect("a place").event;
    assert!(
        matches!(place, RunEvent::Queue { position: 1, .. }),
        "{place:?}"
    );
    // Clicks are answered while answers are written, and what waits can be stopped.
    let request = SegmentRequest {
        box_px: Some([0.0, 0.0, 4.0, 4.0]),
        points: Vec::new(),
    };
    let path = format!("/api/v1/images/{}/segment", running.image.id);
    assert_eq!(client.post(&path, &request).await.status(), StatusCode::OK);
    client
        .post(&format!("/api/v1/runs/{}/stop", first.run_id), &())
        .await;
    assert_eq!(text_of(&client.events(&second.run_id, 0).await), words(3));
}

#[tokio::test]
async fn the_next_question_may_follow_the_end_at_once() {
    let api = Api::start().await;
    let chat = api.client.chat().await;
    for _ in 0..20 {
        let posted = api.client.ask(&chat.id, &ask("count 1")).await;
        let events = api.client.events(&posted.run_id, 0).await;
        assert_eq!(finish_of(&events), Some(FinishReason::Stop));
    }
}

#[tokio::test]
async fn an_answer_that_waits_can_be_stopped() {
    let options = EngineOptions {
        active: 1,
        ..EngineOptions::default()
    };
    let api = Api::with(options, |_| {}).await;
    let client = &api.client;
    let (running, waiting) = (client.chat().await, client.chat().await);
    let first = client.ask(&running.id, &ask("count 100000 delay 5")).await;
    wait_for(client, &running.id, RunState::Running).await;
    let second = client.ask(&waiting.id, &ask("hello")).await;
    wait_for(client, &waiting.id, RunState::Queued).await;
    let stop = format!("/api/v1/runs/{}/stop", second.run_id);
    assert_eq!(
        client.post(&stop, &()).await.status(),
        StatusCode::NO_CONTENT
    );
    let events = client.events(&second.run_id, 0).await;
    assert_eq!(finish_of(&events), Some(FinishReason::Cancelled));
    assert_eq!(text_of(&events), "");
    wait_for(client, &waiting.id, RunState::Stopped).await;
    wait_for(client, &running.id, RunState::Running).await;
    client
        .post(&format!("/api/v1/runs/{}/stop", first.run_id), &())
        .await;
}

#[tokio::test]
async fn answers_take_turns() {
    let api = Api::start().await;
    let client = &api.client;
    let (slow, quick) = (client.chat().await, client.chat().await);
    let long = client.ask(&slow.id, &ask("count 100000 delay 2")).await;
    let short = client.ask(&quick.id, &ask("count 5")).await;
    assert_eq!(text_of(&client.events(&short.run_id, 0).await), words(5));
    assert_eq!(
        client.show(&slow.id).await.messages[1]
            .run_state
            .map(|state| state == RunState::Done),
        Some(false)
    );
    client
        .post(&format!("/api/v1/runs/{}/stop", long.run_id), &())
        .await;
}

#[tokio::test]
async fn a_panic_of_the_model_ends_one_answer() {
    let api = Api::start().await;
    let client = &api.client;
    let (broken, fine) = (client.chat().await, client.chat().await);
    let other = client.ask(&fine.id, &ask("count 50 delay 5")).await;
    let answer = client.post_message(&broken.id, &ask("panic")).await;
    let request_id = answer.headers()["x-request-id"].clone();
    let posted: PostedMessage = read(answer, StatusCode::ACCEPTED).await;
    let events = client.events(&posted.run_id, 0).await;
    let Some(RunEvent::Error(error)) = events.last().map(|numbered| &numbered.event) else {
        panic!("not an error: {events:?}");
    };
    assert_eq!(error.code, ErrorCode::Internal);
    assert!(!error.message.contains("asked to"), "{}", error.message);
    // By this id the log says why.
    assert_eq!(error.request_id.as_deref(), request_id.to_str().ok());
    wait_for(client, &broken.id, RunState::Failed).await;
    assert_eq!(text_of(&client.events(&other.run_id, 0).await), words(50));
}

#[tokio::test]
async fn the_server_describes_itself() {
    let api = Api::start().await;
    let client = &api.client;
    for path in ["/livez", "/readyz"] {
        assert_eq!(client.get(path).await.status(), StatusCode::OK);
    }
    let model: ModelInfo = read(client.get("/api/v1/model").await, StatusCode::OK).await;
    assert_eq!(model.name, "words");
    let description: serde_json::Value =
        read(client.get("/api/openapi.json").await, StatusCode::OK).await;
    assert!(description["paths"]["/api/v1/chats/{id}/messages"]["post"].is_object());
    assert_eq!(
        client
            .get("/api/v1/samples")
            .await
            .text()
            .await
            .expect("a body"),
        "[]"
    );
}

#[tokio::test]
async fn going_down_finishes_what_is_being_written() {
    let api = Api::start().await;
    let chat = api.client.chat().await;
    let posted = api.client.ask(&chat.id, &ask("count 30 delay 10")).await;
    let mut stream = api.client.follow(&posted.run_id, 0).await;
    stream.next().await.expect("it has begun");
    let data = api.shut_down().await;
    let mut rest = Vec::new();
    while let Some(event) = stream.next().await {
        rest.push(event);
    }
    assert_eq!(finish_of(&rest), Some(FinishReason::Stop));
    let server = WordsServer::start(SERVER, data.path());
    assert_eq!(
        server.client.show(&chat.id).await.messages[1].text,
        words(30)
    );
}

#[tokio::test]
async fn going_down_ends_what_takes_too_long() {
    let options = EngineOptions::default();
    let api = Api::with(options, |options| {
        options.grace = Duration::from_millis(200)
    })
    .await;
    let chat = api.client.chat().await;
    api.client.ask(&chat.id, &ask("count 100000 delay 5")).await;
    let data = api.shut_down().await;
    let server = WordsServer::start(SERVER, data.path());
    let answer = &server.client.show(&chat.id).await.messages[1];
    assert_eq!(answer.run_state, Some(RunState::Failed));
    assert!(answer.text.starts_with("word0 "), "{}", answer.text);
}

#[tokio::test]
async fn a_killed_server_loses_no_finished_message() {
    let data = tempfile::tempdir().expect("a folder");
    let server = WordsServer::start(SERVER, data.path());
    let client = &server.client;
    let chat = client.chat().await;
    let message = PostMessage {
        regions: vec![region("r1")],
        ..ask("@1 count 200")
    };
    let done = client.ask(&chat.id, &message).await;
    assert_eq!(text_of(&client.events(&done.run_id, 0).await), words(200));
    let posted = client.ask(&chat.id, &ask("count 100000 delay 1")).await;
    let mut stream = client.follow(&posted.run_id, 0).await;
    let mut events = Vec::new();
    while text_of(&events).len() < 300 {
        events.push(stream.next().await.expect("the run goes on"));
    }
    server.kill();

    let server = WordsServer::start(SERVER, data.path());
    let client = &server.client;
    let kept = client.show(&chat.id).await;
    assert_eq!(kept.regions, [region("r1")]);
    assert_eq!(kept.messages[1].text, words(200));
    assert_eq!(kept.messages[1].run_state, Some(RunState::Done));
    let broken = &kept.messages[3];
    assert_eq!(broken.run_state, Some(RunState::Failed));
    assert!(
        broken.text.starts_with(&text_of(&events)),
        "what was shown is kept"
    );
    // The reader that was cut off comes back and hears the end.
    let seen = events.last().expect("some were read").id;
    let rest = client.events(&posted.run_id, seen).await;
    assert_eq!(text_of(&events) + &text_of(&rest), broken.text);
    assert!(matches!(
        rest.last().map(|last| &last.event),
        Some(RunEvent::Error(_))
    ));
    assert_eq!(client.get(&chat.image.url).await.status(), StatusCode::OK);
    let posted = client.ask(&chat.id, &ask("again")).await;
    assert_eq!(text_of(&client.events(&posted.run_id, 0).await), words(3));
}
