//! Draws scenes: attributes, places, light, camera, table.

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    coverage::Coverage,
    scene::{Background, Camera, Light, Scene, SceneObject, Table, TableKind, unit_length},
    vector::{Vec3, vec3},
    view::View,
    vocabulary::{Attributes, Colour, Material, Pattern, Shape, Size},
};

/// The picture in which the limits on visibility must hold.
const REFERENCE_SIDE: u32 = 256;
/// Objects of a scene keep at least these limits, which leave some room above those for asking
/// so that other picture sizes keep them too.
const MIN_PIXELS: u32 = 170;
const MIN_SHARE: f32 = 0.34;
/// Clear ground between two objects.
const GAP: f32 = 0.10;

impl Scene {
    /// Draws the scene that belongs to a seed.
    ///
    /// The same seed always gives the same scene; seeds come from [`Seeds`](super::Seeds).
    pub fn generate(seed: u64) -> Self {
        let mut rng = scene_rng(seed);
        loop {
            if let Some(scene) = attempt(&mut rng) {
                return scene;
            }
        }
    }
}

fn scene_rng(seed: u64) -> ChaCha8Rng {
    stream(seed, 0)
}

/// An independent source of randomness that belongs to a scene.
pub(crate) fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..24].copy_from_slice(b"fclm table scene");
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(stream);
    rng
}

fn attempt(rng: &mut ChaCha8Rng) -> Option<Scene> {
    let camera = draw_camera(rng);
    let table = draw_table(rng);
    let attributes = draw_attributes(rng);
    let objects = place(rng, &attributes, &camera, &table)?;
    let lights = draw_lights(rng, &camera);
    let scene = Scene {
        objects,
        camera,
        lights,
        ambient: Vec3::splat(rng.random_range(0.34..0.48)),
        table,
        background: draw_background(rng),
    };
    let coverage = Coverage::of(&scene, REFERENCE_SIDE, REFERENCE_SIDE);
    let all_seen = (0..scene.objects.len()).all(|index| {
        coverage.visible[index] >= MIN_PIXELS && coverage.visible_share(index) >= MIN_SHARE
    });
    (all_seen && View::new(&scene, &coverage).tells_twins_apart()).then_some(scene)
}

fn draw_camera(rng: &mut ChaCha8Rng) -> Camera {
    let azimuth = rng.random_range(0.0..std::f32::consts::TAU);
    let elevation = rng.random_range(27f32..52.0).to_radians();
    let tangent = (rng.random_range(30f32..48.0) / 2.0).to_radians().tan();
    // The half width that is seen at the target stays in a narrow range, whatever the lens, so
    // that "small" and "large" can be told from the picture alone.
    let half_width = rng.random_range(2.35..2.95);
    let distance = half_width / tangent;
    let target = vec3(
        rng.random_range(-0.3..0.3),
        rng.random_range(-0.3..0.3),
        0.35,
    );
    let level = elevation.cos();
    let eye = target
        + vec3(
            level * azimuth.cos(),
            level * azimuth.sin(),
            elevation.sin(),
        ) * distance;
    Camera::looking_at(eye, target, tangent)
}

fn draw_attributes(rng: &mut ChaCha8Rng) -> Vec<Attributes> {
    let count = *[2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 6, 6]
        .choose(rng)
        .expect("a fixed list");
    let mut drawn: Vec<Attributes> = Vec::with_capacity(count);
    while drawn.len() < count {
        let fresh = draw_one(rng);
        let copied = drawn.choose(rng).copied();
        let next = match copied {
            Some(twin) if rng.random_bool(0.06) => twin,
            Some(near) if rng.random_bool(0.40) => change(rng, near),
            _ => fresh,
        };
        // Of three identical objects the middle one would hardly have a name.
        if drawn.iter().filter(|other| **other == next).count() < 2 {
            drawn.push(next);
        }
    }
    drawn
}

fn draw_one(rng: &mut ChaCha8Rng) -> Attributes {
    Attributes {
        size: *Size::ALL.choose(rng).expect("sizes"),
        colour: *Colour::ALL.choose(rng).expect("colours"),
        material: *Material::ALL.choose(rng).expect("materials"),
        shape: *Shape::ALL.choose(rng).expect("shapes"),
        pattern: if rng.random_bool(0.4) {
            Pattern::Plain
        } else {
            *Pattern::ALL[1..].choose(rng).expect("patterns")
        },
    }
}

/// An object that differs from `near` in one or two attributes: a distractor.
fn change(rng: &mut ChaCha8Rng, near: Attributes) -> Attributes {
    loop {
        let fresh = draw_one(rng);
        let mut changed = near;
        for _ in 0..rng.random_range(1..=2) {
            match rng.random_range(0..6) {
                0 => changed.size = fresh.size,
                1 => changed.material = fresh.material,
                2 => changed.pattern = fresh.pattern,
                3 => changed.colour = fresh.colour,
                _ => changed.shape = fresh.shape,
            }
        }
        if changed != near {
            return changed;
        }
    }
}

