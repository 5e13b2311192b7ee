//! SAM's own task, which stage 1 trains beside everything else.

use burn::tensor::{Int, Tensor};

use fclm_core::fclm::Fclm;
use fclm_core::loss::{self, segmentation_by_mask, segmentation_loss};
use fclm_core::sam::Decoded;

use super::batch::DevicePrompts;
use super::step::iou;

/// SAM's own task: boxes and points as prompts, the best of the three masks is learned, and all
/// three scores. Some prompts are refined by clicks, and by the mask that they gave. Returns the
/// mask loss and the score loss; nothing where there are no prompts.
pub(super) fn prompt_task(
    model: &Fclm,
    images: &Tensor<4>,
    prompts: DevicePrompts,
) -> Option<(Tensor<1>, Tensor<1>)> {
    let encoder = &model.sam.prompt_encoder;
    let mut sparse = Vec::new();
    let mut scene = Vec::new();
    let mut coverage = Vec::new();
    if let Some((boxes, masks)) = prompts.boxes {
        sparse.push(encoder.sparse(None, Some(boxes)));
        scene.push(masks.scene);
        coverage.push(masks.coverage);
    }
    if let Some((points, labels, masks)) = prompts.points {
        sparse.push(encoder.sparse(Some((points, labels)), None));
        scene.push(masks.scene);
        coverage.push(masks.coverage);
    }
    if sparse.is_empty() {
        return None;
    }
    let sparse: Tensor<3> = Tensor::cat(sparse, 0);
    let scene: Tensor<1, Int> = Tensor::cat(scene, 0);
    let coverage: Tensor<3> = Tensor::cat(coverage, 0);
    let [count, _, _] = sparse.dims();
    let first = ambiguous(
        model,
        images.clone().select(0, scene.clone()),
        sparse,
        encoder.dense_no_mask(count),
        coverage.clone(),
    );
    let Some(refined) = prompts.refinements else {
        return Some((first.loss, first.score));
    };

    let [count, _, _] = refined.clicks.dims();
    let previous = first.chosen.detach().select(0, refined.first.clone());
    let from_mask = encoder.dense_from_mask(previous.unsqueeze_dim(1));
    let dense = from_mask * refined.is_from_mask.clone()
        + encoder.dense_no_mask(count) * refined.is_from_mask.neg().add_scalar(1.0);
    let second = ambiguous(
        model,
        images
            .clone()
            .select(0, scene.select(0, refined.first.clone())),
        encoder.sparse(Some((refined.clicks, refined.labels)), None),
        dense,
        coverage.select(0, refined.first),
    );
    let half = |a: Tensor<1>, b: Tensor<1>| (a + b).mul_scalar(0.5);
    Some((
        half(first.loss, second.loss),
        half(first.score, second.score),
    ))
}

/// What came of prompts that may mean several things.
struct Ambiguous {
    loss: Tensor<1>,
    score: Tensor<1>,
    /// The logits that fit best, `[prompts, side, side]`.
    chosen: Tensor<3>,
}

/// Decodes three masks of each prompt. Only the one that fits best learns, so that the three may
/// mean different things; all three scores learn.
fn ambiguous(
    model: &Fclm,
    images: Tensor<4>,
    sparse: Tensor<3>,
    dense: Tensor<4>,
    coverage: Tensor<3>,
) -> Ambiguous {
    let dense_pe = model.sam.prompt_encoder.dense_pe();
    let Decoded {
        low_res,
        iou: scores,
    } = model
        .sam
        .mask_decoder
        .forward(images, dense_pe, sparse, dense)
        .multi();
    let [prompts, candidates, height, width] = low_res.dims();
    let every = coverage
        .clone()
        .unsqueeze_dim::<4>(1)
        .expand([prompts, candidates, height, width])
        .reshape([prompts * candidates, height, width]);
    let flat = low_res
        .clone()
        .detach()
        .reshape([prompts * candidates, height, width]);
    let actual = iou(flat.clone(), every.clone());
    let score = loss::score_loss(scores.reshape([prompts * candidates]), actual);
    // The loss tells candidates apart where none of them touches the object yet.
    let best = segmentation_by_mask(flat, every)
        .reshape([prompts, candidates])
        .argmin(1);
    let best = best
        .reshape([prompts, 1, 1, 1])
        .expand([prompts, 1, height, width]);
    let chosen = low_res.gather(1, best).reshape([prompts, height, width]);
    Ambiguous {
        loss: segmentation_loss(chosen.clone(), coverage),
        score,
        chosen,
    }
}
