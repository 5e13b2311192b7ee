use super::damage::Area;
use crate::editor::PointXy;

/// So far a tag is from its mask and from the stage's edges.
pub(super) const TAG_MARGIN: f64 = 4.0;
/// So far a tag that has made room is from what it made room for.
const GAP: f64 = 2.0;
const WAYS: [Way; 4] = [Way::Down, Way::Up, Way::Right, Way::Left];

#[derive(Clone, Copy)]
enum Way {
    Down,
    Up,
    Right,
    Left,
}

/// Where tags are on the stage, none over another one or over the tools.
#[derive(Default)]
pub(super) struct Tags {
    stage: PointXy,
    tools: Vec<Area>,
    // Where tags would be and where they are, in the order in which they are laid: most events
    // change none of them.
    wanted: Vec<Area>,
    laid: Vec<Area>,
    count: usize,
}

impl Tags {
    /// Starts with the first tag again, on a stage of which tools take parts.
    pub(super) fn start(&mut self, stage: PointXy, tools: &[Area]) {
        if self.stage != stage || self.tools != tools {
            self.stage = stage;
            self.tools = tools.to_vec();
            self.forget_from(0);
        }
        self.count = 0;
    }

    /// The free place that is nearest to where a tag would be, straight up, down or to a side;
    /// where there is none, the tag stays.
    pub(super) fn lay(&mut self, tag: Area) -> Area {
        let index = self.count;
        self.count += 1;
        if self.wanted.get(index) == Some(&tag) {
            return self.laid[index];
        }
        self.forget_from(index);
        let wanted = tag.kept_on(self.stage, TAG_MARGIN);
        let place = if self.in_the_way(wanted).is_none() {
            wanted
        } else {
            let free = WAYS.into_iter().filter_map(|way| self.free(wanted, way));
            let nearest = free.min_by(|a, b| distance(wanted, *a).total_cmp(&distance(wanted, *b)));
            nearest.unwrap_or(wanted)
        };
        self.wanted.push(tag);
        self.laid.push(place);
        place
    }

    fn forget_from(&mut self, index: usize) {
        self.wanted.truncate(index);
        self.laid.truncate(index);
    }

    fn in_the_way(&self, tag: Area) -> Option<Area> {
        let mut taken = self.tools.iter().chain(&self.laid).copied();
        taken.find(|other| other.within(tag).is_some())
    }

    fn free(&self, mut tag: Area, way: Way) -> Option<Area> {
        while let Some(other) = self.in_the_way(tag) {
            tag = tag.moved(beyond(tag, other, way));
            if !tag.kept_on(self.stage, TAG_MARGIN).is_near(tag) {
                return None;
            }
        }
        Some(tag)
    }
}

fn beyond(tag: Area, other: Area, way: Way) -> PointXy {
    let ([left, top, width, height], [x, y, w, h]) = (tag.rect(), other.rect());
    match way {
        Way::Down => (0.0, y + h + GAP - top),
        Way::Up => (0.0, y - GAP - (top + height)),
        Way::Right => (x + w + GAP - left, 0.0),
        Way::Left => (x - GAP - (left + width), 0.0),
    }
}

fn distance(from: Area, to: Area) -> f64 {
    let ([left, top, ..], [x, y, ..]) = (from.rect(), to.rect());
    (x - left).abs() + (y - top).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: PointXy = (200.0, 100.0);

    fn tag(left: f64, top: f64) -> Area {
        Area::new(left, top, 30.0, 20.0)
    }

    fn started(stage: PointXy, tools: &[Area]) -> Tags {
        let mut tags = Tags::default();
        tags.start(stage, tools);
        tags
    }

    #[test]
    fn a_tag_makes_room_for_those_before_it() {
        let mut tags = started(STAGE, &[]);
        assert_eq!(tags.lay(tag(50.0, 40.0)), tag(50.0, 40.0));
        // The nearest place is below, then above, then at a side.
        assert_eq!(tags.lay(tag(50.0, 42.0)), tag(50.0, 62.0));
        assert_eq!(tags.lay(tag(50.0, 40.0)), tag(50.0, 18.0));
        assert_eq!(tags.lay(tag(50.0, 40.0)), tag(82.0, 40.0));
        // Where it meets none it stays.
        assert_eq!(tags.lay(tag(120.0, 40.0)), tag(120.0, 40.0));
    }

    #[test]
    fn tags_behind_one_that_has_changed_are_laid_anew() {
        let mut tags = Tags::default();
        let mut lay = |tools: &[Area], first: Area| {
            tags.start(STAGE, tools);
            [first, tag(50.0, 40.0), tag(50.0, 42.0)].map(|tag| tags.lay(tag))
        };
        let apart = [tag(150.0, 40.0), tag(50.0, 40.0), tag(50.0, 62.0)];
        assert_eq!(lay(&[], tag(150.0, 40.0)), apart);
        assert_eq!(lay(&[], tag(150.0, 40.0)), apart);
        let below = [tag(50.0, 62.0), tag(50.0, 40.0), tag(50.0, 18.0)];
        assert_eq!(lay(&[], tag(50.0, 62.0)), below);
        assert_eq!(lay(&[], tag(150.0, 40.0)), apart);
        let tool = [Area::new(0.0, 62.0, 200.0, 38.0)];
        let above = [tag(150.0, 40.0), tag(50.0, 40.0), tag(50.0, 18.0)];
        assert_eq!(lay(&tool, tag(150.0, 40.0)), above);
    }

    #[test]
    fn a_tag_at_the_edge_of_the_stage_makes_room_along_it() {
        let mut tags = started((812.0, 600.0), &[]);
        // At the edge its left side is 3.9999999999999996.
        let at_edge = Area::new(-0.35, 200.3, 26.7, 20.0);
        let laid = [tags.lay(at_edge), tags.lay(at_edge)];
        assert!(laid[0].is_near(Area::new(4.0, 200.3, 26.7, 20.0)));
        assert!(laid[1].is_near(Area::new(4.0, 222.3, 26.7, 20.0)));
    }

    #[test]
    fn no_tag_lies_under_the_tools() {
        let tools = [Area::new(0.0, 0.0, 40.0, 100.0)];
        let mut tags = started(STAGE, &tools);
        assert_eq!(tags.lay(tag(-5.0, 30.0)), tag(42.0, 30.0));
        assert_eq!(tags.lay(tag(20.0, 30.0)), tag(74.0, 30.0));
        assert_eq!(tags.lay(tag(45.0, 4.0)), tag(45.0, 4.0));
    }

    #[test]
    fn tags_in_one_place_spread_as_far_as_the_stage_reaches() {
        let mut tags = started((800.0, 600.0), &[]);
        let laid: Vec<Area> = (0..100).map(|_| tags.lay(tag(300.0, 200.0))).collect();
        let meets = |(index, tag): (usize, &Area)| {
            let mut before = laid[..index].iter();
            before.any(|other| other.within(*tag).is_some())
        };
        let covered = laid.iter().enumerate().filter(|one| meets(*one)).count();
        // Beside the first there is room for 8 above, 17 below, 9 on the left and 14 on the right.
        assert_eq!(covered, 100 - 49, "{covered} tags lie over others");
        let mut crowded = started((38.0, 28.0), &[]);
        assert_eq!(crowded.lay(tag(4.0, 4.0)), crowded.lay(tag(4.0, 4.0)));
    }
}
