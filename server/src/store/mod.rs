//! What outlives the process: chats, messages, runs and images.
//!
//! Rows live in one SQLite file in WAL mode with `synchronous = FULL`, so a commit that returned
//! is on disk; image bytes live in files that are written aside, synced and renamed. Everything
//! that a client was told about has been committed before, which is why a killed server loses no
//! finished message.

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
        sqlx::migrate!("./migrations").run(&writer).await?;
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

    #[test]
    fn times_have_a_fixed_width() {
        assert_eq!(now().len(), "2026-11-22T22:30:00.123Z".len());
    }
}
