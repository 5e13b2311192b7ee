use fclm_core::wire::{MaskRle, Point, RegionMask};

/// How a region is clicked together: what was asked for it, and what came back.
///
/// What a further click adds to is told by the mask that the region has now, so that steps back and
/// forward need not be followed here.
#[derive(Debug, Clone, PartialEq)]
pub struct Clicks {
    /// The region.
    pub id: String,
    asked: Vec<Point>,
    answers: Vec<Answer>,
}

#[derive(Debug, Clone, PartialEq)]
struct Answer {
    points: Vec<Point>,
    /// The model's masks, best first.
    candidates: Vec<RegionMask>,
}

impl Clicks {
    /// Starts with one point.
    pub fn new(id: String, point: Point) -> Self {
        Self {
            id,
            asked: vec![point],
            answers: Vec::new(),
        }
    }

    /// All points of the region with one more. `shown` is the region's mask, none while the model
    /// is still making one; none comes back where that was made by other means since.
    pub fn with(&self, shown: Option<&MaskRle>, point: Point) -> Option<Vec<Point>> {
        let mut points = match shown {
            Some(shown) => self.behind(shown)?.points.clone(),
            None => self.asked.clone(),
        };
        points.push(point);
        Some(points)
    }

    /// The model is asked for the mask of these points.
    pub fn ask(&mut self, points: Vec<Point>) {
        self.asked = points;
    }

    /// Whether no other points have been asked for since these.
    pub fn is_waiting_for(&self, points: &[Point]) -> bool {
        self.asked == points
    }

    /// Keeps the model's masks of what was asked for last.
    pub fn answer(&mut self, candidates: &[RegionMask]) {
        self.answers.push(Answer {
            points: self.asked.clone(),
            candidates: candidates.to_vec(),
        });
    }

    /// The candidate that follows the one that is shown; none where there is no other.
    pub fn candidate_after(&self, shown: &MaskRle) -> Option<&RegionMask> {
        let candidates = &self.behind(shown)?.candidates;
        let at = candidates
            .iter()
            .position(|candidate| candidate.mask == *shown)?;
        let next = candidates.get((at + 1) % candidates.len())?;
        (next.mask != *shown).then_some(next)
    }

    fn behind(&self, shown: &MaskRle) -> Option<&Answer> {
        self.answers.iter().rev().find(|answer| {
            let mut candidates = answer.candidates.iter();
            candidates.any(|candidate| candidate.mask == *shown)
        })
    }
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;
    use fclm_core::wire::PointLabel;

    use super::*;

    fn point(x: f32) -> Point {
        Point {
            x,
            y: 1.0,
            label: PointLabel::Positive,
        }
    }

    fn mask(width: f32) -> RegionMask {
        let box_px = [0.0, 0.0, width, 2.0];
        RegionMask {
            mask: Mask::rect(8, 4, box_px).to_wire(),
            box_px,
            score: 0.5,
        }
    }

    #[test]
    fn a_click_adds_to_the_mask_that_is_shown() {
        let mut clicks = Clicks::new("r".to_owned(), point(1.0));
        assert_eq!(
            clicks.with(None, point(2.0)),
            Some(vec![point(1.0), point(2.0)])
        );
        clicks.answer(&[mask(2.0), mask(3.0)]);
        clicks.ask(vec![point(1.0), point(2.0)]);
        assert!(!clicks.is_waiting_for(&[point(1.0)]));
        assert!(clicks.is_waiting_for(&[point(1.0), point(2.0)]));
        clicks.answer(&[mask(4.0)]);

        let with = |shown: f32| clicks.with(Some(&mask(shown).mask), point(3.0));
        assert_eq!(with(4.0), Some(vec![point(1.0), point(2.0), point(3.0)]));
        // After a step back, and with another candidate.
        assert_eq!(with(2.0), Some(vec![point(1.0), point(3.0)]));
        assert_eq!(with(3.0), Some(vec![point(1.0), point(3.0)]));
        // Painted by hand.
        assert_eq!(with(5.0), None);
    }

    #[test]
    fn candidates_follow_each_other_in_a_ring() {
        let mut clicks = Clicks::new("r".to_owned(), point(1.0));
        clicks.answer(&[mask(2.0), mask(3.0), mask(4.0)]);
        let after = |shown: f32| {
            let next = clicks.candidate_after(&mask(shown).mask);
            next.map(|next| next.box_px[2])
        };
        assert_eq!(
            [2.0, 3.0, 4.0].map(after),
            [Some(3.0), Some(4.0), Some(2.0)]
        );
        assert_eq!(after(5.0), None);

        let mut single = Clicks::new("s".to_owned(), point(1.0));
        single.answer(&[mask(2.0)]);
        assert_eq!(single.candidate_after(&mask(2.0).mask), None);
    }
}
