use fclm_core::mask::Mask;
use image::RgbImage;

use super::{
    coverage::Coverage,
    render::{Rendered, render},
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
        let scene = Scene::generate(seed);
        let rendered = render(&scene, width, height);
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
