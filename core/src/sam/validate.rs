//! Which configurations can become a model.

use super::tiny_vit::{FIRST_STRIDE, stride_before};
use super::{DecoderConfig, EncoderConfig, PromptConfig, SamConfig, TinyVitConfig, VitConfig};
use crate::field::{FieldError, MOST_LAYERS, WIDEST, count, divides, equals, require};

/// Longest side of the square input; pixels of a longer one would take gigabytes.
const LARGEST_IMAGE: usize = 1 << 13;
/// Most times that a hidden layer is wider than what it stands between.
const WIDEST_RATIO: usize = 1 << 6;
/// The decoder's last upscaling has an eighth of its width.
const DECODER_UNIT: usize = 8;
/// The first convolution of a mask prompt has a quarter of the channels of the second.
const MASK_UNIT: usize = 4;

impl SamConfig {
    /// Checks that every size can be used and that the sizes fit together.
    ///
    /// # Errors
    ///
    /// Names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), FieldError> {
        count("image_size", self.image_size, LARGEST_IMAGE)?;
        divides(
            "patch_size",
            self.patch_size,
            ("image_size", self.image_size),
        )?;
        let channels = match &self.encoder {
            EncoderConfig::Vit(encoder) => {
                encoder
                    .validate()
                    .map_err(|error| error.inside("encoder"))?;
                encoder.out_chans
            }
            EncoderConfig::TinyVit(encoder) => {
                encoder
                    .validate(self.patch_size)
                    .map_err(|error| error.inside("encoder"))?;
                encoder.out_chans
            }
        };
        self.prompt
            .validate()
            .map_err(|error| error.inside("prompt"))?;
        self.decoder
            .validate()
            .map_err(|error| error.inside("decoder"))?;
        let width = ("prompt.embed_dim", self.prompt.embed_dim);
        equals("encoder.out_chans", channels, width)?;
        equals("decoder.embedding_dim", self.decoder.embedding_dim, width)
    }
}

impl VitConfig {
    fn validate(&self) -> Result<(), FieldError> {
        count("depth", self.depth, MOST_LAYERS)?;
        count("embed_dim", self.embed_dim, WIDEST)?;
        divides("num_heads", self.num_heads, ("embed_dim", self.embed_dim))?;
        count("window_size", self.window_size, LARGEST_IMAGE)?;
        count("mlp_ratio", self.mlp_ratio, WIDEST_RATIO)?;
        count("out_chans", self.out_chans, WIDEST)
    }
}

impl TinyVitConfig {
    fn validate(&self, patch_size: usize) -> Result<(), FieldError> {
        let widths = &self.embed_dims;
        require(
            (1..=MOST_LAYERS).contains(&widths.len()),
            "embed_dims",
            widths,
            "have one entry for each of 1 or more stages",
        )?;
        let wanted = format!("have {} entries, as embed_dims has", widths.len());
        for (field, list) in [
            ("depths", &self.depths),
            ("num_heads", &self.num_heads),
            ("window_sizes", &self.window_sizes),
        ] {
            require(list.len() == widths.len(), field, list, &wanted)?;
        }
        for (stage, &width) in widths.iter().enumerate() {
            let name = |list: &str| format!("{list}[{stage}]");
            count(&name("embed_dims"), width, WIDEST)?;
            count(&name("depths"), self.depths[stage], MOST_LAYERS)?;
            // The first stage is convolutional; nobody reads its heads and its window.
            if stage > 0 {
                divides(
                    &name("num_heads"),
                    self.num_heads[stage],
                    (name("embed_dims").as_str(), width),
                )?;
                count(
                    &name("window_sizes"),
                    self.window_sizes[stage],
                    LARGEST_IMAGE,
                )?;
            }
        }
        // The first convolution has half of the first stage's width.
        require(
            widths[0].is_multiple_of(2),
            "embed_dims[0]",
            &widths[0],
            "be even",
        )?;
        count("mlp_ratio", self.mlp_ratio, WIDEST_RATIO)?;
        count(
            "mbconv_expand_ratio",
            self.mbconv_expand_ratio,
            WIDEST_RATIO,
        )?;
        count("out_chans", self.out_chans, WIDEST)?;
        let strides = widths[1..].iter().map(|&width| stride_before(width));
        let shrinks = strides.fold(FIRST_STRIDE, usize::saturating_mul);
        let wanted = format!("shrink pictures by patch_size = {patch_size}, not by {shrinks}");
        require(shrinks == patch_size, "embed_dims", widths, &wanted)
    }
}

