//! Pointers step by step, and keys that are held beside them.

use chromiumoxide::cdp::browser_protocol::input::{
    DispatchKeyEventParams, DispatchKeyEventType, DispatchMouseEventParams, DispatchMouseEventType,
    DispatchTouchEventType, InsertTextParams, MouseButton,
};

use super::{Point, Tab};

impl Tab {
    /// Moves the mouse through points without a button.
    ///
    /// # Panics
    /// If the browser refuses the events.
    pub async fn glide(&self, path: &[Point]) {
        for &point in path {
            self.mouse(DispatchMouseEventType::MouseMoved, point, 0)
                .await;
        }
    }

    /// Presses the left button.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn mouse_down(&self, at: Point) {
        self.mouse(DispatchMouseEventType::MousePressed, at, 1)
            .await;
    }

    /// Moves the mouse with the left button held.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn mouse_to(&self, to: Point) {
        self.mouse(DispatchMouseEventType::MouseMoved, to, 1).await;
    }

    /// Lets the left button go.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn mouse_up(&self, at: Point) {
        self.mouse(DispatchMouseEventType::MouseReleased, at, 0)
            .await;
    }

    /// As [`Tab::drag`], with keys held: the sum of 1 (Alt), 2 (Control) and 8 (Shift).
    ///
    /// # Panics
    /// If the browser refuses the events.
    pub async fn drag_with(&self, path: &[Point], modifiers: i64) {
        let (Some(&first), Some(&last)) = (path.first(), path.last()) else {
            return;
        };
        let pressed = DispatchMouseEventType::MousePressed;
        self.mouse_with(pressed, first, 1, modifiers).await;
        for &point in &path[1..] {
            let moved = DispatchMouseEventType::MouseMoved;
            self.mouse_with(moved, point, 1, modifiers).await;
        }
        let released = DispatchMouseEventType::MouseReleased;
        self.mouse_with(released, last, 0, modifiers).await;
    }

    async fn mouse_with(
        &self,
        kind: DispatchMouseEventType,
        (x, y): Point,
        held: i64,
        modifiers: i64,
    ) {
        let event = DispatchMouseEventParams::builder()
            .r#type(kind)
            .x(x)
            .y(y)
            .button(MouseButton::Left)
            .buttons(held)
            .modifiers(modifiers)
            .click_count(1)
            .build()
            .expect("the mouse event is whole");
        self.page
            .execute(event)
            .await
            .expect("the mouse event is taken");
    }

    /// Moves fingers that are on the page, all of them.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn touch_to(&self, fingers: &[Point]) {
        self.touches(DispatchTouchEventType::TouchMove, fingers)
            .await;
    }

    /// Presses the space bar, with the focus on the page as a whole, and does not let it go.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn hold_space(&self) {
        let _: bool = self
            .evaluate("(document.activeElement?.blur(), true)")
            .await;
        self.space(DispatchKeyEventType::RawKeyDown).await;
    }

    /// Lets the space bar go.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn let_space_go(&self) {
        self.space(DispatchKeyEventType::KeyUp).await;
    }

    async fn space(&self, kind: DispatchKeyEventType) {
        let event = DispatchKeyEventParams::builder()
            .r#type(kind)
            .key(" ")
            .code("Space")
            .windows_virtual_key_code(32)
            .build()
            .expect("the key event is whole");
        self.page
            .execute(event)
            .await
            .expect("the key event is taken");
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

    /// Drags the eraser end of a pen over the canvas. The debugging protocol knows no such end, so
    /// these are the events that a browser makes of one, and the only ones that are made by script.
    ///
    /// # Panics
    /// If there is no canvas.
    pub async fn erase_with_pen(&self, path: &[Point]) {
        let path = serde_json::to_string(path).expect("numbers become JSON");
        let is_done: bool = self
            .evaluate(&format!(
                "(() => {{ const canvas = document.querySelector('[data-testid=canvas]');
                 const tell = (type, [clientX, clientY], buttons, button) =>
                     canvas.dispatchEvent(new PointerEvent(type, {{pointerId: 77, pointerType: 'pen',
                         isPrimary: true, clientX, clientY, buttons, button, pressure: buttons ? 0.5 : 0,
                         bubbles: true, cancelable: true}}));
                 const path = {path};
                 tell('pointerdown', path[0], 32, 5);
                 for (const point of path.slice(1)) tell('pointermove', point, 32, -1);
                 tell('pointerup', path.at(-1), 0, 5);
                 return true; }})()"
            ))
            .await;
        assert!(is_done);
    }
}
