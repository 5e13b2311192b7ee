use fclm_core::wire::{CHATS_PER_PAGE, ChatSummary};
use sqlx::FromRow;

use super::{Store, StoreError, images::image_info};

#[derive(FromRow)]
struct SummaryRow {
    id: String,
    title: String,
    updated_at: String,
    image_id: String,
    width: u32,
    height: u32,
}

impl Store {
    /// At most [`CHATS_PER_PAGE`] chats, newest first: the newest, or those behind the chat `after`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no chat `after`.
    pub async fn chats(&self, after: Option<&str>) -> Result<Vec<ChatSummary>, StoreError> {
        let after: Option<(String, &str)> = match after {
            Some(id) => {
                let time: Option<String> =
                    sqlx::query_scalar("SELECT updated_at FROM chats WHERE id = ?")
                        .bind(id)
                        .fetch_optional(&self.reader)
                        .await?;
                Some((time.ok_or(StoreError::Missing("chat"))?, id))
            }
            None => None,
        };
        let (time, id) = after.unzip();
        let rows: Vec<SummaryRow> = sqlx::query_as(
            "SELECT c.id, c.title, c.updated_at, c.image_id, i.width, i.height
             FROM chats c JOIN images i ON i.id = c.image_id
             WHERE ?1 IS NULL OR c.updated_at < ?1 OR (c.updated_at = ?1 AND c.id > ?2)
             ORDER BY c.updated_at DESC, c.id LIMIT ?3",
        )
        .bind(time)
        .bind(id)
        .bind(CHATS_PER_PAGE as i64)
        .fetch_all(&self.reader)
        .await?;
        let summary = |row: SummaryRow| ChatSummary {
            id: row.id,
            title: row.title,
            image: image_info(row.image_id, row.width, row.height),
            updated_at: row.updated_at,
        };
        Ok(rows.into_iter().map(summary).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{EncodedImage, StoredFormat};
    use super::*;

    #[tokio::test]
    async fn pages_are_full_and_share_out_chats_of_one_moment() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(Store::open(dir.path()).await.expect("the store opens"));
        let image = EncodedImage {
            bytes: b"bytes".to_vec(),
            format: StoredFormat::Png,
            width: 1,
            height: 1,
        };
        let image = store.put_image(image).await.expect("stored");
        // Half of them are of one moment, and a page ends among these.
        let moments = ["2026-11-22T22:30:00.124Z", "2026-11-22T22:30:00.123Z"];
        let names = |moment: usize| {
            let numbers = 0..CHATS_PER_PAGE + 3;
            numbers
                .filter(move |number| number % 2 == moment)
                .map(|number| format!("chat-{number:03}"))
        };
        for (moment, time) in moments.iter().enumerate() {
            for name in names(moment) {
                let made = store.insert_chat(&name, "title", &image.id, time).await;
                made.expect("stored");
            }
        }

        let mut listed: Vec<String> = Vec::new();
        let mut sizes = Vec::new();
        loop {
            let last = listed.last().map(String::as_str);
            let page = store.chats(last).await.expect("there");
            sizes.push(page.len());
            if page.is_empty() {
                break;
            }
            listed.extend(page.into_iter().map(|chat| chat.id));
        }
        assert_eq!(sizes, [CHATS_PER_PAGE, 3, 0]);
        let newest_first: Vec<String> = names(0).chain(names(1)).collect();
        assert_eq!(listed, newest_first);
        let unknown = store.chats(Some("nowhere")).await;
        assert!(matches!(unknown, Err(StoreError::Missing("chat"))));
    }
}
