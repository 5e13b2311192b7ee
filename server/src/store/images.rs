use std::{path::PathBuf, sync::Arc};

use fclm_core::wire::ImageInfo;
use sha2::{Digest, Sha256};

use super::{Store, StoreError, files::write_content, new_id, now};

/// How long an image that no chat uses is kept, in hours.
const UNUSED_HOURS: i64 = 24;

/// The formats that are stored and sent out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredFormat {
    /// Lossless.
    Png,
    /// For pictures that came as JPEG.
    Jpeg,
}

impl StoredFormat {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
        }
    }

    pub(super) fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "png" => Some(Self::Png),
            "jpeg" => Some(Self::Jpeg),
            _ => None,
        }
    }
}

/// An upright image without metadata, ready to be stored.
#[derive(Debug, Clone)]
pub struct EncodedImage {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// What they are.
    pub format: StoredFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Unguessable id.
    pub id: String,
    /// Of the stored bytes, hexadecimal: equal pictures share it.
    pub sha256: String,
    /// What the file is.
    pub format: StoredFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Where the bytes are.
    pub path: PathBuf,
}

impl StoredImage {
    /// What clients learn of it.
    pub fn info(&self) -> ImageInfo {
        image_info(self.id.clone(), self.width, self.height)
    }
}

pub(super) fn image_info(id: String, width: u32, height: u32) -> ImageInfo {
    let url = format!("/api/v1/images/{id}");
    ImageInfo {
        id,
        width,
        height,
        url,
    }
}

impl Store {
    /// Stores an image under a new id. Equal bytes are stored once.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub async fn put_image(
        self: &Arc<Self>,
        image: EncodedImage,
    ) -> Result<StoredImage, StoreError> {
        let guard = self.files.guard.lock().await;
        let store = Arc::clone(self);
        let EncodedImage {
            bytes,
            format,
            width,
            height,
        } = image;
        let (sha256, path) = blocking(move || {
            let sha256 = format!("{:x}", Sha256::digest(&bytes));
            let path = store.files.path(&sha256, format);
            write_content(&path, &bytes)?;
            Ok((sha256, path))
        })
        .await?;
        let id = new_id();
        sqlx::query(
            "INSERT INTO images (id, sha256, format, width, height, created_at)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&id)
        .bind(&sha256)
        .bind(format.extension())
        .bind(width)
        .bind(height)
        .bind(now())
        .execute(&self.writer)
        .await?;
        drop(guard);
        Ok(StoredImage {
            id,
            sha256,
            format,
            width,
            height,
            path,
        })
    }

    /// The image with this id.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn image(&self, id: &str) -> Result<StoredImage, StoreError> {
        let row: Option<(String, String, u32, u32)> =
            sqlx::query_as("SELECT sha256, format, width, height FROM images WHERE id = ?")
                .bind(id)
                .fetch_optional(&self.reader)
                .await?;
        let (sha256, format, width, height) = row.ok_or(StoreError::Missing("image"))?;
        let format =
            StoredFormat::from_extension(&format).ok_or(StoreError::Missing("image format"))?;
        let path = self.files.path(&sha256, format);
        Ok(StoredImage {
            id: id.to_owned(),
            sha256,
            format,
            width,
            height,
            path,
        })
    }

    /// Removes images that no chat uses and that are older than a day, and files without a row.
    ///
    /// # Errors
    /// When the database or the file system fails.
    pub async fn sweep_images(&self) -> Result<(), StoreError> {
        let _guard = self.files.guard.lock().await;
        let cutoff = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(UNUSED_HOURS);
        sqlx::query(
            "DELETE FROM images WHERE created_at < ?
             AND id NOT IN (SELECT image_id FROM chats)",
        )
        .bind(format!("{cutoff:.3}"))
        .execute(&self.writer)
        .await?;
        for (sha256, format) in self.files.list()? {
            self.remove_unused_file(&sha256, format).await?;
        }
        Ok(())
    }

    /// Removes the file where no row names it any more. The caller holds the files' guard.
    pub(super) async fn remove_unused_file(
        &self,
        sha256: &str,
        format: StoredFormat,
    ) -> Result<(), StoreError> {
        let used: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM images WHERE sha256 = ? AND format = ?")
                .bind(sha256)
                .bind(format.extension())
                .fetch_one(&self.writer)
                .await?;
        match used {
            0 => self.files.remove(sha256, format),
            _ => Ok(()),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|failed| {
            Err(StoreError::Io {
                action: "finish writing to",
                path: PathBuf::from("the data directory"),
                source: std::io::Error::other(failed),
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> EncodedImage {
        EncodedImage {
            bytes: bytes.to_vec(),
            format: StoredFormat::Png,
            width: 2,
            height: 3,
        }
    }

    #[tokio::test]
    async fn equal_bytes_share_a_file_and_go_with_the_last_chat() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(Store::open(dir.path()).await.expect("the store opens"));
        let first = store.put_image(encoded(b"same")).await.expect("stored");
        let second = store.put_image(encoded(b"same")).await.expect("stored");
        assert_ne!(first.id, second.id);
        assert_eq!(first.path, second.path);
        assert_eq!(std::fs::read(&first.path).expect("readable"), b"same");

        let a = store.create_chat("a", &first.id).await.expect("created");
        let b = store.create_chat("b", &second.id).await.expect("created");
        store.delete_chat(&a.id).await.expect("deleted");
        assert!(first.path.exists());
        store.delete_chat(&b.id).await.expect("deleted");
        assert!(!first.path.exists());
        assert!(matches!(
            store.image(&second.id).await,
            Err(StoreError::Missing("image"))
        ));
    }

    #[tokio::test]
    async fn what_no_chat_uses_goes_after_a_day() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(Store::open(dir.path()).await.expect("the store opens"));
        let unused = store.put_image(encoded(b"unused")).await.expect("stored");
        let used = store.put_image(encoded(b"used")).await.expect("stored");
        store.create_chat("a", &used.id).await.expect("created");
        store.sweep_images().await.expect("swept");
        assert!(unused.path.exists());

        sqlx::query("UPDATE images SET created_at = '2020-01-01T00:00:00.000Z'")
            .execute(&store.writer)
            .await
            .expect("changed");
        let fresh = store.put_image(encoded(b"fresh")).await.expect("stored");
        store.sweep_images().await.expect("swept");
        assert!(!unused.path.exists());
        assert!(used.path.exists() && fresh.path.exists());
        let gone = store.image(&unused.id).await;
        assert!(matches!(gone, Err(StoreError::Missing("image"))));
    }
}
