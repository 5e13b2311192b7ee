use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::Gestures;
use crate::canvas::{arrow, press_of};
use crate::editor::{PointXy, Polygon, Press};

/// How many pixels of the picture a key moves a corner, and with Shift.
const STEP: f64 = 1.0;
const LARGE_STEP: f64 = 10.0;

/// What a key does about the corners that are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
enum CornerKey {
    Next,
    Previous,
    // By pixels of the picture.
    Move(PointXy),
    // Another corner, halfway to the next one.
    Add,
    Remove,
}

impl CornerKey {
    // Where Alt is held, what it moves goes `by` so many pixels.
    fn of(key: &str, by: Option<f64>) -> Option<Self> {
        let key = match (key, by) {
            (".", None) => Self::Next,
            (",", None) => Self::Previous,
            ("Enter", Some(_)) => Self::Add,
            ("Delete" | "Backspace", Some(_)) => Self::Remove,
            (key, Some(by)) => arrow(key).map(|(x, y)| Self::Move((x * by, y * by)))?,
            _ => return None,
        };
        Some(key)
    }

    // The corner of so many that it is about; none where it needs one to be picked first.
    fn corner(self, picked: Option<usize>, count: usize) -> Option<usize> {
        match self {
            Self::Next => Some(picked.map_or(0, |index| (index + 1) % count)),
            Self::Previous => Some((picked.unwrap_or(0) + count - 1) % count),
            Self::Move(_) | Self::Add | Self::Remove => picked,
        }
    }
}

impl Gestures {
    /// Keys about the corners that are shown: to the next and the previous one, and with Alt what
    /// is done to it. Answers whether the key was one.
    pub(in crate::canvas) fn corner_key(self, event: &KeyboardEvent) -> bool {
        let step = if event.shift_key() { LARGE_STEP } else { STEP };
        CornerKey::of(&event.key(), event.alt_key().then_some(step))
            .is_some_and(|key| self.take_to_corner(key, press_of(event)))
    }

    fn take_to_corner(self, key: CornerKey, press: Press) -> bool {
        let editor = self.workspace.editor;
        let (Some(shown), Some(image)) = (untrack(|| self.view.cornered(editor)), self.image())
        else {
            return false;
        };
        let (of, mut polygon) = (shown.of, shown.polygon);
        let Some(index) = key.corner(shown.picked, polygon.points.len()) else {
            return false;
        };
        // What a pointer drags is not for the keyboard.
        let changes = !matches!(key, CornerKey::Next | CornerKey::Previous);
        if self.is_drawing() || (changes && of.as_ref().is_some_and(|id| editor.refuses(id))) {
            return true;
        }
        self.leave_to_keyboard();
        match key {
            CornerKey::Next | CornerKey::Previous => self.go_to_corner(of, &polygon, index, ""),
            CornerKey::Move(by) => {
                polygon.nudge(index, by, image);
                if self.keep_polygon(of.as_deref(), polygon.clone(), Some((index, press))) {
                    self.go_to_corner(of, &polygon, index, "");
                }
            }
            CornerKey::Add if of.is_none() && index + 1 == polygon.points.len() => {
                editor.say("No line leads on from the last corner yet.".to_owned());
            }
            CornerKey::Add => {
                if let Some(added) = polygon.split(index)
                    && self.keep_polygon(of.as_deref(), polygon.clone(), None)
                {
                    self.go_to_corner(of, &polygon, added, "Corner added. ");
                }
            }
            CornerKey::Remove => {
                if let Some(rest) = self.remove_corner(of.as_deref(), polygon, index) {
                    let done = format!("Corner {} removed. ", index + 1);
                    let beside = index.min(rest.points.len().saturating_sub(1));
                    self.go_to_corner(of, &rest, beside, &done);
                }
            }
        }
        true
    }

