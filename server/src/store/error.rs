use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such row.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// Regions are no longer what a change of them was made from.
    #[error("the chat's regions were changed meanwhile")]
    Changed,
    /// Nothing more fits on the disk.
    #[error("the disk that holds the data directory is full")]
    Full,
    /// Another server holds the directory.
    #[error("the data directory {dir} is in use by another server")]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// A stored row does not read back.
    #[error("stored {what} is damaged: {source}")]
    Damaged {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file operation failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the database up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io {
                action,
                path: path.to_path_buf(),
                source,
            },
        }
    }

    pub(super) fn damaged(what: &'static str) -> impl Fn(serde_json::Error) -> Self {
        move |source| Self::Damaged { what, source }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        /// SQLITE_FULL, see <https://www.sqlite.org/rescode.html#full>.
        const SQLITE_FULL: &str = "13";
        match error.as_database_error().and_then(|e| e.code()) {
            Some(code) if code == SQLITE_FULL => Self::Full,
            _ => Self::Database(error),
        }
    }
}
