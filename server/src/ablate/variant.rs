//! What is changed: one thing of the paper's choices at a time.

use fclm_core::fclm::{SelfReconstruction, Stage2Tuning};
use fclm_core::loss::LatentKind;
use fclm_core::region::ExtractorSteps;

use crate::train::Recipe;

/// The name of the variant that changes nothing.
pub const PAPER: &str = "paper";

/// A recipe that differs in one thing from the paper's choices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variant {
    /// The name that the command line, the folders and the results use.
    pub name: &'static str,
    change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    /// How many of the extractor's steps are on, from the first.
    Steps(usize),
    SelfReconstruction(SelfReconstruction),
    Latent(Option<LatentKind>),
    Tuning(Stage2Tuning),
    NoConsistency,
}

const fn variant(name: &'static str, change: Change) -> Variant {
    Variant { name, change }
}

/// Every variant; the paper's choices first.
pub const VARIANTS: [Variant; 12] = [
    variant(PAPER, Change::Nothing),
    variant("no-consistency", Change::NoConsistency),
    variant("latent-none", Change::Latent(None)),
    variant("latent-kl", Change::Latent(Some(LatentKind::Kl))),
    variant("latent-mse", Change::Latent(Some(LatentKind::Mse))),
    variant("tune-all", Change::Tuning(Stage2Tuning::All)),
    variant(
        "reconstruct-mask",
        Change::SelfReconstruction(SelfReconstruction::Mask),
    ),
    variant(
        "reconstruct-both",
        Change::SelfReconstruction(SelfReconstruction::Both),
    ),
    variant(
        "reconstruct-none",
        Change::SelfReconstruction(SelfReconstruction::None),
    ),
    variant("steps-0", Change::Steps(0)),
    variant("steps-1", Change::Steps(1)),
    variant("steps-2", Change::Steps(2)),
];

impl Variant {
    /// The variant of a name.
    pub fn named(name: &str) -> Option<Self> {
        VARIANTS.into_iter().find(|variant| variant.name == name)
    }

    /// What a recipe becomes. Seeds count from 1; the first is the recipe's own.
    pub fn recipe(&self, base: &Recipe, seed: u64) -> Recipe {
        let mut recipe = base.clone();
        recipe.seed = base.seed.wrapping_add(seed.saturating_sub(1));
        match self.change {
            Change::Nothing => {}
            Change::Steps(on) => {
                recipe.model.region.steps = ExtractorSteps {
                    local: on > 0,
                    pixel: on > 1,
                    semantic: on > 2,
                };
            }
            Change::SelfReconstruction(used) => recipe.consistency.self_reconstruction = used,
            Change::Latent(kind) => set_latent(&mut recipe, kind),
            Change::Tuning(tuned) => recipe.consistency.stage2 = tuned,
            Change::NoConsistency => {
                set_latent(&mut recipe, None);
                draw_prompts_instead(&mut recipe);
            }
        }
        recipe
    }
}

fn set_latent(recipe: &mut Recipe, kind: Option<LatentKind>) {
    recipe.consistency.latent = kind;
    if kind.is_none() {
        recipe.stage_1.latent_weight = 0.0;
        recipe.stage_2.latent_weight = 0.0;
    }
}

/// Equal compute without self-reconstruction: for every mask that `<pos>` would have drawn back, one
/// more is drawn from a box or a point, as SAM's own task has it. So steps, scenes, questions and
/// masks that the decoder draws are as many as with it.
fn draw_prompts_instead(recipe: &mut Recipe) {
    if recipe.consistency.self_reconstruction == SelfReconstruction::None {
        return;
    }
    recipe.consistency.self_reconstruction = SelfReconstruction::None;
    let mix = &mut recipe.stage_1.mix;
    mix.prompts += mix.regions + mix.extra_reconstructions;
    if let Some(opening) = &mut recipe.stage_1.opening {
        let mix = &mut opening.mix;
        mix.prompts += mix.regions + mix.extra_reconstructions;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Recipe {
        Recipe::named("micro").unwrap()
    }

    fn changed(name: &str) -> Recipe {
        Variant::named(name).unwrap().recipe(&base(), 1)
    }

    #[test]
    fn the_paper_s_choices_are_the_recipe_itself() {
        assert_eq!(changed(PAPER), base());
        let third = Variant::named(PAPER).unwrap().recipe(&base(), 3);
        assert_eq!(third.seed, base().seed + 2);
    }

    #[test]
    fn every_variant_has_a_name_and_a_recipe_of_its_own() {
        for (place, one) in VARIANTS.iter().enumerate() {
            for other in &VARIANTS[..place] {
                assert_ne!(one.name, other.name);
                let recipes = [one, other].map(|variant| variant.recipe(&base(), 1));
                assert_ne!(recipes[0], recipes[1], "{} and {}", one.name, other.name);
            }
        }
        assert_eq!(Variant::named("latent-huber"), None);
    }

    #[test]
    fn the_extractor_s_steps_are_switched_on_in_order() {
        let on = |name: &str| {
            let steps = changed(name).model.region.steps;
            [steps.local, steps.pixel, steps.semantic]
        };
        assert_eq!(on("steps-0"), [false, false, false]);
        assert_eq!(on("steps-1"), [true, false, false]);
        assert_eq!(on("steps-2"), [true, true, false]);
        assert_eq!(on(PAPER), [true, true, true]);
    }

    /// Two regions are drawn back of each scene of stage 1, three at its beginning.
    #[test]
    fn without_consistency_as_many_masks_are_drawn() {
        let (with, without) = (base(), changed("no-consistency"));
        assert_eq!(without.stage_2.latent_weight, 0.0);
        assert_eq!(without.consistency.latent, None);
        assert_eq!(
            without.consistency.self_reconstruction,
            SelfReconstruction::None
        );
        assert_eq!(without.stage_1.mix.prompts, with.stage_1.mix.prompts + 2);
        let prompts = |recipe: &Recipe| recipe.stage_1.opening.as_ref().unwrap().mix.prompts;
        assert_eq!(prompts(&without), prompts(&with) + 3);
        // Stage 2 draws nothing back in the first place.
        assert_eq!(without.stage_2.mix, with.stage_2.mix);
        assert_eq!(without.total_steps(), with.total_steps());
    }

    #[test]
    fn recipes_stay_valid() {
        for variant in VARIANTS {
            let recipe = variant.recipe(&base(), 2);
            if let Err(error) = recipe.validate() {
                panic!("{}: {error}", variant.name);
            }
        }
    }
}
