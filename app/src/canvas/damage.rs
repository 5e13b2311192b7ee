use std::sync::Arc;

use fclm_core::wire::MaskRle;

use super::frame::Drawn;
use crate::editor::{PixelRect, PointXy, Viewport};

/// More rectangles than this cost more than the one around them.
const MOST: usize = 8;
/// A move that is no more than this off whole pixels of the screen is one by whole pixels.
const EXACT: f64 = 0.02;

/// A rectangle: of the stage, in CSS pixels, where nothing else is said; of what is painted, in
/// pixels of the screen, where a moving picture is put together of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    /// A rectangle by its corner and size.
    pub(super) fn new(left: f64, top: f64, width: f64, height: f64) -> Self {
        Self {
            left,
            top,
            right: left + width,
            bottom: top + height,
        }
    }

    /// Left, top, width and height.
    pub(super) fn rect(self) -> [f64; 4] {
        let (width, height) = (self.right - self.left, self.bottom - self.top);
        [self.left, self.top, width, height]
    }

    /// Around points, with a margin; none without a point.
    pub(super) fn around(points: impl IntoIterator<Item = PointXy>, margin: f64) -> Option<Self> {
        let corners = points.into_iter().map(|(x, y)| Self::new(x, y, 0.0, 0.0));
        corners.reduce(Self::union).map(|area| area.grown(margin))
    }

    /// Around pixels of the image, with a margin.
    pub(super) fn of_pixels(rect: PixelRect, shift: PointXy, view: Viewport, margin: f64) -> Self {
        let on_stage =
            |x: u32, y: u32| view.to_stage((f64::from(x) + shift.0, f64::from(y) + shift.1));
        let ((left, top), (right, bottom)) =
            (on_stage(rect.x0, rect.y0), on_stage(rect.x1, rect.y1));
        Self {
            left,
            top,
            right,
            bottom,
        }
        .grown(margin)
    }

    /// The smallest rectangle around both.
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// Larger by a margin on each side.
    pub(super) fn grown(self, by: f64) -> Self {
        Self {
            left: self.left - by,
            top: self.top - by,
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }

    /// Moved.
    pub(super) fn moved(self, (dx, dy): PointXy) -> Self {
        Self {
            left: self.left + dx,
            top: self.top + dy,
            right: self.right + dx,
            bottom: self.bottom + dy,
        }
    }

    /// Moved onto a stage, so far from its edges; what is too large for it begins where it does.
    pub(super) fn kept_on(self, (width, height): PointXy, margin: f64) -> Self {
        let within = |low: f64, high: f64, length: f64| {
            let last = (length - margin - (high - low)).max(margin);
            low.clamp(margin, last) - low
        };
        self.moved((
            within(self.left, self.right, width),
            within(self.top, self.bottom, height),
        ))
    }

    /// Counted in pixels of which there are `factor` for each one of before.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self {
            left: self.left * factor,
            top: self.top * factor,
            right: self.right * factor,
            bottom: self.bottom * factor,
        }
    }

    /// What the two have in common; none where that has no extent.
    pub(super) fn within(self, other: Self) -> Option<Self> {
        let common = Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        (common.right > common.left && common.bottom > common.top).then_some(common)
    }

    /// Width times height.
    pub(super) fn size(self) -> f64 {
        (self.right - self.left) * (self.bottom - self.top)
    }

    /// Whether the two have a point in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.left <= other.right
            && other.left <= self.right
            && self.top <= other.bottom
            && other.top <= self.bottom
    }

    /// Left, top, width and height in whole pixels of a bitmap that has `ratio` of them per CSS
    /// pixel; none where it lies beside the bitmap.
    pub(super) fn pixels(self, ratio: f64, (width, height): (u32, u32)) -> Option<[f64; 4]> {
        let inside = |edge: f64, end: u32| (edge * ratio).clamp(0.0, f64::from(end));
        let (left, top) = (
            inside(self.left, width).floor(),
            inside(self.top, height).floor(),
        );
        let (right, bottom) = (
            inside(self.right, width).ceil(),
            inside(self.bottom, height).ceil(),
        );
        // Comparisons with NaN are false, so they must be what is wanted.
        let is_some = right > left && bottom > top;
        is_some.then_some([left, top, right - left, bottom - top])
    }

    /// Whether nobody sees the one beside the other.
    pub(super) fn is_near(self, other: Self) -> bool {
        let edges = |area: Self| [area.left, area.top, area.right, area.bottom];
        let mut pairs = edges(self).into_iter().zip(edges(other));
        pairs.all(|(a, b)| (a - b).abs() < EXACT)
    }
}

