//! The share of each cell of a coarser (or finer) grid that a mask covers.

use super::Mask;

impl Mask {
    /// The mask stretched to `out_width x out_height` by averaging over areas: row by row, the
    /// fraction of each cell that is covered, in `[0, 1]`; a wholly covered cell is exactly 1.
    ///
    /// # Panics
    /// If a side of the output is zero.
    pub fn area_average(&self, out_width: u32, out_height: u32) -> Vec<f32> {
        assert!(
            out_width > 0 && out_height > 0,
            "the output must have pixels"
        );
        if self.width() == 0 || self.height() == 0 {
            return vec![0.0; out_width as usize * out_height as usize];
        }
        let whole_blocks =
            self.width().is_multiple_of(out_width) && self.height().is_multiple_of(out_height);
        let block = (self.width() / out_width, self.height() / out_height);
        if whole_blocks && block.1 <= u32::from(u16::MAX) {
            self.average_blocks(block.0 as usize, block.1 as usize)
        } else {
            self.average_overlaps(out_width as usize, out_height as usize)
        }
    }

    fn average_blocks(&self, block_width: usize, block_height: usize) -> Vec<f32> {
        let width = self.width() as usize;
        let scale = 1.0 / (block_width * block_height) as f64;
        let mut columns = vec![0u16; width];
        let mut out = Vec::with_capacity(self.data().len() / (block_width * block_height));
        for band in self.data().chunks_exact(width * block_height) {
            columns.fill(0);
            for row in band.chunks_exact(width) {
                for (sum, &pixel) in columns.iter_mut().zip(row) {
                    *sum += u16::from(pixel);
                }
            }
            out.extend(columns.chunks_exact(block_width).map(|block| {
                let covered: u64 = block.iter().map(|&sum| u64::from(sum)).sum();
                (covered as f64 * scale) as f32
            }));
        }
        out
    }

    fn average_overlaps(&self, out_width: usize, out_height: usize) -> Vec<f32> {
        let (width, height) = (self.width() as usize, self.height() as usize);
        let across = overlaps(width, out_width);
        let total = (width as u64 * height as u64) as f64;
        let mut columns = vec![0u32; width];
        let mut out = Vec::with_capacity(out_width * out_height);
        for (first_row, weights) in overlaps(height, out_height) {
            columns.fill(0);
            for (row, &weight) in self.data()[first_row * width..]
                .chunks_exact(width)
                .zip(&weights)
            {
                for (sum, &pixel) in columns.iter_mut().zip(row) {
                    *sum += u32::from(pixel) * weight;
                }
            }
            out.extend(across.iter().map(|(first, weights)| {
                let covered: u64 = columns[*first..]
                    .iter()
                    .zip(weights)
                    .map(|(&sum, &weight)| u64::from(sum) * u64::from(weight))
                    .sum();
                (covered as f64 / total) as f32
            }));
        }
        out
    }
}

/// For each output cell the first input cell that it touches, and by how much it overlaps that
/// and the following ones, in units of `1 / output` input cells; whole numbers, so that sums are
/// exact. The overlaps of a cell add up to `input`.
fn overlaps(input: usize, output: usize) -> Vec<(usize, Vec<u32>)> {
    (0..output)
        .map(|cell| {
            let (start, end) = (cell * input, (cell + 1) * input);
            let first = start / output;
            let last = end.div_ceil(output);
            let weights = (first..last)
                .map(|i| (end.min((i + 1) * output) - start.max(i * output)) as u32)
                .collect();
            (first, weights)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_and_thirds() {
        let mask = Mask::rect(4, 2, [0.0, 0.0, 1.0, 2.0]);
        assert_eq!(mask.area_average(2, 1), [0.5, 0.0]);
        assert_eq!(mask.area_average(3, 1), [0.75, 0.0, 0.0]);
        assert_eq!(
            mask.area_average(8, 1),
            [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        );
    }

    proptest! {
        #[test]
        fn both_ways_agree_with_sampling(
            (block_w, block_h) in (1u32..5, 1u32..5),
            (out_w, out_h) in (1u32..6, 1u32..6),
            seed in any::<u64>(),
        ) {
            let mask = Mask::from_fn(block_w * out_w, block_h * out_h, |x, y| {
                (seed.rotate_left(x * 7 + y * 13) & 1) == 1
            });
            let fast = mask.area_average(out_w, out_h);
            prop_assert_eq!(&fast, &mask.average_overlaps(out_w as usize, out_h as usize));
        }

        #[test]
        fn any_sizes_agree_with_brute_force(
            (width, height) in (1u32..14, 1u32..14),
            (out_w, out_h) in (1u32..14, 1u32..14),
            seed in any::<u64>(),
        ) {
            let mask = Mask::from_fn(width, height, |x, y| {
                (seed.rotate_left(x * 11 + y * 5) & 1) == 1
            });
            let averaged = mask.area_average(out_w, out_h);
            for oy in 0..out_h {
                for ox in 0..out_w {
                    // A grid of out_w * out_h samples a pixel hits no cell edge twice.
                    let mut covered = 0u32;
                    for sy in oy * height..(oy + 1) * height {
                        for sx in ox * width..(ox + 1) * width {
                            covered += u32::from(mask.get(sx / out_w, sy / out_h));
                        }
                    }
                    let expected = covered as f32 / (width * height) as f32;
                    let got = averaged[(oy * out_w + ox) as usize];
                    prop_assert!((got - expected).abs() < 1e-6, "{} is not {}", got, expected);
                }
            }
        }
    }
}
