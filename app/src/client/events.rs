use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use fclm_core::wire::RunEvent;
use leptos::prelude::set_timeout;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event, EventSource, MessageEvent};

const NAMES: [&str; 6] = ["queue", "text", "region", "usage", "done", "error"];
const MAX_ATTEMPTS: u32 = 8;

/// What a run's stream tells.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// An event of the run, each told once.
    Run(RunEvent),
    /// The connection is there (true) or lost and being made again (false).
    Connected(bool),
    /// The stream could not be had again; the chat has to be asked what became of the run.
    Lost,
}

type Listener = dyn Fn(StreamEvent);

/// Follows a run until its last event. The browser's own reconnection sends `Last-Event-ID`; where
/// it gives up (an error status), the stream is opened anew and what was heard already is left
/// out by its number. Dropping it ends the listening, never the run.
pub(crate) struct RunStream {
    inner: Rc<Inner>,
}

struct Inner {
    url: String,
    last: Cell<Option<u64>>,
    attempts: Cell<u32>,
    over: Cell<bool>,
    listener: Box<Listener>,
    open: RefCell<Option<Open>>,
}

struct Open {
    source: EventSource,
    _on_message: Closure<dyn Fn(Event)>,
    _on_open: Closure<dyn Fn(Event)>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.source.close();
    }
}

impl Drop for RunStream {
    fn drop(&mut self) {
        self.inner.over.set(true);
        self.inner.open.take();
    }
}

impl RunStream {
    /// Opens the stream of a run, from its first event.
    pub(crate) fn follow(run_id: &str, listener: impl Fn(StreamEvent) + 'static) -> Self {
        let inner = Rc::new(Inner {
            url: format!("/api/v1/runs/{run_id}/events"),
            last: Cell::new(None),
            attempts: Cell::new(0),
            over: Cell::new(false),
            listener: Box::new(listener),
            open: RefCell::new(None),
        });
        inner.connect();
        Self { inner }
    }
}

impl Inner {
    fn connect(self: &Rc<Self>) {
        let Ok(source) = EventSource::new(&self.url) else {
            (self.listener)(StreamEvent::Lost);
            return;
        };
        let weak = Rc::downgrade(self);
        let on_message = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            if let Some(inner) = weak.upgrade() {
                inner.hear(&event);
            }
        });
        let weak = Rc::downgrade(self);
        let on_open = Closure::<dyn Fn(Event)>::new(move |_: Event| {
            if let Some(inner) = weak.upgrade() {
                (inner.listener)(StreamEvent::Connected(true));
            }
        });
        for name in NAMES {
            // Adding a listener fails only on arguments of the wrong type.
            let _ =
                source.add_event_listener_with_callback(name, on_message.as_ref().unchecked_ref());
        }
        source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        let open = Open {
            source,
            _on_message: on_message,
            _on_open: on_open,
        };
        *self.open.borrow_mut() = Some(open);
    }

    // A run's `error` event and a failing connection arrive under the same name; only the former
    // is a message.
    fn hear(self: &Rc<Self>, event: &Event) {
        if self.over.get() {
            return;
        }
        match event.dyn_ref::<MessageEvent>() {
            Some(message) => self.hear_message(message),
            None => self.hear_failure(),
        }
    }

    fn hear_message(self: &Rc<Self>, message: &MessageEvent) {
        let Some(data) = message.data().as_string() else {
            return;
        };
        let id = message.last_event_id().parse::<u64>().ok();
        let last = self.last.get();
        if id.is_some() && id <= last {
            return;
        }
        let Some(event) = parse(&message.type_(), &data) else {
            return;
        };
        self.attempts.set(0);
        self.last.set(id.or(last));
        let is_last = event.is_last();
        if is_last {
            self.finish();
        }
        (self.listener)(StreamEvent::Run(event));
    }

    fn hear_failure(self: &Rc<Self>) {
        (self.listener)(StreamEvent::Connected(false));
        let gave_up = self
            .open
            .borrow()
            .as_ref()
            .is_some_and(|open| open.source.ready_state() == EventSource::CLOSED);
        if !gave_up {
            return;
        }
        let attempt = self.attempts.get();
        if attempt >= MAX_ATTEMPTS {
            self.finish();
            (self.listener)(StreamEvent::Lost);
            return;
        }
        self.attempts.set(attempt + 1);
        let weak: Weak<Self> = Rc::downgrade(self);
        set_timeout(
            move || {
                if let Some(inner) = weak.upgrade()
                    && !inner.over.get()
                {
                    inner.connect();
                }
            },
            Duration::from_millis(500 << attempt.min(4)),
        );
    }

    // The closures are those that are running now, so they are let go a moment later.
    fn finish(&self) {
        self.over.set(true);
        if let Some(open) = self.open.take() {
            open.source.close();
            set_timeout(move || drop(open), Duration::ZERO);
        }
    }
}

fn parse(name: &str, data: &str) -> Option<RunEvent> {
    let data: serde_json::Value = serde_json::from_str(data).ok()?;
    serde_json::from_value(serde_json::json!({ "event": name, "data": data })).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_by_their_name() {
        assert_eq!(
            parse("text", r#"{"delta":"a red"}"#),
            Some(RunEvent::Text {
                delta: "a red".to_owned()
            })
        );
        let done = parse("done", r#"{"finish":"stop"}"#);
        assert!(done.is_some_and(|event| event.is_last()));
        assert_eq!(parse("text", "{}"), None);
        assert_eq!(parse("other", "{}"), None);
    }

    #[test]
    fn every_event_has_its_listener() {
        let events = [
            RunEvent::Queue {
                position: 1,
                eta_ms: 2,
            },
            RunEvent::Text {
                delta: String::new(),
            },
            RunEvent::Usage(fclm_core::wire::Usage::default()),
        ];
        for event in events {
            assert!(NAMES.contains(&event.name()));
        }
    }
}
