use burn::tensor::{Device, Tensor};

/// A number that a step reports. What a step does not compute is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    Loss,
    Ce,
    Seg,
    Consist,
    Prompt,
    Score,
    TokenAccuracy,
    CategoryAccuracy,
    FindIou,
    PosIou,
    Attributes,
    Outline,
    Latent,
    Place,
    PlaceAccuracy,
    Attention,
    SamShapes,
    VisionShapes,
    CloserShapes,
    MaskShapes,
    PosShapes,
}

/// Their names in the log, in order.
pub(super) const TERMS: [&str; 21] = [
    "loss",
    "ce",
    "seg",
    "consist",
    "prompt",
    "score",
    "token_acc",
    "category_acc",
    "find_iou",
    "pos_iou",
    "attributes",
    "outline",
    "latent",
    "place",
    "place_acc",
    "attention",
    "sam_shape_acc",
    "vision_shape_acc",
    "closer_shape_acc",
    "mask_shape_acc",
    "pos_shape_acc",
];

/// The terms of a step while they are collected.
#[derive(Debug)]
pub(super) struct Terms(Vec<Tensor<1>>);

impl Terms {
    /// All of them zero.
    pub(super) fn new(device: &Device) -> Self {
        Self(vec![Tensor::zeros([1], device); TERMS.len()])
    }

    pub(super) fn set(&mut self, term: Term, value: Tensor<1>) {
        self.0[term as usize] = value;
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

/// A step's loss, and the terms that make it up, for the log.
#[derive(Debug)]
pub(super) struct StepOutput {
    pub(super) loss: Tensor<1>,
    /// `[TERMS.len()]`
    pub(super) terms: Tensor<1>,
}
