use image::RgbImage;

use fclm_core::mask::Mask;

use crate::data::scenes::{Scene, View, render};

/// A rendered training scene with what its sampler needs to know.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) side: u32,
    pub(super) view: View,
    pub(super) image: RgbImage,
    /// Visible pixels of each object.
    pub(super) masks: Vec<Mask>,
    pub(super) table: &'static str,
    /// Objects that may be asked about.
    pub(super) askable: Vec<usize>,
}

impl Drawn {
    /// Renders the scene of a seed as a square of `side` pixels.
    pub(super) fn new(seed: u64, side: u32) -> Self {
        let scene = Scene::generate(seed);
        let rendered = render(&scene, side, side);
        let view = View::new(&scene, &rendered.coverage);
        let masks = (0..scene.objects.len())
            .map(|object| {
                Mask::from_fn(side, side, |x, y| {
                    rendered.coverage.ids[(y * side + x) as usize] as usize == object
                })
            })
            .collect();
        let askable = (0..view.objects.len())
            .filter(|&index| view.objects[index].askable)
            .collect();
        Self {
            side,
            table: scene.table_name(),
            view,
            image: rendered.image,
            masks,
            askable,
        }
    }

    /// The union of the masks of some objects.
    pub(super) fn union(&self, objects: &[usize]) -> Mask {
        let mut union = Mask::new(self.side, self.side);
        objects
            .iter()
            .for_each(|&object| union.union_with(&self.masks[object]));
        union
    }
}
