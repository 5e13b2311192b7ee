use super::config::RegionConfig;
use crate::image::geometry;
use crate::mask::Mask;

/// Numbers that tell a box: `cx, cy, w, h`.
pub(super) const BOX_NUMBERS: usize = 4;

/// What the position branch takes of a mask: its coverage over the whole picture,
/// `mask_side * mask_side`, then `cx, cy, w, h` of its box as shares of the picture, then its
/// coverage over that box alone, `close_side * close_side`. An empty mask's box is the picture.
pub fn mask_shape(mask: &Mask, config: &RegionConfig) -> Vec<f32> {
    let (width, height) = (mask.width(), mask.height());
    let [x0, y0, x1, y1] = mask.pixel_bounds().unwrap_or([0, 0, width, height]);
    let bounds = [x0, y0, x1, y1].map(|side| side as f32);
    let side = config.mask_side as u32;
    let mut shape = mask.area_average(side, side);
    shape.extend(geometry::box_center_size_normalised(bounds, width, height));
    if config.close_side > 0 {
        let close = mask.crop(x0, y0, x1, y1);
        shape.extend(close.area_average(config.close_side as u32, config.close_side as u32));
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_picture_then_box_then_close_up() {
        let config = RegionConfig {
            mask_side: 2,
            close_side: 2,
            ..RegionConfig::published(8)
        };
        let corner = Mask::from_fn(8, 8, |x, y| x < 4 && y < 4 && (x < 2 || y < 2));
        assert_eq!(
            mask_shape(&corner, &config),
            [
                0.75, 0.0, 0.0, 0.0, // the picture
                0.25, 0.25, 0.5, 0.5, // the box
                1.0, 1.0, 1.0, 0.0, // its inside
            ]
        );
        let empty = mask_shape(&Mask::new(8, 8), &config);
        assert_eq!(empty[4..8], [0.5, 0.5, 1.0, 1.0]);
        assert_eq!(empty.len(), config.shape_len());
    }
}
