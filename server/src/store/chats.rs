use fclm_core::wire::{Chat, FinishReason, Message, Mode, Region, Role, RunState, Usage};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{FromRow, SqliteConnection};

use super::{Store, StoreError, StoredFormat, images::image_info, new_id, now};

/// What a chat is about, without its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatHead {
    /// Unguessable id.
    pub id: String,
    /// The image it is about.
    pub image_id: String,
}

#[derive(FromRow)]
struct ChatRow {
    id: String,
    title: String,
    created_at: String,
    image_id: String,
    width: u32,
    height: u32,
}

#[derive(FromRow)]
struct MessageRow {
    id: String,
    role: String,
    mode: String,
    text: String,
    region_ids: String,
    found: String,
    finish: Option<String>,
    usage: Option<String>,
    created_at: String,
    run_id: Option<String>,
    run_state: Option<String>,
}

impl Store {
    /// Makes a chat about a stored image.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such image.
    pub async fn create_chat(&self, title: &str, image_id: &str) -> Result<Chat, StoreError> {
        let image = self.image(image_id).await?;
        let (id, created_at) = (new_id(), now());
        self.insert_chat(&id, title, image_id, &created_at).await?;
        let title = title.to_owned();
        let image = image.info();
        Ok(Chat {
            id,
            title,
            image,
            regions: Vec::new(),
            messages: Vec::new(),
            created_at,
        })
    }

