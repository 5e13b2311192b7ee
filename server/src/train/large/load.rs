//! A model directory on a device, as it is tuned.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use fclm_core::fclm::{Fclm, FclmTokenizer};
use fclm_core::qwen;
use fclm_core::sam;
use fclm_core::weights::{NameMap, Precision, Weights, load_as};

use super::mixture::mixed;
use super::recipe::LargeRecipe;
use crate::model_dir::ModelDir;
use crate::train::error::TrainError;

/// Keeps the adapters apart from everything else that is drawn.
const ADAPTERS_SEED: u64 = 0x6164_6170_7465_7273;

/// The model of a directory: what stays frozen of Qwen2.5-VL in the recipe's type, everything else in
/// f32, with fresh adapters and rows for the new tokens where the recipe has adapters. The same seed gives the
/// same adapters on every device.
///
/// # Errors
/// Where the weights do not fit the directory's configuration.
pub(super) fn load(
    dir: &ModelDir,
    tokenizer: &FclmTokenizer,
    recipe: &LargeRecipe,
    device: &Device,
) -> Result<Fclm, TrainError> {
    let weights = dir.weights();
    let mut model = dir.config().init(device);
    let of_qwen = weights.filtered(|name| {
        let others = ["sam.", "region.", "seg_projection."];
        !others.iter().any(|other| name.starts_with(other))
    });
    let names = NameMap::with_rewrites(qwen::names());
    let precision: Precision = recipe.base_precision.into();
    if recipe.freeze_vision_tower {
        model.qwen = load_as(model.qwen, &of_qwen, &names, &[], precision)?;
    } else {
        // The tower is trained, so it is read again in full precision.
        let fresh = model.qwen.visual.clone();
        model.qwen = load_as(model.qwen, &of_qwen, &names, &[], precision)?;
        model.qwen.visual = part(fresh, weights, "visual", qwen::names())?;
    }
    model.sam = part(model.sam, weights, "sam", sam::names())?;
    model.region = part(model.region, weights, "region", &[])?;
    model.seg_projection = part(model.seg_projection, weights, "seg_projection", &[])?;
    if let Some(lora) = &recipe.lora {
        let special = tokenizer.special();
        model.qwen = model.qwen.with_new_rows(&[
            special.mask,
            special.pos,
            special.seg,
            special.phrase_open,
            special.phrase_close,
        ]);
        model.qwen.model = model.qwen.model.with_lora(lora);
        model.qwen.model = model.qwen.model.map(&mut Draw {
            path: Vec::new(),
            seed: recipe.seed,
        });
    }
    Ok(model.recomputing(recipe.recompute_blocks))
}

/// A part of the model in f32.
fn part<M: Module>(
    module: M,
    weights: &Weights,
    prefix: &str,
    rewrites: &[(&str, &str)],
) -> Result<M, TrainError> {
    let start = format!("{prefix}.");
    let weights = weights.filtered(|name| name.starts_with(&start));
    let names = NameMap::new().with_part("", prefix, rewrites);
    Ok(load_as(module, &weights, &names, &[], Precision::F32)?)
}

/// Draws the factors `A` of adapters on the host, because a device's own random numbers depend on
/// what else it computes. The distribution is that of fresh adapters.
struct Draw {
    path: Vec<String>,
    seed: u64,
}

impl ModuleMapper for Draw {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.path.last().is_none_or(|name| name != "lora_a") {
            return param;
        }
        let shape = param.lazy_shape();
        let inputs = shape.as_slice().first().copied().unwrap_or(1);
        let bound = 1.0 / (inputs.max(1) as f32).sqrt();
        let mut key = mixed(self.seed ^ ADAPTERS_SEED);
        for byte in self.path.join(".").bytes() {
            key = mixed(key ^ u64::from(byte));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(key);
        let values: Vec<f32> = (0..shape.num_elements())
            .map(|_| rng.random_range(-bound..bound))
            .collect();
        let device = param.lazy_device();
        let tensor = Tensor::from_data(TensorData::new(values, shape), (&device, DType::F32));
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiny;
    use super::*;

    fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
        param.val().into_data().iter::<f32>().collect()
    }

    #[test]
    fn parts_are_loaded_in_their_types() {
        let folder = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(folder.path());
        let device = Device::flex().autodiff();
        let model = setting.model(&device);
        let q_proj = &model.qwen.model.layers[0].self_attn.q_proj;
        assert_eq!(q_proj.weight.val().dtype(), DType::BF16);
        assert_eq!(model.qwen.model.dtype(), DType::BF16);
        assert_eq!(q_proj.lora_a.as_ref().unwrap().val().dtype(), DType::F32);
        let qkv = &model.qwen.visual.blocks[0].attn.qkv.weight;
        assert_eq!(qkv.val().dtype(), DType::BF16);
        let fc1 = &model.sam.mask_decoder.iou_token.weight;
        assert_eq!(fc1.val().dtype(), DType::F32);
        assert!(model.qwen.new_rows.is_some());

        setting.recipe.freeze_vision_tower = false;
        let tower = setting.model(&device).qwen.visual;
        assert_eq!(tower.blocks[0].attn.qkv.weight.val().dtype(), DType::F32);
    }

    #[test]
    fn a_seed_gives_the_same_adapters() {
        let folder = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(folder.path());
        let device = Device::flex().autodiff();
        let drawn = |setting: &tiny::Setting| {
            let model = setting.model(&device);
            let of_layer = |layer: usize| {
                let q_proj = &model.qwen.model.layers[layer].self_attn.q_proj;
                values(q_proj.lora_a.as_ref().unwrap())
            };
            [of_layer(0), of_layer(1)]
        };
        let first = drawn(&setting);
        device.seed(99);
        assert_eq!(first, drawn(&setting));
        assert_ne!(first[0], first[1]);
        let bound = 1.0 / 32.0_f32.sqrt();
        let largest = first[0]
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!((0.8 * bound..=bound).contains(&largest), "{largest}");
        setting.recipe.seed += 1;
        assert_ne!(first, drawn(&setting));
    }
}
