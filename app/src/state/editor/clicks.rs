use fclm_core::wire::{
    BoxPx, ImageInfo, MaskPrompt, MaskRle, MaskSource, PictureView, Point, PointLabel, RegionMask,
    SegmentRequest, SegmentResponse,
};
use leptos::prelude::*;

use super::Editor;
use crate::client::{self, Failure};
use crate::editor::{Clicks, PointXy, RegionState, dragged_box};

/// Pixels of the largest picture on which the pointer's mask is shown.
const PREVIEWED: u64 = 4_000_000;

/// Boxes and clicks, of which the model makes masks.
impl Editor {
    /// A box was drawn: it is a region at once, and gets the model's mask when that is there.
    pub(crate) fn add_box(self, px: BoxPx) {
        if let Some(id) = self.add_rectangle(px) {
            self.segment(
                id,
                SegmentRequest {
                    box_px: Some(px),
                    points: Vec::new(),
                },
            );
        }
    }

    /// The picture was clicked: the model is asked what is there.
    pub(crate) fn add_click(self, at: PointXy) {
        let (x, y) = at;
        let Some((width, height)) = self.size() else {
            return;
        };
        let image = (f64::from(width), f64::from(height));
        let reach = image.0.max(image.1) / 60.0;
        let around = dragged_box((x - reach, y - reach), (x + reach, y + reach), image);
        if let Some(id) = around.and_then(|px| self.add_rectangle(px)) {
            let point = point(at, false);
            self.clicks.set_value(Some(Clicks::new(id.clone(), point)));
            self.segment(
                id,
                SegmentRequest {
                    box_px: None,
                    points: vec![point],
                },
            );
        }
    }

    /// The picture was clicked with the click tool: the region that is being clicked together gets
    /// another point, or a new one begins. What is taken away is taken from a region.
    pub(crate) fn add_point(self, at: PointXy, minus: bool) {
        match self.refined(point(at, minus)) {
            Some((id, _)) if self.refuses(&id) => {}
            Some((id, points)) => {
                self.clicks.update_value(|clicks| {
                    if let Some(clicks) = clicks {
                        clicks.ask(points.clone());
                    }
                });
                let box_px = None;
                self.segment(id, SegmentRequest { box_px, points });
            }
            None if minus => self.notices.info(
                "Nothing to take away from",
                "Click on something first, then beside it.",
            ),
            None => self.add_click(at),
        }
    }

    /// The mask that a click with the click tool would give, where this device makes masks; large
    /// pictures have none, because drawing it would take longer than a frame.
    pub(crate) async fn preview(self, at: PointXy) -> Option<MaskRle> {
        let (image, prompt) = self.previewed(at)?;
        if u64::from(image.width) * u64::from(image.height) > PREVIEWED {
            return None;
        }
        let masks = self.extractor.segment(&image.url, prompt).await?;
        masks.into_iter().next().map(|best| best.mask)
    }

    /// Has that mask drawn by the worker that makes it, where the picture lies on its canvas, and
    /// tells whether it is. The worker draws it in no time, however large the picture is.
    pub(crate) async fn draw_preview(self, at: PointXy, view: PictureView) -> bool {
        match self.previewed(at) {
            Some((image, prompt)) => self.extractor.draw(&image.url, prompt, view).await,
            None => false,
        }
    }

    // The picture, and what a click would ask about it.
    fn previewed(self, at: PointXy) -> Option<(ImageInfo, MaskPrompt)> {
        let image = self.image.get_untracked()?;
        let minus = self.minus.get_untracked();
        let point = point(at, minus);
        let points = match self.refined(point) {
            Some((_, points)) => points,
            None if minus => return None,
            None => vec![point],
        };
        let prompt = MaskPrompt {
            points,
            ..MaskPrompt::default()
        };
        Some((image, prompt))
    }

    // The region that the next click goes on with, and all its points then.
    fn refined(self, point: Point) -> Option<(String, Vec<Point>)> {
        let id = self.selected.get_untracked()?;
        let mask = self
            .document
            .with_untracked(|document| document.get(&id).map(|region| region.mask.clone()))?;
        let is_pending = self.pending.with_untracked(|pending| pending.contains(&id));
        let points = self.clicks.with_value(|clicks| {
            let clicks = clicks.as_ref().filter(|clicks| clicks.id == id)?;
            clicks.with((!is_pending).then_some(&*mask), point)
        })?;
        Some((id, points))
    }

