//! The reading end of a run's events, for those who ask a server from Rust.

use fclm_core::wire::RunEvent;
use serde_json::{Value, json};

/// One event of a run's stream.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberedEvent {
    /// Its `id`, from 1.
    pub id: u64,
    /// Its name and data.
    pub event: RunEvent,
}

/// What comes in a run's stream and is no event of it.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no event of a run")]
pub struct EventError(String);

/// Takes the bytes of a run's stream as they come and gives its events. It reads what the server
/// writes: one `data` line an event, and lines that end with a line feed.
#[derive(Debug, Default)]
pub struct EventReader {
    unread: Vec<u8>,
}

impl EventReader {
    /// Takes what has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next event that is there as a whole.
    pub fn next_event(&mut self) -> Option<Result<NumberedEvent, EventError>> {
        while let Some(length) = self.unread.windows(2).position(|end| end == b"\n\n") {
            let block: Vec<u8> = self.unread.drain(..length + 2).collect();
            let block = String::from_utf8_lossy(&block);
            // What has no name only keeps the connection alive.
            if let Some(name) = field(&block, "event") {
                let event = event_in(&block, name);
                return Some(event.ok_or_else(|| EventError(block.to_string())));
            }
        }
        None
    }
}

fn event_in(block: &str, name: &str) -> Option<NumberedEvent> {
    let id = field(block, "id")?.parse().ok()?;
    let data: Value = serde_json::from_str(field(block, "data")?).ok()?;
    let event = serde_json::from_value(json!({ "event": name, "data": data })).ok()?;
    Some(NumberedEvent { id, event })
}

fn field<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    block
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use fclm_core::wire::FinishReason;

    use super::*;

    #[test]
    fn events_are_read_once_they_are_whole() {
        let mut reader = EventReader::default();
        let (start, end) = "data: {\"delta\":\"a café\"}\n".as_bytes().split_at(22);
        reader.push(b":\n\nid: 1\nevent: text\n");
        reader.push(start);
        reader.push(end);
        assert!(reader.next_event().is_none());
        reader.push(b"\nid: 2\nevent: done\ndata: {\"finish\":\"stop\"}\n\nid: 3");
        let text = RunEvent::Text {
            delta: "a café".to_owned(),
        };
        let done = RunEvent::Done {
            finish: FinishReason::Stop,
        };
        for (id, event) in [(1, text), (2, done)] {
            let read = reader.next_event().unwrap().unwrap();
            assert_eq!(read, NumberedEvent { id, event });
        }
        assert!(reader.next_event().is_none());
    }

    #[test]
    fn what_is_no_event_is_told() {
        let mut reader = EventReader::default();
        reader.push(b"event: text\ndata: {\"delta\":\"no id\"}\n\n");
        reader.push(b"id: 1\nevent: text\ndata: {}\n\n");
        for part in ["no id", "data: {}"] {
            let error = reader.next_event().unwrap().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
