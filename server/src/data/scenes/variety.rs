//! Tests of what the scenes of a series show between them.

use std::{collections::BTreeSet, ops::RangeInclusive};

use image::RgbImage;

use super::{
    coverage::{Coverage, NO_OBJECT},
    render::render,
    scene::{Scene, SceneObject},
    seeds::Seeds,
    vocabulary::{Attributes, Material, Pattern},
};

const SCENES: u64 = 80;
const SIDE: u32 = 96;

fn scenes(count: u64) -> Vec<Scene> {
    let seeds = Seeds::public(20_261_124);
    (0..count)
        .map(|index| Scene::generate(seeds.scene(index)))
        .collect()
}

fn kinds<T: Ord>(scenes: &[Scene], of: impl Fn(&Attributes) -> T) -> BTreeSet<T> {
    scenes
        .iter()
        .flat_map(|scene| &scene.objects)
        .map(|object| of(&object.attributes))
        .collect()
}

fn range(scenes: &[Scene], of: impl Fn(&Scene) -> f32) -> RangeInclusive<f32> {
    let values = scenes.iter().map(of);
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    low..=high
}

#[test]
fn every_kind_of_object_occurs() {
    let scenes = scenes(SCENES);
    assert!(kinds(&scenes, |object| object.shape).len() >= 6);
    assert!(kinds(&scenes, |object| object.colour).len() >= 8);
    assert_eq!(kinds(&scenes, |object| object.material).len(), 3);
    assert_eq!(kinds(&scenes, |object| object.size).len(), 2);
    let mut patterns = kinds(&scenes, |object| object.pattern);
    assert!(patterns.remove(&Pattern::Plain));
    assert!(patterns.len() >= 3);

    let counts: BTreeSet<usize> = scenes.iter().map(|scene| scene.objects.len()).collect();
    assert!(counts.into_iter().eq(2..=6));
}

#[test]
fn some_objects_hide_others() {
    let has_hidden = |scene: &Scene| {
        let coverage = Coverage::of(scene, SIDE, SIDE);
        (0..scene.objects.len()).any(|object| coverage.visible_share(object) < 0.9)
    };
    let hiding = scenes(SCENES)
        .iter()
        .filter(|&scene| has_hidden(scene))
        .count();
    assert!(hiding as u64 * 10 >= SCENES, "{hiding} of {SCENES}");
}

/// What is looked at, its value in a scene, and over how much the values must at least range.
type Limit = (&'static str, fn(&Scene) -> f32, f32);

/// Every limit is well within the range that the values are drawn from.
#[test]
fn light_camera_and_background_vary() {
    let scenes = scenes(SCENES);
    let limits: [Limit; 12] = [
        ("number of lamps", |scene| scene.lights.len() as f32, 1.0),
        ("height of the lamp", |scene| scene.lights[0].towards.z, 0.2),
        ("side of the lamp", |scene| scene.lights[0].towards.x, 0.8),
        (
            "strength of the lamp",
            |scene| scene.lights[0].radiance.y,
            0.15,
        ),
        (
            "softness of the lamp",
            |scene| scene.lights[0].softness,
            0.04,
        ),
        ("light from all around", |scene| scene.ambient.y, 0.08),
        ("height of the camera", |scene| scene.camera.forward.z, 0.2),
        ("side of the camera", |scene| scene.camera.forward.x, 0.8),
        ("lens of the camera", |scene| scene.camera.tangent, 0.1),
        ("the table", |scene| scene.table.colour.y, 0.2),
        ("the wall", |scene| scene.background.wall.y, 0.2),
        ("the floor", |scene| scene.background.floor.y, 0.1),
    ];
    for (what, of, least) in limits {
        let range = range(&scenes, of);
        assert!(range.end() - range.start() >= least, "{what}: {range:?}");
    }
    let tables: BTreeSet<&str> = scenes.iter().map(Scene::table_name).collect();
    assert!(tables.len() >= 3, "{tables:?}");
}

/// Compares the table with the same table without the objects, where the way to the main lamp is
/// barred and where it is free.
#[test]
fn objects_cast_shadows() {
    let (mut barred, mut free) = (Vec::new(), Vec::new());
    for scene in scenes(12) {
        let bare = Scene {
            objects: Vec::new(),
            ..scene.clone()
        };
        let (rendered, without) = (render(&scene, SIDE, SIDE), render(&bare, SIDE, SIDE).image);
        let (eye, lamp) = (scene.camera.eye, scene.lights[0].towards);
        let bars = |object: &SceneObject| object.attributes.material != Material::Glass;
        for (pixel, &id) in (0u32..).zip(&rendered.coverage.ids) {
            let (x, y) = (pixel % SIDE, pixel / SIDE);
            let direction = scene
                .camera
                .direction(x as f32 + 0.5, y as f32 + 0.5, SIDE, SIDE);
            let Some((distance, normal)) = scene.table.crossing(eye, direction) else {
                continue;
            };
            if id != NO_OBJECT || normal.z < 0.5 {
                continue;
            }
            let point = eye + direction * distance;
            let share = brightness(&rendered.image, x, y) / brightness(&without, x, y);
            let is_barred = scene
                .objects
                .iter()
                .any(|object| bars(object) && object.crossing(point, lamp, 1e-2).is_some());
            match is_barred {
                true => barred.push(share),
                false => free.push(share),
            }
        }
    }
    assert!(barred.len() >= 200, "{} pixels in the shadow", barred.len());
    let (barred, free) = (mean(&barred), mean(&free));
    assert!(free > 0.85, "{free} of the light where the way is free");
    assert!(barred < 0.8 * free, "{barred} of the light in the shadow");
}

fn brightness(image: &RgbImage, x: u32, y: u32) -> f64 {
    let sum: u32 = image.get_pixel(x, y).0.into_iter().map(u32::from).sum();
    f64::from(sum.max(1))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
