//! A tiny model, a few scenes and a short recipe for the tests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use burn::tensor::Device;

use fclm_core::fclm::prompt::CHAT_TEMPLATE;
use fclm_core::fclm::{Fclm, FclmConfig, FclmTokenizer};
use fclm_core::loss::PointSampling;
use fclm_core::qwen::{LoraConfig, LoraTarget};

use super::load::load;
use super::mixture::Mixture;
use super::recipe::{DataRecipe, LargeRecipe, TaskShares};
use super::reduce::Reduce;
use super::replica::{Replica, ReplicaSetup};
use super::sample::Sampler;
use super::trained::{Trained, recording};
use crate::data::scenes::write_dataset;
use crate::model_dir::{ModelDir, write_trained};
use crate::train::train_tokenizer;

/// A folder with a model and a data set, and a recipe for them.
pub(super) struct Setting {
    pub(super) folder: PathBuf,
    pub(super) base: PathBuf,
    pub(super) config: FclmConfig,
    pub(super) recipe: LargeRecipe,
}

impl Setting {
    pub(super) fn new(folder: &Path) -> Self {
        let scenes = folder.join("scenes");
        write_dataset(9, 8, &scenes, (64, 64)).unwrap();
        let base = folder.join("base");
        let config = write_model(&base, 1);
        Self {
            folder: folder.to_owned(),
            recipe: recipe(&scenes),
            base,
            config,
        }
    }

    fn dir(&self) -> ModelDir {
        ModelDir::open(&self.base).unwrap()
    }

    pub(super) fn sampler(&self) -> Sampler {
        Sampler::new(
            Arc::new(self.recipe.clone()),
            Arc::new(self.config.clone()),
            tokenizer().1.clone(),
            CHAT_TEMPLATE,
            Mixture::open(self.recipe.seed, &self.recipe.data).unwrap(),
        )
        .unwrap()
    }

    /// The model as stage 1 trains it.
    pub(super) fn model(&self, device: &Device) -> Fclm {
        let model = load(&self.dir(), &tokenizer().1, &self.recipe, device).unwrap();
        let trained = Trained::of(&model, &self.recipe);
        let shares = trained.shares(&self.recipe, 1);
        recording(model, &trained, &shares)
    }

    pub(super) fn replica(&self, reduce: Reduce) -> Replica {
        Replica::new(ReplicaSetup {
            base: self.dir(),
            tokenizer: tokenizer().1.clone(),
            recipe: Arc::new(self.recipe.clone()),
            device: Device::flex(),
            reduce,
        })
        .unwrap()
    }
}

/// A tokenizer of some three hundred ids, with its file's content.
pub(super) fn tokenizer() -> &'static (String, FclmTokenizer) {
    static TOKENIZER: OnceLock<(String, FclmTokenizer)> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let texts = (0..60).map(|number| {
            let text = "the small red metal cylinder is left of a large blue rubber cube";
            format!("{text} with stripes, behind sphere {number}")
        });
        let json = train_tokenizer(texts, 320).unwrap();
        let tokenizer = FclmTokenizer::from_json(json.as_bytes()).unwrap();
        (json, tokenizer)
    })
}

/// Writes a random model.
pub(super) fn write_model(folder: &Path, seed: u64) -> FclmConfig {
    let (json, tokenizer) = tokenizer();
    let rows = tokenizer.ids().next_multiple_of(8);
    let config = FclmConfig::tiny(rows, tokenizer.special().image);
    let device = Device::flex();
    device.seed(seed);
    write_trained(folder, &config, json, CHAT_TEMPLATE, &config.init(&device)).unwrap();
    config
}

fn recipe(scenes: &Path) -> LargeRecipe {
    let mut recipe = LargeRecipe::built_in("3b").unwrap().unwrap();
    recipe.checkpoint_every = 2;
    recipe.lora = Some(LoraConfig {
        rank: 4,
        alpha: 8.0,
        targets: LoraTarget::all(),
    });
    recipe.mask_points = Some(PointSampling {
        points: 64,
        ..PointSampling::default()
    });
    recipe.pictures_per_step = 2;
    recipe.max_regions = 2;
    recipe.max_turns = 4;
    recipe.max_length = 2000;
    // Gradients that are nothing but rounding must not become steps of full length, or runs that
    // should agree could not be compared.
    recipe.optimizer.epsilon = 1e-3;
    recipe.stage_1.latent_weight = 0.5;
    for (stage, steps) in [(&mut recipe.stage_1, 4), (&mut recipe.stage_2, 2)] {
        stage.schedule.steps = steps;
        stage.schedule.learning_rate = 1e-3;
    }
    recipe.stage_1.tasks = TaskShares {
        category: 1.0,
        detailed: 1.0,
        question: 1.0,
        find: 2.0,
        find_several: 1.0,
        find_none: 1.0,
        grounded: 1.0,
        ..TaskShares::default()
    };
    recipe.stage_2.tasks.reversed = 3.0;
    recipe.data = vec![DataRecipe {
        name: "scenes".to_owned(),
        dir: scenes.to_owned(),
        stage_1: 1.0,
        stage_2: 1.0,
    }];
    recipe.validate().unwrap();
    recipe
}
