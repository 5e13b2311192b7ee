//! Which parameters of a model are trained, and walking over them.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use fclm_core::fclm::Stage2Tuning;

use super::recipe::LargeRecipe;
use crate::train::parameters::{Parameter, ParameterTable};

/// The parameters that some stage trains, in the order in which the module visits them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trained {
    pub(super) parameters: Vec<Parameter>,
}

impl Trained {
    /// Those of a model that the recipe trains.
    pub(super) fn of<M: Module>(model: &M, recipe: &LargeRecipe) -> Self {
        let stages = [1, 2].into_iter();
        let stages: Vec<u8> = stages
            .filter(|&stage| recipe.stage(stage).schedule.steps > 0)
            .collect();
        Self::chosen(model, |path| {
            stages.iter().any(|&stage| is_trained(path, recipe, stage))
        })
    }

    /// Those whose path is chosen.
    pub(super) fn chosen<M: Module>(model: &M, is_chosen: impl Fn(&str) -> bool) -> Self {
        let mut parameters = ParameterTable::of(model).parameters;
        parameters.retain(|parameter| is_chosen(&parameter.path));
        let mut offset = 0;
        for parameter in &mut parameters {
            parameter.offset = offset;
            offset += parameter.len();
        }
        Self { parameters }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.parameters.len()
    }

    /// Numbers in all.
    pub(super) fn numbers(&self) -> usize {
        self.parameters.iter().map(Parameter::len).sum()
    }

    /// Path and shape of each.
    pub(super) fn listing(&self) -> Vec<(String, Vec<usize>)> {
        let parameters = self.parameters.iter();
        parameters
            .map(|parameter| (parameter.path.clone(), parameter.shape.clone()))
            .collect()
    }

    /// Each one's share of the learning rate in a stage, 0 where the stage does not train it.
    pub(super) fn shares(&self, recipe: &LargeRecipe, stage: u8) -> Vec<f64> {
        let parameters = self.parameters.iter();
        parameters
            .map(|parameter| {
                let path = &parameter.path;
                let is_slow = path.starts_with("region.") && !path.starts_with("region.position.");
                match (is_trained(path, recipe, stage), is_slow) {
                    (false, _) => 0.0,
                    (true, true) => recipe.optimizer.extractor_share,
                    (true, false) => 1.0,
                }
            })
            .collect()
    }
}

/// Whether a stage trains a parameter. Stage 1 trains everything but what the recipe freezes; stage 2
/// trains the blocks of the language model, unless it is to tune everything. With adapters nothing of
/// the language model is trained but these and the rows of the new tokens.
fn is_trained(path: &str, recipe: &LargeRecipe, stage: u8) -> bool {
    // Random by design, and statistics of what the published model saw.
    let is_constant = [
        "positional_encoding_gaussian_matrix",
        "running_mean",
        "running_var",
    ]
    .iter()
    .any(|name| path.ends_with(name));
    let is_adapter = path.ends_with(".lora_a") || path.ends_with(".lora_b");
    let is_language = path.starts_with("qwen.model.") || path.starts_with("qwen.lm_head.");
    if is_constant || (is_language && recipe.lora.is_some() && !is_adapter) {
        return false;
    }
    if stage == 2 && recipe.consistency.stage2 == Stage2Tuning::Llm {
        return path.starts_with("qwen.model.layers.");
    }
    let is_frozen = (path.starts_with("qwen.visual.") && recipe.freeze_vision_tower)
        || (path.starts_with("sam.image_encoder.") && recipe.freeze_sam_encoder);
    !is_frozen
}

/// Where a walk over a module stands among the trained parameters.
#[derive(Debug, Default)]
pub(super) struct Walk {
    path: Vec<String>,
    next: usize,
}

impl Walk {
    pub(super) fn enter(&mut self, name: &str) {
        self.path.push(name.to_owned());
    }

    pub(super) fn exit(&mut self) {
        self.path.pop();
    }

    /// The number of the parameter that is visited, where it is one of the trained ones. To be called
    /// once for each parameter.
    pub(super) fn place(&mut self, trained: &Trained) -> Option<usize> {
        let place = self.next;
        let parameter = trained.parameters.get(place)?;
        if parameter.path != self.path.join(".") {
            return None;
        }
        self.next += 1;
        Some(place)
    }
}

/// The same model with exactly the parameters recorded that a stage trains.
pub(super) fn recording<M: Module>(model: M, trained: &Trained, shares: &[f64]) -> M {
    model.map(&mut Switch {
        walk: Walk::default(),
        trained,
        shares,
    })
}

struct Switch<'a> {
    walk: Walk,
    trained: &'a Trained,
    shares: &'a [f64],
}

