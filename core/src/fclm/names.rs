use crate::qwen;
use crate::sam;
use crate::weights::NameMap;

/// Tensor names of a model directory: the published ones for Qwen at the top, SAM's original ones
/// under `sam`, then `region` and `seg_projection`.
pub fn name_map() -> NameMap {
    NameMap::new()
        .with_part("qwen", "", qwen::names())
        .with_part("sam", "sam", sam::names())
        .with_part("region", "region", &[])
        .with_part("seg_projection", "seg_projection", &[])
}

/// Whether a tensor belongs to the light part, which a browser loads too: SAM and the extractor's
/// steps 1 and 2.
pub fn is_light(name: &str) -> bool {
    ["sam.", "region.local.", "region.pixel."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The part of the model that a tensor belongs to, as people call it.
pub fn part_of(name: &str) -> &'static str {
    match name.split('.').next() {
        Some("visual") => "vision tower",
        Some("sam") if name.starts_with("sam.image_encoder.") => "SAM image encoder",
        Some("sam") => "SAM prompt encoder and mask decoder",
        Some("region") => "region extractor",
        Some("seg_projection") => "segmentation projection",
        _ => "language model",
    }
}
