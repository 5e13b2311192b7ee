//! Keys, and texts that are typed.

use chromiumoxide::cdp::browser_protocol::input::{
    DispatchKeyEventParams, DispatchKeyEventParamsBuilder, DispatchKeyEventType, InsertTextParams,
};
use serde_json::Value;

use super::Tab;

/// A key: its name, its place on the keyboard, and its number for the browser.
type Key = (String, String, i64);

impl Tab {
    /// Presses a key that types nothing, such as an arrow, where the focus is; `modifiers` are
    /// the sum of 1 (Alt), 2 (Control) and 8 (Shift).
    ///
    /// # Panics
    /// If the browser refuses the events.
    pub async fn press(&self, key: &str, code: i64, modifiers: i64) {
        self.press_for(key, code, modifiers, 0).await;
    }

    /// Presses a key as [`Tab::press`] does and holds it until the keyboard has repeated it so
    /// often, each time once the page has painted what came before.
    ///
    /// # Panics
    /// If the browser refuses the events, or paints nothing.
    pub async fn press_for(&self, key: &str, code: i64, modifiers: i64, repeats: usize) {
        let event = |kind| {
            DispatchKeyEventParams::builder()
                .r#type(kind)
                .key(key)
                .code(key)
                .modifiers(modifiers)
                .windows_virtual_key_code(code)
        };
        self.send_key(event(DispatchKeyEventType::RawKeyDown)).await;
        for _ in 0..repeats {
            self.settle().await;
            let again = event(DispatchKeyEventType::RawKeyDown).auto_repeat(true);
            self.send_key(again).await;
        }
        self.send_key(event(DispatchKeyEventType::KeyUp)).await;
    }

    /// Presses Enter where the focus is.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn press_enter(&self) {
        self.press_enter_for(0).await;
    }

    /// Presses Enter where the focus is and holds it until the keyboard has repeated it so often,
    /// each time once the page has painted what came before.
    ///
    /// # Panics
    /// If the browser refuses the event, or paints nothing.
    pub async fn press_enter_for(&self, repeats: usize) {
        let event = |kind| {
            DispatchKeyEventParams::builder()
                .r#type(kind)
                .key("Enter")
                .code("Enter")
                .text("\r")
                .windows_virtual_key_code(13)
        };
        self.send_key(event(DispatchKeyEventType::KeyDown)).await;
        for _ in 0..repeats {
            self.settle().await;
            let again = event(DispatchKeyEventType::KeyDown).auto_repeat(true);
            self.send_key(again).await;
        }
        self.send_key(event(DispatchKeyEventType::KeyUp)).await;
    }

    /// Holds a letter's key down, with the focus on the page as a whole.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn hold(&self, letter: char) {
        self.hold_key(of_letter(letter)).await;
    }

    /// Lets a letter's key go.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn let_go(&self, letter: char) {
        self.key(DispatchKeyEventType::KeyUp, of_letter(letter))
            .await;
    }

    /// Presses the space bar, with the focus on the page as a whole, and does not let it go.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn hold_space(&self) {
        self.hold_key(space()).await;
    }

    /// Lets the space bar go.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn let_space_go(&self) {
        self.key(DispatchKeyEventType::KeyUp, space()).await;
    }

    async fn hold_key(&self, key: Key) {
        let _: bool = self
            .evaluate("(document.activeElement?.blur(), true)")
            .await;
        self.key(DispatchKeyEventType::RawKeyDown, key).await;
    }

    async fn key(&self, kind: DispatchKeyEventType, (key, code, number): Key) {
        let event = DispatchKeyEventParams::builder()
            .r#type(kind)
            .key(key)
            .code(code)
            .windows_virtual_key_code(number);
        self.send_key(event).await;
    }

    async fn send_key(&self, event: DispatchKeyEventParamsBuilder) {
        let event = event.build().expect("the key event is whole");
        self.page
            .execute(event)
            .await
            .expect("the key event is taken");
    }

    /// Clicks an element and types a text into it.
    ///
    /// # Panics
    /// If the element does not appear or does not take the text.
    pub async fn type_into(&self, selector: &str, text: &str) {
        self.click(selector).await;
        self.insert_text(text).await;
        let (selector, text) = (Value::from(selector), Value::from(text));
        self.wait_until(
            &format!("{selector} does not hold {text}"),
            &format!("document.querySelector({selector}).value === {text}"),
        )
        .await;
    }

    /// Types a text where the focus is.
    ///
    /// # Panics
    /// If the browser refuses it.
    pub async fn insert_text(&self, text: &str) {
        self.page
            .execute(InsertTextParams::new(text))
            .await
            .expect("the text is taken");
    }
}

fn of_letter(letter: char) -> Key {
    let upper = letter.to_ascii_uppercase();
    let number = i64::from(u32::from(upper));
    (letter.to_string(), format!("Key{upper}"), number)
}

fn space() -> Key {
    (" ".to_owned(), "Space".to_owned(), 32)
}
