use fclm_core::wire::{
    ApiError, ErrorCode, FinishReason, FoundRegion, Message, Region, RunEvent, RunState, Usage,
};
use sqlx::SqliteConnection;

use super::{
    Store, StoreError,
    chats::{insert_message, name, parse, read_regions, touch, write_regions},
    now,
};

/// Everything that a question adds to its chat.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Unguessable id.
    pub run_id: String,
    /// The chat.
    pub chat_id: String,
    /// What the person wrote.
    pub question: Message,
    /// The answer, still empty.
    pub answer: Message,
    /// What becomes of the chat's regions, where the question changes them.
    pub regions: Option<RegionChange>,
}

/// A change of a chat's regions.
#[derive(Debug, Clone)]
pub struct RegionChange {
    /// The regions that the change was made from.
    pub seen: Vec<Region>,
    /// The regions from now on.
    pub new: Vec<Region>,
}

/// A run as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Unguessable id.
    pub id: String,
    /// Where it stands.
    pub state: RunState,
}

impl Store {
    /// Stores question, empty answer and run in one step.
    ///
    /// A run of this chat that is still open in the database has no process any more, because the
    /// caller lets one run per chat live; it is closed as failed first.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where the chat is gone, and [`StoreError::Changed`] where its
    /// regions are no longer those that the change was made from.
    pub async fn begin_run(&self, run: &NewRun) -> Result<(), StoreError> {
        let mut change = self.writer.begin().await?;
        touch(&mut change, &run.chat_id).await?;
        let open: Option<String> = sqlx::query_scalar(
            "SELECT id FROM runs WHERE chat_id = ? AND state IN ('queued', 'running')",
        )
        .bind(&run.chat_id)
        .fetch_optional(&mut *change)
        .await?;
        if let Some(open) = open {
            fail_run(&mut change, &open).await?;
        }
        if let Some(RegionChange { seen, new }) = &run.regions {
            if read_regions(&mut change, &run.chat_id).await? != *seen {
                return Err(StoreError::Changed);
            }
            write_regions(&mut change, &run.chat_id, new).await?;
        }
        insert_message(&mut change, &run.chat_id, &run.question).await?;
        insert_message(&mut change, &run.chat_id, &run.answer).await?;
        sqlx::query(
            "INSERT INTO runs (id, chat_id, message_id, state, created_at)
             VALUES (?, ?, ?, 'queued', ?)",
        )
        .bind(&run.run_id)
        .bind(&run.chat_id)
        .bind(&run.answer.id)
        .bind(&run.answer.created_at)
        .execute(&mut *change)
        .await?;
        change.commit().await?;
        Ok(())
    }

    /// Appends events to a run and applies them to its answer, in one step. The first of them
    /// gets the number `first_seq`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where the run is gone, because its chat was deleted.
    pub async fn append_events(
        &self,
        run_id: &str,
        first_seq: u64,
        events: &[RunEvent],
    ) -> Result<(), StoreError> {
        let mut change = self.writer.begin().await?;
        append(&mut change, run_id, first_seq, events).await?;
        change.commit().await?;
        Ok(())
    }

    /// The run with this id.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn run(&self, id: &str) -> Result<RunRow, StoreError> {
        let state: Option<String> = sqlx::query_scalar("SELECT state FROM runs WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.reader)
            .await?;
        let state = parse(&state.ok_or(StoreError::Missing("run"))?)?;
        Ok(RunRow {
            id: id.to_owned(),
            state,
        })
    }

