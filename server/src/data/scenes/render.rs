//! Turns a scene into a picture.

use std::sync::LazyLock;

use image::RgbImage;

use super::{
    coverage::{Coverage, NO_OBJECT},
    scene::Scene,
    shade::{Sampling, Shader},
    vector::{Vec3, fraction, vec3},
};

/// Four places in a pixel, on a rotated grid, that join the centre where a pixel is refined.
const REFINED: [(f32, f32); 4] = [
    (0.375, 0.125),
    (0.875, 0.375),
    (0.625, 0.875),
    (0.125, 0.625),
];
/// Neighbours that differ by more than this in any channel, of 255, are refined.
const STEP: u8 = 22;
/// Entries of the table that encodes linear light as sRGB.
const ENCODE_STEPS: usize = 8191;

static ENCODED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..=ENCODE_STEPS)
        .map(|step| {
            let linear = step as f32 / ENCODE_STEPS as f32;
            let encoded = if linear <= 0.003_130_8 {
                12.92 * linear
            } else {
                1.055 * linear.powf(1.0 / 2.4) - 0.055
            };
            (encoded * 255.0 + 0.5) as u8
        })
        .collect()
});

/// A picture with what each of its pixels shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The picture.
    pub image: RgbImage,
    /// Which object every pixel centre shows.
    pub coverage: Coverage,
}

/// Renders a scene; its camera fits the square that the shorter side spans.
///
/// # Panics
/// When a side is zero.
pub fn render(scene: &Scene, width: u32, height: u32) -> Rendered {
    render_covered(scene, Coverage::of(scene, width, height))
}

/// Renders a scene of which it is known what each pixel shows.
pub(super) fn render_covered(scene: &Scene, coverage: Coverage) -> Rendered {
    let image = draw(scene, &coverage);
    Rendered { image, coverage }
}

fn draw(scene: &Scene, coverage: &Coverage) -> RgbImage {
    let (width, height) = (coverage.width, coverage.height);
    let columns = width as usize;
    let shader = Shader::new(scene);
    let mut light = Vec::with_capacity(columns * height as usize);
    let mut bytes = vec![0u8; columns * height as usize * 3];

    for y in 0..height {
        for x in 0..width {
            let direction = scene
                .camera
                .direction(x as f32 + 0.5, y as f32 + 0.5, width, height);
            let pixel = light.len();
            let id = coverage.ids[pixel];
            let hit = (id != NO_OBJECT).then(|| (id as usize, coverage.distances[pixel]));
            let sampling = Sampling {
                turn: turn(x, y),
                whole_lamp: true,
            };
            let colour = exposed(shader.primary(direction, hit, sampling));
            light.push(colour);
            bytes[pixel * 3..pixel * 3 + 3].copy_from_slice(&encoded(colour));
        }
    }

    for pixel in rough_pixels(coverage, &bytes) {
        let (x, y) = ((pixel % columns) as u32, (pixel / columns) as u32);
        let mut sum = light[pixel];
        for (k, (u, v)) in REFINED.into_iter().enumerate() {
            let direction = scene
                .camera
                .direction(x as f32 + u, y as f32 + v, width, height);
            let hit = shader.nearest(scene.camera.eye, direction, None);
            let sampling = Sampling {
                turn: turn(x, y) + 5 * (k + 1),
                whole_lamp: false,
            };
            sum += exposed(shader.primary(direction, hit, sampling));
        }
        let mean = sum * (1.0 / (REFINED.len() + 1) as f32);
        bytes[pixel * 3..pixel * 3 + 3].copy_from_slice(&encoded(mean));
    }
    RgbImage::from_raw(width, height, bytes).expect("three bytes for every pixel")
}

/// Pixels that differ from a neighbour in what they show or in how it looks.
fn rough_pixels(coverage: &Coverage, bytes: &[u8]) -> Vec<usize> {
    let columns = coverage.width as usize;
    let mut rough = vec![false; coverage.ids.len()];
    let differ = |a: usize, b: usize| {
        coverage.ids[a] != coverage.ids[b]
            || (0..3).any(|c| bytes[a * 3 + c].abs_diff(bytes[b * 3 + c]) > STEP)
    };
    for pixel in 0..rough.len() {
        if (pixel + 1) % columns != 0 && differ(pixel, pixel + 1) {
            rough[pixel] = true;
            rough[pixel + 1] = true;
        }
        if pixel + columns < rough.len() && differ(pixel, pixel + columns) {
            rough[pixel] = true;
            rough[pixel + columns] = true;
        }
    }
    rough
        .iter()
        .enumerate()
        .filter_map(|(pixel, &is_rough)| is_rough.then_some(pixel))
        .collect()
}

/// Interleaved gradient noise: neighbours take different sets of shadow rays.
fn turn(x: u32, y: u32) -> usize {
    let value = fraction(0.067_110_56 * x as f32 + 0.005_837_15 * y as f32);
    (fraction(value * 52.982_918) * 16.0) as usize
}

/// Rolls bright light off softly below 1.
#[inline]
fn exposed(light: Vec3) -> Vec3 {
    let shoulder = |value: f32| {
        const KNEE: f32 = 0.70;
        if value <= KNEE {
            value
        } else {
            let over = (value - KNEE) / (1.0 - KNEE);
            KNEE + (1.0 - KNEE) * (over / (1.0 + over))
        }
    };
    vec3(shoulder(light.x), shoulder(light.y), shoulder(light.z))
}

#[inline]
fn encoded(colour: Vec3) -> [u8; 3] {
    let table = &*ENCODED;
    let encode = |value: f32| table[(value.clamp(0.0, 1.0) * ENCODE_STEPS as f32 + 0.5) as usize];
    [encode(colour.x), encode(colour.y), encode(colour.z)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scenes::Seeds;

    #[test]
    fn the_same_seed_gives_the_same_picture_on_any_thread() {
        let seed = Seeds::public(11).scene(4);
        let here = render(&Scene::generate(seed), 96, 80);
        let there = std::thread::spawn(move || render(&Scene::generate(seed), 96, 80))
            .join()
            .expect("no panic");
        assert_eq!(here, there);
        let other = render(&Scene::generate(Seeds::public(11).scene(5)), 96, 80);
        assert_ne!(here.image, other.image);
    }
}
