//! What each step of a run trains: the phases, which parameters they train, and the stage reached.

use fclm_core::fclm::Stage2Tuning;
use fclm_core::wire::Stage;

use super::parameters::ParameterTable;
use super::recipe::{MixRecipe, Recipe, Schedule, StageRecipe};
use super::step::{LossRecipe, TrainStage};

/// What is trained in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Phase {
    /// Before stage 1, the vision tower by itself.
    Tower {
        /// How many of the scenes are seen whole.
        whole: usize,
        /// Objects of each scene that are seen from near.
        crops: usize,
    },
    /// Before stage 1, the heads of training by themselves, with what stage 1 is taught.
    Heads { mix: MixRecipe, losses: LossRecipe },
    /// A stage of the paper's.
    Stage {
        stage: TrainStage,
        mix: MixRecipe,
        losses: LossRecipe,
    },
}

impl Phase {
    /// The stage's number in the log; 0 before stage 1.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Tower { .. } | Self::Heads { .. } => 0,
            Self::Stage { stage, .. } => match stage {
                TrainStage::One => 1,
                TrainStage::Two => 2,
            },
        }
    }
}

/// What a step trains, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PhaseStep {
    pub(super) phase: Phase,
    pub(super) schedule: Schedule,
    /// The step's number in its schedule.
    pub(super) step: u64,
    /// Scenes of one worker.
    pub(super) scenes: usize,
}

/// What step `step` of a run trains, and how.
pub(super) fn phase_at(recipe: &Recipe, step: u64) -> PhaseStep {
    let (towers, before) = (recipe.tower_steps(), recipe.steps_before_stage_1());
    let taught = |stage_recipe: &StageRecipe, step| {
        let (&mix, attribute_weight) = stage_recipe.at(step);
        let losses = LossRecipe {
            consistency: recipe.consistency,
            score_weight: recipe.score_weight,
            ce_weight: recipe.ce_weight,
            attribute_weight,
            latent_weight: stage_recipe.latent_weight,
            grounding_weight: stage_recipe.grounding_weight,
        };
        (mix, losses)
    };
    let of_stage = |stage, stage_recipe: &StageRecipe, step| {
        let (mix, losses) = taught(stage_recipe, step);
        PhaseStep {
            phase: Phase::Stage { stage, mix, losses },
            schedule: stage_recipe.schedule,
            step,
            scenes: recipe.batch.scenes,
        }
    };
    let first = recipe.stage_1.schedule.steps;
    match recipe.tower {
        Some(tower) if step < towers => PhaseStep {
            phase: Phase::Tower {
                whole: tower.whole,
                crops: tower.crops,
            },
            schedule: tower.schedule,
            step,
            scenes: tower.scenes,
        },
        _ if step < before => {
            let (mix, losses) = taught(&recipe.stage_1, 0);
            PhaseStep {
                phase: Phase::Heads { mix, losses },
                schedule: recipe.heads.unwrap_or(recipe.stage_1.schedule),
                step: step - towers,
                scenes: recipe.batch.scenes,
            }
        }
        _ if step < before + first => of_stage(TrainStage::One, &recipe.stage_1, step - before),
        _ => of_stage(TrainStage::Two, &recipe.stage_2, step - before - first),
    }
}

/// The stage that a model is at after `step` steps of a run, `None` where stage 1 has not begun.
pub(super) fn stage_after(recipe: &Recipe, step: u64) -> Option<Stage> {
    let before = recipe.steps_before_stage_1();
    match step {
        _ if step <= before => None,
        _ if step <= before + recipe.stage_1.schedule.steps => Some(Stage::One),
        _ => Some(Stage::Two),
    }
}

