//! The server is killed at many moments of its work, and keeps what it has confirmed.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fclm_core::wire::{
    Chat, ChatSummary, CreateChat, ErrorCode, FinishReason, ImageInfo, Message, PostedMessage,
    PutRegions, Region, RunState,
};
use fclm_server::api::NumberedEvent;
use fclm_tests::api::{Client, ask, png, read, refused, region, text_of};
use fclm_tests::double::words;
use fclm_tests::words_server::WordsServer;
use futures::future::join_all;
use image::RgbImage;
use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::time::{sleep, timeout};

/// A server that can be killed.
const SERVER: &str = env!("CARGO_BIN_EXE_words-server");
const SEED: u64 = 1;
const KILLS: usize = 12;
/// Those who work with the server at a time.
const PEOPLE: u64 = 3;
/// The most confirmed steps that a kill waits for.
const STEPS: usize = 90;
/// The most milliseconds that it comes behind them, in the midst of the next steps.
const LATER: u64 = 12;
/// Chats that somebody keeps.
const KEPT: usize = 2;
/// The most words of an answer, each of which takes a millisecond.
const WORDS: usize = 20;
/// Different pictures: chats about equal ones share a file.
const SHADES: u8 = 3;
/// How long a server may take to confirm that many steps on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_server_that_is_killed_at_any_moment_keeps_what_it_has_confirmed() {
    let data = tempfile::tempdir().expect("a folder");
    let mut random = StdRng::seed_from_u64(SEED);
    let mut people: Vec<Person> = (1..=PEOPLE)
        .map(|number| Person::new(SEED + number))
        .collect();
    for _ in 0..KILLS {
        let server = WordsServer::start(SERVER, data.path());
        check(&mut people, &server.client).await;
        let client = server.client.clone();
        let watch = Watch::default();
        let steps = random.random_range(1..=STEPS);
        let later = Duration::from_millis(random.random_range(0..=LATER));
        let killing = async {
            let reached = timeout(PATIENCE, watch.reached(steps)).await;
            assert!(reached.is_ok(), "the server confirms nothing more");
            sleep(later).await;
            watch.is_killed.set(true);
            server.kill();
        };
        let working = join_all(people.iter_mut().map(|one| one.work(&client, &watch)));
        tokio::join!(killing, working);
    }

    let server = WordsServer::start(SERVER, data.path());
    check(&mut people, &server.client).await;
    for one in &mut people {
        let done = one.round(&server.client, &Watch::default()).await;
        assert!(done.is_some(), "the server takes no new work");
    }
    check(&mut people, &server.client).await;
    let finished: usize = people.iter().map(|one| one.finished).sum();
    let deleted: usize = people.iter().map(|one| one.deleted.len()).sum();
    eprintln!("{finished} answers were finished and {deleted} chats deleted");
    assert!(finished > KILLS && deleted > KILLS, "{finished}, {deleted}");
}

/// The server is ready and everything confirmed is there.
async fn check(people: &mut [Person], client: &Client) {
    assert_eq!(client.get("/readyz").await.status(), StatusCode::OK);
    for one in &mut *people {
        one.check(client).await;
    }
    let listed: Vec<ChatSummary> = read(client.get("/api/v1/chats").await, StatusCode::OK).await;
    let is_listed = |id: &str| listed.iter().any(|chat| chat.id == id);
    for one in people {
        assert!(one.chats.iter().all(|chat| is_listed(&chat.id)));
        assert!(one.deleted.iter().all(|chat| !is_listed(&chat.id)));
    }
}

/// What has happened since the server was started.
#[derive(Default)]
struct Watch {
    steps: Cell<usize>,
    is_killed: Cell<bool>,
}

