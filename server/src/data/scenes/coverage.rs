//! Which object every pixel shows, and how much of each object is hidden.

use super::{scene::Scene, vector::Vec3};

/// No object: table or background.
pub const NO_OBJECT: u8 = u8::MAX;

/// The nearest object along the ray through the centre of every pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Per pixel, row by row, the index of the object it shows, or [`NO_OBJECT`].
    pub ids: Vec<u8>,
    /// Distance from the camera, per pixel; infinite where no object is.
    pub(crate) distances: Vec<f32>,
    /// Pixels in which each object is seen.
    pub visible: Vec<u32>,
    /// Pixels in which each object would be seen if it were alone.
    pub unoccluded: Vec<u32>,
    /// Whether an object's outline reaches past the picture.
    pub(crate) cut_off: Vec<bool>,
    /// Centroid of each object's visible pixels in pixels, pixel centres at halves.
    pub(crate) centroids: Vec<(f32, f32)>,
}

impl Coverage {
    /// Casts the ray through every pixel centre.
    pub fn of(scene: &Scene, width: u32, height: u32) -> Self {
        let pixels = width as usize * height as usize;
        let count = scene.objects.len();
        let mut coverage = Self {
            width,
            height,
            ids: vec![NO_OBJECT; pixels],
            distances: vec![f32::INFINITY; pixels],
            visible: vec![0; count],
            unoccluded: vec![0; count],
            cut_off: vec![false; count],
            centroids: vec![(0.0, 0.0); count],
        };
        for index in 0..count {
            coverage.draw(scene, index);
        }
        let mut sums = vec![(0.0f64, 0.0f64); count];
        for (row, ids) in coverage.ids.chunks_exact(width as usize).enumerate() {
            for (column, &id) in ids.iter().enumerate() {
                if id != NO_OBJECT {
                    coverage.visible[id as usize] += 1;
                    let sum = &mut sums[id as usize];
                    sum.0 += column as f64 + 0.5;
                    sum.1 += row as f64 + 0.5;
                }
            }
        }
        for (index, (x, y)) in sums.into_iter().enumerate() {
            let area = f64::from(coverage.visible[index].max(1));
            coverage.centroids[index] = ((x / area) as f32, (y / area) as f32);
        }
        coverage
    }

    fn draw(&mut self, scene: &Scene, index: usize) {
        let (width, height) = (self.width, self.height);
        let object = &scene.objects[index];
        let camera = &scene.camera;
        let [x0, y0, x1, y1] = camera.outline(object.centre, object.bound, width, height);
        self.cut_off[index] = x0 < 0.0 || y0 < 0.0 || x1 > width as f32 || y1 > height as f32;
        let columns = clamp(x0, width)..clamp(x1.ceil(), width);
        for y in clamp(y0, height)..clamp(y1.ceil(), height) {
            for x in columns.clone() {
                let direction: Vec3 =
                    camera.direction(x as f32 + 0.5, y as f32 + 0.5, width, height);
                let Some(t) = object.crossing(camera.eye, direction, 1e-3) else {
                    continue;
                };
                self.unoccluded[index] += 1;
                let pixel = y * width as usize + x;
                if t < self.distances[pixel] {
                    self.distances[pixel] = t;
                    self.ids[pixel] = index as u8;
                }
            }
        }
    }

    /// Share of an object that is seen: visible pixels over unoccluded ones.
    pub fn visible_share(&self, index: usize) -> f32 {
        self.visible[index] as f32 / self.unoccluded[index].max(1) as f32
    }

    /// Whether enough of an object is seen to ask about it.
    pub fn is_askable(&self, index: usize) -> bool {
        self.visible[index] >= MIN_VISIBLE_PIXELS && self.visible_share(index) >= MIN_VISIBLE_SHARE
    }
}

/// An object is asked about when at least this share of it is seen.
pub const MIN_VISIBLE_SHARE: f32 = 0.30;
/// An object is asked about when it is seen in at least this many pixels.
pub const MIN_VISIBLE_PIXELS: u32 = 150;

fn clamp(position: f32, end: u32) -> usize {
    position.clamp(0.0, end as f32) as usize
}
