//! Draws scenes: attributes, places, light, camera, table.

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    coverage::Coverage,
    scene::{Background, Camera, Light, Scene, SceneObject, Table, TableKind, unit_length},
    seeds::SceneSeed,
    vector::{Vec3, vec3},
    view::View,
    vocabulary::{Attributes, Colour, Material, Pattern, Shape, Size},
    world::World,
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
    pub fn generate(seed: SceneSeed) -> Self {
        Self::generate_seen(seed).0
    }

    /// The scene that belongs to a seed, with what a picture of [`REFERENCE_SIDE`] shows of it.
    pub(super) fn generate_seen(seed: SceneSeed) -> (Self, Coverage) {
        let mut rng = stream(seed.value(), 0);
        loop {
            if let Some(seen) = attempt(&mut rng, seed) {
                return seen;
            }
        }
    }
}

/// What a world asks of its scenes.
struct Crowd {
    /// How many objects there are, each entry as likely as the others.
    counts: &'static [usize],
    /// Chance that an object differs little from another one.
    near_chance: f64,
    /// Of those, the share that keeps the other one's colour for certain.
    same_colour: f64,
    /// Chance that an object is put just behind another one.
    behind_chance: f64,
    /// Each object is seen in at least this many pixels of the reference picture.
    min_pixels: u32,
    /// At least this share of each object is seen.
    min_share: f32,
}

const PLAIN: Crowd = Crowd {
    counts: &[2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 6, 6],
    near_chance: 0.40,
    same_colour: 0.0,
    behind_chance: 0.3,
    min_pixels: MIN_PIXELS,
    min_share: MIN_SHARE,
};

const HARD: Crowd = Crowd {
    counts: &[3, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 10],
    near_chance: 0.60,
    same_colour: 0.5,
    behind_chance: 0.5,
    min_pixels: 155,
    min_share: 0.305,
};

const fn crowd(world: World) -> &'static Crowd {
    match world {
        World::Plain => &PLAIN,
        World::Hard => &HARD,
    }
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

fn attempt(rng: &mut ChaCha8Rng, seed: SceneSeed) -> Option<(Scene, Coverage)> {
    let crowd = crowd(seed.world());
    let camera = draw_camera(rng);
    let table = draw_table(rng);
    let attributes = draw_attributes(rng, crowd, seed.is_for_training());
    let objects = place(rng, crowd, &attributes, &camera, &table)?;
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
        coverage.visible[index] >= crowd.min_pixels
            && coverage.visible_share(index) >= crowd.min_share
    });
    (all_seen && View::new(&scene, &coverage).tells_twins_apart()).then_some((scene, coverage))
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

/// Training draws no combination that is held out of it.
fn draw_attributes(rng: &mut ChaCha8Rng, crowd: &Crowd, is_for_training: bool) -> Vec<Attributes> {
    let count = *crowd.counts.choose(rng).expect("a fixed list");
    let mut drawn: Vec<Attributes> = Vec::with_capacity(count);
    while drawn.len() < count {
        let fresh = draw_one(rng);
        let copied = drawn.choose(rng).copied();
        let next = match copied {
            Some(twin) if rng.random_bool(0.06) => twin,
            Some(near) if rng.random_bool(crowd.near_chance) => change(rng, crowd, near),
            _ => fresh,
        };
        // Of three identical objects the middle one would hardly have a name.
        let is_allowed = !(is_for_training && next.is_held_out());
        if is_allowed && drawn.iter().filter(|other| **other == next).count() < 2 {
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
fn change(rng: &mut ChaCha8Rng, crowd: &Crowd, near: Attributes) -> Attributes {
    let keeps_colour = crowd.same_colour > 0.0 && rng.random_bool(crowd.same_colour);
    loop {
        let fresh = draw_one(rng);
        let mut changed = near;
        for _ in 0..rng.random_range(1..=2) {
            match rng.random_range(0..6) {
                0 => changed.size = fresh.size,
                1 => changed.material = fresh.material,
                2 => changed.pattern = fresh.pattern,
                3 if keeps_colour => {}
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
    crowd: &Crowd,
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
                Some(front) if rng.random_bool(crowd.behind_chance) => {
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
    use std::collections::HashSet;

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

    #[test]
    fn hard_scenes_are_crowded_and_hidden() {
        let seeds = Seeds::public(3).in_world(World::Hard);
        let (mut counts, mut lowest, mut one_colour) = ([0; 11], 1.0f32, 0);
        for index in 0..80 {
            let scene = Scene::generate(seeds.scene(index));
            counts[scene.objects.len()] += 1;
            let coverage = Coverage::of(&scene, 256, 256);
            assert!((0..scene.objects.len()).all(|index| coverage.is_askable(index)));
            let shares = (0..scene.objects.len()).map(|index| coverage.visible_share(index));
            lowest = shares.fold(lowest, f32::min);
            let colours: HashSet<_> = scene.objects.iter().map(|o| o.attributes.colour).collect();
            one_colour += usize::from(colours.len() < scene.objects.len());
        }
        assert_eq!(counts[..3], [0; 3]);
        assert!(counts[3..].iter().all(|&count| count > 0), "{counts:?}");
        assert!(lowest < 0.36, "{lowest}");
        assert!(one_colour >= 64, "{one_colour} of 80");
    }

    #[test]
    fn training_never_sees_what_is_held_out_of_it() {
        let held_out = |seeds: Seeds| {
            (0..60)
                .flat_map(|index| Scene::generate(seeds.scene(index)).objects)
                .filter(|object| object.attributes.is_held_out())
                .count()
        };
        for world in World::ALL {
            assert_eq!(held_out(Seeds::training(3).in_world(world)), 0);
            assert!(held_out(Seeds::public(3).in_world(world)) > 0);
        }
    }
}
