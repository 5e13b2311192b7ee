//! A model whose weights mean nothing.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Distribution, Tensor};
use fclm_core::fclm::{Fclm, FclmConfig};
use fclm_core::weights::Precision;

/// Standard deviation of the weights, that of a fresh Qwen2.5-VL.
const DEVIATION: f64 = 0.02;

/// Qwen2.5-VL, and SAM's image encoder where it is wanted, with random matrices and fresh norms and
/// biases, each drawn on the device in the type that it keeps. Every other part is left unmade.
pub(super) fn random_model(
    config: &FclmConfig,
    precision: Precision,
    with_sam: bool,
    device: &Device,
) -> Fclm {
    let mut draw = Draw {
        dtype: precision.dtype(),
    };
    let mut model = config.init(device);
    model.qwen = model.qwen.map(&mut draw);
    if with_sam {
        model.sam.image_encoder = model.sam.image_encoder.map(&mut draw);
    }
    model
}

struct Draw {
    dtype: DType,
}

impl ModuleMapper for Draw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let dtype = self.dtype;
        if D == 1 {
            return param.map(|value| value.cast(dtype));
        }
        let device = param.lazy_device();
        // Kept where loaded weights are kept.
        let tensor = device.memory_persistent_allocations(param.lazy_shape(), |shape| {
            let normal = Distribution::Normal(0.0, DEVIATION);
            Tensor::<D>::random(shape, normal, (&device, dtype))
        });
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fclm_core::sam::ImageEncoder;

    fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
        param.val().into_data().iter::<f32>().collect()
    }

    #[test]
    fn weights_are_drawn_in_the_wanted_type() {
        let config = FclmConfig::tiny(64, 1);
        let model = random_model(&config, Precision::Bf16, true, &Device::flex());
        let layer = &model.qwen.model.layers[1];
        assert_eq!(model.qwen.model.dtype(), DType::BF16);
        assert!(
            values(&layer.input_layernorm.gamma)
                .iter()
                .all(|&gamma| gamma == 1.0)
        );

        let gate = &layer.mlp.gate_proj.weight;
        assert_eq!(gate.val().dtype(), DType::BF16);
        let drawn = values(gate);
        let square: f32 = drawn.iter().map(|value| value * value).sum();
        let deviation = (square / drawn.len() as f32).sqrt();
        assert!((0.018..0.022).contains(&deviation), "{deviation}");
        assert_ne!(
            drawn,
            values(&model.qwen.model.layers[0].mlp.gate_proj.weight)
        );

        let ImageEncoder::Vit(vit) = &model.sam.image_encoder else {
            panic!("the tiny model has a plain vision transformer");
        };
        assert_eq!(vit.pos_embed.val().dtype(), DType::BF16);
        let table = vit.blocks[0].attn.rel_pos_h.as_ref().unwrap();
        assert!(values(table).iter().any(|&value| value != 0.0));
    }

    #[test]
    fn what_is_not_measured_is_not_made() {
        let config = FclmConfig::tiny(64, 1);
        let model = random_model(&config, Precision::F32, false, &Device::flex());
        let ImageEncoder::Vit(vit) = &model.sam.image_encoder else {
            panic!("the tiny model has a plain vision transformer");
        };
        assert!(!vit.pos_embed.is_initialized());
        assert!(
            !model
                .sam
                .prompt_encoder
                .no_mask_embed
                .weight
                .is_initialized()
        );
        assert!(model.qwen.model.embed_tokens.weight.is_initialized());
    }
}