    // Shows a corner and says where it is, behind what was done.
    fn go_to_corner(self, of: Option<String>, polygon: &Polygon, index: usize, done: &str) {
        let place = describe_corner(polygon, index).unwrap_or_default();
        self.workspace.editor.say(format!("{done}{place}"));
        let (Some(&at), Some(image)) = (polygon.points.get(index), self.image()) else {
            return;
        };
        self.view.pick_corner(of, index);
        self.view.reveal(at, image);
        // On a region of the list, Alt and arrows would resize it.
        self.view.take_focus();
    }

    // Makes a step of another shape of a polygon, or goes on with one where a held key has moved a
    // corner; false where nothing would be left of its region.
    fn keep_polygon(
        self,
        of: Option<&str>,
        polygon: Polygon,
        moved: Option<(usize, Press)>,
    ) -> bool {
        match (of, moved) {
            (Some(id), _) => return self.workspace.editor.edit_polygon(id, polygon, moved),
            (None, Some((corner, press))) => self.view.nudge_corner(corner, polygon, press),
            (None, None) => self.view.redraw_polygon(polygon),
        }
        true
    }

    /// Takes a corner away. Gives what is left; none where the corner has to stay.
    pub(super) fn remove_corner(
        self,
        of: Option<&str>,
        mut polygon: Polygon,
        index: usize,
    ) -> Option<Polygon> {
        if of.is_none() {
            if index < polygon.points.len() {
                polygon.points.remove(index);
            }
        } else if !polygon.drop_point(index) {
            self.notices.info(
                "A polygon keeps three corners",
                "Delete its region to be rid of it.",
            );
            return None;
        }
        self.keep_polygon(of, polygon.clone(), None)
            .then_some(polygon)
    }
}

/// A corner in words.
fn describe_corner(polygon: &Polygon, index: usize) -> Option<String> {
    let &(x, y) = polygon.points.get(index)?;
    let (number, count) = (index + 1, polygon.points.len());
    let (x, y) = (x.round() as i64, y.round() as i64);
    Some(format!("Corner {number} of {count}, at {x}, {y}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_alt_change_a_corner_and_others_go_to_one() {
        assert_eq!(CornerKey::of(".", None), Some(CornerKey::Next));
        assert_eq!(CornerKey::of(",", None), Some(CornerKey::Previous));
        let up = CornerKey::of("ArrowUp", Some(10.0));
        assert_eq!(up, Some(CornerKey::Move((0.0, -10.0))));
        let removes = ["Delete", "Backspace"].map(|key| CornerKey::of(key, Some(1.0)));
        assert_eq!(removes, [Some(CornerKey::Remove); 2]);
        // These are for the region and for the crosshair.
        for key in ["Delete", "Backspace", "ArrowUp", "Enter"] {
            assert_eq!(CornerKey::of(key, None), None, "{key}");
        }
        assert_eq!(CornerKey::of(".", Some(1.0)), None);
    }

    #[test]
    fn corners_follow_each_other_in_a_ring() {
        let next = [None, Some(0), Some(3)].map(|picked| CornerKey::Next.corner(picked, 4));
        assert_eq!(next, [Some(0), Some(1), Some(0)]);
        let previous = [None, Some(3), Some(0)].map(|picked| CornerKey::Previous.corner(picked, 4));
        assert_eq!(previous, [Some(3), Some(2), Some(3)]);
        assert_eq!(CornerKey::Remove.corner(Some(2), 4), Some(2));
        assert_eq!(CornerKey::Move((1.0, 0.0)).corner(None, 4), None);
    }

    #[test]
    fn a_corner_is_told_by_number_and_place() {
        let polygon = Polygon {
            points: vec![(-0.4, 3.0), (119.6, 88.4), (7.0, 9.0)],
        };
        let words = describe_corner(&polygon, 1);
        assert_eq!(words.as_deref(), Some("Corner 2 of 3, at 120, 88"));
        let words = describe_corner(&polygon, 0);
        assert_eq!(words.as_deref(), Some("Corner 1 of 3, at 0, 3"));
        assert_eq!(describe_corner(&polygon, 3), None);
    }
}
