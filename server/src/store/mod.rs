//! What outlives the process: chats, messages, runs and images.
//!
//! Rows live in one SQLite file in WAL mode with `synchronous = FULL`, so a commit that returned
//! is on disk; image bytes live in files that are written aside, synced and renamed. Everything
//! that a client was told about has been committed before, which is why a killed server loses no
//! finished message.

mod chat_pages;
mod chats;
mod error;
mod files;
mod images;
mod runs;

use std::{
    fs::{DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::Duration,
};

use sqlx::{
    Connection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::files::ImageFiles;
pub use self::{
    chats::ChatHead,
    error::StoreError,
    images::{EncodedImage, StoredFormat, StoredImage},
    runs::{NewRun, RegionChange, RunRow},
};

/// How long a statement waits for another one's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Chats are their owner's: nobody else on the machine may look into the directory.
const PRIVATE: u32 = 0o700;
/// Every change of the schema, in order.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The database and the image files of one data directory.
///
/// All writes go through a single connection, so none of them ever finds the database locked.
#[derive(Debug)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    files: ImageFiles,
    /// Held until the store is closed, so that no second server opens the directory.
    lock: File,
}

impl Store {
    /// Opens the data directory, creating it for its owner only where it is missing, brings the
    /// schema up to date, and marks runs that the previous process left unfinished as failed.
    ///
    /// # Errors
    /// When the directory cannot be written, is in use by another server, or holds a database of
    /// a newer version.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE)
            .create(dir)
            .map_err(|e| StoreError::io("create", dir, e))?;
        let lock = lock_directory(dir)?;
        let files = ImageFiles::open(&dir.join("images"))?;
        let options = SqliteConnectOptions::new()
            .filename(dir.join("fclm.sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .before_acquire(|connection, _| {
                // SQLite rolls back by itself when the disk is full, and the driver, whose own
                // rollback then fails, believes for ever that it is inside a transaction: what
                // follows would be savepoints that nobody commits.
                let is_sound = !connection.is_in_transaction();
                Box::pin(async move { Ok(is_sound) })
            })
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&writer).await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        let store = Self {
            writer,
            reader,
            files,
            lock,
        };
        store.fail_interrupted_runs().await?;
        store.sweep_images().await?;
        Ok(store)
    }

    /// Whether the database answers.
    pub async fn is_alive(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.reader).await.is_ok()
    }

    /// Closes all connections, which folds the write-ahead log into the database, and frees the
    /// directory.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the data directory stays locked until the process ends");
        }
    }
}

fn lock_directory(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| StoreError::io("open", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            dir: dir.to_path_buf(),
        }),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", &path, e)),
    }
}

/// An id that cannot be guessed: 122 random bits.
pub(crate) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The time now as RFC 3339 in UTC with milliseconds, so that texts sort as times do.
pub(crate) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use fclm_core::wire::Usage;

    use super::*;

    #[tokio::test]
    async fn a_directory_is_opened_by_one_store_at_a_time() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = Store::open(dir.path())
            .await
            .expect("the first store opens");
        let second = Store::open(dir.path()).await;
        assert!(matches!(second, Err(StoreError::InUse { .. })));
        drop(first);
        Store::open(dir.path())
            .await
            .expect("the directory is free again");
    }

    #[tokio::test]
    async fn a_new_directory_is_private() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().join("fclm").join("data");
        let _store = Store::open(&data).await.expect("the store opens");
        let mode = std::fs::metadata(&data)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, PRIVATE);
    }

    #[tokio::test]
    async fn what_answers_of_before_cost_is_found_among_their_events() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("fclm.sqlite"))
            .create_if_missing(true);
        let old = SqlitePool::connect_with(options).await.expect("a database");
        MIGRATIONS.run_to(1, &old).await.expect("the first schema");
        let rows = r#"
            INSERT INTO images VALUES ('i', 'hash', 'png', 1, 1, '2026-11-22T22:30:00.123Z');
            INSERT INTO chats VALUES ('c', 'title', 'i', '2026-11-22T22:30:00.123Z', '2026-11-22T22:30:00.123Z');
            INSERT INTO messages VALUES
                ('m0', 'c', 0, 'user', 'ask', 'What is it?', '[]', '[]', NULL, '2026-11-22T22:30:00.123Z'),
                ('m1', 'c', 1, 'assistant', 'ask', 'A cube.', '[]', '[]', 'stop', '2026-11-22T22:30:00.123Z'),
                ('m2', 'c', 2, 'user', 'ask', 'Again?', '[]', '[]', NULL, '2026-11-22T22:30:00.123Z'),
                ('m3', 'c', 3, 'assistant', 'ask', '', '[]', '[]', 'error', '2026-11-22T22:30:00.123Z');
            INSERT INTO runs VALUES ('r1', 'c', 'm1', 'done', '2026-11-22T22:30:00.123Z');
            INSERT INTO runs VALUES ('r3', 'c', 'm3', 'failed', '2026-11-22T22:30:00.123Z');
            INSERT INTO run_events VALUES ('r1', 1, '{"event":"text","data":{"delta":"A cube."}}');
            INSERT INTO run_events VALUES ('r1', 2, '{"event":"usage","data":{"prompt_tokens":151,"cached_tokens":144,"completion_tokens":1,"first_token_ms":90,"total_ms":320}}');
            INSERT INTO run_events VALUES ('r1', 3, '{"event":"done","data":{"finish":"stop"}}');
            INSERT INTO run_events VALUES ('r3', 1, '{"event":"error","data":{"code":"unavailable","message":"Ask again."}}');
        "#;
        sqlx::raw_sql(rows).execute(&old).await.expect("stored");
        old.close().await;

        let store = Store::open(dir.path()).await.expect("the store opens");
        let messages = store.chat("c").await.expect("there").messages;
        let costs = messages.iter().map(|message| message.usage);
        let usage = Usage {
            prompt_tokens: 151,
            cached_tokens: 144,
            completion_tokens: 1,
            first_token_ms: 90,
            total_ms: 320,
        };
        assert!(costs.eq([None, Some(usage), None, None]), "{messages:?}");
    }

    #[test]
    fn times_have_a_fixed_width() {
        assert_eq!(now().len(), "2026-11-22T22:30:00.123Z".len());
    }
}
