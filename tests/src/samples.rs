//! The sample scenes of the repository with their ground truth.

use std::fs;
use std::path::{Path, PathBuf};

use fclm_core::wire::{BoxPx, MaskRle};
use serde::Deserialize;

/// One line of `scenes.jsonl`: a rendered picture and what is in it.
#[derive(Debug, Clone, Deserialize)]
pub struct Scene {
    /// The scene's id.
    pub id: SceneId,
    /// Path of the picture, relative to the file.
    pub image: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The objects on the table.
    pub objects: Vec<Object>,
    /// Expressions and the objects that they mean.
    pub refs: Vec<Reference>,
}

/// A scene's id as it stands in the file: a number or a word.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum SceneId {
    /// A running number.
    Number(u64),
    /// A name.
    Word(String),
}

/// An object of a scene.
#[derive(Debug, Clone, Deserialize)]
pub struct Object {
    /// The object's id in its scene.
    pub id: u32,
    /// The pixels in which it is seen.
    pub mask: MaskRle,
    /// Tight box around the mask.
    #[serde(rename = "box")]
    pub box_px: BoxPx,
    /// How large it is, one word.
    pub size: String,
    /// Its colour, one word.
    pub color: String,
    /// What it is made of, one word.
    pub material: String,
    /// Its shape, one word.
    pub shape: String,
    /// How much of it is seen, 0 to 1.
    pub visible: f32,
}

/// A referring expression.
#[derive(Debug, Clone, Deserialize)]
pub struct Reference {
    /// The expression.
    pub text: String,
    /// What kind of expression it is.
    pub kind: String,
    /// The ids of the objects that it means; none where nothing fits.
    pub targets: Vec<u32>,
}

impl Object {
    /// Its box as `--box` takes it.
    pub fn box_argument(&self) -> String {
        let [x0, y0, x1, y1] = self.box_px;
        format!("{x0},{y0},{x1},{y1}")
    }
}

impl Scene {
    /// The middle of what is seen best in it.
    pub fn middle(&self) -> (f32, f32) {
        let [x0, y0, x1, y1] = self.clearest().box_px;
        (f32::midpoint(x0, x1), f32::midpoint(y0, y1))
    }

    /// The picture's file.
    pub fn picture(&self) -> PathBuf {
        folder().join(&self.image)
    }

    /// The object with that id.
    ///
    /// # Panics
    /// If there is none.
    pub fn object(&self, id: u32) -> &Object {
        let found = self.objects.iter().find(|object| object.id == id);
        found.expect("expressions name objects of their scene")
    }

    /// The object that is seen best: the one with the largest box that nothing hides much of.
    ///
    /// # Panics
    /// If the scene is empty.
    pub fn clearest(&self) -> &Object {
        let area = |object: &Object| {
            let [x0, y0, x1, y1] = object.box_px;
            (x1 - x0) * (y1 - y0) * object.visible
        };
        let best = self
            .objects
            .iter()
            .max_by(|a, b| area(a).total_cmp(&area(b)));
        best.expect("a scene has objects")
    }
}

/// The folder of the sample scenes.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../public/samples")
}

/// The folder of the model in the repository.
pub fn nano() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../public/models/nano")
}

/// All sample scenes.
///
/// # Panics
/// If the file is missing or not of the documented layout.
pub fn scenes() -> Vec<Scene> {
    let path = folder().join("scenes.jsonl");
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} could not be read: {error}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("each line is a scene"))
        .collect()
}
