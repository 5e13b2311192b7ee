use std::mem;

use super::history::MAX_STEPS;
use super::{Polygon, Press};

/// A polygon that is not closed yet, with the steps in which it was drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OpenPolygon {
    polygon: Polygon,
    /// As it was before the step that is being made.
    before: Option<Polygon>,
    past: Vec<Polygon>,
    future: Vec<Polygon>,
    /// The corner that the last step has moved by a key.
    nudged: Option<usize>,
}

impl OpenPolygon {
    /// As it is now.
    pub fn polygon(&self) -> &Polygon {
        &self.polygon
    }

    /// Whether it has no corner.
    pub fn is_empty(&self) -> bool {
        self.polygon.points.is_empty()
    }

    /// Changes it. All changes until [`Self::settle`] are one step.
    pub fn change(&mut self, change: impl FnOnce(&mut Polygon)) {
        self.nudged = None;
        if self.before.is_none() {
            self.before = Some(self.polygon.clone());
        }
        change(&mut self.polygon);
    }

    /// Takes the polygon that a key has made by moving a corner. As long as the key is held and
    /// nothing else is done, all that it does is one step.
    pub fn nudge(&mut self, corner: usize, moved: Polygon, press: Press) {
        if press == Press::Held && self.nudged == Some(corner) {
            self.polygon = moved;
            return;
        }
        let is_step = moved != self.polygon;
        self.change(|polygon| *polygon = moved);
        self.settle();
        self.nudged = is_step.then_some(corner);
    }

    /// Ends the step that is being made; one that changes nothing is none.
    pub fn settle(&mut self) {
        if let Some(before) = self.before.take()
            && before != self.polygon
        {
            self.past.push(before);
            if self.past.len() > MAX_STEPS {
                self.past.remove(0);
            }
            self.future.clear();
        }
    }

    /// Throws the step away that is being made.
    pub fn cancel(&mut self) {
        if let Some(before) = self.before.take() {
            self.polygon = before;
        }
    }

    /// One step back.
    pub fn undo(&mut self) {
        self.settle();
        self.nudged = None;
        if let Some(before) = self.past.pop() {
            self.future.push(mem::replace(&mut self.polygon, before));
        }
    }

    /// One step forward again.
    pub fn redo(&mut self) {
        self.settle();
        self.nudged = None;
        if let Some(after) = self.future.pop() {
            self.past.push(mem::replace(&mut self.polygon, after));
        }
    }

    /// Whether there is a step back.
    pub fn can_undo(&self) -> bool {
        let is_changed = |before: &Polygon| *before != self.polygon;
        !self.past.is_empty() || self.before.as_ref().is_some_and(is_changed)
    }

    /// Whether there is a step forward.
    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::editor::PointXy;

    const A: PointXy = (1.0, 1.0);
    const B: PointXy = (5.0, 1.0);
    const C: PointXy = (5.0, 4.0);

    fn add(open: &mut OpenPolygon, at: PointXy) {
        open.change(|polygon| polygon.points.push(at));
        open.settle();
    }

    fn drawn() -> OpenPolygon {
        let mut open = OpenPolygon::default();
        for at in [A, B, C] {
            add(&mut open, at);
        }
        open
    }

    #[test]
    fn corners_go_and_come_again_one_by_one() {
        let mut open = drawn();
        open.undo();
        open.undo();
        assert_eq!(open.polygon().points, [A]);
        open.redo();
        assert_eq!(open.polygon().points, [A, B]);
        assert!(open.can_undo() && open.can_redo());
        for _ in 0..3 {
            open.undo();
        }
        assert!(open.is_empty() && !open.can_undo());
        add(&mut open, C);
        assert!(!open.can_redo());
        open.redo();
        assert_eq!(open.polygon().points, [C]);
    }

    #[test]
    fn a_corner_that_was_moved_goes_back_to_where_it_was() {
        let mut open = drawn();
        for x in [6.0, 7.0, 8.0] {
            open.change(|polygon| polygon.shift(1, (x, 2.0)));
        }
        open.settle();
        assert_eq!(open.polygon().points, [A, (8.0, 2.0), C]);
        open.undo();
        assert_eq!(open.polygon().points, [A, B, C]);
        open.redo();
        assert_eq!(open.polygon().points, [A, (8.0, 2.0), C]);
    }

    #[test]
    fn a_corner_that_was_taken_away_comes_again() {
        let mut open = drawn();
        open.change(|polygon| {
            polygon.points.remove(1);
        });
        open.settle();
        assert_eq!(open.polygon().points, [A, C]);
        open.undo();
        assert_eq!(open.polygon().points, [A, B, C]);
    }

    #[test]
    fn what_a_held_key_does_to_a_corner_is_one_step() {
        let mut open = drawn();
        let mut nudge = |corner, to, press| {
            let mut moved = open.polygon().clone();
            moved.shift(corner, to);
            open.nudge(corner, moved, press);
            open.past.len()
        };
        let steps = [
            // Where the first press changes nothing, the next one makes the step.
            nudge(1, B, Press::New),
            nudge(1, (6.0, 1.0), Press::Held),
            nudge(1, (7.0, 1.0), Press::Held),
            nudge(1, (7.0, 2.0), Press::New),
            nudge(2, (5.0, 5.0), Press::Held),
        ];
        assert_eq!(steps, [3, 4, 4, 5, 6]);
        open.undo();
        open.undo();
        assert_eq!(open.polygon().points, [A, (7.0, 1.0), C]);
        open.undo();
        assert_eq!(open.polygon().points, [A, B, C]);
    }

    #[test]
    fn a_polygon_that_is_thrown_away_comes_again() {
        let mut open = drawn();
        open.change(|polygon| *polygon = Polygon::default());
        open.settle();
        assert!(open.is_empty() && open.can_undo());
        open.undo();
        assert_eq!(open.polygon().points, [A, B, C]);
        open.undo();
        assert_eq!(open.polygon().points, [A, B]);
    }

    #[test]
    fn the_past_is_bounded() {
        let mut open = OpenPolygon::default();
        for step in 0..MAX_STEPS + 20 {
            add(&mut open, (step as f64, 1.0));
        }
        let mut steps = 0;
        while open.can_undo() {
            open.undo();
            steps += 1;
        }
        assert_eq!((steps, open.polygon().points.len()), (MAX_STEPS, 20));
    }

    #[test]
    fn what_is_added_and_dragged_at_once_is_one_step() {
        let mut open = OpenPolygon::default();
        open.change(|polygon| polygon.points.push(A));
        assert!(open.can_undo());
        open.change(|polygon| polygon.shift(0, B));
        open.settle();
        assert_eq!(open.polygon().points, [B]);
        open.undo();
        assert!(open.is_empty() && !open.can_undo());
    }

    #[test]
    fn nothing_done_is_no_step_and_what_is_cancelled_was_not_done() {
        let mut open = drawn();
        open.undo();
        open.change(|polygon| polygon.shift(0, A));
        open.settle();
        assert!(
            open.can_redo(),
            "a click on a corner forgets what was undone"
        );
        open.change(|polygon| polygon.shift(0, C));
        open.cancel();
        open.settle();
        assert_eq!(open.polygon().points, [A, B]);
        assert!(open.can_redo());
    }
}
