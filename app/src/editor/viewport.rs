/// A point or a size: x and y, or width and height.
pub type PointXy = (f64, f64);

const MAX_SCALE: f64 = 40.0;

/// Room at the stage's edges that tools take and the fitted image leaves free, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Insets {
    /// At the left edge.
    pub left: f64,
    /// At the top edge.
    pub top: f64,
    /// At the right edge.
    pub right: f64,
    /// At the bottom edge.
    pub bottom: f64,
}

/// How the image lies on the stage: `stage = image * scale + offset`, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Viewport {
    /// CSS pixels per image pixel.
    pub scale: f64,
    /// Where the image's left edge lies on the stage.
    pub x: f64,
    /// Where the image's top edge lies on the stage.
    pub y: f64,
}

impl Default for Viewport {
    fn default() -> Self {
        Self {
            scale: 1.0,
            x: 0.0,
            y: 0.0,
        }
    }
}

impl Viewport {
    /// The whole image in the middle of what the insets leave of the stage.
    pub fn fit(image: PointXy, stage: PointXy, insets: Insets) -> Self {
        let (x, width) = room(stage.0, insets.left, insets.right);
        let (y, height) = room(stage.1, insets.top, insets.bottom);
        let scale = (width / image.0.max(1.0))
            .min(height / image.1.max(1.0))
            .min(MAX_SCALE);
        Self {
            scale,
            x: x + (width - image.0 * scale) / 2.0,
            y: y + (height - image.1 * scale) / 2.0,
        }
    }

    /// The image point under a stage point.
    pub fn to_image(self, (x, y): PointXy) -> PointXy {
        ((x - self.x) / self.scale, (y - self.y) / self.scale)
    }

    /// The stage point over an image point.
    pub fn to_stage(self, (x, y): PointXy) -> PointXy {
        (x * self.scale + self.x, y * self.scale + self.y)
    }

    /// Zoomed by `factor` so that what is under the stage point `at` stays there. The scale stays
    /// between a quarter of `fit_scale` and forty times the original size.
    pub fn zoomed(self, factor: f64, at: PointXy, fit_scale: f64) -> Self {
        let low = (fit_scale / 4.0).min(1.0);
        let scale = (self.scale * factor).clamp(low, MAX_SCALE);
        let anchor = self.to_image(at);
        Self {
            scale,
            x: at.0 - anchor.0 * scale,
            y: at.1 - anchor.1 * scale,
        }
    }

    /// Moved by CSS pixels.
    pub fn panned(self, dx: f64, dy: f64) -> Self {
        Self {
            x: self.x + dx,
            y: self.y + dy,
            ..self
        }
    }

    /// Two fingers that moved from `before` to `after`: zoom by their distance, pan by their
    /// middle.
    pub fn pinched(self, before: [PointXy; 2], after: [PointXy; 2], fit_scale: f64) -> Self {
        let middle = |p: [PointXy; 2]| ((p[0].0 + p[1].0) / 2.0, (p[0].1 + p[1].1) / 2.0);
        let spread = |p: [PointXy; 2]| (p[0].0 - p[1].0).hypot(p[0].1 - p[1].1).max(1.0);
        let (from, to) = (middle(before), middle(after));
        self.panned(to.0 - from.0, to.1 - from.1).zoomed(
            spread(after) / spread(before),
            to,
            fit_scale,
        )
    }

    /// Moved back as far as is needed to leave a part of the image in sight.
    pub fn kept_in_sight(self, image: PointXy, stage: PointXy) -> Self {
        let keep = |offset: f64, length: f64, room: f64| {
            let visible = (length / 2.0).min(room / 2.0).min(96.0);
            offset.clamp(visible - length, room - visible)
        };
        Self {
            x: keep(self.x, image.0 * self.scale, stage.0),
            y: keep(self.y, image.1 * self.scale, stage.1),
            ..self
        }
    }
}

/// Where the room between two insets starts, and how long it is: never less than half of the
/// stage, so that a small stage still shows its image.
fn room(length: f64, before: f64, after: f64) -> (f64, f64) {
    let taken = before + after;
    let share = if taken > length / 2.0 {
        length / 2.0 / taken
    } else {
        1.0
    };
    (before * share, (length - taken * share).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: PointXy, b: PointXy) -> bool {
        (a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9
    }

    #[test]
    fn fit_centres_the_image_between_the_insets() {
        let insets = Insets {
            left: 60.0,
            top: 20.0,
            right: 20.0,
            bottom: 80.0,
        };
        let view = Viewport::fit((200.0, 100.0), (480.0, 400.0), insets);
        assert_eq!(view.scale, 2.0);
        assert!(close(view.to_stage((0.0, 0.0)), (60.0, 70.0)));
        assert!(close(view.to_stage((200.0, 100.0)), (460.0, 270.0)));
    }

    #[test]
    fn a_small_stage_gives_half_of_itself_to_the_image() {
        let insets = Insets {
            left: 30.0,
            top: 0.0,
            right: 10.0,
            bottom: 0.0,
        };
        let view = Viewport::fit((20.0, 20.0), (40.0, 400.0), insets);
        assert_eq!(view.scale, 1.0);
        assert!(close(view.to_stage((0.0, 190.0)), (15.0, 380.0)));
        assert!(Viewport::fit((20.0, 20.0), (0.0, 0.0), insets).scale > 0.0);
    }

    #[test]
    fn zoom_keeps_what_is_under_the_pointer() {
        let view = Viewport {
            scale: 1.5,
            x: 7.0,
            y: -3.0,
        };
        let at = (123.0, 45.0);
        let zoomed = view.zoomed(1.7, at, 1.0);
        assert!(close(view.to_image(at), zoomed.to_image(at)));
        assert_eq!(view.zoomed(1e9, at, 1.0).scale, MAX_SCALE);
        assert_eq!(view.zoomed(1e-9, at, 2.0).scale, 0.5);
    }

    #[test]
    fn two_fingers_zoom_and_pan() {
        let view = Viewport::default();
        let before = [(10.0, 10.0), (20.0, 10.0)];
        let after = [(30.0, 20.0), (50.0, 20.0)];
        let pinched = view.pinched(before, after, 1.0);
        assert_eq!(pinched.scale, 2.0);
        for (from, to) in before.into_iter().zip(after) {
            assert!(close(pinched.to_stage(view.to_image(from)), to));
        }
    }

    #[test]
    fn the_image_cannot_be_lost() {
        let stage = (300.0, 300.0);
        let view = Viewport {
            scale: 1.0,
            x: 9000.0,
            y: -9000.0,
        };
        let kept = view.kept_in_sight((100.0, 100.0), stage);
        assert!(close((kept.x, kept.y), (250.0, -50.0)));
    }
}
