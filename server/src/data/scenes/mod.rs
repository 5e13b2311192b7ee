//! Table-top scenes: a small world of solids that a ray tracer draws and a grammar describes.
//!
//! [`sample`] gives one scene whole: picture, masks and texts. It is [`Scene::generate`], which
//! draws a scene from a seed, [`render`], which makes the picture and tells which object every
//! pixel shows, and [`grammar`], whose expressions are evaluated on the scene before they are
//! written. [`DrawnScene`] is the scene without the texts, for training, which draws its own.
//! [`write_dataset`] and [`read_dataset`] keep scenes in a folder.
//!
//! Data sets draw from [`Seeds::public`], training from [`Seeds::training`]; the two never give
//! the same scene.
//!
//! ```
//! use fclm_server::data::scenes::{Seeds, sample};
//!
//! let scene = sample(Seeds::public(1), 0);
//! assert_eq!(scene.drawn.masks.len(), scene.drawn.view.objects.len());
//! assert!(!scene.annotations.refs.is_empty());
//! ```

mod coverage;
mod dataset;
mod drawn;
mod generate;
pub mod grammar;
mod left_out;
mod line;
mod pattern;
mod record;
mod render;
mod sample;
mod scene;
mod seeds;
mod shade;
mod solid;
mod surroundings;
#[cfg(test)]
mod variety;
mod vector;
mod view;
mod vocabulary;
mod world;

pub use coverage::{Coverage, MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE, NO_OBJECT};
pub use dataset::{
    Dataset, DatasetError, DatasetOptions, SCENES_FILE, SceneLine, read_dataset, scene_lines,
    write_dataset, write_dataset_with_progress,
};
pub use drawn::DrawnScene;
pub use grammar::{
    Caption, Clause, Description, DescriptionCheck, Filter, Mention, Phrase, Question, ReferKind,
    Reference, Referring, check_description, parse_category, parse_phrase,
};
pub use left_out::LeftOut;
pub use line::LineError;
pub use record::{
    ObjectError, ObjectRecord, RecordId, RefRecord, RegionRecord, RelationRecord, SceneRecord,
};
pub use render::{Rendered, render};
pub use sample::{AnnotatedScene, Annotations, DEFAULT_SIDE, sample, sample_sized};
pub use scene::{Scene, SceneObject};
pub use seeds::{SceneSeed, Seeds};
pub use view::{Part, Relation, Seen, Side, Third, Truth, View};
pub use vocabulary::{Attributes, Colour, Material, Pattern, Shape, Size};
pub use world::{UnknownWorld, World};
