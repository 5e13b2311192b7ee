//! Reads a line of `scenes.jsonl`, whoever has written it.
//!
//! Everything that a measurement needs must be there and fit. Ids may be whole numbers from 0 or words;
//! expressions of kinds that are unknown are left out, and so is what has another layout among
//! relations, captions and questions. [`LeftOut`] counts them.

use std::{
    collections::HashMap,
    path::{Component, Path},
};

use serde::Deserialize;
use serde_json::Value;

use super::{
    grammar::{Caption, Phrase, Question, ReferKind},
    left_out::{LeftOut, Understood},
    record::{
        ObjectError, ObjectRecord, RecordId, RefRecord, RegionRecord, RelationRecord, SceneRecord,
    },
};

/// What is wrong with a line of `scenes.jsonl`.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON of the right layout.
    #[error("not a scene: {0}")]
    Json(#[from] serde_json::Error),
    /// No text.
    #[error("it is not UTF-8: {0}")]
    Text(#[from] std::str::Utf8Error),
    /// An object whose mask or box is wrong.
    #[error("scene {scene}, object {object}: {source}")]
    Object {
        /// The scene's id.
        scene: RecordId,
        /// The object's id.
        object: RecordId,
        /// What is wrong with it.
        source: Box<ObjectError>,
    },
    /// Two objects with one id.
    #[error("two objects have the id {0}")]
    SameId(RecordId),
    /// A text about an object that is not there.
    #[error("object {0} is named, but no object has that id")]
    NoObject(RecordId),
    /// A picture outside the folder.
    #[error("the picture's path {0:?} leads out of the data set")]
    ImagePath(String),
}

impl SceneRecord {
    /// Reads a line and checks what its layout leaves open; tells how much of it was left out.
    pub fn from_line(line: &str) -> Result<(Self, LeftOut), LineError> {
        serde_json::from_str::<Line>(line)?.into_record()
    }
}

#[derive(Deserialize)]
struct Line {
    id: RecordId,
    image: String,
    width: u32,
    height: u32,
    objects: Vec<ObjectRecord<RecordId>>,
    #[serde(default)]
    relations: Understood<RelationRecord<RecordId>>,
    regions: Vec<RegionRecord<RecordId>>,
    refs: Vec<LineRef>,
    #[serde(default)]
    captions: Understood<Caption<RecordId>>,
    #[serde(default)]
    questions: Understood<Question<RecordId>>,
}

/// An expression whose kind may be any.
#[derive(Deserialize)]
struct LineRef {
    text: String,
    kind: String,
    targets: Vec<RecordId>,
}

/// Where the object of each id is in the scene's list.
struct Places(HashMap<RecordId, usize>);

impl Line {
    fn into_record(self) -> Result<(SceneRecord, LeftOut), LineError> {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if self.image.is_empty() || !Path::new(&self.image).components().all(plain) {
            return Err(LineError::ImagePath(self.image));
        }
        let places = Places::new(&self.objects)?;
        let mut objects = Vec::with_capacity(self.objects.len());
        for (place, object) in self.objects.into_iter().enumerate() {
            if let Err(source) = object.check(self.width, self.height) {
                return Err(LineError::Object {
                    scene: self.id,
                    object: object.id,
                    source: Box::new(source),
                });
            }
            objects.push(object.at(place));
        }
        let expressions = self.refs.len();
        let refs: Vec<RefRecord> = each(self.refs, |expression| expression.placed(&places))?
            .into_iter()
            .flatten()
            .collect();
        let left_out = LeftOut {
            relations: self.relations.left_out,
            expressions: expressions - refs.len(),
            captions: self.captions.left_out,
            questions: self.questions.left_out,
        };
        let record = SceneRecord {
            id: self.id,
            image: self.image,
            width: self.width,
            height: self.height,
            objects,
            relations: each(self.relations.entries, |relation| relation.placed(&places))?,
            regions: each(self.regions, |region| region.placed(&places))?,
            refs,
            captions: each(self.captions.entries, |caption| caption.placed(&places))?,
            questions: each(self.questions.entries, |question| question.placed(&places))?,
        };
        Ok((record, left_out))
    }
}

impl ObjectRecord<RecordId> {
    fn at(self, place: usize) -> ObjectRecord {
        ObjectRecord {
            id: place,
            mask: self.mask,
            box_px: self.box_px,
            attributes: self.attributes,
            visible: self.visible,
        }
    }
}

impl RelationRecord<RecordId> {
    fn placed(self, places: &Places) -> Result<RelationRecord, LineError> {
        Ok(RelationRecord {
            subject: places.of(&self.subject)?,
            relation: self.relation,
            object: places.of(&self.object)?,
        })
    }
}

impl RegionRecord<RecordId> {
    fn placed(self, places: &Places) -> Result<RegionRecord, LineError> {
        Ok(RegionRecord {
            object: places.of(&self.object)?,
            category: self.category,
            brief: self.brief,
            detailed: self.detailed,
        })
    }
}

impl LineRef {
    /// None where the kind is unknown.
    fn placed(self, places: &Places) -> Result<Option<RefRecord>, LineError> {
        let Ok(kind) = serde_json::from_value::<ReferKind>(Value::String(self.kind)) else {
            return Ok(None);
        };
        Ok(Some(RefRecord {
            text: self.text,
            kind,
            targets: places.of_all(&self.targets)?,
        }))
    }
}

impl Caption<RecordId> {
    fn placed(self, places: &Places) -> Result<Caption, LineError> {
        let phrases = each(self.phrases, |phrase| {
            Ok(Phrase {
                start: phrase.start,
                end: phrase.end,
                targets: places.of_all(&phrase.targets)?,
            })
        })?;
        Ok(Caption {
            text: self.text,
            phrases,
        })
    }
}

impl Question<RecordId> {
    fn placed(self, places: &Places) -> Result<Question, LineError> {
        Ok(Question {
            object: places.of(&self.object)?,
            question: self.question,
            answer: self.answer,
        })
    }
}

impl Places {
    fn new(objects: &[ObjectRecord<RecordId>]) -> Result<Self, LineError> {
        let mut places = HashMap::new();
        for (place, object) in objects.iter().enumerate() {
            if places.insert(object.id.clone(), place).is_some() {
                return Err(LineError::SameId(object.id.clone()));
            }
        }
        Ok(Self(places))
    }

    fn of(&self, id: &RecordId) -> Result<usize, LineError> {
        let place = self.0.get(id).copied();
        place.ok_or_else(|| LineError::NoObject(id.clone()))
    }

    fn of_all(&self, ids: &[RecordId]) -> Result<Vec<usize>, LineError> {
        ids.iter().map(|id| self.of(id)).collect()
    }
}

fn each<L, R>(
    lines: Vec<L>,
    into_record: impl Fn(L) -> Result<R, LineError>,
) -> Result<Vec<R>, LineError> {
    lines.into_iter().map(into_record).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{sample::sample, seeds::Seeds};
    use super::*;

    /// A scene of our own with all its parts, and its line as JSON.
    fn scene() -> (SceneRecord, Value) {
        let record = SceneRecord::new(4, &sample(Seeds::public(6), 4));
        let line = serde_json::to_value(&record).unwrap();
        (record, line)
    }

    fn read(line: &Value) -> Result<SceneRecord, LineError> {
        SceneRecord::from_line(&line.to_string()).map(|(record, _)| record)
    }

    fn left_out(line: &Value) -> LeftOut {
        SceneRecord::from_line(&line.to_string()).unwrap().1
    }

    /// Gives every object, and every mention of it, the id that `name` makes of its place.
    fn rename(line: &mut Value, name: &dyn Fn(u64) -> Value) {
        let Value::Object(fields) = line else {
            return;
        };
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("subject" | "object", id) => *id = name(id.as_u64().unwrap()),
                ("targets", Value::Array(ids)) => {
                    for id in ids {
                        *id = name(id.as_u64().unwrap());
                    }
                }
                ("objects", Value::Array(objects)) => {
                    for object in objects {
                        object["id"] = name(object["id"].as_u64().unwrap());
                    }
                }
                (_, Value::Array(entries)) => {
                    for entry in entries {
                        rename(entry, name);
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn our_own_lines_are_read_back() {
        let (record, line) = scene();
        assert_eq!(read(&line).unwrap(), record);
        assert!(left_out(&line).is_empty());
        assert!(!record.relations.is_empty() && !record.questions.is_empty());
    }

    #[test]
    fn ids_may_be_any_numbers_or_words() {
        let (record, line) = scene();
        let from_one = |place: u64| json!(place + 1);
        let words = |place: u64| json!(format!("object-{place}"));
        for name in [&from_one as &dyn Fn(u64) -> Value, &words] {
            let mut renamed = line.clone();
            rename(&mut renamed, name);
            assert_ne!(renamed, line);
            assert_eq!(read(&renamed).unwrap(), record);
        }
        let mut named = line;
        named["id"] = json!("000004");
        let named = read(&named).unwrap();
        assert_eq!(named.id, RecordId::Word("000004".to_owned()));
        assert_eq!(named.id.number(), record.id.number());
        assert_eq!(named.objects, record.objects);
    }

    #[test]
    fn what_no_measurement_reads_may_be_missing_or_different() {
        let (record, line) = scene();
        let fields = ["relations", "captions", "questions"];
        let mut missing = line.clone();
        let mut different = line;
        for field in fields {
            missing.as_object_mut().unwrap().remove(field);
            different[field] = json!([[0, "in_front_of", 1], {"text": 3}]);
        }
        different["relations"] = json!({"left": [[1], []]});
        let of_different = LeftOut {
            relations: 1,
            captions: 2,
            questions: 2,
            expressions: 0,
        };
        for (line, counted) in [(missing, LeftOut::default()), (different, of_different)] {
            let known = read(&line).unwrap();
            assert!(known.relations.is_empty());
            assert!(known.captions.is_empty() && known.questions.is_empty());
            assert_eq!(known.refs, record.refs);
            assert_eq!(known.regions, record.regions);
            assert_eq!(left_out(&line), counted);
        }
    }

    #[test]
    fn expressions_of_unknown_kinds_are_left_out() {
        let (record, mut line) = scene();
        line["refs"][0]["kind"] = json!("relation");
        assert_eq!(read(&line).unwrap().refs, record.refs[1..]);
        assert_eq!(left_out(&line).expressions, 1);
    }

    #[test]
    fn ids_must_be_told_apart_and_be_there() {
        let (_, mut line) = scene();
        line["objects"][1]["id"] = json!(0);
        assert!(matches!(read(&line), Err(LineError::SameId(_))));
        let (_, mut line) = scene();
        line["regions"][0]["object"] = json!("nowhere");
        let message = read(&line).unwrap_err().to_string();
        assert!(message.contains("object nowhere is named"), "{message}");
    }

    #[test]
    fn boxes_must_be_boxes_of_the_picture() {
        let (_, mut line) = scene();
        for (wrong, reason) in [
            (json!([30, 30, 20, 10]), "is empty"),
            (json!([5, 5, 5, 9]), "is empty"),
            (json!([0, 0, 0, 0]), "is empty"),
            (json!([1, 1, 257, 9]), "reaches out"),
            (json!([1, 1, 9, 257]), "reaches out"),
            (json!([-1, 1, 9, 9]), "reaches out"),
            (json!([1, 1, 1e39, 9]), "no finite number"),
        ] {
            line["objects"][1]["box"] = wrong;
            let message = read(&line).unwrap_err().to_string();
            let place = message.starts_with("scene 4, object 1: the box [");
            assert!(place && message.contains(reason), "{message}");
            assert!(message.ends_with("the picture is 256x256"), "{message}");
        }
        line["objects"][1]["box"] = json!([0, 0, 256, 256]);
        let whole = read(&line).unwrap();
        assert_eq!(whole.objects[1].box_px, [0.0, 0.0, 256.0, 256.0]);
    }

    #[test]
    fn an_object_that_is_not_seen_has_no_box() {
        let (_, mut line) = scene();
        line["objects"][1]["mask"]["counts"] = json!([256 * 256]);
        line["objects"][1]["box"] = json!([0, 0, 0, 0]);
        assert!(read(&line).unwrap().masks().unwrap()[1].is_empty());
    }
}
