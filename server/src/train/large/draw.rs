//! What is drawn of a picture beside its texts, in pixels of the picture: how its regions are marked,
//! which masks are asked for, and prompts of SAM's own task.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use fclm_core::mask::Mask;

use super::masks::RegionMasks;
use super::recipe::LargeRecipe;
use crate::train::batch::Prompt;
use crate::train::marks::{self, CLICKS};

/// A part of what is drawn. Regions are named by their places in the record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// A described region, in the order of their numbers.
    Region {
        place: usize,
        mask: &'a Mask,
        /// How somebody marks it.
        mark: &'a Mask,
    },
    /// What a `[SEG]` must draw, in the order of the answers.
    Ground {
        targets: &'a [usize],
        mask: &'a Mask,
    },
    /// A further region whose `<pos>` must draw its mask.
    Extra { place: usize, mask: &'a Mask },
    /// A box or a point from which SAM must draw a region.
    Prompt {
        place: usize,
        mask: &'a Mask,
        prompt: Prompt,
        clicks: Option<Clicks>,
    },
}

/// Clicks that go on from a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clicks {
    /// Where they are, with SAM's labels.
    pub(super) places: [([f32; 2], i32); CLICKS],
    /// Whether the mask that the prompt gave is part of the new prompt.
    pub(super) is_from_mask: bool,
}

/// What is done with each part; none ends the drawing.
pub(super) type TakePart<'a> = &'a mut dyn FnMut(Part<'_>) -> Option<()>;

/// What of a picture is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) stage: u8,
    /// The regions that are described.
    pub(super) described: &'a [usize],
    /// What each `[SEG]` means, behind the place in the texts where it is predicted.
    pub(super) grounds: &'a [(usize, Vec<usize>)],
}

/// Draws regions, masks and prompts; none where a mask cannot be read after all, or `take` ends it.
pub(super) fn draw(
    recipe: &LargeRecipe,
    wanted: Wanted<'_>,
    masks: &mut RegionMasks<'_>,
    rng: &mut ChaCha8Rng,
    take: TakePart<'_>,
) -> Option<()> {
    for &place in wanted.described {
        let mask = masks.union(&[place]).ok()?;
        let mark = match mask.bounds() {
            Some(bounds) if rng.random_bool(recipe.careless_chance) => {
                marks::careless_mark(&mask, bounds, rng)
            }
            _ => mask.clone(),
        };
        take(Part::Region {
            place,
            mask: &mask,
            mark: &mark,
        })?;
    }
    for (_, targets) in wanted.grounds {
        let mask = masks.union(targets).ok()?;
        take(Part::Ground {
            targets,
            mask: &mask,
        })?;
    }
    match wanted.stage {
        1 => draw_more(recipe, wanted.described, masks, rng, take),
        _ => Some(()),
    }
}

/// Further regions for `<pos>`, and prompts of SAM's own task.
fn draw_more(
    recipe: &LargeRecipe,
    described: &[usize],
    masks: &mut RegionMasks<'_>,
    rng: &mut ChaCha8Rng,
    take: TakePart<'_>,
) -> Option<()> {
    let mut order: Vec<usize> = (0..masks.count()).collect();
    order.shuffle(rng);
    let (mut extra, mut prompts, mut refinements) = (0, 0, 0);
    for place in order {
        if extra < recipe.extra_reconstructions
            && !described.contains(&place)
            && masks.can_be_drawn(&[place])
            && let Ok(mask) = masks.union(&[place])
        {
            take(Part::Extra { place, mask: &mask })?;
            extra += 1;
        }
        if prompts < recipe.prompts
            && masks.can_be_drawn(&[place])
            && let Ok(mask) = masks.union(&[place])
            && let Some(bounds) = mask.bounds()
            && let Some(prompt) = prompt(&mask, bounds, prompts, rng)
        {
            let clicks = match refinements < recipe.refinements {
                true => clicks(&mask, bounds, rng),
                false => None,
            };
            refinements += usize::from(clicks.is_some());
            prompts += 1;
            take(Part::Prompt {
                place,
                mask: &mask,
                prompt,
                clicks,
            })?;
        }
        if extra >= recipe.extra_reconstructions && prompts >= recipe.prompts {
            break;
        }
    }
    Some(())
}

/// A box with moved corners or a point on the mask, by turns.
fn prompt(mask: &Mask, bounds: [f32; 4], number: usize, rng: &mut ChaCha8Rng) -> Option<Prompt> {
    match number.is_multiple_of(2) {
        true => Some(Prompt::Box(marks::moved_box(mask, bounds, rng))),
        false => marks::place_in(mask, bounds, rng).map(Prompt::Point),
    }
}

fn clicks(mask: &Mask, bounds: [f32; 4], rng: &mut ChaCha8Rng) -> Option<Clicks> {
    Some(Clicks {
        places: marks::clicks(mask, bounds, rng)?,
        is_from_mask: rng.random_bool(marks::PREVIOUS_MASK),
    })
}
