use crate::editor::PointXy;

/// What a person points with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PointerKind {
    /// A mouse or a trackpad.
    Mouse,
    /// A pen, or its eraser.
    Pen,
    /// A finger, or the palm beside a pen.
    Touch,
}

impl PointerKind {
    /// From the browser's name for it; what has another name works like a mouse.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "pen" => Self::Pen,
            "touch" => Self::Touch,
            _ => Self::Mouse,
        }
    }
}

/// What becomes of a pointer that goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    /// It draws or moves the picture, and what others had begun is over.
    Leads,
    /// It is the second finger, and with the first one zooms and moves the picture.
    Pinches,
    /// It does nothing: a palm beside a pen, a mouse beside a finger, a third finger.
    Rests,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Pointer {
    id: i32,
    kind: PointerKind,
    at: PointXy,
}

/// The pointers that are down on the canvas, and the one whose moves count.
#[derive(Debug, Default)]
pub(super) struct Hand {
    pointers: Vec<Pointer>,
    leader: Option<i32>,
}

impl Hand {
    /// A pointer goes down at a point of the stage.
    pub(super) fn land(&mut self, id: i32, kind: PointerKind, at: PointXy) -> Landing {
        // One whose end was never told would count as a second pointer.
        self.lift(id);
        if kind == PointerKind::Pen {
            // The hand that holds the pen rests on the screen and may have come first.
            self.pointers
                .retain(|pointer| pointer.kind != PointerKind::Touch);
        }
        let only_fingers = kind == PointerKind::Touch
            && self
                .pointers
                .iter()
                .all(|pointer| pointer.kind == PointerKind::Touch);
        let landing = match self.pointers.len() {
            0 => Landing::Leads,
            _ if !only_fingers => return Landing::Rests,
            1 => Landing::Pinches,
            _ => Landing::Rests,
        };
        self.pointers.push(Pointer { id, kind, at });
        self.leader = (landing == Landing::Leads).then_some(id);
        landing
    }

    /// A pointer moves.
    pub(super) fn shift(&mut self, id: i32, to: PointXy) {
        if let Some(pointer) = self.pointers.iter_mut().find(|pointer| pointer.id == id) {
            pointer.at = to;
        }
    }

    /// A pointer goes up, or is taken away; false where it was not counted as down.
    pub(super) fn lift(&mut self, id: i32) -> bool {
        let before = self.pointers.len();
        self.pointers.retain(|pointer| pointer.id != id);
        if self.leader == Some(id) {
            self.leader = None;
        }
        self.pointers.len() < before
    }

    /// Whether a pointer draws or moves the picture.
    pub(super) fn is_led_by(&self, id: i32) -> bool {
        self.leader == Some(id)
    }

    /// Whether a pointer is down.
    pub(super) fn holds(&self, id: i32) -> bool {
        self.pointers.iter().any(|pointer| pointer.id == id)
    }

    /// Whether no pointer is down.
    pub(super) fn is_empty(&self) -> bool {
        self.pointers.is_empty()
    }

    /// Where the two fingers of a pinch are.
    pub(super) fn fingers(&self) -> Option<[PointXy; 2]> {
        let mut fingers = self
            .pointers
            .iter()
            .filter(|pointer| pointer.kind == PointerKind::Touch);
        Some([fingers.next()?.at, fingers.next()?.at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: PointXy = (1.0, 2.0);

    #[test]
    fn two_fingers_pinch_and_a_third_one_rests() {
        let mut hand = Hand::default();
        assert_eq!(hand.land(1, PointerKind::Touch, AT), Landing::Leads);
        assert!(hand.is_led_by(1) && hand.fingers().is_none());
        assert_eq!(
            hand.land(2, PointerKind::Touch, (5.0, 6.0)),
            Landing::Pinches
        );
        assert!(!hand.is_led_by(1) && !hand.is_led_by(2));
        assert_eq!(hand.land(3, PointerKind::Touch, AT), Landing::Rests);
        hand.shift(1, (3.0, 4.0));
        assert_eq!(hand.fingers(), Some([(3.0, 4.0), (5.0, 6.0)]));
        assert!(hand.lift(1) && hand.lift(2) && hand.lift(3) && hand.is_empty());
        assert!(!hand.lift(3));
    }

    #[test]
    fn a_palm_does_not_disturb_a_pen() {
        let mut hand = Hand::default();
        hand.land(1, PointerKind::Pen, AT);
        assert_eq!(hand.land(2, PointerKind::Touch, AT), Landing::Rests);
        assert!(hand.is_led_by(1) && !hand.holds(2));
        assert!(!hand.lift(2) && hand.is_led_by(1));
    }

    #[test]
    fn a_pen_ends_what_the_palm_had_begun() {
        let mut hand = Hand::default();
        hand.land(1, PointerKind::Touch, AT);
        hand.land(2, PointerKind::Touch, AT);
        assert_eq!(hand.land(7, PointerKind::Pen, AT), Landing::Leads);
        assert!(hand.is_led_by(7) && !hand.holds(1) && !hand.holds(2));
    }

    #[test]
    fn only_one_of_mouse_and_finger_counts() {
        let mut hand = Hand::default();
        hand.land(1, PointerKind::Touch, AT);
        assert_eq!(hand.land(9, PointerKind::Mouse, AT), Landing::Rests);
        hand.lift(1);
        assert_eq!(hand.land(9, PointerKind::Mouse, AT), Landing::Leads);
        assert_eq!(hand.land(1, PointerKind::Touch, AT), Landing::Rests);
        assert!(hand.is_led_by(9));
    }

    #[test]
    fn a_pointer_that_never_went_up_is_not_a_second_one() {
        let mut hand = Hand::default();
        hand.land(1, PointerKind::Mouse, AT);
        assert_eq!(hand.land(1, PointerKind::Mouse, AT), Landing::Leads);
        assert!(hand.lift(1) && hand.is_empty());
    }

    #[test]
    fn pointers_are_told_apart_by_name() {
        let kinds = ["mouse", "pen", "touch", ""].map(PointerKind::of);
        assert_eq!(
            kinds,
            [
                PointerKind::Mouse,
                PointerKind::Pen,
                PointerKind::Touch,
                PointerKind::Mouse
            ]
        );
    }
}
