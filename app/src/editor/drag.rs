use fclm_core::wire::BoxPx;

use super::PointXy;

/// The whole pixels under a drag from `a` to `b`, at least one each way; both points are in image
/// pixels and may lie off the image. None where the drag misses the image.
pub fn dragged_box(a: PointXy, b: PointXy, image: PointXy) -> Option<BoxPx> {
    let (x0, x1) = covered(a.0, b.0, image.0)?;
    let (y0, y1) = covered(a.1, b.1, image.1)?;
    Some([x0, y0, x1, y1])
}

/// Whether a point lies on the image, its edges included.
pub fn is_inside((x, y): PointXy, image: PointXy) -> bool {
    (0.0..=image.0).contains(&x) && (0.0..=image.1).contains(&y)
}

fn covered(a: f64, b: f64, length: f64) -> Option<(f32, f32)> {
    let (low, high) = (a.min(b), a.max(b));
    // Comparisons with NaN are false, so they must be what is wanted.
    let meets = length >= 1.0 && low < length && high > 0.0;
    meets.then(|| {
        let start = low.floor().clamp(0.0, length - 1.0);
        let end = high.ceil().clamp(start + 1.0, length);
        (start as f32, end as f32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: PointXy = (100.0, 50.0);

    #[test]
    fn a_drag_takes_the_pixels_that_it_touches() {
        let expected = Some([10.0, 5.0, 21.0, 12.0]);
        assert_eq!(dragged_box((10.2, 5.9), (20.1, 11.5), IMAGE), expected);
        assert_eq!(dragged_box((20.1, 11.5), (10.2, 5.9), IMAGE), expected);
    }

    #[test]
    fn what_reaches_beyond_the_image_is_cut_off() {
        assert_eq!(
            dragged_box((-30.0, -30.0), (500.0, 500.0), IMAGE),
            Some([0.0, 0.0, 100.0, 50.0])
        );
        assert_eq!(
            dragged_box((-30.0, 10.0), (0.5, 20.0), IMAGE),
            Some([0.0, 10.0, 1.0, 20.0])
        );
    }

    #[test]
    fn a_line_is_one_pixel_wide() {
        assert_eq!(
            dragged_box((7.0, 3.0), (7.0, 30.0), IMAGE),
            Some([7.0, 3.0, 8.0, 30.0])
        );
        assert_eq!(
            dragged_box((99.5, 49.5), (99.5, 49.5), IMAGE),
            Some([99.0, 49.0, 100.0, 50.0])
        );
    }

    #[test]
    fn a_drag_in_the_margin_is_none() {
        for (a, b) in [
            ((-20.0, 5.0), (0.0, 40.0)),
            ((100.0, 5.0), (130.0, 40.0)),
            ((5.0, -9.0), (60.0, -1.0)),
            ((5.0, 50.0), (60.0, 90.0)),
            ((f64::NAN, 5.0), (f64::NAN, 40.0)),
        ] {
            assert_eq!(dragged_box(a, b, IMAGE), None, "{a:?} {b:?}");
        }
        assert_eq!(dragged_box((0.0, 0.0), (9.0, 9.0), (0.0, 0.0)), None);
    }

    #[test]
    fn the_edges_belong_to_the_image() {
        assert!(is_inside((0.0, 50.0), IMAGE) && is_inside((100.0, 0.0), IMAGE));
        assert!(!is_inside((-0.1, 5.0), IMAGE) && !is_inside((5.0, 50.1), IMAGE));
        assert!(!is_inside((f64::NAN, 5.0), IMAGE));
    }
}
