//! Which configurations can become a model.

use super::{QwenConfig, TextConfig, VisionConfig};
use crate::field::{FieldError, MOST_LAYERS, WIDEST, count, divides, equals, positive, require};

/// Channels of the pictures that the processor cuts into patches.
const CHANNELS: usize = 3;
/// Most pixels along a patch, and most frames in one.
const LARGEST_PATCH: usize = 1 << 10;
const MOST_FRAMES: usize = 1 << 6;
/// Most patches along a token.
const LARGEST_MERGE: usize = 1 << 4;

impl QwenConfig {
    /// Checks that every size can be used, that the sizes fit together, and that the ids which the
    /// model acts on are in its vocabulary.
    ///
    /// # Errors
    ///
    /// Names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), FieldError> {
        self.text
            .validate()
            .map_err(|error| error.inside("text_config"))?;
        self.vision
            .validate()
            .map_err(|error| error.inside("vision_config"))?;
        // The vision tower's tokens stand in the place of embeddings.
        equals(
            "vision_config.out_hidden_size",
            self.vision.out_hidden_size,
            ("text_config.hidden_size", self.text.hidden_size),
        )?;
        let vocabulary = self.text.vocab_size;
        let ids = [
            ("image_token_id", Some(self.image_token_id)),
            ("vision_start_token_id", Some(self.vision_start_token_id)),
            ("vision_end_token_id", Some(self.vision_end_token_id)),
            ("text_config.eos_token_id", self.text.eos_token_id),
        ];
        for (field, id) in ids {
            let Some(id) = id else { continue };
            let wanted = format!("be below text_config.vocab_size = {vocabulary}");
            require((id as usize) < vocabulary, field, &id, &wanted)?;
        }
        Ok(())
    }
}

impl TextConfig {
    fn validate(&self) -> Result<(), FieldError> {
        for (field, width) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
        ] {
            count(field, width, WIDEST)?;
        }
        count("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS)?;
        let heads = self.num_attention_heads;
        divides(
            "num_attention_heads",
            heads,
            ("hidden_size", self.hidden_size),
        )?;
        divides(
            "num_key_value_heads",
            self.num_key_value_heads,
            ("num_attention_heads", heads),
        )?;
        // Half of a head is turned against the other, each pair by one of the frequencies.
        let head = self.head_dim();
        let section = &self.rope_parameters.mrope_section;
        let sum = section
            .iter()
            .try_fold(0usize, |sum, &count| sum.checked_add(count));
        let wanted = format!("add up to half of a head of {head}");
        require(
            head.is_multiple_of(2) && sum == Some(head / 2),
            "rope_parameters.mrope_section",
            section,
            &wanted,
        )?;
        positive(
            "rope_parameters.rope_theta",
            self.rope_parameters.rope_theta,
        )?;
        positive("rms_norm_eps", self.rms_norm_eps)?;
        deviation(self.initializer_range)
    }
}

impl VisionConfig {
    fn validate(&self) -> Result<(), FieldError> {
        count("depth", self.depth, MOST_LAYERS)?;
        for (field, width) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("out_hidden_size", self.out_hidden_size),
            ("window_size", self.window_size),
        ] {
            count(field, width, WIDEST)?;
        }
        divides(
            "num_heads",
            self.num_heads,
            ("hidden_size", self.hidden_size),
        )?;
        // A quarter of a head each for the sines and cosines of row and column.
        let head = self.head_dim();
        let wanted = format!("make heads of a multiple of 4, not of {head}");
        require(
            head.is_multiple_of(4),
            "num_heads",
            &self.num_heads,
            &wanted,
        )?;
        let wanted = format!("be {CHANNELS}: red, green and blue");
        require(
            self.in_channels == CHANNELS,
            "in_channels",
            &self.in_channels,
            &wanted,
        )?;
        count("patch_size", self.patch_size, LARGEST_PATCH)?;
        count("temporal_patch_size", self.temporal_patch_size, MOST_FRAMES)?;
        count("spatial_merge_size", self.spatial_merge_size, LARGEST_MERGE)?;
        positive(
            "rope_parameters.rope_theta",
            self.rope_parameters.rope_theta,
        )?;
        deviation(self.initializer_range)
    }
}

/// Zero is allowed: such a model cannot learn, but it can be loaded.
fn deviation(range: f64) -> Result<(), FieldError> {
    let holds = range.is_finite() && range >= 0.0;
    require(
        holds,
        "initializer_range",
        &range,
        "be a number that is not negative",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The nested configuration with one field of another value.
    fn changed(pointer: &str, value: Value) -> Result<QwenConfig, String> {
        let mut json = serde_json::to_value(QwenConfig::qwen2_5_vl_3b()).unwrap();
        *json.pointer_mut(pointer).unwrap() = value;
        QwenConfig::from_json(&json.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn published_sizes_can_be_used() {
        for config in [QwenConfig::qwen2_5_vl_3b(), QwenConfig::qwen2_5_vl_7b()] {
            config.validate().unwrap();
        }
    }

    #[test]
    fn sizes_that_cannot_be_used_are_named_with_their_value() {
        for (pointer, value) in [
            ("/text_config/num_attention_heads", json!(0)),
            ("/text_config/num_attention_heads", json!(15)),
            ("/text_config/num_key_value_heads", json!(0)),
            ("/text_config/num_key_value_heads", json!(3)),
            ("/text_config/num_hidden_layers", json!(1_000_000_000)),
            ("/text_config/vocab_size", json!(0)),
            (
                "/text_config/rope_parameters/mrope_section",
                json!([16, 24, 23]),
            ),
            ("/text_config/rope_parameters/rope_theta", json!(-1.0)),
            ("/text_config/initializer_range", json!(-0.5)),
            ("/text_config/eos_token_id", json!(151_936)),
            ("/vision_config/patch_size", json!(0)),
            ("/vision_config/spatial_merge_size", json!(0)),
            ("/vision_config/temporal_patch_size", json!(0)),
            ("/vision_config/num_heads", json!(0)),
            ("/vision_config/num_heads", json!(7)),
            ("/vision_config/num_heads", json!(640)),
            ("/vision_config/in_channels", json!(4)),
            ("/vision_config/out_hidden_size", json!(2000)),
            ("/image_token_id", json!(151_936)),
            ("/vision_start_token_id", json!(4_000_000_000u32)),
        ] {
            let shown = value.to_string().replace(',', ", ");
            let error = changed(pointer, value).unwrap_err();
            let field = pointer.rsplit('/').next().unwrap();
            assert!(
                error.contains(field) && error.contains(&format!("is {shown} but")),
                "{pointer} = {shown}: {error}"
            );
        }
    }

    #[test]
    fn activations_that_are_not_built_are_refused_in_both_parts() {
        let mut json = serde_json::to_value(QwenConfig::qwen2_5_vl_3b()).unwrap();
        for part in ["text_config", "vision_config"] {
            json[part]["hidden_act"] = json!("gelu");
            let error = QwenConfig::from_json(&json.to_string()).unwrap_err();
            assert!(error.to_string().contains("hidden_act"), "{error}");
            json[part]["hidden_act"] = json!("silu");
        }
        QwenConfig::from_json(&json.to_string()).unwrap();
    }
}