/// Rectangles that are painted anew; few of them.
#[derive(Debug, Default)]
pub(super) struct Areas(Vec<Area>);

impl Areas {
    /// One more.
    pub(super) fn add(&mut self, area: impl Into<Option<Area>>) {
        let Some(mut area) = area.into() else { return };
        while let Some(index) = self.0.iter().position(|other| other.meets(area)) {
            area = area.union(self.0.swap_remove(index));
        }
        self.0.push(area);
        if self.0.len() > MOST {
            let all = self.0.drain(..).reduce(Area::union);
            self.0.extend(all);
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Area> + '_ {
        self.0.iter().copied()
    }
}

/// A mask as it was painted, and where.
pub(super) struct Placed {
    /// The mask.
    pub(super) drawn: Drawn,
    /// Which mask its layer shows, where it has one.
    pub(super) layer: Option<Arc<MaskRle>>,
    /// Where its fill and outline are, on the stage or beside it.
    pub(super) body: Option<Area>,
    /// Where its tag is, if it has one.
    pub(super) tag: Option<Area>,
}

impl Placed {
    fn looks_like(&self, other: &Self) -> bool {
        let same_layer = match (&self.layer, &other.layer) {
            (Some(own), Some(others)) => Arc::ptr_eq(own, others),
            (None, None) => true,
            _ => false,
        };
        // What is being made is never at rest.
        (same_layer || self.drawn.live)
            && !self.drawn.pending
            && self.drawn.looks_like(&other.drawn)
    }
}

/// Where masks look other than before, on the stage and beside it, while nothing has moved.
pub(super) fn changes<'a>(
    before: &'a [Placed],
    after: &'a [Placed],
) -> impl Iterator<Item = Area> + 'a {
    pairs(before, after)
        .filter(|pair| !is_same(*pair))
        .flat_map(|(old, new)| [old, new])
        .flatten()
        .flat_map(|placed| [placed.body, placed.tag])
        .flatten()
}

type Pair<'a> = (Option<&'a Placed>, Option<&'a Placed>);

// What was and is painted in the same turn.
fn pairs<'a>(before: &'a [Placed], after: &'a [Placed]) -> impl Iterator<Item = Pair<'a>> + 'a {
    let count = before.len().max(after.len());
    (0..count).map(|index| (before.get(index), after.get(index)))
}

fn is_same((old, new): Pair<'_>) -> bool {
    old.zip(new).is_some_and(|(old, new)| new.looks_like(old))
}

/// By how much a painted picture can be moved to be where another viewport has it; none where it
/// must be painted anew. In motion it need not be there exactly.
pub(super) fn scroll(from: Viewport, to: Viewport, ratio: f64, in_motion: bool) -> Option<PointXy> {
    if from.scale != to.scale {
        return None;
    }
    let whole = |by: f64| (by * ratio).round() / ratio;
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let by = (whole(dx), whole(dy));
    let is_exact = [dx - by.0, dy - by.1]
        .iter()
        .all(|off| (off * ratio).abs() < EXACT);
    (is_exact || in_motion).then_some(by)
}

/// What has to be painted anew where a painted picture was moved by `by` on a stage, and its masks
/// are other ones than before.
pub(super) fn damage(before: &[Placed], after: &[Placed], by: PointXy, stage: PointXy) -> Areas {
    let whole = Area::new(0.0, 0.0, stage.0, stage.1);
    let on_stage = |area: Option<Area>| area.filter(|area| area.meets(whole));
    let mut areas = strips(by, stage);
    for (old, new) in pairs(before, after) {
        let is_same = is_same((old, new));
        let (old_tag, new_tag) = (
            old.and_then(|old| old.tag).map(|tag| tag.moved(by)),
            new.and_then(|new| new.tag),
        );
        let is_same_tag = match (old_tag, new_tag) {
            (Some(old), Some(new)) => old.is_near(new),
            (None, None) => true,
            _ => false,
        };
        if !(is_same && is_same_tag) {
            areas.add(on_stage(old_tag));
            areas.add(on_stage(new_tag));
        }
        if !is_same {
            let old_body = old.and_then(|old| old.body).map(|body| body.moved(by));
            areas.add(on_stage(old_body));
            areas.add(on_stage(new.and_then(|new| new.body)));
        }
    }
    areas
}

