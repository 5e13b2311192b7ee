use ::image::RgbImage;
use burn::tensor::{Bool, Device, Tensor, TensorData};

use super::cells::foreground_cells;
use super::config::RegionConfig;
use super::shape::mask_shape;
use super::surroundings::{dimmed, surroundings};
use crate::image::geometry;
use crate::mask::Mask;
use crate::sam::{self, SamConfig};

/// What the host works out for one region before anything reaches the device.
#[derive(Debug, Clone)]
pub struct PreparedRegion {
    /// SAM input of the crop, `[3, side, side]`.
    pub crop_pixels: Vec<f32>,
    /// Foreground cells of the crop's map.
    pub crop_cells: Vec<bool>,
    /// Foreground cells of the whole image's map.
    pub image_cells: Vec<bool>,
    /// Centre of the region's box over width and height.
    pub center: [f32; 2],
    /// Input of the position branch.
    pub shape: Vec<f32>,
}

/// Prepares a region: crop, cells, centre and shape.
///
/// Returns `None` where the mask is empty or its size differs from the image's.
pub fn prepare_region(
    image: &RgbImage,
    mask: &Mask,
    sam_config: &SamConfig,
    config: &RegionConfig,
) -> Option<PreparedRegion> {
    let (width, height) = image.dimensions();
    if (mask.width(), mask.height()) != (width, height) {
        return None;
    }
    let bounds = mask.bounds()?;
    let [x0, y0, x1, y1] = geometry::region_crop(bounds, width, height, config.crop);
    let view = ::image::imageops::crop_imm(image, x0, y0, x1 - x0, y1 - y0).to_image();
    let mut crop = sam::preprocess(&view, sam_config);
    if config.dims_surroundings {
        dim_surroundings(&mut crop, sam_config.image_size, mask, [x0, y0, x1, y1]);
    }
    let side = sam_config.image_size;
    let grid = sam_config.grid();
    let whole = sam::input_size(height as usize, width as usize, side);
    Some(PreparedRegion {
        crop_cells: foreground_cells(
            mask,
            [x0, y0, x1, y1],
            [crop.input_h, crop.input_w],
            side,
            grid,
            // Only what step 2 attends to is limited; pooling takes every cell of the crop.
            usize::MAX,
        ),
        crop_pixels: crop.pixels,
        image_cells: foreground_cells(
            mask,
            [0, 0, width, height],
            whole,
            side,
            grid,
            config.max_cells,
        ),
        center: region_center(mask)?,
        shape: mask_shape(mask, config),
    })
}

/// Centre of the box around a region, over the width and height of its picture; none where the
/// mask is empty.
pub fn region_center(mask: &Mask) -> Option<[f32; 2]> {
    let bounds = mask.bounds()?;
    let [cx, cy, ..] = geometry::box_center_size_normalised(bounds, mask.width(), mask.height());
    Some([cx, cy])
}

/// Dims the pixels of a prepared window that the mask does not hold. SAM's normalisation makes the
/// mean pixel zero.
fn dim_surroundings(crop: &mut sam::Prepared, side: usize, mask: &Mask, window: [u32; 4]) {
    for [row, column] in surroundings(mask, window, [crop.input_h, crop.input_w]) {
        for channel in 0..3 {
            let value = &mut crop.pixels[(channel * side + row) * side + column];
            *value = dimmed(*value, 0.0);
        }
    }
}

/// Several prepared regions on a device.
#[derive(Debug, Clone)]
pub struct RegionBatch {
    /// `[regions, 3, side, side]`
    pub crop_pixels: Tensor<4>,
    /// `[regions, cells]`, 1 for foreground
    pub crop_cells: Tensor<2>,
    /// `[regions, cells]`, true for background
    pub image_background: Tensor<2, Bool>,
    /// `[regions, 2]`
    pub center: Tensor<2>,
    /// `[regions, shape_len]`
    pub shape: Tensor<2>,
}

impl RegionBatch {
    /// Moves prepared regions to `device`.
    ///
    /// # Panics
    /// Panics where `regions` is empty.
    pub fn new(regions: &[&PreparedRegion], side: usize, device: &Device) -> Self {
        assert!(!regions.is_empty(), "a batch holds at least one region");
        let count = regions.len();
        let cells = regions[0].crop_cells.len();
        let shape_len = regions[0].shape.len();
        let concat = |part: fn(&PreparedRegion) -> Vec<f32>| -> Vec<f32> {
            regions.iter().flat_map(|region| part(region)).collect()
        };
        let pixels: Vec<f32> = regions
            .iter()
            .flat_map(|region| region.crop_pixels.iter().copied())
            .collect();
        let background: Vec<bool> = regions
            .iter()
            .flat_map(|region| region.image_cells.iter().map(|&cell| !cell))
            .collect();
        Self {
            crop_pixels: Tensor::from_data(TensorData::new(pixels, [count, 3, side, side]), device),
            crop_cells: Tensor::from_data(
                TensorData::new(
                    concat(|region| {
                        region
                            .crop_cells
                            .iter()
                            .map(|&c| f32::from(u8::from(c)))
                            .collect()
                    }),
                    [count, cells],
                ),
                device,
            ),
            image_background: Tensor::from_data(
                TensorData::new(background, [count, cells]),
                device,
            ),
            center: Tensor::from_data(
                TensorData::new(concat(|region| region.center.to_vec()), [count, 2]),
                device,
            ),
            shape: Tensor::from_data(
                TensorData::new(concat(|region| region.shape.clone()), [count, shape_len]),
                device,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fclm::FclmConfig;

    #[test]
    fn only_the_cells_of_the_whole_image_are_limited() {
        let mut config = FclmConfig::tiny(64, 1);
        config.region.max_cells = 3;
        let image = RgbImage::new(64, 64);
        let mask = Mask::from_fn(64, 64, |_, _| true);
        let prepared = prepare_region(&image, &mask, &config.sam, &config.region)
            .expect("a mask of the picture's size");
        let count = |cells: &[bool]| cells.iter().filter(|&&cell| cell).count();
        assert_eq!(count(&prepared.crop_cells), 16);
        assert_eq!(count(&prepared.image_cells), 3);
    }

    #[test]
    fn surroundings_lose_contrast_and_the_region_does_not() {
        let mut config = FclmConfig::tiny(64, 1);
        let image = RgbImage::from_pixel(200, 120, ::image::Rgb([250, 10, 90]));
        let mask = Mask::rect(200, 120, [100.0, 10.0, 120.0, 70.0]);
        let prepare = |config: &FclmConfig| {
            prepare_region(&image, &mask, &config.sam, &config.region)
                .expect("a mask of the picture's size")
                .crop_pixels
        };
        let plain = prepare(&config);
        config.region.dims_surroundings = true;
        let dimmed = prepare(&config);
        // The crop is 144 by 120 pixels from (38, 0), and 64 by 53 as SAM's input.
        let mut inside = 0;
        for (index, (plain, dimmed)) in plain.into_iter().zip(dimmed).enumerate() {
            let (x, y) = (index % 64, index / 64 % 64);
            let source = |place: usize, input: f32, length: f32| {
                ((place as f32 + 0.5) / input * length) as u32
            };
            let is_inside = y < 53 && mask.get(38 + source(x, 64.0, 144.0), source(y, 53.0, 120.0));
            inside += usize::from(is_inside);
            let share = if is_inside { 1.0 } else { 0.2 };
            assert_eq!(dimmed, plain * share, "pixel {x}, {y}");
        }
        // 20 by 60 pixels of 144 by 120, in three colours.
        assert!((600..780).contains(&inside), "{inside}");
    }
}