    /// All events of a run, in order; the first one has number 1.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events(&self, run_id: &str) -> Result<Vec<RunEvent>, StoreError> {
        let bodies: Vec<String> =
            sqlx::query_scalar("SELECT body FROM run_events WHERE run_id = ? ORDER BY seq")
                .bind(run_id)
                .fetch_all(&self.reader)
                .await?;
        bodies
            .iter()
            .map(|body| serde_json::from_str(body).map_err(StoreError::damaged("event")))
            .collect()
    }

    /// Closes a run that nobody writes any more as failed; one that is over stays as it is.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub async fn fail_run(&self, run_id: &str) -> Result<(), StoreError> {
        let mut change = self.writer.begin().await?;
        fail_run(&mut change, run_id).await?;
        change.commit().await?;
        Ok(())
    }

    /// Closes what the previous process was writing when it ended.
    pub(super) async fn fail_interrupted_runs(&self) -> Result<(), StoreError> {
        let mut change = self.writer.begin().await?;
        let open: Vec<String> =
            sqlx::query_scalar("SELECT id FROM runs WHERE state IN ('queued', 'running')")
                .fetch_all(&mut *change)
                .await?;
        for run_id in &open {
            fail_run(&mut change, run_id).await?;
        }
        change.commit().await?;
        if !open.is_empty() {
            tracing::warn!(
                runs = open.len(),
                "runs were interrupted and are marked as failed"
            );
        }
        Ok(())
    }
}

async fn fail_run(change: &mut SqliteConnection, run_id: &str) -> Result<(), StoreError> {
    let state: Option<String> = sqlx::query_scalar("SELECT state FROM runs WHERE id = ?")
        .bind(run_id)
        .fetch_optional(&mut *change)
        .await?;
    let state: RunState = parse(&state.ok_or(StoreError::Missing("run"))?)?;
    // Whoever looked before this transaction began may have been overtaken.
    if !matches!(state, RunState::Queued | RunState::Running) {
        return Ok(());
    }
    let last: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM run_events WHERE run_id = ?")
            .bind(run_id)
            .fetch_one(&mut *change)
            .await?;
    let interrupted = RunEvent::Error(ApiError {
        code: ErrorCode::Unavailable,
        message: "The server ended while this answer was being written; ask again.".to_owned(),
        param: None,
        request_id: None,
    });
    append(change, run_id, last.unsigned_abs() + 1, &[interrupted]).await
}

async fn append(
    change: &mut SqliteConnection,
    run_id: &str,
    first_seq: u64,
    events: &[RunEvent],
) -> Result<(), StoreError> {
    let message_id: Option<String> = sqlx::query_scalar("SELECT message_id FROM runs WHERE id = ?")
        .bind(run_id)
        .fetch_optional(&mut *change)
        .await?;
    let message_id = message_id.ok_or(StoreError::Missing("run"))?;
    for (seq, event) in (first_seq..).zip(events) {
        let body = serde_json::to_string(event).map_err(StoreError::damaged("event"))?;
        sqlx::query("INSERT INTO run_events (run_id, seq, body) VALUES (?, ?, ?)")
            .bind(run_id)
            .bind(seq.cast_signed())
            .bind(body)
            .execute(&mut *change)
            .await?;
    }
    let effect = Effect::of(events);
    if !effect.text.is_empty() {
        sqlx::query("UPDATE messages SET text = text || ? WHERE id = ?")
            .bind(&effect.text)
            .bind(&message_id)
            .execute(&mut *change)
            .await?;
    }
    for region in effect.found {
        let body = serde_json::to_string(region).map_err(StoreError::damaged("region"))?;
        sqlx::query("UPDATE messages SET found = json_insert(found, '$[#]', json(?)) WHERE id = ?")
            .bind(body)
            .bind(&message_id)
            .execute(&mut *change)
            .await?;
    }
    if let Some(usage) = effect.usage {
        let body = serde_json::to_string(usage).map_err(StoreError::damaged("usage"))?;
        sqlx::query("UPDATE messages SET usage = ? WHERE id = ?")
            .bind(body)
            .bind(&message_id)
            .execute(&mut *change)
            .await?;
    }
    if let Some(finish) = effect.finish {
        sqlx::query("UPDATE messages SET finish = ? WHERE id = ?")
            .bind(name(&finish)?)
            .bind(&message_id)
            .execute(&mut *change)
            .await?;
        sqlx::query(
            "UPDATE chats SET updated_at = ? WHERE id = (SELECT chat_id FROM runs WHERE id = ?)",
        )
        .bind(now())
        .bind(run_id)
        .execute(&mut *change)
        .await?;
    }
    if let Some(state) = effect.state {
        sqlx::query("UPDATE runs SET state = ? WHERE id = ?")
            .bind(name(&state)?)
            .bind(run_id)
            .execute(change)
            .await?;
    }
    Ok(())
}