/// Each parameter's share of the learning rate, 0 where a phase does not train it: the vision tower
/// and its heads before stage 1, then where the recipe says so all heads, everything in stage 1, the LLM's blocks in stage 2. SAM's position
/// table is random by design and never trained.
pub(super) fn shares(table: &ParameterTable, recipe: &Recipe, phase: Phase) -> Vec<f64> {
    table
        .parameters
        .iter()
        .map(|parameter| {
            // The heads of training have none of these names.
            let path = parameter.path.strip_prefix("model.").unwrap_or_default();
            let is_table = path.ends_with("positional_encoding_gaussian_matrix");
            let is_of_phase = match phase {
                Phase::Tower { .. } => {
                    let heads = ["heads.vision.", "heads.local_mask."];
                    path.starts_with("qwen.visual.")
                        || heads.iter().any(|head| parameter.path.starts_with(head))
                }
                Phase::Heads { .. } => parameter.path.starts_with("heads."),
                Phase::Stage { stage, .. } => match (stage, recipe.consistency.stage2) {
                    (TrainStage::Two, Stage2Tuning::Llm) => path.starts_with("qwen.model.layers."),
                    _ => true,
                },
            };
            let is_trained = !is_table && is_of_phase;
            let is_slow = path.starts_with("region.") && !path.starts_with("region.position.");
            match (is_trained, is_slow) {
                (false, _) => 0.0,
                (true, true) => recipe.optimizer.extractor_share,
                (true, false) => 1.0,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::parameters::Parameter;
    use super::super::recipe::TowerRecipe;
    use super::*;

    fn recipe(tower_steps: u64) -> Recipe {
        let mut recipe = Recipe::named("nano").unwrap();
        recipe.stage_1.schedule.steps = 7;
        recipe.tower = (tower_steps > 0).then_some(TowerRecipe {
            schedule: Schedule {
                steps: tower_steps,
                ..recipe.stage_1.schedule
            },
            scenes: 1,
            whole: 1,
            crops: 1,
        });
        recipe
    }

    /// The same, with the heads alone in between.
    fn with_heads(tower_steps: u64, steps: u64) -> Recipe {
        let mut recipe = recipe(tower_steps);
        recipe.heads = Some(Schedule {
            steps,
            ..recipe.stage_1.schedule
        });
        recipe
    }

    #[test]
    fn stages_follow_each_other_without_a_gap() {
        let stage = |recipe: &Recipe, step| {
            let now = phase_at(recipe, step);
            (now.phase.number(), now.step)
        };
        assert_eq!(stage(&recipe(0), 0), (1, 0));
        assert_eq!(stage(&recipe(0), 7), (2, 0));
        let all = [(4, (0, 4)), (5, (1, 0)), (11, (1, 6)), (12, (2, 0))];
        for (step, expected) in all {
            assert_eq!(stage(&recipe(5), step), expected, "step {step}");
        }
        let all = [
            (4, (0, 4)),
            (5, (0, 0)),
            (7, (0, 2)),
            (8, (1, 0)),
            (15, (2, 0)),
        ];
        for (step, expected) in all {
            assert_eq!(stage(&with_heads(5, 3), step), expected, "step {step}");
        }
    }

    #[test]
    fn a_model_is_at_the_stage_of_the_last_step() {
        let all = [
            (0, None),
            (5, None),
            (6, Some(Stage::One)),
            (12, Some(Stage::One)),
            (13, Some(Stage::Two)),
        ];
        for (step, expected) in all {
            assert_eq!(stage_after(&recipe(5), step), expected, "step {step}");
            let later = if step <= 5 { step } else { step + 3 };
            assert_eq!(
                stage_after(&with_heads(5, 3), later),
                expected,
                "step {step}"
            );
        }
        assert_eq!(stage_after(&with_heads(5, 3), 8), None);
    }

    #[test]
    fn a_phase_trains_its_own_parameters_and_never_the_random_table() {
        let paths = [
            "model.qwen.visual.blocks.0.attn.qkv.weight",
            "heads.vision.weight",
            "heads.local_mask.weight",
            "model.qwen.model.layers.0.mlp.up_proj.weight",
            "model.region.local.weight",
            "model.region.position.0.weight",
            "heads.sam.weight",
            "model.sam.prompt_encoder.shared_image_embedding.positional_encoding_gaussian_matrix",
        ];
        let table = ParameterTable {
            parameters: paths
                .map(|path| Parameter {
                    path: path.to_owned(),
                    shape: vec![1],
                    offset: 0,
                })
                .to_vec(),
        };
        let recipe = with_heads(5, 3);
        let slow = recipe.optimizer.extractor_share;
        for (step, expected) in [
            (0, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
            (5, [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
            (8, [1.0, 1.0, 1.0, 1.0, slow, 1.0, 1.0, 0.0]),
            (15, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
        ] {
            let phase = phase_at(&recipe, step).phase;
            assert_eq!(shares(&table, &recipe, phase), expected, "step {step}");
        }
    }
}
