//! Positions along time, height and width (M-RoPE).

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::GridThw;

/// The positions of a prompt, and how far the next position lies from the prompt's length.
///
/// Text advances all three axes together. An image that opens at position `p` puts its tokens at
/// `p + frame`, `p + row` and `p + column`, and the text behind it goes on after the largest of
/// these. The `i`-th image, which is `vision_start_token_id` followed by `image_token_id`, has the
/// `i`-th of `grids`, counted in patches of which `merge` x `merge` make a token.
///
/// # Panics
///
/// Panics if `ids` has more images than `grids`, or an image is not followed by as many image
/// tokens as its grid has.
pub fn mrope_positions(
    ids: &[u32],
    image_token_id: u32,
    vision_start_token_id: u32,
    grids: &[GridThw],
    merge: usize,
) -> (Vec<[i32; 3]>, i32) {
    let mut positions = Vec::with_capacity(ids.len());
    let mut next = 0;
    let mut grids = grids.iter();
    let mut index = 0;
    while index < ids.len() {
        let opens =
            index > 0 && ids[index] == image_token_id && ids[index - 1] == vision_start_token_id;
        if !opens {
            positions.push([next; 3]);
            next += 1;
            index += 1;
            continue;
        }
        let grid = grids.next().expect("every image in the ids has a grid");
        let tokens = grid.tokens(merge);
        let run = ids[index..]
            .iter()
            .take_while(|&&id| id == image_token_id)
            .count();
        assert_eq!(
            run, tokens,
            "an image has another number of tokens than its grid"
        );
        let (rows, columns) = (grid.h / merge, grid.w / merge);
        for token in 0..tokens {
            let frame = token / (rows * columns);
            let row = token / columns % rows;
            let column = token % columns;
            positions.push([frame, row, column].map(|offset| next + offset as i32));
        }
        next += grid.t.max(rows).max(columns) as i32;
        index += tokens;
    }
    (positions, next - ids.len() as i32)
}

/// The positions of `count` text tokens behind `len` tokens of a sequence with this `rope_delta`.
pub fn mrope_continue(len: usize, rope_delta: i32, count: usize) -> Vec<[i32; 3]> {
    (len..len + count)
        .map(|index| [index as i32 + rope_delta; 3])
        .collect()
}

/// The positions of a batch as the model takes them.
///
/// # Shapes
///
/// - output: `[3, B, L]`
///
/// # Panics
///
/// Panics if the sequences have different lengths.
pub fn positions_tensor(batch: &[&[[i32; 3]]], device: &Device) -> Tensor<3, Int> {
    let len = batch.first().map_or(0, |positions| positions.len());
    assert!(
        batch.iter().all(|positions| positions.len() == len),
        "sequences of unequal length"
    );
    let values: Vec<i32> = (0..3)
        .flat_map(|axis| {
            batch
                .iter()
                .flat_map(move |row| row.iter().map(move |p| p[axis]))
        })
        .collect();
    Tensor::from_data(
        TensorData::new(values, [3, batch.len(), len]),
        (device, DType::I32),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_on_after_the_longer_side_of_an_image() {
        let (start, image) = (7, 8);
        let grid = GridThw { t: 1, h: 4, w: 6 };
        let mut ids = vec![1, start];
        ids.extend([image; 6]);
        ids.extend([9, 2]);
        let (positions, delta) = mrope_positions(&ids, image, start, &[grid], 2);
        assert_eq!(positions[..2], [[0; 3], [1; 3]]);
        assert_eq!(
            positions[2..8],
            [
                [2, 2, 2],
                [2, 2, 3],
                [2, 2, 4],
                [2, 3, 2],
                [2, 3, 3],
                [2, 3, 4]
            ]
        );
        assert_eq!(positions[8..], [[5; 3], [6; 3]]);
        assert_eq!(delta, -3);
        assert_eq!(mrope_continue(ids.len(), delta, 2), [[7; 3], [8; 3]]);
    }
}