fn place(
    rng: &mut ChaCha8Rng,
    attributes: &[Attributes],
    camera: &Camera,
    table: &Table,
) -> Option<Vec<SceneObject>> {
    let (right, away) = camera.ground_axes();
    let side = REFERENCE_SIDE as f32;
    let mut placed: Vec<SceneObject> = Vec::with_capacity(attributes.len());
    for &attributes in attributes {
        let scale = unit_length(attributes.size) * rng.random_range(0.95..1.05);
        let yaw = rng.random_range(0.0..std::f32::consts::TAU);
        let found = (0..60).find_map(|_| {
            let base = match placed.choose(rng) {
                // Just behind another object, so that some are partly hidden.
                Some(front) if rng.random_bool(0.3) => {
                    front.base
                        + away * rng.random_range(0.9..2.0)
                        + right * rng.random_range(-0.7..0.7)
                }
                _ => right * rng.random_range(-2.6..2.6) + away * rng.random_range(-2.4..3.0),
            };
            let object = SceneObject::new(attributes, base, yaw, scale);
            let [x0, y0, x1, y1] =
                camera.outline(object.centre, object.bound, REFERENCE_SIDE, REFERENCE_SIDE);
            let margin = 0.01 * side;
            let in_picture =
                x0 >= margin && y0 >= margin && x1 <= side - margin && y1 <= side - margin;
            let on_table = table.has_room(base, object.footprint());
            let clear = placed.iter().all(|other| {
                (other.base - base).length() > other.footprint() + object.footprint() + GAP
            });
            (in_picture && on_table && clear).then_some(object)
        });
        placed.push(found?);
    }
    Some(placed)
}

fn draw_lights(rng: &mut ChaCha8Rng, camera: &Camera) -> Vec<Light> {
    let (right, away) = camera.ground_axes();
    let toward = |azimuth: f32, elevation: f32| {
        let level = elevation.cos();
        right * (azimuth.sin() * level) - away * (azimuth.cos() * level)
            + vec3(0.0, 0.0, elevation.sin())
    };
    let tint = |warmth: f32| vec3(1.0 + 0.10 * warmth, 1.0, 1.0 - 0.14 * warmth);
    // Zero is behind the camera: the main light never shines straight into it.
    let azimuth = rng.random_range(-2.2f32..2.2);
    let mut lights = vec![Light {
        towards: toward(azimuth, rng.random_range(38f32..72.0).to_radians()),
        radiance: tint(rng.random_range(-1.0..1.0)) * rng.random_range(0.80..1.05),
        softness: rng.random_range(0.02..0.10),
    }];
    if rng.random_bool(0.5) {
        let other = azimuth + rng.random_range(1.2..2.6) * if azimuth > 0.0 { -1.0 } else { 1.0 };
        lights.push(Light {
            towards: toward(other, rng.random_range(30f32..65.0).to_radians()),
            radiance: tint(rng.random_range(-1.0..1.0)) * rng.random_range(0.22..0.42),
            softness: rng.random_range(0.04..0.12),
        });
    }
    lights
}

fn draw_table(rng: &mut ChaCha8Rng) -> Table {
    let kind = *[
        TableKind::Wood,
        TableKind::Wood,
        TableKind::Stone,
        TableKind::Marble,
        TableKind::Cloth,
    ]
    .choose(rng)
    .expect("a fixed list");
    let palette: &[Vec3] = match kind {
        TableKind::Wood => &[
            vec3(0.42, 0.27, 0.16),
            vec3(0.26, 0.155, 0.09),
            vec3(0.48, 0.35, 0.23),
            vec3(0.36, 0.28, 0.21),
        ],
        TableKind::Stone => &[
            vec3(0.33, 0.33, 0.34),
            vec3(0.46, 0.43, 0.39),
            vec3(0.14, 0.15, 0.17),
        ],
        TableKind::Marble => &[
            vec3(0.58, 0.575, 0.56),
            vec3(0.50, 0.48, 0.45),
            vec3(0.16, 0.17, 0.18),
        ],
        TableKind::Cloth => &[
            vec3(0.50, 0.47, 0.42),
            vec3(0.38, 0.42, 0.47),
            vec3(0.45, 0.36, 0.34),
            vec3(0.36, 0.41, 0.34),
            vec3(0.20, 0.21, 0.25),
        ],
    };
    let yaw = rng.random_range(0.0..std::f32::consts::TAU);
    let polished = match kind {
        TableKind::Cloth => false,
        TableKind::Marble => rng.random_bool(0.8),
        TableKind::Wood | TableKind::Stone => rng.random_bool(0.4),
    };
    Table {
        kind,
        half: (rng.random_range(3.0..5.5), rng.random_range(3.0..4.5)),
        turn: (yaw.cos(), yaw.sin()),
        colour: palette.choose(rng).copied().expect("a fixed list") * rng.random_range(0.85..1.15),
        gloss: if polished {
            rng.random_range(0.4..1.0)
        } else {
            0.0
        },
        seed: rng.random(),
    }
}

fn draw_background(rng: &mut ChaCha8Rng) -> Background {
    let hue = |rng: &mut ChaCha8Rng, low: f32, high: f32| {
        let level = rng.random_range(low..high);
        vec3(
            level * rng.random_range(0.8..1.2),
            level * rng.random_range(0.85..1.15),
            level * rng.random_range(0.8..1.2),
        )
    };
    Background {
        floor: hue(rng, 0.04, 0.30),
        wall: hue(rng, 0.25, 0.70),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scenes::Seeds;

    #[test]
    fn objects_stand_apart_and_can_be_seen() {
        let seeds = Seeds::public(3);
        for index in 0..60 {
            let scene = Scene::generate(seeds.scene(index));
            assert!((2..=6).contains(&scene.objects.len()));
            for (i, a) in scene.objects.iter().enumerate() {
                for b in &scene.objects[i + 1..] {
                    let apart = (a.base - b.base).length();
                    assert!(apart > a.footprint() + b.footprint());
                }
            }
            let coverage = Coverage::of(&scene, 256, 256);
            assert!((0..scene.objects.len()).all(|index| coverage.is_askable(index)));
            assert_eq!(scene, Scene::generate(seeds.scene(index)));
        }
    }
}
