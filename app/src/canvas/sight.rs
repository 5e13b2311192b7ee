use super::damage::Area;
use super::ground::Extent;
use crate::editor::{PointXy, Viewport};

/// Width and height of a tile, in pixels of the screen: few tiles reach far, and one is painted in
/// a frame.
const SIDE: f64 = 384.0;
/// So many pixels of the screen before something comes into sight it is painted.
const AHEAD: f64 = 128.0;

/// What comes into sight of a picture that was painted for one viewport and is seen through
/// another one. All of it counts in pixels of the screen, from the upper left corner of what is
/// painted.
pub(super) struct Sight {
    /// What is painted.
    stage: Area,
    /// What the stage shows now.
    seen: Area,
    /// Where the picture is.
    picture: Area,
    is_zoomed: bool,
}

impl Sight {
    /// Of a picture of that size, on a stage of that extent.
    pub(super) fn new(
        painted: Viewport,
        now: Viewport,
        image: PointXy,
        (width, height, ratio): Extent,
    ) -> Self {
        let (width, height) = (f64::from(width), f64::from(height));
        let factor = now.scale / painted.scale;
        let first = |painted: f64, now: f64| (painted - now / factor) * ratio;
        let length = |pixels: f64| pixels * painted.scale * ratio;
        Self {
            stage: Area::new(0.0, 0.0, width, height),
            seen: Area::new(
                first(painted.x, now.x),
                first(painted.y, now.y),
                width / factor,
                height / factor,
            ),
            picture: Area::new(
                painted.x * ratio,
                painted.y * ratio,
                length(image.0),
                length(image.1),
            ),
            is_zoomed: now.scale != painted.scale,
        }
    }

    /// Which share of the stage stays empty although the picture is there, 0 to 1, beside what is
    /// painted and tiles.
    pub(super) fn missing(&self, tiles: impl Iterator<Item = Area>) -> f64 {
        let Some(wanted) = self.seen.within(self.picture) else {
            return 0.0;
        };
        let there = |area: Area| area.within(wanted).map_or(0.0, Area::size);
        let covered = there(self.stage) + tiles.map(there).sum::<f64>();
        (wanted.size() - covered).max(0.0) / self.seen.size()
    }

    /// A tile that is missing where the stage is empty; none while the picture is zoomed, because
    /// it is soon painted anew then.
    pub(super) fn next_seen(&self, is_there: impl Fn(Area) -> bool) -> Option<Area> {
        self.next_tile(self.seen, is_there)
    }

    /// A tile that is missing where the picture is going.
    pub(super) fn next_ahead(&self, is_there: impl Fn(Area) -> bool) -> Option<Area> {
        self.next_tile(self.ahead(), is_there)
    }

    /// A tile that is missing around the stage.
    pub(super) fn next_around(&self, is_there: impl Fn(Area) -> bool) -> Option<Area> {
        self.next_tile(self.seen.grown(SIDE), is_there)
    }

    /// Whether a tile is none of those around the stage.
    pub(super) fn is_far(&self, tile: Area) -> bool {
        tile.within(self.stage.grown(SIDE)).is_none()
    }

    fn next_tile(&self, area: Area, is_there: impl Fn(Area) -> bool) -> Option<Area> {
        if self.is_zoomed {
            return None;
        }
        let tiles = self.tiles(area.within(self.picture)?);
        tiles.into_iter().find(|tile| !is_there(*tile))
    }

    // What is seen, and what will be if it goes on as it has gone.
    fn ahead(&self) -> Area {
        let [left, top, width, height] = self.seen.rect();
        let [_, _, stage_width, stage_height] = self.stage.rect();
        let before = |edge: f64| if edge < 0.0 { AHEAD } else { 0.0 };
        let behind = |edge: f64, end: f64| if edge > end { AHEAD } else { 0.0 };
        let (x, y) = (before(left), before(top));
        Area::new(
            left - x,
            top - y,
            width + x + behind(left + width, stage_width),
            height + y + behind(top + height, stage_height),
        )
    }

    // The tiles that an area meets; what is painted lies between them.
    fn tiles(&self, area: Area) -> Vec<Area> {
        let [left, top, width, height] = area.rect();
        let [_, _, stage_width, stage_height] = self.stage.rect();
        let rows = cuts(top, top + height, stage_height);
        let mut tiles = Vec::new();
        for (x0, x1) in cuts(left, left + width, stage_width) {
            for &(y0, y1) in &rows {
                let is_painted = x0 >= 0.0 && x1 <= stage_width && y0 >= 0.0 && y1 <= stage_height;
                if !is_painted {
                    tiles.push(Area::new(x0, y0, x1 - x0, y1 - y0));
                }
            }
        }
        tiles
    }
}

