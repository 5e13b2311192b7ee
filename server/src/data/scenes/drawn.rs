use fclm_core::mask::Mask;
use image::RgbImage;

use super::{
    coverage::Coverage,
    render::{Rendered, render_covered},
    scene::Scene,
    seeds::SceneSeed,
    view::View,
};

/// A rendered scene with what its objects look like and what can be said of them.
///
/// Objects are named by their index throughout. The masks are those of the ray through every
/// pixel's centre, so they never overlap.
#[derive(Debug, Clone)]
pub struct DrawnScene {
    /// The picture.
    pub image: RgbImage,
    /// The visible pixels of each object.
    pub masks: Vec<Mask>,
    /// Share of each object that is not hidden behind another.
    pub visible: Vec<f32>,
    /// The scene as its expressions are evaluated on it.
    pub view: View,
    /// What the table is, for captions.
    pub table: &'static str,
    /// Objects that can be seen well enough to be asked about.
    pub askable: Vec<usize>,
}

impl DrawnScene {
    /// Renders the scene of a seed.
    ///
    /// # Panics
    /// When a side is zero.
    pub fn new(seed: SceneSeed, width: u32, height: u32) -> Self {
        let (scene, seen) = Scene::generate_seen(seed);
        let coverage = match (seen.width, seen.height) == (width, height) {
            true => seen,
            false => Coverage::of(&scene, width, height),
        };
        let rendered = render_covered(&scene, coverage);
        Self::of(&scene, rendered)
    }

    pub(super) fn of(scene: &Scene, Rendered { image, coverage }: Rendered) -> Self {
        let view = View::new(scene, &coverage);
        let askable = (0..view.objects.len())
            .filter(|&object| view.objects[object].askable)
            .collect();
        let visible = (0..scene.objects.len())
            .map(|object| coverage.visible_share(object))
            .collect();
        Self {
            image,
            masks: masks(&coverage),
            visible,
            view,
            table: scene.table_name(),
            askable,
        }
    }

    /// The union of the masks of some objects.
    pub fn union(&self, objects: &[usize]) -> Mask {
        let mut union = Mask::new(self.image.width(), self.image.height());
        for &object in objects {
            union.union_with(&self.masks[object]);
        }
        union
    }
}

fn masks(coverage: &Coverage) -> Vec<Mask> {
    (0..coverage.visible.len())
        .map(|object| {
            let data = coverage
                .ids
                .iter()
                .map(|&id| u8::from(id as usize == object))
                .collect();
            Mask::from_data(coverage.width, coverage.height, data)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::{
        record::PictureRecord,
        scenes::{Seeds, read_dataset, render},
    };

    /// The seed of the sample pictures, which were drawn by `fclm data scenes` at 512x512.
    const SAMPLES: u64 = 2026;

    #[test]
    fn the_sample_pictures_are_drawn_again_pixel_by_pixel() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../public/samples");
        let samples = read_dataset(&folder).unwrap();
        assert!(samples.scenes.len() >= 8);
        for scene in samples.scenes {
            let expected = image::open(samples.dir.join(&scene.image)).unwrap();
            let expected = expected.to_rgb8();
            let index = scene.id.to_string().parse().unwrap();
            let (width, height) = expected.dimensions();
            let drawn = DrawnScene::new(Seeds::public(SAMPLES).scene(index), width, height);
            let pixels = drawn.image.pixels().zip(expected.pixels());
            let differ = pixels.filter(|(drawn, expected)| drawn != expected).count();
            assert_eq!(differ, 0, "pixels of {}", scene.image);
            let record = PictureRecord::from(scene);
            for (place, mask) in drawn.masks.iter().enumerate() {
                assert_eq!(record.mask(place).unwrap(), *mask);
            }
        }
    }

    #[test]
    fn what_was_seen_when_a_scene_was_drawn_is_what_its_picture_shows() {
        for index in 0..3 {
            let seed = Seeds::public(8).scene(index);
            let scene = Scene::generate(seed);
            for side in [256, 64] {
                let drawn = DrawnScene::new(seed, side, side);
                let rendered = render(&scene, side, side);
                assert_eq!(drawn.image, rendered.image);
                assert_eq!(drawn.masks, masks(&rendered.coverage));
            }
        }
    }
}
