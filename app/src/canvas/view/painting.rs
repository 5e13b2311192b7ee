use std::time::Duration;

use js_sys::Date;
use leptos::prelude::*;

use super::CanvasView;
use crate::canvas::idle::when_idle;
use crate::canvas::painter::{Painter, Scene};
use crate::media::matches_media;
use crate::state::Workspace;

/// What lies beside the stage is painted when nothing was painted for so long.
const QUIET: Duration = Duration::from_millis(250);
/// So many milliseconds a tile may take, and no task of the page begins later for it.
const TILE: f64 = 8.0;
const REDUCED_MOTION: &str = "(prefers-reduced-motion: reduce)";

/// When the canvas is painted.
impl CanvasView {
    /// Paints with the next frame; what happens until then is in it.
    pub(in crate::canvas) fn schedule(self, workspace: Workspace) {
        if self.scheduled.get_value() {
            return;
        }
        self.scheduled.set_value(true);
        request_animation_frame(move || {
            if self.scheduled.try_set_value(false).is_some() {
                return;
            }
            if self.paint(workspace) {
                self.schedule(workspace);
            } else if !self.in_motion.get_untracked() {
                self.painted.set_value(Date::now());
                if !self.is_waiting.get_value() {
                    self.is_waiting.set_value(true);
                    self.await_quiet();
                }
            }
        });
    }

    // Paints what lies beside the stage when nothing was painted for a while.
    fn await_quiet(self) {
        set_timeout(
            move || when_idle(move |left| self.paint_beside(left)),
            QUIET,
        );
    }

    // Paints a part of what lies beside the stage in what is left of an idle time.
    fn paint_beside(self, left: f64) {
        // None where the canvas is gone.
        let Some(painted) = self.painted.try_get_value() else {
            return;
        };
        let is_quiet = Date::now() - painted >= QUIET.as_secs_f64() * 1000.0;
        // The next frame of a picture that rests comes back to it.
        if self.in_motion.get_untracked() || self.scheduled.get_value() {
            self.is_waiting.set_value(false);
        } else if !is_quiet {
            self.await_quiet();
        } else if left < TILE || self.add_tile() {
            when_idle(move |left| self.paint_beside(left));
        } else {
            self.is_waiting.set_value(false);
        }
    }

    // True where one was missing.
    fn add_tile(self) -> bool {
        let add = |painter: &mut Option<Painter>| painter.as_mut().is_some_and(Painter::add_beside);
        self.painter.try_update_value(add) == Some(true)
    }

    /// Paints whenever something changes of what is seen.
    pub(in crate::canvas) fn keep_painted(self, workspace: Workspace) {
        // Masks are many, and most of what happens leaves them alone.
        Effect::new(move |_| {
            self.ready.track();
            self.peek.track();
            self.masks(workspace);
            self.changed.set_value(true);
            self.schedule(workspace);
        });
        Effect::new(move |_| {
            self.scene(workspace);
            self.schedule(workspace);
        });
    }

    /// Paints at once; true where the next frame looks different by itself.
    pub(in crate::canvas) fn paint(self, workspace: Workspace) -> bool {
        let Some(scene) = untrack(|| self.scene(workspace)) else {
            return false;
        };
        if let Some(is_unfinished) = self.carry(&scene) {
            return is_unfinished;
        }
        let scene = Scene {
            masks: untrack(|| self.masks(workspace)),
            ..scene
        };
        let moves_by_itself = !scene.in_motion
            && scene.masks.iter().any(|drawn| drawn.pending)
            && !matches_media(REDUCED_MOTION);
        let painted = self
            .painter
            .try_update_value(|painter| painter.as_mut().map(|painter| painter.paint(scene)));
        let is_unfinished = painted.flatten() == Some(true);
        self.changed.set_value(is_unfinished);
        moves_by_itself || is_unfinished
    }

    // Shows what is painted where it lies now, as long as that is all that changes.
    fn carry(self, scene: &Scene) -> Option<bool> {
        // What a stroke has touched since is to be painted.
        let is_painting = self.stroke.with_untracked(Option::is_some);
        if !scene.in_motion || is_painting || self.changed.get_value() {
            return None;
        }
        self.painter
            .try_update_value(|painter| painter.as_mut()?.carry(scene))
            .flatten()
    }
}
