use super::{History, Polygon, Press};

/// A polygon that is not closed yet, with the steps in which it was drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OpenPolygon {
    /// The steps; a held key goes on with the move of the corner of that index.
    history: History<Polygon, usize>,
    /// What the step that is being made has made of it so far.
    next: Option<Polygon>,
}

impl OpenPolygon {
    /// As it is now.
    pub fn polygon(&self) -> &Polygon {
        self.next.as_ref().unwrap_or(self.history.present())
    }

    /// Whether it has no corner.
    pub fn is_empty(&self) -> bool {
        self.polygon().points.is_empty()
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        match self.polygon().points.len() {
            0 => "the polygon has no corner".to_owned(),
            1 => "the polygon has 1 corner".to_owned(),
            count => format!("the polygon has {count} corners"),
        }
    }

    /// Changes it. All changes until [`Self::settle`] are one step.
    pub fn change(&mut self, change: impl FnOnce(&mut Polygon)) {
        let present = self.history.present();
        change(self.next.get_or_insert_with(|| present.clone()));
    }

    /// Takes the polygon that a key has made by moving a corner. As long as the key is held and
    /// nothing else is done, all that it does is one step.
    pub fn nudge(&mut self, corner: usize, moved: Polygon, press: Press) {
        self.settle();
        self.history.commit_movement(moved, corner, press);
    }

    /// Ends the step that is being made; one that changes nothing is none.
    pub fn settle(&mut self) {
        if let Some(next) = self.next.take() {
            self.history.commit(next);
        }
    }

    /// Throws the step away that is being made.
    pub fn cancel(&mut self) {
        self.next = None;
    }

    /// One step back.
    pub fn undo(&mut self) {
        self.settle();
        self.history.undo();
    }

    /// One step forward again.
    pub fn redo(&mut self) {
        self.settle();
        self.history.redo();
    }

    /// Whether there is a step back.
    pub fn can_undo(&self) -> bool {
        let present = self.history.present();
        self.history.can_undo() || self.next.as_ref().is_some_and(|next| next != present)
    }

    /// Whether there is a step forward.
    pub fn can_redo(&self) -> bool {
        self.history.can_redo()
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

    fn steps_back(open: &OpenPolygon) -> usize {
        let mut back = open.clone();
        let mut count = 0;
        while back.can_undo() {
            back.undo();
            count += 1;
        }
        count
    }

    #[test]
    fn its_corners_are_counted_in_words() {
        let mut open = OpenPolygon::default();
        let mut words = vec![open.describe()];
        for at in [A, B] {
            add(&mut open, at);
            words.push(open.describe());
        }
        let counts = ["no corner", "1 corner", "2 corners"];
        assert_eq!(
            words,
            counts.map(|count| format!("the polygon has {count}"))
        );
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
            steps_back(&open)
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
