use burn::tensor::Tensor;

use crate::mask::Mask;

/// A map as its cells' features, in raster order.
///
/// # Shapes
/// - `map`: `[regions, channels, height, width]`
/// - output: `[regions, height * width, channels]`
pub(crate) fn cell_features(map: Tensor<4>) -> Tensor<3> {
    let [regions, channels, height, width] = map.dims();
    map.reshape([regions, channels, height * width])
        .swap_dims(1, 2)
}

/// Mean of the selected cells' features (mask pooling, Osprey's `MaskPooling`).
///
/// # Shapes
/// - `features`: `[regions, cells, dim]`
/// - `selected`: `[regions, cells]`, 1 where a cell counts
/// - output: `[regions, dim]`
pub fn pool_selected(features: Tensor<3>, selected: Tensor<2>) -> Tensor<2> {
    let [regions, cells, dim] = features.dims();
    let weights = selected.clone() / selected.sum_dim(1).add_scalar(1e-8);
    weights
        .cast(features.dtype())
        .reshape([regions, 1, cells])
        .matmul(features)
        .reshape([regions, dim])
}

/// Cells of a `grid_h` x `grid_w` map where a soft mask, resized bilinearly without antialiasing
/// (`align_corners = false`), is above zero (Osprey's rule: any touched cell counts).
///
/// `mask` is row-major with `height` rows.
pub fn select_cells(
    mask: &[f32],
    [height, width]: [usize; 2],
    [grid_h, grid_w]: [usize; 2],
) -> Vec<bool> {
    let mut out = Vec::with_capacity(grid_h * grid_w);
    for row in 0..grid_h {
        let rows = bilinear_taps(row, grid_h, height);
        for column in 0..grid_w {
            let columns = bilinear_taps(column, grid_w, width);
            let value: f32 = rows
                .iter()
                .flat_map(|&(y, wy)| columns.iter().map(move |&(x, wx)| (y, x, wy * wx)))
                .map(|(y, x, weight)| weight * mask[y * width + x])
                .sum();
            out.push(value > 0.0);
        }
    }
    out
}

/// Foreground cells of SAM's map for a window of the image that went through SAM's preprocessing.
///
/// The window `[x0, y0, x1, y1]` (pixels of the mask) is scaled to `input` = height and width,
/// padded with zeros to a square of `side`, and resized to `grid` x `grid` cells. Where no cell is
/// touched, the one that holds the mask pixel nearest to the mask's centroid is. More than
/// `max_cells` are thinned to cells `floor(i n / max_cells)` in raster order.
pub fn foreground_cells(
    mask: &Mask,
    window: [u32; 4],
    input: [usize; 2],
    side: usize,
    grid: usize,
    max_cells: usize,
) -> Vec<bool> {
    let [x0, y0, x1, y1] = window;
    let (source_w, source_h) = ((x1 - x0) as usize, (y1 - y0) as usize);
    let [input_h, input_w] = input;
    let covered = |row: usize, column: usize| -> bool {
        if row >= input_h || column >= input_w {
            return false;
        }
        let rows = bilinear_taps(row, input_h, source_h);
        let columns = bilinear_taps(column, input_w, source_w);
        rows.iter().any(|&(y, wy)| {
            columns
                .iter()
                .any(|&(x, wx)| wy * wx > 0.0 && mask.get(x0 + x as u32, y0 + y as u32))
        })
    };
    let mut cells = Vec::with_capacity(grid * grid);
    for row in 0..grid {
        let rows = bilinear_taps(row, grid, side);
        for column in 0..grid {
            let columns = bilinear_taps(column, grid, side);
            cells.push(rows.iter().any(|&(y, wy)| {
                columns
                    .iter()
                    .any(|&(x, wx)| wy * wx > 0.0 && covered(y, x))
            }));
        }
    }
    let count = cells.iter().filter(|&&cell| cell).count();
    if count == 0 {
        let (x, y) = nearest_to_centroid(mask, window);
        let column = (x - x0) as usize * input_w / source_w.max(1) * grid / side;
        let row = (y - y0) as usize * input_h / source_h.max(1) * grid / side;
        cells[row.min(grid - 1) * grid + column.min(grid - 1)] = true;
    } else if count > max_cells {
        thin(&mut cells, count, max_cells);
    }
    cells
}

/// Keeps the cells `floor(i count / keep)` of the set ones.
fn thin(cells: &mut [bool], count: usize, keep: usize) {
    let set: Vec<usize> = (0..cells.len()).filter(|&index| cells[index]).collect();
    cells.fill(false);
    for i in 0..keep {
        cells[set[i * count / keep]] = true;
    }
}

/// The mask pixel inside `window` nearest to the centroid of those pixels; the window's centre
/// where the mask has none there.
fn nearest_to_centroid(mask: &Mask, [x0, y0, x1, y1]: [u32; 4]) -> (u32, u32) {
    let pixels: Vec<(u32, u32)> = (y0..y1)
        .flat_map(|y| (x0..x1).map(move |x| (x, y)))
        .filter(|&(x, y)| mask.get(x, y))
        .collect();
    if pixels.is_empty() {
        return (x0.midpoint(x1), y0.midpoint(y1));
    }
    let count = pixels.len() as f64;
    let cx = pixels.iter().map(|&(x, _)| f64::from(x)).sum::<f64>() / count;
    let cy = pixels.iter().map(|&(_, y)| f64::from(y)).sum::<f64>() / count;
    let distance = |&(x, y): &(u32, u32)| (f64::from(x) - cx).powi(2) + (f64::from(y) - cy).powi(2);
    pixels
        .iter()
        .copied()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .unwrap_or((x0, y0))
}

/// The two source positions and weights of one target position of a bilinear resize with
/// `align_corners = false`.
fn bilinear_taps(target: usize, targets: usize, sources: usize) -> [(usize, f32); 2] {
    let scale = sources as f32 / targets as f32;
    let position = ((target as f32 + 0.5) * scale - 0.5).max(0.0);
    let low = (position.floor() as usize).min(sources - 1);
    let high = (low + 1).min(sources - 1);
    let fraction = position - low as f32;
    [(low, 1.0 - fraction), (high, fraction)]
}