/// Pieces that cover a line from `low` to `high`. One ends at 0 and one at `length`, so that none
/// lies on both sides of what is painted.
fn cuts(low: f64, high: f64, length: f64) -> Vec<(f64, f64)> {
    let mut pieces = Vec::new();
    let mut start = (low.min(0.0) / SIDE).floor() * SIDE;
    while start < high {
        let next = start + SIDE;
        let end = if start < length && next > length {
            length
        } else {
            next
        };
        if end > low {
            pieces.push((start, end));
        }
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    const STAGE: Extent = (400, 300, 1.0);

    fn viewport(scale: f64, x: f64, y: f64) -> Viewport {
        Viewport { scale, x, y }
    }

    #[test]
    fn lines_are_cut_where_the_stage_begins_and_ends() {
        assert_eq!(
            cuts(-10.0, 410.0, 400.0),
            [(-384.0, 0.0), (0.0, 384.0), (384.0, 400.0), (400.0, 784.0)]
        );
        assert_eq!(cuts(600.0, 610.0, 400.0), [(400.0, 784.0)]);
        assert_eq!(cuts(-400.0, -390.0, 400.0), [(-768.0, -384.0)]);
    }

    #[test]
    fn what_comes_into_sight_is_painted_in_tiles() {
        let painted = viewport(1.0, -100.0, -100.0);
        let sight = Sight::new(painted, painted.panned(-40.0, 0.0), (1000.0, 800.0), STAGE);
        assert!((sight.missing(iter::empty()) - 0.1).abs() < 1e-9);
        let mut tiles: Vec<Area> = Vec::new();
        while let Some(tile) = sight.next_seen(|tile| tiles.contains(&tile)) {
            tiles.push(tile);
        }
        assert_eq!(tiles, [Area::new(400.0, 0.0, 384.0, 300.0)]);
        assert!(sight.missing(tiles.into_iter()) < 1e-9);
    }

    #[test]
    fn all_of_it_counts_in_pixels_of_the_screen() {
        // A stage of 200 x 150 CSS pixels, beyond which the picture goes on.
        let extent = (400, 300, 2.0);
        let painted = viewport(1.0, -50.0, -50.0);
        let image = (500.0, 400.0);
        let sight = Sight::new(painted, painted.panned(-20.0, 0.0), image, extent);
        assert!((sight.missing(iter::empty()) - 0.1).abs() < 1e-9);
        let next = sight.next_seen(|_| false);
        assert_eq!(next, Some(Area::new(400.0, 0.0, 384.0, 300.0)));
        // The picture goes on for 15 CSS pixels on the right of the stage.
        let by_its_edge = viewport(1.0, -50.0, 0.0);
        let moved = by_its_edge.panned(-20.0, 0.0);
        let sight = Sight::new(by_its_edge, moved, (265.0, 400.0), extent);
        assert!((sight.missing(iter::empty()) - 0.075).abs() < 1e-9);
    }

    #[test]
    fn tiles_are_painted_before_they_are_seen() {
        let painted = viewport(1.0, -600.0, 0.0);
        let panned = painted.panned(300.0, 0.0);
        let sight = Sight::new(painted, panned, (2000.0, 300.0), STAGE);
        let seen = Area::new(-384.0, 0.0, 384.0, 300.0);
        assert_eq!(sight.next_seen(|_| false), Some(seen));
        assert_eq!(sight.next_seen(|tile| tile == seen), None);
        let next = Area::new(-768.0, 0.0, 384.0, 300.0);
        assert_eq!(sight.next_ahead(|tile| tile == seen), Some(next));
        assert_eq!([seen, next].map(|tile| sight.is_far(tile)), [false, true]);
    }

    #[test]
    fn around_a_picture_that_rests_tiles_lie_on_each_side_where_it_goes_on() {
        // It goes on to the left, and below.
        let painted = viewport(1.0, -500.0, 0.0);
        let sight = Sight::new(painted, painted, (900.0, 800.0), STAGE);
        assert_eq!(sight.next_ahead(|_| false), None);
        let mut tiles: Vec<Area> = Vec::new();
        while let Some(tile) = sight.next_around(|tile| tiles.contains(&tile)) {
            tiles.push(tile);
        }
        assert_eq!(
            tiles,
            [
                Area::new(-384.0, 0.0, 384.0, 300.0),
                Area::new(-384.0, 300.0, 384.0, 384.0),
                Area::new(0.0, 300.0, 384.0, 384.0),
                Area::new(384.0, 300.0, 16.0, 384.0),
            ]
        );
    }

    #[test]
    fn beside_the_picture_nothing_is_missing() {
        let painted = viewport(1.0, 100.0, 100.0);
        let panned = painted.panned(-90.0, 30.0);
        let sight = Sight::new(painted, panned, (100.0, 100.0), STAGE);
        assert_eq!(sight.missing(iter::empty()), 0.0);
        assert_eq!(sight.next_around(|_| false), None);
    }

    #[test]
    fn a_zoom_out_shows_more_than_is_painted() {
        let painted = viewport(2.0, -200.0, -150.0);
        let image = (400.0, 300.0);
        let out = Sight::new(painted, viewport(1.0, 0.0, 0.0), image, STAGE);
        assert!((out.missing(iter::empty()) - 0.75).abs() < 1e-9);
        assert_eq!(out.next_seen(|_| false), None);
        let closer = Sight::new(painted, viewport(4.0, -600.0, -450.0), image, STAGE);
        assert_eq!(closer.missing(iter::empty()), 0.0);
    }
}
