//! Where the decoder's logits lie under the pixels of a canvas that shows the picture.

use crate::wire::PictureView;

/// How the middles of a canvas's pixels become positions in the encoder's input, where whole
/// numbers are the middles of the input's pixels: *position = middle * step + start*. Interpolating
/// there as [`upscale_mask`](super::upscale_mask) does gives the mask that it gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitPlace {
    /// Pixels of the input per pixel of the canvas, across and down.
    pub step: [f32; 2],
    /// Position of the canvas's upper left corner.
    pub start: [f32; 2],
    /// Width and height of the picture inside the input.
    pub input: [f32; 2],
    /// The part of the canvas that the picture covers: left, top, width and height. None of the
    /// sizes is zero.
    pub covered: [u32; 4],
}

impl LogitPlace {
    /// Of a picture on a canvas; none where the canvas shows nothing of it.
    ///
    /// # Shapes
    /// - input: height and width of the picture within the encoder's square input
    /// - original: height and width of the picture
    pub fn new(view: &PictureView, input: [usize; 2], original: [usize; 2]) -> Option<Self> {
        let [input, original] = [input, original].map(|[height, width]| [width, height]);
        let axes = [(view.x, view.width), (view.y, view.height)];
        let mut place = Self {
            step: [0.0; 2],
            start: [0.0; 2],
            input: input.map(|length| length as f32),
            covered: [0; 4],
        };
        for (axis, (offset, length)) in axes.into_iter().enumerate() {
            let shown = original[axis] as f64 * view.scale;
            let (first, end) = (
                offset.round().clamp(0.0, f64::from(length)),
                (offset + shown).round().clamp(0.0, f64::from(length)),
            );
            // What is no number is not larger either.
            if !(shown > 0.0 && end > first) {
                return None;
            }
            let step = input[axis] as f64 / shown;
            place.step[axis] = step as f32;
            place.start[axis] = (-offset * step - 0.5) as f32;
            place.covered[axis] = first as u32;
            place.covered[axis + 2] = (end - first) as u32;
        }
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, TensorData};

    use super::*;
    use crate::fixtures::test_device;
    use crate::sam::{input_size, upscale_logits};

    fn view(scale: f64, x: f64, y: f64) -> PictureView {
        PictureView {
            scale,
            x,
            y,
            width: 100,
            height: 80,
            ratio: 1.0,
        }
    }

    // What the worker's shader does at a pixel of the canvas, line by line.
    fn taps(position: f32, count: f32) -> (f32, f32, f32) {
        let at = position.max(0.0);
        let low = at.floor().min(count - 1.0);
        (low, (low + 1.0).min(count - 1.0), at - low)
    }

    fn axis(position: f32, count: f32, side: f32, ratio: f32) -> [(usize, f32); 4] {
        let (low, high, outer) = taps(position, count);
        let (a, b, u) = taps((low + 0.5) * ratio - 0.5, side);
        let (c, d, v) = taps((high + 0.5) * ratio - 0.5, side);
        [
            (a as usize, (1.0 - u) * (1.0 - outer)),
            (b as usize, u * (1.0 - outer)),
            (c as usize, (1.0 - v) * outer),
            (d as usize, v * outer),
        ]
    }

    fn logit(
        low_res: &[f32],
        side: usize,
        image_size: usize,
        at: [f64; 2],
        on: &LogitPlace,
    ) -> f32 {
        let ratio = side as f32 / image_size as f32;
        let [across, down] = [0, 1].map(|i| {
            let position = at[i] as f32 * on.step[i] + on.start[i];
            axis(position, on.input[i], side as f32, ratio)
        });
        let row = |row: usize| -> f32 {
            let values = across
                .iter()
                .map(|(x, weight)| low_res[row * side + x] * weight);
            values.sum()
        };
        down.iter().map(|(y, weight)| row(*y) * weight).sum()
    }

    #[test]
    fn pixels_of_a_canvas_find_the_logits_of_the_pictures_pixels() {
        let low_res: Vec<f32> = (0..64)
            .map(|index| ((index * 37 % 23) as f32) - 11.3)
            .collect();
        for original in [[13, 29], [4, 3], [32, 32]] {
            let input = input_size(original[0], original[1], 32);
            let values = TensorData::new(low_res.clone(), [1, 1, 8, 8]);
            let tensor = Tensor::<4>::from_data(values, &test_device());
            let wanted = upscale_logits(tensor, input, 32, original).into_data();
            let wanted: Vec<f32> = wanted.iter::<f32>().collect();
            for (scale, x, y) in [(1.0, 0.0, 0.0), (3.0, -5.5, 7.25), (0.5, 20.0, 1.0)] {
                let place = LogitPlace::new(&view(scale, x, y), input, original).unwrap();
                for (index, wanted) in wanted.iter().enumerate() {
                    let (column, row) = (index % original[1], index / original[1]);
                    let at = [
                        (column as f64 + 0.5) * scale + x,
                        (row as f64 + 0.5) * scale + y,
                    ];
                    let found = logit(&low_res, 8, 32, at, &place);
                    assert!(
                        (found - wanted).abs() < 1e-3,
                        "{original:?} at {scale}: pixel {column}, {row} is {found}, not {wanted}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_more_is_covered_than_canvas_and_picture_share() {
        let covered = |scale, x, y| {
            LogitPlace::new(&view(scale, x, y), [16, 32], [20, 40]).map(|place| place.covered)
        };
        assert_eq!(covered(1.0, 10.0, 20.0), Some([10, 20, 40, 20]));
        // From -30 to 50 and from 45 to 85, of 100 x 80 pixels.
        assert_eq!(covered(2.0, -30.0, 45.0), Some([0, 45, 50, 35]));
        assert_eq!(covered(1.0, 100.0, 0.0), None);
        assert_eq!(covered(1.0, 0.0, -20.0), None);
        assert_eq!(covered(0.0, 0.0, 0.0), None);
        assert_eq!(covered(f64::NAN, 0.0, 0.0), None);
    }
}
