use super::{Document, Movement, Press, RegionState};

/// So many steps can be taken back.
const MAX_STEPS: usize = 200;

/// Undo and redo over all that something was, where a held key goes on with the step of a movement
/// `M`: over the regions, or over a polygon that is being drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct History<T = Document, M = Movement> {
    past: Vec<T>,
    present: T,
    future: Vec<T>,
    /// What the last step was, where a held key may go on with it.
    movement: Option<M>,
}

impl<T: Default + PartialEq, M: PartialEq> Default for History<T, M> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: PartialEq, M: PartialEq> History<T, M> {
    /// A history that starts at `present`.
    pub fn new(present: T) -> Self {
        Self {
            past: Vec::new(),
            present,
            future: Vec::new(),
            movement: None,
        }
    }

    /// What is shown now.
    pub fn present(&self) -> &T {
        &self.present
    }

    /// Makes a step; one that changes nothing is none, and gives false.
    pub fn commit(&mut self, next: T) -> bool {
        if next == self.present {
            return false;
        }
        self.past.push(std::mem::replace(&mut self.present, next));
        if self.past.len() > MAX_STEPS {
            self.past.remove(0);
        }
        self.future.clear();
        self.movement = None;
        true
    }

    /// Makes a step of a movement, or goes on with it where its key is held and nothing else was
    /// done meanwhile; false where that changes nothing.
    pub fn commit_movement(&mut self, next: T, movement: M, press: Press) -> bool {
        if press == Press::New {
            self.movement = None;
        }
        if next == self.present {
            return false;
        }
        if self.movement.as_ref() == Some(&movement) {
            self.present = next;
        } else {
            self.commit(next);
            self.movement = Some(movement);
        }
        true
    }

    /// One step back; false when there is none.
    pub fn undo(&mut self) -> bool {
        self.movement = None;
        let Some(before) = self.past.pop() else {
            return false;
        };
        self.future
            .push(std::mem::replace(&mut self.present, before));
        true
    }

    /// One step forward again; false when there is none.
    pub fn redo(&mut self) -> bool {
        self.movement = None;
        let Some(after) = self.future.pop() else {
            return false;
        };
        self.past.push(std::mem::replace(&mut self.present, after));
        true
    }

    /// Whether there is a step back.
    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }

    /// Whether there is a step forward.
    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }
}

impl History {
    /// Changes a region wherever it still looks like `as_it_was`, in all steps at once: for what
    /// arrives late and is no step of its own. False when there is no such region.
    pub fn amend(&mut self, as_it_was: &RegionState, change: impl Fn(&mut RegionState)) -> bool {
        let documents = self
            .past
            .iter_mut()
            .chain([&mut self.present])
            .chain(self.future.iter_mut());
        let mut changed = false;
        for document in documents {
            if let Some(region) = document.get_mut(&as_it_was.id)
                && std::sync::Arc::ptr_eq(&region.mask, &as_it_was.mask)
            {
                change(region);
                changed = true;
            }
        }
        changed
    }

    /// Whether there is a region with an id, or was one, or may be one again.
    pub fn knows(&self, id: &str) -> bool {
        let mut documents = self.past.iter().chain(&self.future).chain([&self.present]);
        documents.any(|document| document.get(id).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::editor::Reshaping;

    fn document(names: &[&str]) -> Document {
        let regions = names
            .iter()
            .map(|name| {
                let px = [0.0, 0.0, 2.0, 2.0];
                let name = (*name).to_owned();
                RegionState::rectangle(name.clone(), name, "#112233".to_owned(), (4, 4), px)
            })
            .collect();
        Document {
            regions,
            ..Document::default()
        }
    }

    #[test]
    fn steps_go_back_and_forth() {
        let mut history: History = History::new(document(&[]));
        history.commit(document(&["a"]));
        history.commit(document(&["a", "b"]));
        assert!(history.undo() && history.undo() && !history.undo());
        assert_eq!(history.present().regions.len(), 0);
        assert!(history.redo());
        assert_eq!(history.present().regions.len(), 1);
        history.commit(document(&["c"]));
        assert!(!history.can_redo() && history.can_undo());
    }

    #[test]
    fn nothing_done_is_no_step() {
        let mut history: History = History::new(document(&["a"]));
        assert!(!history.commit(document(&["a"])));
        assert!(!history.can_undo());
        assert!(history.commit(document(&["b"])) && history.can_undo());
    }

    #[test]
    fn the_past_is_bounded() {
        let mut history: History = History::default();
        for step in 0..MAX_STEPS + 20 {
            history.commit(document(&[&format!("r{step}")]));
        }
        let mut steps = 0;
        while history.undo() {
            steps += 1;
        }
        assert_eq!(steps, MAX_STEPS);
    }

    #[test]
    fn what_a_held_key_does_is_one_step() {
        let moved = || Movement::Shape("a".to_owned(), Reshaping::Moved);
        let mut history: History = History::new(document(&["a"]));
        let mut steps = |names: &[&str], movement, press| {
            history.commit_movement(document(names), movement, press);
            history.past.len()
        };
        // Where the first press changes nothing, the next one makes the step.
        assert_eq!(steps(&["a"], moved(), Press::New), 0);
        assert_eq!(steps(&["b"], moved(), Press::Held), 1);
        assert_eq!(steps(&["c"], moved(), Press::Held), 1);
        assert_eq!(steps(&["d"], moved(), Press::New), 2);
        assert_eq!(steps(&["e"], moved(), Press::Held), 2);
        let corner = Movement::Corner("a".to_owned(), 0);
        assert_eq!(steps(&["f"], corner.clone(), Press::Held), 3);
        let other = Movement::Corner("a".to_owned(), 1);
        assert_eq!(steps(&["g"], other, Press::Held), 4);

        assert!(history.undo());
        assert_eq!(*history.present(), document(&["f"]));
        // Behind a step back nothing goes on.
        history.commit_movement(document(&["h"]), corner.clone(), Press::Held);
        history.commit(document(&["i"]));
        history.commit_movement(document(&["j"]), corner, Press::Held);
        for names in ["i", "h", "f", "e", "c", "a"] {
            assert!(history.undo());
            assert_eq!(*history.present(), document(&[names]));
        }
        assert!(!history.can_undo());
    }

    #[test]
    fn a_late_mask_reaches_every_step_that_still_waits_for_it() {
        let mut history: History = History::new(document(&[]));
        let drawn = document(&["a"]);
        let waiting = drawn.regions[0].clone();
        history.commit(drawn.clone());
        let mut renamed = drawn;
        renamed.regions[0].name = "mug".to_owned();
        history.commit(renamed);
        assert!(history.undo());
        assert!(history.amend(&waiting, |region| region.score = Some(0.5)));
        assert_eq!(history.present().regions[0].score, Some(0.5));
        assert!(history.redo());
        assert_eq!(history.present().regions[0].score, Some(0.5));
        assert_eq!(history.present().regions[0].name, "mug");
        let other = document(&["a"]).regions.remove(0);
        assert!(!history.amend(&other, |region| region.score = None));
    }

    #[test]
    fn a_region_is_known_while_a_step_leads_to_it() {
        let mut history: History = History::new(document(&["a"]));
        history.commit(document(&["a", "b"]));
        history.commit(document(&["c"]));
        let known = |history: &History| ["a", "b", "c", "d"].map(|id| history.knows(id));
        assert_eq!(known(&history), [true, true, true, false]);
        assert!(history.undo() && history.undo());
        assert_eq!(known(&history), [true, true, true, false]);
        history.commit(document(&["d"]));
        assert_eq!(known(&history), [true, false, false, true]);
    }
}