impl Watch {
    fn step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    async fn reached(&self, steps: usize) {
        while self.steps.get() < steps {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The answer that confirms a request; none where the connection is lost.
    async fn confirmed(&self, request: RequestBuilder, status: StatusCode) -> Option<Response> {
        let response = request.send().await.ok()?;
        assert_eq!(response.status(), status, "{}", response.url());
        self.step();
        Some(response)
    }
}

/// Somebody who does one thing after the other and knows what the server has confirmed of it.
struct Person {
    random: StdRng,
    /// Shades of the pictures by their paths.
    pictures: BTreeMap<String, u8>,
    /// The oldest first.
    chats: VecDeque<Held>,
    deleted: Vec<Held>,
    /// What was asked for last, where that was not confirmed: it may have been done or not.
    tried: Option<Tried>,
    /// Answers whose end was seen.
    finished: usize,
}

/// A chat that was confirmed.
struct Held {
    id: String,
    picture: String,
    regions: Vec<Region>,
    messages: Vec<Known>,
}

/// A message that was confirmed.
enum Known {
    /// As it stays.
    Whole(Message),
    /// An answer that has been followed.
    Answer(Followed),
}

struct Followed {
    id: String,
    run_id: String,
    /// Words of the whole answer.
    count: usize,
    seen: Vec<NumberedEvent>,
}

enum Tried {
    Regions(Vec<Region>),
    Question,
    /// Of the oldest chat; everything else is about the newest.
    Deletion,
}

impl Person {
    fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            pictures: BTreeMap::new(),
            chats: VecDeque::new(),
            deleted: Vec::new(),
            tried: None,
            finished: 0,
        }
    }

    /// Works until the server is killed.
    async fn work(&mut self, client: &Client, watch: &Watch) {
        while self.round(client, watch).await.is_some() {}
        assert!(watch.is_killed.get(), "the server has ended by itself");
    }

    /// A picture and a chat about it with regions and answers, and no more old chats than are
    /// kept; none where the connection was lost meanwhile.
    async fn round(&mut self, client: &Client, watch: &Watch) -> Option<()> {
        let shade = self.random.random_range(0..SHADES);
        let upload = client
            .request(Method::POST, "/api/v1/images")
            .body(png(shade));
        let answer = watch.confirmed(upload, StatusCode::CREATED).await?;
        let picture: ImageInfo = answer.json().await.ok()?;
        self.pictures.insert(picture.url, shade);
        let body = CreateChat {
            image_id: Some(picture.id),
            ..CreateChat::default()
        };
        let create = client.request(Method::POST, "/api/v1/chats").json(&body);
        let answer = watch.confirmed(create, StatusCode::CREATED).await?;
        let chat: Chat = answer.json().await.ok()?;
        self.chats.push_back(Held {
            id: chat.id,
            picture: chat.image.url,
            regions: Vec::new(),
            messages: Vec::new(),
        });
        for count in 1..=2 {
            self.put_regions(count, client, watch).await?;
            self.ask(client, watch).await?;
        }
        while self.chats.len() > KEPT {
            self.delete_oldest(client, watch).await?;
        }
        Some(())
    }

    async fn put_regions(&mut self, count: usize, client: &Client, watch: &Watch) -> Option<()> {
        let chat = self.chats.back_mut().expect("there is one");
        let regions: Vec<Region> = (0..count)
            .map(|place| region(&format!("r{place}")))
            .collect();
        self.tried = Some(Tried::Regions(regions.clone()));
        let path = format!("/api/v1/chats/{}/regions", chat.id);
        let body = PutRegions {
            regions: regions.clone(),
        };
        let put = client.request(Method::PUT, &path).json(&body);
        watch.confirmed(put, StatusCode::OK).await?;
        self.tried = None;
        chat.regions = regions;
        Some(())
    }

    async fn ask(&mut self, client: &Client, watch: &Watch) -> Option<()> {
        let count = self.random.random_range(1..=WORDS);
        let chat = self.chats.back_mut().expect("there is one");
        self.tried = Some(Tried::Question);
        let path = format!("/api/v1/chats/{}/messages", chat.id);
        let question = ask(&format!("@1 count {count} delay 1"));
        let post = client.request(Method::POST, &path).json(&question);
        let answer = watch.confirmed(post, StatusCode::ACCEPTED).await?;
        let posted: PostedMessage = answer.json().await.ok()?;
        self.tried = None;
        let mut seen = Vec::new();
        if let Ok(mut stream) = client.try_follow(&posted.run_id, 0).await {
            while let Some(event) = stream.next().await {
                seen.push(event);
            }
        }
        let followed = Followed {
            id: posted.answer.id,
            run_id: posted.run_id,
            count,
            seen,
        };
        let is_over = followed.is_over();
        chat.messages.push(Known::Whole(posted.message));
        chat.messages.push(Known::Answer(followed));
        if !is_over {
            return None;
        }
        watch.step();
        self.finished += 1;
        Some(())
    }

