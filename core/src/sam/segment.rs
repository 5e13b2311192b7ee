//! SAM's own task: points, boxes and masks of one picture to candidates.

use burn::tensor::{Int, Tensor, TensorData};

use super::{Decoded, Sam, SamConfig, input_size, to_input_coords};
use crate::mask::Mask;

/// Logit of a pixel that a mask prompt holds whole; none of it has the negative.
const SURE: f32 = 8.0;

/// Prompts for one mask, in pixels of the upright picture. At least one of them is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct PicturePrompt<'a> {
    /// `(x, y, label)` with label 1 on and 0 off the object.
    pub points: &'a [(f32, f32, i32)],
    /// A box around the object.
    pub box_px: Option<[f32; 4]>,
    /// A rough mask of the object, of the picture's size.
    pub mask: Option<&'a Mask>,
}

impl Sam {
    /// The candidates of an ambiguous prompt over one picture, at the decoder's resolution.
    ///
    /// A mask without points or box gets the box around it.
    ///
    /// # Shapes
    /// - `embedding`: `[1, channels, grid, grid]`
    /// - `original`: height and width of the upright picture
    ///
    /// # Panics
    /// Panics where nothing is given, or a mask alone that is empty.
    pub fn segment(
        &self,
        prompt: PicturePrompt<'_>,
        embedding: Tensor<4>,
        original: [usize; 2],
        config: &SamConfig,
    ) -> Decoded {
        let device = embedding.device();
        let to_input = |places: &[[f32; 2]]| -> Vec<f32> {
            to_input_coords(places, original, config.image_size).into_flattened()
        };
        let points = (!prompt.points.is_empty()).then(|| {
            let places: Vec<[f32; 2]> = prompt.points.iter().map(|&(x, y, _)| [x, y]).collect();
            let labels: Vec<i32> = prompt.points.iter().map(|&(_, _, label)| label).collect();
            let count = labels.len();
            (
                Tensor::<3>::from_data(TensorData::new(to_input(&places), [1, count, 2]), &device),
                Tensor::<2, Int>::from_data(TensorData::new(labels, [1, count]), &device),
            )
        });
        let around = || prompt.mask.and_then(Mask::bounds);
        let box_px = match points {
            Some(_) => prompt.box_px,
            None => prompt.box_px.or_else(around),
        };
        let boxes = box_px.map(|[x0, y0, x1, y1]| {
            let corners = to_input(&[[x0, y0], [x1, y1]]);
            Tensor::<2>::from_data(TensorData::new(corners, [1, 4]), &device)
        });
        let prompts = &self.prompt_encoder;
        let dense = match prompt.mask {
            Some(mask) => {
                let side = config.low_res_size();
                let logits = mask_prompt(mask, config);
                let logits = TensorData::new(logits, [1, 1, side, side]);
                prompts.dense_from_mask(Tensor::from_data(logits, &device))
            }
            None => prompts.dense_no_mask(1),
        };
        self.mask_decoder
            .forward(
                embedding,
                prompts.dense_pe(),
                prompts.sparse(points, boxes),
                dense,
            )
            .multi()
    }
}

/// A mask as the logits that the prompt encoder takes: as large as the decoder's own masks, scaled
/// and padded like the picture.
///
/// # Shapes
/// - output: `[low_res_size, low_res_size]`
fn mask_prompt(mask: &Mask, config: &SamConfig) -> Vec<f32> {
    let side = config.low_res_size();
    let [input_h, input_w] = input_size(
        mask.height() as usize,
        mask.width() as usize,
        config.image_size,
    );
    let scaled = |length: usize| (length * side).div_ceil(config.image_size).clamp(1, side);
    let (height, width) = (scaled(input_h), scaled(input_w));
    let coverage = mask.area_average(width as u32, height as u32);
    let mut logits = vec![-SURE; side * side];
    for (row, values) in coverage.chunks_exact(width).enumerate() {
        for (logit, value) in logits[row * side..][..width].iter_mut().zip(values) {
            *logit = (2.0 * value - 1.0) * SURE;
        }
    }
    logits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fclm::FclmConfig;

    #[test]
    fn a_mask_prompt_lies_where_the_picture_does() {
        let config = FclmConfig::tiny(8, 1).sam;
        // Twice as wide as high: the upper half of the square input is the picture.
        let mask = Mask::rect(64, 32, [0.0, 0.0, 32.0, 32.0]);
        let logits = mask_prompt(&mask, &config);
        let side = config.low_res_size();
        assert_eq!(side, 16);
        for row in 0..side {
            for column in 0..side {
                let inside = row < side / 2 && column < side / 2;
                let wanted = if inside { SURE } else { -SURE };
                assert_eq!(logits[row * side + column], wanted, "{row}, {column}");
            }
        }
    }
}
