//! Which runs there are, and what they share.

use fclm_core::fclm::Stage2Tuning;

use super::error::AblateError;
use super::table::TABLES;
use super::variant::{VARIANTS, Variant};
use crate::train::Recipe;

/// One run: a variant at a seed.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// What is changed.
    pub variant: Variant,
    /// The seed, from 1.
    pub seed: u64,
    /// The name of its stage 1, which other runs may have too.
    pub stage_1: String,
    /// What is trained before stage 2.
    pub stage_1_recipe: Recipe,
    /// What is trained in all.
    pub recipe: Recipe,
}

impl PlannedRun {
    /// The name of its folder.
    pub fn name(&self) -> String {
        named(self.variant, self.seed)
    }
}

/// The runs of some variants: every variant at one seed before the next seed, so that a plan that is
/// cut off has compared all of them.
pub fn plan(base: &Recipe, variants: &[Variant], seeds: u64) -> Vec<PlannedRun> {
    let runs = (1..=seeds).flat_map(|seed| variants.iter().map(move |variant| (seed, *variant)));
    runs.map(|(seed, variant)| {
        let recipe = variant.recipe(base, seed);
        let stage_1_recipe = before_stage_2(&recipe);
        // Named after the first of all variants that has it, whichever of them are asked for.
        let first = VARIANTS
            .into_iter()
            .find(|other| before_stage_2(&other.recipe(base, seed)) == stage_1_recipe);
        PlannedRun {
            stage_1: named(first.unwrap_or(variant), seed),
            stage_1_recipe,
            variant,
            seed,
            recipe,
        }
    })
    .collect()
}

/// The variants of some names, each of a variant or of a table; all where there is no name.
///
/// # Errors
/// Where a name is neither.
pub fn select(names: &[String]) -> Result<Vec<Variant>, AblateError> {
    if names.is_empty() {
        return Ok(VARIANTS.to_vec());
    }
    let mut wanted: Vec<&str> = Vec::new();
    for name in names {
        if let Some(variant) = Variant::named(name) {
            wanted.push(variant.name);
            continue;
        }
        let table = TABLES.iter().find(|table| table.name == name);
        let table = table.ok_or_else(|| AblateError::Unknown(name.clone()))?;
        wanted.extend(table.rows.iter().map(|row| row.variant));
    }
    let is_wanted = |variant: &Variant| wanted.contains(&variant.name);
    Ok(VARIANTS.into_iter().filter(is_wanted).collect())
}

/// A recipe that ends with stage 1. What only stage 2 looks at is the same in all of them.
fn before_stage_2(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.stage_2.schedule.steps = 0;
    recipe.stage_2.latent_weight = 0.0;
    recipe.consistency.stage2 = Stage2Tuning::default();
    if recipe.stage_1.latent_weight == 0.0 {
        recipe.consistency.latent = None;
    }
    recipe
}

fn named(variant: Variant, seed: u64) -> String {
    format!("{}-{seed}", variant.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn base() -> Recipe {
        Recipe::named("micro").unwrap()
    }

    #[test]
    fn runs_that_differ_in_stage_2_alone_share_stage_1() {
        let runs = plan(&base(), &VARIANTS, 1);
        let mut by_stage_1: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for run in &runs {
            let shared = by_stage_1.entry(&run.stage_1).or_default();
            shared.push(run.variant.name);
        }
        assert_eq!(
            by_stage_1["paper-1"],
            [
                "paper",
                "latent-none",
                "latent-kl",
                "latent-mse",
                "tune-all"
            ]
        );
        assert_eq!(by_stage_1.len(), 8);
        for (name, variants) in &by_stage_1 {
            assert!(variants.len() == 1 || *name == "paper-1", "{variants:?}");
        }
    }

    #[test]
    fn stage_1_ends_where_stage_2_begins() {
        for run in plan(&base(), &VARIANTS, 2) {
            let (before, whole) = (&run.stage_1_recipe, &run.recipe);
            assert_eq!(before.tower, whole.tower);
            assert_eq!(before.stage_1, whole.stage_1);
            assert_eq!(before.model, whole.model);
            assert_eq!(before.seed, whole.seed);
            assert_eq!(
                before.total_steps() + whole.stage_2.schedule.steps,
                whole.total_steps()
            );
        }
    }

    #[test]
    fn a_latent_loss_in_stage_1_is_not_shared_by_other_latent_losses() {
        let mut base = base();
        base.stage_1.latent_weight = 0.5;
        let runs = plan(&base, &select(&["latent".to_owned()]).unwrap(), 1);
        let stages: Vec<&str> = runs.iter().map(|run| run.stage_1.as_str()).collect();
        assert_eq!(
            stages,
            ["paper-1", "latent-none-1", "latent-kl-1", "latent-mse-1"]
        );
    }

    #[test]
    fn seeds_come_one_after_the_other_whatever_is_asked_for() {
        let some = select(&["tuning".to_owned(), "latent-kl".to_owned()]).unwrap();
        let names: Vec<String> = plan(&base(), &some, 2)
            .iter()
            .map(PlannedRun::name)
            .collect();
        assert_eq!(
            names,
            [
                "paper-1",
                "latent-kl-1",
                "tune-all-1",
                "paper-2",
                "latent-kl-2",
                "tune-all-2"
            ]
        );
        let only = plan(&base(), &select(&["latent-kl".to_owned()]).unwrap(), 1);
        assert_eq!(only[0].stage_1, "paper-1");
    }

    #[test]
    fn names_that_are_unknown_are_refused() {
        assert_eq!(select(&[]).unwrap().len(), VARIANTS.len());
        let error = select(&["latnet".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("latnet") && error.contains("extractor"),
            "{error}"
        );
    }
}