    /// Shows the next of the model's masks for the region that was clicked last; false where there
    /// is no other.
    pub(crate) fn next_candidate(self) -> bool {
        let Some(id) = self.selected.get_untracked() else {
            return false;
        };
        let next = self.document.with_untracked(|document| {
            let shown = &document.get(&id)?.mask;
            self.clicks.with_value(|clicks| {
                let clicks = clicks.as_ref().filter(|clicks| clicks.id == id)?;
                clicks.candidate_after(shown).cloned()
            })
        });
        let Some(mask) = next else { return false };
        if !self.refuses(&id) {
            self.change(|document| {
                if let Some(region) = document.get_mut(&id) {
                    region.refine(&mask);
                    region.box_px = Some(mask.box_px);
                }
            });
        }
        true
    }

    pub(super) fn segment(self, id: String, request: SegmentRequest) {
        let Some(image) = self.image.get_untracked() else {
            return;
        };
        let Some(drawn) = self.document.with_untracked(|d| d.get(&id).cloned()) else {
            return;
        };
        self.pending.update(|pending| {
            pending.insert(id.clone());
        });
        self.tasks.spawn(async move {
            let answer = self.masks(&image, &request).await;
            if self.is_overtaken(&id, &request.points) {
                // The region waits for the answer to a later click.
                return;
            }
            self.pending.update(|pending| {
                pending.remove(&id);
            });
            match answer {
                Ok(answer) => {
                    let Some(best) = answer.masks.first() else {
                        return;
                    };
                    self.clicks.update_value(|clicks| {
                        if let Some(clicks) = clicks
                            && clicks.id == id
                            && clicks.is_waiting_for(&request.points)
                        {
                            clicks.answer(&answer.masks);
                        }
                    });
                    if self.take_mask(&drawn, best, &request) {
                        // The next question is likely to be about it.
                        self.extractor.vector(&image.url, &best.mask).await;
                    }
                }
                // A picture goes with its last chat, as saving the region finds out.
                Err(failure) if failure.is_gone() => {}
                Err(failure) => self.notices.fail(&failure),
            }
        });
    }

    // Whether other points have been asked for since these.
    fn is_overtaken(self, id: &str, points: &[Point]) -> bool {
        self.clicks.with_value(|clicks| {
            let clicks = clicks.as_ref().filter(|clicks| clicks.id == id);
            !points.is_empty() && clicks.is_some_and(|clicks| !clicks.is_waiting_for(points))
        })
    }

    // Gives a region the model's mask; false where it is not as it was `drawn` any more. Another
    // point is a step of its own; a first mask belongs to the step that made its region.
    fn take_mask(self, drawn: &RegionState, best: &RegionMask, request: &SegmentRequest) -> bool {
        let from_click = request.box_px.is_none();
        let refine = |region: &mut RegionState| {
            region.refine(best);
            if from_click {
                region.box_px = Some(best.box_px);
            }
        };
        if request.points.len() <= 1 {
            return self.travel(|history| history.amend(drawn, refine));
        }
        self.change(|document| {
            // What was painted while the model worked stays.
            document
                .get_mut(&drawn.id)
                .filter(|region| region.source != MaskSource::Brush)
                .into_iter()
                .for_each(refine);
        });
        true
    }

    /// Masks from this device, or else from the server.
    async fn masks(
        self,
        image: &ImageInfo,
        request: &SegmentRequest,
    ) -> Result<SegmentResponse, Failure> {
        let prompt = MaskPrompt {
            points: request.points.clone(),
            box_px: request.box_px,
            mask: None,
        };
        if let Some(masks) = self.extractor.segment(&image.url, prompt).await {
            return Ok(SegmentResponse { masks });
        }
        let path = format!("/api/v1/images/{}/segment", image.id);
        client::post(&path, request).await
    }
}

fn point((x, y): PointXy, minus: bool) -> Point {
    Point {
        x: x as f32,
        y: y as f32,
        label: match minus {
            true => PointLabel::Negative,
            false => PointLabel::Positive,
        },
    }
}