impl ModuleMapper for Switch<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let place = self.walk.place(self.trained);
        let is_recorded = place.is_some_and(|place| self.shares[place] > 0.0);
        param.set_require_grad(is_recorded)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::ModuleVisitor;
    use burn::tensor::Device;
    use fclm_core::fclm::{Fclm, FclmConfig};
    use fclm_core::qwen::{LoraConfig, LoraTarget};

    use super::*;

    fn recipe() -> LargeRecipe {
        let mut recipe = LargeRecipe::built_in("3b").unwrap().unwrap();
        recipe.freeze_sam_encoder = true;
        recipe.optimizer.extractor_share = 0.5;
        recipe
    }

    fn model() -> Fclm {
        let device = Device::flex().autodiff();
        let mut model = FclmConfig::tiny(64, 1).init(&device);
        model.qwen = model.qwen.with_new_rows(&[60, 61]);
        model.qwen.model = model.qwen.model.with_lora(&LoraConfig {
            rank: 2,
            alpha: 4.0,
            targets: vec![LoraTarget::QProj],
        });
        model
    }

    struct Recorded(Walk, Vec<String>);

    impl ModuleVisitor for Recorded {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.enter(name);
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.val().is_require_grad() {
                self.1.push(self.0.path.join("."));
            }
        }
    }

    fn recorded(model: &Fclm) -> Vec<String> {
        let mut recorded = Recorded(Walk::default(), Vec::new());
        model.visit(&mut recorded);
        recorded.1
    }

    #[test]
    fn each_stage_records_what_it_trains() {
        let recipe = recipe();
        let model = model();
        let trained = Trained::of(&model, &recipe);
        let first = trained.shares(&recipe, 1);
        let model = recording(model, &trained, &first);
        let paths = recorded(&model);
        assert_eq!(
            paths,
            trained
                .parameters
                .iter()
                .map(|parameter| parameter.path.clone())
                .collect::<Vec<_>>()
        );
        let has = |paths: &[String], start: &str| paths.iter().any(|path| path.starts_with(start));
        for start in [
            "qwen.new_rows.",
            "qwen.model.layers.0.self_attn.q_proj.lora_a",
            "region.local.",
            "seg_projection.",
            "sam.mask_decoder.",
            "sam.prompt_encoder.",
        ] {
            assert!(has(&paths, start), "{start}");
        }
        for start in [
            "qwen.visual.",
            "qwen.model.embed_tokens",
            "qwen.model.layers.0.self_attn.q_proj.weight",
            "sam.image_encoder.",
        ] {
            assert!(!has(&paths, start), "{start}");
        }
        assert!(!paths.iter().any(|path| path.ends_with("gaussian_matrix")));
        let share = |start: &str| {
            let mut parameters = trained.parameters.iter();
            let place = parameters
                .position(|parameter| parameter.path.starts_with(start))
                .unwrap();
            trained.shares(&recipe, 1)[place]
        };
        assert_eq!(
            (share("region.local."), share("region.position.")),
            (0.5, 1.0)
        );

        let second = trained.shares(&recipe, 2);
        let paths = recorded(&recording(model, &trained, &second));
        assert_eq!(paths.len(), 4, "{paths:?}");
        assert!(
            paths.iter().all(|path| path.contains(".lora_")),
            "{paths:?}"
        );
    }

    #[test]
    fn full_tuning_trains_the_language_model() {
        let mut recipe = recipe();
        recipe.lora = None;
        for (path, expected) in [
            ("qwen.model.embed_tokens.weight", [true, false]),
            ("qwen.model.layers.0.mlp.up_proj.weight", [true, true]),
            ("qwen.lm_head.weight", [true, false]),
            ("qwen.visual.blocks.0.attn.qkv.weight", [false, false]),
            (
                "sam.image_encoder.Vit.blocks.0.attn.qkv.weight",
                [false, false],
            ),
            ("region.local.proj.weight", [true, false]),
        ] {
            let found = [1, 2].map(|stage| is_trained(path, &recipe, stage));
            assert_eq!(found, expected, "{path}");
        }
        recipe.consistency.stage2 = Stage2Tuning::All;
        recipe.freeze_vision_tower = false;
        assert!(is_trained("qwen.visual.merger.ln_q.gamma", &recipe, 2));
    }

    #[test]
    fn only_stages_that_have_steps_count() {
        let mut recipe = recipe();
        let model = model();
        recipe.stage_1.schedule.steps = 0;
        let trained = Trained::of(&model, &recipe);
        assert_eq!(trained.count(), 4);
        // Two layers, A of 32 x 2 and B of 2 x 32 each.
        assert_eq!(trained.numbers(), 2 * (64 + 64));
        assert_eq!(trained.parameters[1].offset, 64);
    }
}