/// What comes into sight where everything moves.
fn strips((dx, dy): PointXy, (width, height): PointXy) -> Areas {
    let mut areas = Areas::default();
    if dx != 0.0 {
        let left = if dx > 0.0 { 0.0 } else { width + dx };
        areas.0.push(Area::new(left, 0.0, dx.abs(), height));
    }
    if dy != 0.0 {
        let top = if dy > 0.0 { 0.0 } else { height + dy };
        // They meet in a corner, and the one around them would be the whole stage.
        areas.0.push(Area::new(0.0, top, width, dy.abs()));
    }
    areas
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::*;

    const STAGE: PointXy = (200.0, 100.0);

    fn placed(key: &str, mask: &Arc<MaskRle>, left: f64) -> Placed {
        let drawn = Drawn {
            key: key.to_owned(),
            mask: mask.clone(),
            color: "#112233".to_owned(),
            label: None,
            fill: 0.3,
            line: 1.5,
            pending: false,
            spotlight: false,
            shift: (0.0, 0.0),
            live: false,
        };
        Placed {
            drawn,
            layer: Some(mask.clone()),
            body: Some(Area::new(left, 10.0, 20.0, 20.0)),
            tag: Some(Area::new(left, 0.0, 20.0, 8.0)),
        }
    }

    fn mask() -> Arc<MaskRle> {
        Arc::new(Mask::new(3, 3).to_wire())
    }

    fn viewport(scale: f64, x: f64, y: f64) -> Viewport {
        Viewport { scale, x, y }
    }

    #[test]
    fn rectangles_become_whole_pixels_of_the_bitmap() {
        let area = Area::new(0.6, -5.0, 2.0, 6.2);
        assert_eq!(area.pixels(2.0, (100, 100)), Some([1.0, 0.0, 5.0, 3.0]));
        assert_eq!(area.moved((-9.0, 0.0)).pixels(2.0, (100, 100)), None);
        assert_eq!(Area::new(f64::NAN, 0.0, 1.0, 1.0).pixels(1.0, (9, 9)), None);
    }

    #[test]
    fn pixels_of_the_image_lie_where_the_viewport_has_them() {
        let rect = PixelRect {
            x0: 1,
            y0: 2,
            x1: 3,
            y1: 4,
        };
        let area = Area::of_pixels(rect, (1.0, 0.0), viewport(2.0, 10.0, 20.0), 1.0);
        assert_eq!(area, Area::new(13.0, 23.0, 6.0, 6.0));
    }

    #[test]
    fn tags_are_kept_on_the_stage() {
        let kept = |left: f64, top: f64, width: f64| {
            Area::new(left, top, width, 20.0).kept_on(STAGE, 4.0).rect()
        };
        assert_eq!(kept(30.0, 40.0, 50.0), [30.0, 40.0, 50.0, 20.0]);
        assert_eq!(kept(-9.0, -20.0, 50.0), [4.0, 4.0, 50.0, 20.0]);
        assert_eq!(kept(190.0, 95.0, 50.0), [146.0, 76.0, 50.0, 20.0]);
        assert_eq!(kept(10.0, 40.0, 300.0), [4.0, 40.0, 300.0, 20.0]);
    }

    #[test]
    fn rectangles_that_meet_become_one() {
        let mut areas = Areas::default();
        areas.add(Area::new(0.0, 0.0, 5.0, 5.0));
        areas.add(Area::new(20.0, 0.0, 5.0, 5.0));
        assert_eq!(areas.iter().count(), 2);
        areas.add(Area::new(4.0, 0.0, 17.0, 2.0));
        assert_eq!(
            areas.iter().collect::<Vec<_>>(),
            [Area::new(0.0, 0.0, 25.0, 5.0)]
        );
        for index in 0..20u8 {
            areas.add(Area::new(0.0, 50.0 * f64::from(index), 2.0, 2.0));
        }
        assert!(areas.iter().count() <= MOST);
        assert!(
            areas
                .iter()
                .any(|area| area.meets(Area::new(0.0, 950.0, 1.0, 1.0)))
        );
        areas.add(None::<Area>);
    }

    #[test]
    fn only_what_changed_is_painted_anew() {
        let (one, two) = (mask(), mask());
        let before = [placed("a", &one, 0.0), placed("b", &two, 100.0)];
        let same = [placed("a", &one, 0.0), placed("b", &two, 100.0)];
        assert!(damage(&before, &same, (0.0, 0.0), STAGE).is_empty());
        assert_eq!(changes(&before, &same).count(), 0);

        let mut lit = placed("b", &two, 100.0);
        lit.drawn.fill = 0.6;
        let after = [placed("a", &one, 0.0), lit];
        let areas = damage(&before, &after, (0.0, 0.0), STAGE);
        assert!(
            areas
                .iter()
                .all(|area| area.meets(Area::new(110.0, 5.0, 1.0, 20.0)))
        );
        assert!(!areas.is_empty());

        let gone = damage(&before, &before[..1], (0.0, 0.0), STAGE);
        assert!(
            gone.iter()
                .all(|area| !area.meets(Area::new(0.0, 0.0, 90.0, 90.0)))
        );
        assert!(!gone.is_empty());

        let painted_again = [placed("a", &mask(), 0.0), placed("b", &two, 100.0)];
        assert!(!damage(&before, &painted_again, (0.0, 0.0), STAGE).is_empty());
        let mut waiting = placed("b", &two, 100.0);
        waiting.drawn.pending = true;
        let waits = [placed("a", &one, 0.0), waiting];
        assert!(!damage(&waits, &waits, (0.0, 0.0), STAGE).is_empty());
    }

    #[test]
    fn nothing_is_painted_for_masks_beside_the_stage() {
        let beside = |mask: &Arc<MaskRle>| placed("a", mask, -300.0);
        let (before, after) = ([beside(&mask())], [beside(&mask())]);
        assert!(damage(&before, &after, (0.0, 0.0), STAGE).is_empty());
        assert!(damage(&before, &[], (0.0, 0.0), STAGE).is_empty());
        // But tiles that lie there show them.
        let body = Area::new(-300.0, 10.0, 20.0, 20.0);
        let tag = Area::new(-300.0, 0.0, 20.0, 8.0);
        let changed: Vec<Area> = changes(&before, &after).collect();
        assert_eq!(changed, [body, tag, body, tag]);
        assert_eq!(changes(&before, &[]).collect::<Vec<_>>(), [body, tag]);
        assert_eq!(body.scaled(2.0), Area::new(-600.0, 20.0, 40.0, 40.0));
        let comes = [placed("a", &mask(), 30.0)];
        assert!(!damage(&before, &comes, (0.0, 0.0), STAGE).is_empty());
    }

    #[test]
    fn what_two_rectangles_have_in_common() {
        let area = Area::new(0.0, 0.0, 10.0, 6.0);
        let common = area.within(Area::new(4.0, -2.0, 20.0, 5.0));
        assert_eq!(common, Some(Area::new(4.0, 0.0, 6.0, 3.0)));
        assert_eq!(common.map(Area::size), Some(18.0));
        assert_eq!(area.within(Area::new(10.0, 0.0, 4.0, 4.0)), None);
    }

    #[test]
    fn a_picture_that_moves_shows_what_comes_into_sight() {
        let one = mask();
        let before = [placed("a", &one, 50.0)];
        let moved = [placed("a", &one, 53.0)];
        let areas = damage(&before, &moved, (3.0, 0.0), STAGE);
        assert_eq!(
            areas.iter().collect::<Vec<_>>(),
            [Area::new(0.0, 0.0, 3.0, 100.0)]
        );
        let areas = strips((-3.0, -2.0), STAGE);
        assert_eq!(
            areas.iter().collect::<Vec<_>>(),
            [
                Area::new(197.0, 0.0, 3.0, 100.0),
                Area::new(0.0, 98.0, 200.0, 2.0)
            ]
        );
        // A tag that stays at the stage's edge while its mask moves is painted anew.
        let stays = Placed {
            tag: before[0].tag,
            ..placed("a", &one, 53.0)
        };
        let areas = damage(&before, &[stays], (3.0, 0.0), STAGE);
        assert!(
            areas
                .iter()
                .any(|area| area.meets(Area::new(52.0, 1.0, 1.0, 1.0)))
        );
    }

    #[test]
    fn only_whole_pixels_are_scrolled() {
        let from = viewport(1.5, 10.0, 20.0);
        assert_eq!(
            scroll(from, viewport(1.5, 13.0, 18.0), 1.0, false),
            Some((3.0, -2.0))
        );
        assert_eq!(scroll(from, viewport(1.5, 10.4, 20.0), 1.0, false), None);
        assert_eq!(
            scroll(from, viewport(1.5, 10.5, 20.0), 2.0, false),
            Some((0.5, 0.0))
        );
        assert_eq!(
            scroll(from, viewport(1.5, 10.4, 20.0), 1.0, true),
            Some((0.0, 0.0))
        );
        assert_eq!(scroll(from, viewport(1.6, 10.0, 20.0), 1.0, true), None);
    }
}