/// What events change in the answer that they belong to.
#[derive(Default)]
struct Effect<'a> {
    text: String,
    found: Vec<&'a FoundRegion>,
    usage: Option<&'a Usage>,
    finish: Option<FinishReason>,
    state: Option<RunState>,
}

impl<'a> Effect<'a> {
    fn of(events: &'a [RunEvent]) -> Self {
        let mut effect = Self::default();
        for event in events {
            match event {
                RunEvent::Queue { .. } => {}
                RunEvent::Text { delta } => {
                    effect.text.push_str(delta);
                    effect.state = Some(RunState::Running);
                }
                RunEvent::Region(found) => {
                    effect.found.push(found);
                    effect.state = Some(RunState::Running);
                }
                RunEvent::Usage(usage) => {
                    effect.usage = Some(usage);
                    effect.state = Some(RunState::Running);
                }
                RunEvent::Done { finish } => {
                    effect.finish = Some(*finish);
                    effect.state = Some(match finish {
                        FinishReason::Stop | FinishReason::Length => RunState::Done,
                        FinishReason::Cancelled => RunState::Stopped,
                        FinishReason::Error => RunState::Failed,
                    });
                }
                RunEvent::Error(_) => {
                    effect.finish = Some(FinishReason::Error);
                    effect.state = Some(RunState::Failed);
                }
            }
        }
        effect
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fclm_core::wire::{Mode, Role};

    use super::{
        super::{EncodedImage, StoredFormat, new_id},
        *,
    };

    fn message(role: Role, text: &str) -> Message {
        Message {
            id: new_id(),
            role,
            mode: Mode::Ask,
            text: text.to_owned(),
            region_ids: Vec::new(),
            found: Vec::new(),
            run_id: None,
            run_state: None,
            finish: None,
            usage: None,
            created_at: now(),
        }
    }

    const USAGE: Usage = Usage {
        prompt_tokens: 151,
        cached_tokens: 144,
        completion_tokens: 1,
        first_token_ms: 90,
        total_ms: 320,
    };

    async fn begin(store: &Arc<Store>) -> NewRun {
        let image = EncodedImage {
            bytes: b"bytes".to_vec(),
            format: StoredFormat::Png,
            width: 1,
            height: 1,
        };
        let image = store.put_image(image).await.expect("stored");
        let chat = store
            .create_chat("title", &image.id)
            .await
            .expect("created");
        let run = NewRun {
            run_id: new_id(),
            chat_id: chat.id,
            question: message(Role::User, "What is it?"),
            answer: message(Role::Assistant, ""),
            regions: None,
        };
        store.begin_run(&run).await.expect("begun");
        run
    }

    fn text(delta: &str) -> RunEvent {
        RunEvent::Text {
            delta: delta.to_owned(),
        }
    }

    #[tokio::test]
    async fn events_fill_the_answer() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(Store::open(dir.path()).await.expect("the store opens"));
        let run = begin(&store).await;
        let found: FoundRegion = serde_json::from_str(
            r#"{"phrase":"a cube","start":0,"end":6,"score":0.5,"box":[0,0,1,1],
                "mask":{"size":[1,1],"counts":[0,1]}}"#,
        )
        .expect("a region");
        store
            .append_events(&run.run_id, 1, &[text("a "), text("cube")])
            .await
            .expect("stored");
        let last = [
            RunEvent::Region(found.clone()),
            RunEvent::Usage(USAGE),
            RunEvent::Done {
                finish: FinishReason::Stop,
            },
        ];
        store
            .append_events(&run.run_id, 3, &last)
            .await
            .expect("stored");

