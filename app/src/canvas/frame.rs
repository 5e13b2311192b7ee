use std::sync::Arc;

use fclm_core::wire::{BoxPx, MaskRle};

use super::damage::Area;
use crate::editor::{PointXy, Viewport};

/// A mask to be drawn.
pub(super) struct Drawn {
    /// Under which its layer is kept.
    pub(super) key: String,
    /// The mask.
    pub(super) mask: Arc<MaskRle>,
    /// `#rrggbb`.
    pub(super) color: String,
    /// A tag at its corner.
    pub(super) label: Option<String>,
    /// How strong its fill is, 0 to 1.
    pub(super) fill: f64,
    /// Width of its outline in CSS pixels.
    pub(super) line: f64,
    /// Whether the model is still working on it.
    pub(super) pending: bool,
    /// Whether the rest of the picture steps back for it.
    pub(super) spotlight: bool,
    /// By how many image pixels it is carried away.
    pub(super) shift: PointXy,
    /// Whether the running stroke stands for it.
    pub(super) live: bool,
}

impl Drawn {
    /// Whether it looks the same as another one. What a running stroke paints tells of itself.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        self.key == other.key
            && (self.live || Arc::ptr_eq(&self.mask, &other.mask))
            && self.color == other.color
            && self.label == other.label
            && self.fill == other.fill
            && self.line == other.line
            && self.pending == other.pending
            && self.spotlight == other.spotlight
            && self.shift == other.shift
            && self.live == other.live
    }
}

/// A line that is drawn point by point.
pub(super) struct Line {
    /// Its points on the stage.
    pub(super) points: Vec<PointXy>,
    /// Whether the last point is joined to the first.
    pub(super) is_closed: bool,
    /// Whether its points can be taken hold of.
    pub(super) has_corners: bool,
    /// The corner that keys move or take away.
    pub(super) picked: Option<usize>,
}

/// Everything that one frame shows.
pub(super) struct Scene {
    /// How the image lies.
    pub(super) viewport: Viewport,
    /// Whether the picture is being moved or zoomed, so that what is painted is moved instead.
    pub(super) in_motion: bool,
    /// Size of the stage in CSS pixels.
    pub(super) stage: PointXy,
    /// Where tools lie over the stage, in CSS pixels.
    pub(super) tools: Vec<Area>,
    /// Size of the image.
    pub(super) image: PointXy,
    /// Masks, lowest first.
    pub(super) masks: Vec<Drawn>,
    /// Whether masks are left out as long as a key is held.
    pub(super) peek: bool,
    /// The box that is being drawn, in whole image pixels.
    pub(super) drag: Option<BoxPx>,
    /// Lines that are being drawn or can be changed.
    pub(super) lines: Vec<Line>,
    /// Stage point under a finger, which is shown beside it.
    pub(super) loupe: Option<PointXy>,
    /// Stage point and radius of the brush's outline.
    pub(super) brush: Option<(PointXy, f64)>,
    /// Stage point of the keyboard's crosshair.
    pub(super) crosshair: Option<PointXy>,
    /// Milliseconds, for what moves.
    pub(super) time: f64,
}