    pub(super) async fn insert_chat(
        &self,
        id: &str,
        title: &str,
        image_id: &str,
        created_at: &str,
    ) -> Result<(), StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO chats (id, title, image_id, created_at, updated_at)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(title)
        .bind(image_id)
        .bind(created_at)
        .bind(created_at)
        .execute(&self.writer)
        .await;
        match inserted {
            Ok(_) => Ok(()),
            // The image has gone, with its last chat, since the caller saw it.
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                Err(StoreError::Missing("image"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A chat, whole, as of one moment.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn chat(&self, id: &str) -> Result<Chat, StoreError> {
        let mut snapshot = self.reader.begin().await?;
        let row: Option<ChatRow> = sqlx::query_as(
            "SELECT c.id, c.title, c.created_at, c.image_id, i.width, i.height
             FROM chats c JOIN images i ON i.id = c.image_id WHERE c.id = ?",
        )
        .bind(id)
        .fetch_optional(&mut *snapshot)
        .await?;
        let row = row.ok_or(StoreError::Missing("chat"))?;
        let regions = read_regions(&mut snapshot, id).await?;
        let messages: Vec<MessageRow> = sqlx::query_as(
            "SELECT m.id, m.role, m.mode, m.text, m.region_ids, m.found, m.finish, m.usage,
                    m.created_at, r.id AS run_id, r.state AS run_state
             FROM messages m LEFT JOIN runs r ON r.message_id = m.id
             WHERE m.chat_id = ? ORDER BY m.position",
        )
        .bind(id)
        .fetch_all(&mut *snapshot)
        .await?;
        Ok(Chat {
            id: row.id,
            title: row.title,
            image: image_info(row.image_id, row.width, row.height),
            regions,
            messages: messages
                .into_iter()
                .map(message)
                .collect::<Result<_, _>>()?,
            created_at: row.created_at,
        })
    }

    /// Which image a chat is about.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such chat.
    pub async fn chat_head(&self, id: &str) -> Result<ChatHead, StoreError> {
        let image_id: Option<String> =
            sqlx::query_scalar("SELECT image_id FROM chats WHERE id = ?")
                .bind(id)
                .fetch_optional(&self.reader)
                .await?;
        let image_id = image_id.ok_or(StoreError::Missing("chat"))?;
        Ok(ChatHead {
            id: id.to_owned(),
            image_id,
        })
    }

    /// The regions of a chat, in the order of their `@k`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn regions(&self, chat_id: &str) -> Result<Vec<Region>, StoreError> {
        let mut connection = self.reader.acquire().await?;
        read_regions(&mut connection, chat_id).await
    }

    /// Replaces the regions of a chat.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no such chat.
    pub async fn put_regions(&self, chat_id: &str, regions: &[Region]) -> Result<(), StoreError> {
        let mut change = self.writer.begin().await?;
        write_regions(&mut change, chat_id, regions).await?;
        change.commit().await?;
        Ok(())
    }

    /// Deletes a chat with everything in it; its image goes too where no other chat uses it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none.
    pub async fn delete_chat(&self, id: &str) -> Result<(), StoreError> {
        let _guard = self.files.guard.lock().await;
        let mut change = self.writer.begin().await?;
        let image_id: Option<String> =
            sqlx::query_scalar("DELETE FROM chats WHERE id = ? RETURNING image_id")
                .bind(id)
                .fetch_optional(&mut *change)
                .await?;
        let image_id = image_id.ok_or(StoreError::Missing("chat"))?;
        let image: Option<(String, String)> = sqlx::query_as(
            "DELETE FROM images WHERE id = ?
             AND NOT EXISTS (SELECT 1 FROM chats WHERE image_id = images.id)
             RETURNING sha256, format",
        )
        .bind(&image_id)
        .fetch_optional(&mut *change)
        .await?;
        change.commit().await?;
        if let Some((sha256, format)) = image
            && let Some(format) = StoredFormat::from_extension(&format)
        {
            self.remove_unused_file(&sha256, format).await?;
        }
        Ok(())
    }
}

pub(super) async fn read_regions(
    connection: &mut SqliteConnection,
    chat_id: &str,
) -> Result<Vec<Region>, StoreError> {
    let bodies: Vec<String> =
        sqlx::query_scalar("SELECT body FROM regions WHERE chat_id = ? ORDER BY position")
            .bind(chat_id)
            .fetch_all(connection)
            .await?;
    bodies
        .iter()
        .map(|body| serde_json::from_str(body).map_err(StoreError::damaged("region")))
        .collect()
}

pub(super) async fn write_regions(
    connection: &mut SqliteConnection,
    chat_id: &str,
    regions: &[Region],
) -> Result<(), StoreError> {
    touch(connection, chat_id).await?;
    sqlx::query("DELETE FROM regions WHERE chat_id = ?")
        .bind(chat_id)
        .execute(&mut *connection)
        .await?;
    for (position, region) in (0_i64..).zip(regions) {
        let body = serde_json::to_string(region).map_err(StoreError::damaged("region"))?;
        sqlx::query("INSERT INTO regions (chat_id, position, region_id, body) VALUES (?, ?, ?, ?)")
            .bind(chat_id)
            .bind(position)
            .bind(&region.id)
            .bind(body)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn touch(
    connection: &mut SqliteConnection,
    chat_id: &str,
) -> Result<(), StoreError> {
    let changed = sqlx::query("UPDATE chats SET updated_at = ? WHERE id = ?")
        .bind(now())
        .bind(chat_id)
        .execute(connection)
        .await?;
    match changed.rows_affected() {
        0 => Err(StoreError::Missing("chat")),
        _ => Ok(()),
    }
}

pub(super) async fn insert_message(
    connection: &mut SqliteConnection,
    chat_id: &str,
    message: &Message,
) -> Result<(), StoreError> {
    let region_ids =
        serde_json::to_string(&message.region_ids).map_err(StoreError::damaged("message"))?;
    let found = serde_json::to_string(&message.found).map_err(StoreError::damaged("message"))?;
    sqlx::query(
        "INSERT INTO messages
             (id, chat_id, position, role, mode, text, region_ids, found, created_at)
         VALUES (?1, ?2, (SELECT COALESCE(MAX(position) + 1, 0) FROM messages WHERE chat_id = ?2),
                 ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(&message.id)
    .bind(chat_id)
    .bind(name(&message.role)?)
    .bind(name(&message.mode)?)
    .bind(&message.text)
    .bind(region_ids)
    .bind(found)
    .bind(&message.created_at)
    .execute(connection)
    .await?;
    Ok(())
}

fn message(row: MessageRow) -> Result<Message, StoreError> {
    let run_state = row
        .run_state
        .as_deref()
        .map(parse::<RunState>)
        .transpose()?;
    let finish = row
        .finish
        .as_deref()
        .map(parse::<FinishReason>)
        .transpose()?;
    let usage = row
        .usage
        .as_deref()
        .map(|usage| serde_json::from_str::<Usage>(usage).map_err(StoreError::damaged("message")))
        .transpose()?;
    Ok(Message {
        id: row.id,
        role: parse::<Role>(&row.role)?,
        mode: parse::<Mode>(&row.mode)?,
        text: row.text,
        region_ids: serde_json::from_str(&row.region_ids)
            .map_err(StoreError::damaged("message"))?,
        found: serde_json::from_str(&row.found).map_err(StoreError::damaged("message"))?,
        run_id: row.run_id,
        run_state,
        finish,
        usage,
        created_at: row.created_at,
    })
}

/// The wire name of a unit variant, which is what columns hold.
pub(super) fn name<T: Serialize>(value: &T) -> Result<String, StoreError> {
    let json = serde_json::to_value(value).map_err(StoreError::damaged("name"))?;
    serde_json::from_value(json).map_err(StoreError::damaged("name"))
}

/// The reverse of [`name`].
pub(super) fn parse<T: DeserializeOwned>(name: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
        .map_err(StoreError::damaged("name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_chat_cannot_be_about_an_image_that_has_just_gone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(dir.path()).await.expect("the store opens");
        let late = store.insert_chat("c", "title", "gone", &now()).await;
        assert!(matches!(late, Err(StoreError::Missing("image"))));
        assert!(store.chats(None).await.expect("there").is_empty());
    }
}