impl PromptConfig {
    fn validate(&self) -> Result<(), FieldError> {
        count("embed_dim", self.embed_dim, WIDEST)?;
        count("mask_in_chans", self.mask_in_chans, WIDEST)?;
        let wanted = format!("be a multiple of {MASK_UNIT}");
        require(
            self.mask_in_chans.is_multiple_of(MASK_UNIT),
            "mask_in_chans",
            &self.mask_in_chans,
            &wanted,
        )
    }
}

impl DecoderConfig {
    fn validate(&self) -> Result<(), FieldError> {
        let width = self.embedding_dim;
        count("embedding_dim", width, WIDEST)?;
        let wanted = format!("be a multiple of {DECODER_UNIT}");
        require(
            width.is_multiple_of(DECODER_UNIT),
            "embedding_dim",
            &width,
            &wanted,
        )?;
        // Attention between tokens and image works in half of the width.
        divides(
            "num_heads",
            self.num_heads,
            ("half of embedding_dim", width / 2),
        )?;
        for (field, layers) in [
            ("transformer_depth", self.transformer_depth),
            ("num_multimask_outputs", self.num_multimask_outputs),
            ("iou_head_depth", self.iou_head_depth),
        ] {
            count(field, layers, MOST_LAYERS)?;
        }
        count("mlp_dim", self.mlp_dim, WIDEST)?;
        count("iou_head_hidden_dim", self.iou_head_hidden_dim, WIDEST)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn changed(config: &SamConfig, pointer: &str, value: Value) -> Result<(), FieldError> {
        let mut json = serde_json::to_value(config).unwrap();
        *json.pointer_mut(pointer).unwrap() = value;
        serde_json::from_value::<SamConfig>(json)
            .unwrap()
            .validate()
    }

    #[test]
    fn published_sizes_can_be_used() {
        for config in [
            SamConfig::vit_b(),
            SamConfig::vit_l(),
            SamConfig::vit_h(),
            SamConfig::mobile_sam(),
        ] {
            config.validate().unwrap();
        }
    }

    #[test]
    fn sizes_that_cannot_be_used_are_named() {
        let vit = SamConfig::vit_b();
        let tiny = SamConfig::mobile_sam();
        for (config, pointer, value) in [
            (&vit, "/image_size", json!(0)),
            (&vit, "/image_size", json!(1_000_000_000)),
            (&vit, "/patch_size", json!(0)),
            (&vit, "/patch_size", json!(15)),
            (&vit, "/encoder/num_heads", json!(0)),
            (&vit, "/encoder/num_heads", json!(7)),
            (&vit, "/encoder/depth", json!(1_000_000_000)),
            (&vit, "/encoder/window_size", json!(0)),
            (&vit, "/encoder/out_chans", json!(128)),
            (&vit, "/prompt/mask_in_chans", json!(6)),
            (&vit, "/decoder/embedding_dim", json!(128)),
            (&vit, "/decoder/embedding_dim", json!(0)),
            (&vit, "/decoder/num_heads", json!(0)),
            (&vit, "/decoder/num_heads", json!(3)),
            (&vit, "/decoder/iou_head_depth", json!(0)),
            (&tiny, "/encoder/embed_dims", json!([])),
            (&tiny, "/encoder/embed_dims", json!([64, 128, 160, 640])),
            (&tiny, "/encoder/embed_dims", json!([63, 128, 160, 320])),
            (&tiny, "/encoder/depths", json!([2, 2, 6])),
            (&tiny, "/encoder/num_heads", json!([2, 4, 5, 10, 10])),
            (&tiny, "/encoder/num_heads", json!([2, 4, 5, 9])),
            (&tiny, "/encoder/window_sizes", json!([7, 0, 14, 7])),
        ] {
            let error = changed(config, pointer, value.clone()).unwrap_err();
            let named = error.field.replace('.', "/");
            assert!(
                named.starts_with(&pointer[1..]),
                "{pointer} = {value}: {error}"
            );
        }
        // Which of two widths is wrong cannot be known; both are named.
        let error = changed(&vit, "/prompt/embed_dim", json!(64)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "encoder.out_chans is 256 but must equal prompt.embed_dim = 64"
        );
    }
}
