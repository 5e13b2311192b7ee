//! Mouse, fingers and pen.

use chromiumoxide::cdp::browser_protocol::input::{
    DispatchMouseEventParams, DispatchMouseEventPointerType, DispatchMouseEventType,
    DispatchTouchEventParams, DispatchTouchEventReturns, DispatchTouchEventType, MouseButton,
    TouchPoint,
};
use chromiumoxide::types::{Command, Method, MethodId};
use serde::Serialize;

use super::{Point, Tab};

/// What [`DispatchTouchEventParams`] is, which leaves out the empty list of a finger that is lifted:
/// the browser wants it.
#[derive(Debug, Serialize)]
struct TouchEvent {
    #[serde(rename = "type")]
    kind: DispatchTouchEventType,
    #[serde(rename = "touchPoints")]
    points: Vec<TouchPoint>,
}

impl Method for TouchEvent {
    fn identifier(&self) -> MethodId {
        DispatchTouchEventParams::IDENTIFIER.into()
    }
}

impl Command for TouchEvent {
    type Response = DispatchTouchEventReturns;
}

impl Tab {
    /// Moves the mouse to a point without a button.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn hover(&self, point: Point) {
        self.mouse(DispatchMouseEventType::MouseMoved, point, 0)
            .await;
    }

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

    /// Moves the mouse to a point, presses the right button there and lets it go.
    ///
    /// # Panics
    /// If the browser refuses the events.
    pub async fn right_click(&self, at: Point) {
        self.hover(at).await;
        for (kind, held) in [
            (DispatchMouseEventType::MousePressed, 2),
            (DispatchMouseEventType::MouseReleased, 0),
        ] {
            self.mouse_event(kind, at, MouseButton::Right, held, 0)
                .await;
        }
    }

    /// Presses the left button at the first point, moves through the others, lets go at the last.
    ///
    /// # Panics
    /// If the browser refuses the events.
    pub async fn drag(&self, path: &[Point]) {
        self.drag_with(path, 0).await;
    }

    /// As [`Tab::drag`], with keys held: the sum of 1 (Alt), 2 (Control) and 8 (Shift).
    ///
    /// # Panics
    /// If the browser refuses the events.
    pub async fn drag_with(&self, path: &[Point], modifiers: i64) {
        let (Some(&first), Some(&last)) = (path.first(), path.last()) else {
            return;
        };
        let moved = || DispatchMouseEventType::MouseMoved;
        self.mouse_with(moved(), first, 0, modifiers).await;
        let pressed = DispatchMouseEventType::MousePressed;
        self.mouse_with(pressed, first, 1, modifiers).await;
        for &point in &path[1..] {
            self.mouse_with(moved(), point, 1, modifiers).await;
        }
        let released = DispatchMouseEventType::MouseReleased;
        self.mouse_with(released, last, 0, modifiers).await;
    }

    async fn mouse(&self, kind: DispatchMouseEventType, at: Point, held: i64) {
        self.mouse_with(kind, at, held, 0).await;
    }

    async fn mouse_with(&self, kind: DispatchMouseEventType, at: Point, held: i64, modifiers: i64) {
        let moved = matches!(kind, DispatchMouseEventType::MouseMoved);
        let button = if moved && held == 0 {
            MouseButton::None
        } else {
            MouseButton::Left
        };
        self.mouse_event(kind, at, button, held, modifiers).await;
    }

    async fn mouse_event(
        &self,
        kind: DispatchMouseEventType,
        (x, y): Point,
        button: MouseButton,
        held: i64,
        modifiers: i64,
    ) {
        let moved = matches!(kind, DispatchMouseEventType::MouseMoved);
        let event = DispatchMouseEventParams::builder()
            .r#type(kind)
            .x(x)
            .y(y)
            .button(button)
            .buttons(held)
            .modifiers(modifiers)
            .click_count(i64::from(!moved))
            .build()
            .expect("the mouse event is whole");
        self.page
            .execute(event)
            .await
            .expect("the mouse event is taken");
    }

    /// Drags a pen, pressed as hard as each point says, 0 to 1.
    ///
    /// # Panics
    /// If the browser refuses the events.
    pub async fn pen(&self, path: &[(Point, f64)]) {
        let (Some(&first), Some(&last)) = (path.first(), path.last()) else {
            return;
        };
        let pressed = DispatchMouseEventType::MousePressed;
        self.pen_event(pressed, first, 1).await;
        for &point in &path[1..] {
            self.pen_event(DispatchMouseEventType::MouseMoved, point, 1)
                .await;
        }
        let released = DispatchMouseEventType::MouseReleased;
        self.pen_event(released, (last.0, 0.0), 0).await;
    }

    async fn pen_event(
        &self,
        kind: DispatchMouseEventType,
        ((x, y), force): (Point, f64),
        held: i64,
    ) {
        let event = DispatchMouseEventParams::builder()
            .r#type(kind)
            .x(x)
            .y(y)
            .button(MouseButton::Left)
            .buttons(held)
            .click_count(1)
            .force(force)
            .pointer_type(DispatchMouseEventPointerType::Pen)
            .build()
            .expect("the pen's event is whole");
        self.page
            .execute(event)
            .await
            .expect("the pen's event is taken");
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

    /// Puts fingers on the page, moves them all from step to step, and lifts them. Each step holds
    /// the places of the same fingers.
    ///
    /// # Panics
    /// If the browser refuses the events.
    pub async fn touch(&self, steps: &[&[Point]]) {
        self.touch_down(steps).await;
        self.touch_up().await;
    }

    /// As [`Tab::touch`], but leaves the fingers on the page.
    ///
    /// # Panics
    /// If the browser refuses the events.
    pub async fn touch_down(&self, steps: &[&[Point]]) {
        for (index, fingers) in steps.iter().enumerate() {
            let kind = if index == 0 {
                DispatchTouchEventType::TouchStart
            } else {
                DispatchTouchEventType::TouchMove
            };
            self.touches(kind, fingers).await;
        }
    }

    /// Moves fingers that are on the page, all of them.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn touch_to(&self, fingers: &[Point]) {
        self.touches(DispatchTouchEventType::TouchMove, fingers)
            .await;
    }

    /// Lifts all fingers.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn touch_up(&self) {
        self.touches(DispatchTouchEventType::TouchEnd, &[]).await;
    }

    async fn touches(&self, kind: DispatchTouchEventType, fingers: &[Point]) {
        let points = fingers.iter().enumerate().map(|(index, &(x, y))| {
            let mut point = TouchPoint::new(x, y);
            point.id = Some(index as f64);
            point
        });
        let event = TouchEvent {
            kind,
            points: points.collect(),
        };
        self.page.execute(event).await.expect("the touch is taken");
    }

    /// Turns the wheel over a point; a negative amount zooms in.
    ///
    /// # Panics
    /// If the browser refuses the event.
    pub async fn wheel(&self, (x, y): Point, amount: f64) {
        let event = DispatchMouseEventParams::builder()
            .r#type(DispatchMouseEventType::MouseWheel)
            .x(x)
            .y(y)
            .delta_x(0.0)
            .delta_y(amount)
            .build()
            .expect("the wheel's event is whole");
        self.page
            .execute(event)
            .await
            .expect("the wheel's event is taken");
    }
}