        let chat = store.chat(&run.chat_id).await.expect("there");
        let answer = &chat.messages[1];
        assert_eq!(answer.text, "a cube");
        assert_eq!(answer.found, [found]);
        assert_eq!(answer.usage, Some(USAGE));
        assert_eq!(answer.run_state, Some(RunState::Done));
        assert_eq!(answer.finish, Some(FinishReason::Stop));
        assert_eq!(store.events(&run.run_id).await.expect("there").len(), 5);
    }

    #[tokio::test]
    async fn a_run_that_was_interrupted_fails_with_what_was_there() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(Store::open(dir.path()).await.expect("the store opens"));
        let run = begin(&store).await;
        store
            .append_events(&run.run_id, 1, &[text("half an ans")])
            .await
            .expect("stored");
        drop(store);

        let store = Arc::new(
            Store::open(dir.path())
                .await
                .expect("the store opens again"),
        );
        let chat = store.chat(&run.chat_id).await.expect("there");
        assert_eq!(chat.messages[1].text, "half an ans");
        assert_eq!(chat.messages[1].run_state, Some(RunState::Failed));
        let events = store.events(&run.run_id).await.expect("there");
        assert!(events.last().is_some_and(RunEvent::is_last));
    }

    #[tokio::test]
    async fn a_run_is_closed_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(Store::open(dir.path()).await.expect("the store opens"));
        let run = begin(&store).await;
        for _ in 0..2 {
            store.fail_run(&run.run_id).await.expect("closed");
        }
        let events = store.events(&run.run_id).await.expect("there");
        assert!(matches!(events[..], [RunEvent::Error(_)]), "{events:?}");
        let nobody = store.fail_run("none").await;
        assert!(matches!(nobody, Err(StoreError::Missing("run"))));
    }

    #[tokio::test]
    async fn regions_that_changed_meanwhile_are_not_overwritten() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(Store::open(dir.path()).await.expect("the store opens"));
        let first = begin(&store).await;
        let region = |id: &str| -> Region {
            let json = serde_json::json!({
                "id": id, "name": "", "color": "#000000",
                "mask": { "size": [1, 1], "counts": [0, 1] }, "score": 0.1,
            });
            serde_json::from_value(json).expect("a region")
        };
        let chat_id = &first.chat_id;
        let ask = |seen: &[Region], new: &[Region]| NewRun {
            run_id: new_id(),
            question: message(Role::User, "What is it?"),
            answer: message(Role::Assistant, ""),
            regions: Some(RegionChange {
                seen: seen.to_vec(),
                new: new.to_vec(),
            }),
            ..first.clone()
        };
        let (a, b) = (region("a"), region("b"));
        store
            .put_regions(chat_id, std::slice::from_ref(&a))
            .await
            .expect("put");
        let late = store.begin_run(&ask(&[], std::slice::from_ref(&b))).await;
        assert!(matches!(late, Err(StoreError::Changed)));
        let chat = store.chat(chat_id).await.expect("there");
        assert_eq!((chat.regions.len(), chat.messages.len()), (1, 2));

        let both = [a.clone(), b];
        let again = ask(std::slice::from_ref(&a), &both);
        store.begin_run(&again).await.expect("begun");
        let chat = store.chat(chat_id).await.expect("there");
        assert_eq!(chat.regions, both);
        assert_eq!(chat.messages.len(), 4);
    }

    #[tokio::test]
    async fn writing_goes_on_after_the_disk_was_full() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(Store::open(dir.path()).await.expect("the store opens"));
        let run = begin(&store).await;
        let limit_pages = async |pages: u32| {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "PRAGMA max_page_count = {pages}"
            )))
            .execute(&store.writer)
            .await
            .expect("limited");
        };
        // SQLite takes the present size where the limit is below it.
        limit_pages(1).await;
        let long = text(&"x".repeat(1 << 20));
        let full = store.append_events(&run.run_id, 1, &[long]).await;
        assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
        limit_pages(1_000_000).await;

        let nobody = store.delete_chat("none").await;
        assert!(matches!(nobody, Err(StoreError::Missing("chat"))));
        store
            .append_events(&run.run_id, 1, &[text("there is room again")])
            .await
            .expect("stored");
        let chat = store.chat(&run.chat_id).await.expect("there");
        assert_eq!(chat.messages[1].text, "there is room again");
    }

    #[tokio::test]
    async fn a_run_whose_chat_is_gone_takes_no_events() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(Store::open(dir.path()).await.expect("the store opens"));
        let run = begin(&store).await;
        store.delete_chat(&run.chat_id).await.expect("deleted");
        let late = store.append_events(&run.run_id, 1, &[text("late")]).await;
        assert!(matches!(late, Err(StoreError::Missing("run"))));
    }
}