    async fn delete_oldest(&mut self, client: &Client, watch: &Watch) -> Option<()> {
        let path = self.chats.front().expect("there is one").path();
        self.tried = Some(Tried::Deletion);
        let delete = client.request(Method::DELETE, &path);
        watch.confirmed(delete, StatusCode::NO_CONTENT).await?;
        self.tried = None;
        self.forget_oldest();
        Some(())
    }

    fn forget_oldest(&mut self) {
        let chat = self.chats.pop_front().expect("there is one");
        self.pictures.remove(&chat.picture);
        self.deleted.push(chat);
    }

    /// Looks whether everything confirmed is there, and learns what became of the rest. Nothing is
    /// being written meanwhile.
    async fn check(&mut self, client: &Client) {
        let tried = self.tried.take();
        if matches!(tried, Some(Tried::Deletion)) {
            let path = self.chats.front().expect("there is one").path();
            if client.get(&path).await.status() == StatusCode::NOT_FOUND {
                self.forget_oldest();
            }
        }
        for chat in &self.deleted {
            refused(client.get(&chat.path()).await, ErrorCode::NotFound).await;
            refused(client.get(&chat.picture).await, ErrorCode::NotFound).await;
        }
        for (path, &shade) in &self.pictures {
            let answer = client.get(path).await;
            assert_eq!(answer.status(), StatusCode::OK, "a picture is gone");
            let bytes = answer.bytes().await.expect("a body");
            assert!(pixels(&bytes) == pixels(&png(shade)), "another picture");
        }
        let newest = self.chats.len().saturating_sub(1);
        for (place, chat) in self.chats.iter_mut().enumerate() {
            let tried = tried.as_ref().filter(|_| place == newest);
            chat.check(tried, client).await;
        }
    }
}

impl Held {
    fn path(&self) -> String {
        format!("/api/v1/chats/{}", self.id)
    }

    async fn check(&mut self, tried: Option<&Tried>, client: &Client) {
        let chat = client.show(&self.id).await;
        let is_put = matches!(tried, Some(Tried::Regions(regions)) if *regions == chat.regions);
        assert!(is_put || chat.regions == self.regions, "{:?}", chat.regions);
        let is_asked = matches!(tried, Some(Tried::Question));
        let more = chat.messages.len().checked_sub(self.messages.len());
        assert!(
            more == Some(0) || (is_asked && more == Some(2)),
            "{more:?} messages more than are known"
        );
        for (message, known) in chat.messages.iter().zip(&self.messages) {
            match known {
                Known::Whole(whole) => assert_eq!(message, whole),
                Known::Answer(followed) => followed.check(message, client).await,
            }
        }
        for message in &chat.messages {
            let is_open = matches!(
                message.run_state,
                Some(RunState::Queued | RunState::Running)
            );
            assert!(!is_open, "nobody writes {message:?}");
        }
        self.regions = chat.regions;
        self.messages = chat.messages.into_iter().map(Known::Whole).collect();
    }
}

impl Followed {
    fn is_over(&self) -> bool {
        let last = self.seen.last();
        last.is_some_and(|numbered| numbered.event.is_last())
    }

    /// What was seen is kept, event by event, and an answer whose end was seen is whole.
    async fn check(&self, message: &Message, client: &Client) {
        assert_eq!(message.id, self.id);
        let told = client.events(&self.run_id, 0).await;
        assert!(told.starts_with(&self.seen), "{:?}, {told:?}", self.seen);
        assert!(told.last().is_some_and(|last| last.event.is_last()));
        assert_eq!(text_of(&told), message.text);
        let whole = words(self.count);
        assert!(whole.starts_with(&message.text), "{}", message.text);
        if self.is_over() {
            assert_eq!(message.text, whole);
            assert_eq!(message.run_state, Some(RunState::Done));
            assert_eq!(message.finish, Some(FinishReason::Stop));
        }
    }
}

fn pixels(bytes: &[u8]) -> RgbImage {
    let picture = image::load_from_memory(bytes).expect("a picture");
    picture.into_rgb8()
}
