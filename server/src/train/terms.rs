//! The numbers that a training step reports.

use burn::tensor::{Device, Tensor};

macro_rules! terms {
    ($($term:ident = $name:literal, $doc:literal;)*) => {
        /// A number that a step reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Term {
            $(#[doc = $doc] $term,)*
        }

        /// Their names in the log, in order.
        pub(super) const TERMS: [&str; [$($name),*].len()] = [$($name),*];
    };
}

terms! {
    Loss = "loss", "What is minimised.";
    Ce = "ce", "Cross-entropy of the answers.";
    Seg = "seg", "Segmentation loss of `[SEG]`.";
    Consist = "consist", "Consistency loss.";
    Prompt = "prompt", "Segmentation loss of SAM's own task.";
    Score = "score", "Loss of the predicted scores.";
    TokenAccuracy = "token_acc", "Share of the answers' tokens that are most likely.";
    CategoryAccuracy = "category_acc", "The same among the words of categories.";
    FindIou = "find_iou", "IoU of what `[SEG]` draws.";
    PosIou = "pos_iou", "IoU of what `<pos>` draws.";
    Attributes = "attributes", "Cross-entropy of attributes.";
    LocalMask = "local_mask", "Binary cross-entropy of the masks around the tower's tokens.";
    Latent = "latent", "Latent loss, before its weight.";
    Location = "location", "Cross-entropy of the locations of `[SEG]`s' targets.";
    LocationAccuracy = "location_acc", "Share of the `[SEG]`s whose likeliest location is right.";
    Search = "search", "How little `[SEG]` looks at its targets.";
    Read = "read", "Cross-entropy of attributes, from what the LLM's middle layer reads at `[SEG]`.";
    SegColourAccuracy = "seg_color_acc", "Share of the right colours, from what it reads at `[SEG]`.";
    LeadLocationAccuracy = "lead_location_acc", "As `location_acc`, where the text leads up to `[SEG]`.";
    LeadSearch = "lead_search", "As `search`, there.";
    LeadColourAccuracy = "lead_color_acc", "As `seg_color_acc`, there.";
    SamShapeAccuracy = "sam_shape_acc", "Share of the right shapes, from SAM's cells.";
    VisionShapeAccuracy = "vision_shape_acc", "From the vision tower's tokens.";
    CropShapeAccuracy = "crop_shape_acc", "From the same, in crops.";
    MaskShapeAccuracy = "mask_shape_acc", "From `<mask>`.";
    MaskColourAccuracy = "mask_color_acc", "Share of the right colours, from `<mask>`.";
    MaskMaterialAccuracy = "mask_material_acc", "Of the right materials.";
    MaskPatternAccuracy = "mask_pattern_acc", "Of the right patterns.";
    MaskSizeAccuracy = "mask_size_acc", "Of the right sizes.";
    PosShapeAccuracy = "pos_shape_acc", "From `<pos>`.";
    FeedWait = "feed_wait", "Share of the step's time in which pictures were waited for.";
    Replaced = "replaced", "Share of the pictures that stand in for others that cannot be used.";
}

/// The terms of a step while they are collected. What a step does not compute is no number, and is
/// left out of the log.
#[derive(Debug)]
pub(super) struct Terms(Vec<Tensor<1>>);

impl Terms {
    /// None of them computed.
    pub(super) fn new(device: &Device) -> Self {
        Self(vec![Tensor::full([1], f32::NAN, device); TERMS.len()])
    }

    /// Sets a term where it has been computed.
    pub(super) fn set(&mut self, term: Term, value: impl Into<Option<Tensor<1>>>) {
        if let Some(value) = value.into() {
            self.0[term as usize] = value;
        }
    }

    /// What the step comes to.
    pub(super) fn output(mut self, loss: Tensor<1>) -> StepOutput {
        self.set(Term::Loss, loss.clone());
        StepOutput {
            loss,
            terms: Tensor::cat(self.0, 0).detach(),
        }
    }
}

/// The sum of what has been computed; none where nothing has.
pub(super) fn sum(parts: impl IntoIterator<Item = Option<Tensor<1>>>) -> Option<Tensor<1>> {
    parts.into_iter().flatten().reduce(|sum, part| sum + part)
}

/// A step's loss, and the terms that make it up, for the log.
#[derive(Debug)]
pub(super) struct StepOutput {
    pub(super) loss: Tensor<1>,
    /// `[TERMS.len()]`
    pub(super) terms: Tensor<1>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_has_the_name_of_its_place() {
        assert_eq!(TERMS[Term::Loss as usize], "loss");
        assert_eq!(TERMS[Term::Search as usize], "search");
        assert_eq!(TERMS[Term::PosShapeAccuracy as usize], "pos_shape_acc");
    }

    #[test]
    fn what_is_not_computed_is_no_number() {
        let device = Device::flex();
        let of = |value: f32| Some(Tensor::<1>::from_data([value], &device));
        let mut terms = Terms::new(&device);
        terms.set(Term::Seg, sum([of(1.0), None, of(2.5)]));
        terms.set(Term::Prompt, sum([None, None]));
        let output = terms.output(Tensor::from_data([4.0], &device));
        let logged: Vec<f32> = output.terms.into_data().iter().collect();
        assert_eq!(logged[Term::Seg as usize], 3.5);
        assert_eq!(logged[Term::Loss as usize], 4.0);
        let computed = logged.iter().filter(|value| value.is_finite()).count();
        assert_eq!(computed, 2);
    }
}
