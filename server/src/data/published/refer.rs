//! RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO: expressions that people wrote for objects of COCO.
//!
//! `refs(unc).p` or `refs(umd).p` is a pickle, and `grefs(unc).json` a JSON file, of one list: what
//! is referred to (`ann_id`), in which picture, in which split, and the `sentences` that do it.
//! `instances.json` beside it has the pictures and what is marked in them, in COCO's layout. In
//! gRefCOCO `ann_id` is a list, and -1 in it stands for nothing that is there.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer};

use super::{
    super::record::{ExpressionKind, ExpressionRecord, PictureRecord},
    Pictures, Place, Position, Problems, ReadError, Sink,
    by_picture::{ByPicture, Entry, Group, Part},
    coco::{Annotation, Categories, EMPTY_MASKS, read_picture},
    id::Id,
    json_stream::{Element, read_list, read_lists, size_of},
    pickle::Pickle,
};

/// What stands for no object.
const NOTHING: &str = "-1";

/// Which expressions are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The references, such as `refs(unc).p`, as a pickle or as JSON.
    pub refs: PathBuf,
    /// The pictures and what is marked in them: `instances.json`.
    pub instances: PathBuf,
    /// The folder of the pictures, COCO's `train2014`.
    pub pictures: Pictures,
    /// The split, such as `train`, `val`, `testA` or `test`; all of them where there is none.
    ///
    /// As in the published [`refer.py`](https://github.com/lichengunc/refer/blob/master/refer.py),
    /// `testA` takes every split with an `A` in its name, and `test` every one with `test` in it.
    pub split: Option<String>,
}

/// Reads the pictures that have expressions in the split, each with one expression for every
/// sentence, and with the regions that they mean.
///
/// A reference one of whose objects is missing or broken is left out as a whole.
///
/// # Errors
/// Where a file cannot be read or has another layout, where there is no such split, where too much
/// is broken, or where the sink takes no more.
pub fn read(options: &Options, sink: Sink<'_>, problems: &mut Problems) -> Result<(), ReadError> {
    let bytes = size_of(&options.refs)? + size_of(&options.instances)?;
    let mut by_picture = ByPicture::new(bytes)?;
    keep_references(options, &mut by_picture, problems)?;
    let mut categories = Categories::default();
    let lists = ["images", "annotations", "categories"];
    read_lists(
        &options.instances,
        &lists,
        &mut |element| match element.name {
            "images" => by_picture.add_coco(Part::Picture, element, problems),
            "annotations" => by_picture.add_coco(Part::Annotation, element, problems),
            _ => categories.add(element, problems),
        },
    )?;
    by_picture.finish(problems, &mut |group, problems| {
        if group.texts.is_empty() {
            return Ok(());
        }
        let Some(mut record) = read_picture(&group.picture, &options.pictures, problems)? else {
            return Ok(());
        };
        let mut objects = Objects::new(&group, &categories, problems)?;
        for entry in &group.texts {
            let Some(reference) = entry.read::<Reference>(problems)? else {
                continue;
            };
            let targets = objects.targets(&reference.ann_id, entry, &mut record, problems)?;
            if let Some(targets) = targets {
                reference.express(&targets, &mut record, problems);
            }
        }
        if record.expressions.is_empty() {
            problems.leave_out("pictures without an expression");
            return Ok(());
        }
        sink(record, problems).map_err(ReadError::of_sink)
    })
}

/// Keeps the references of the split.
fn keep_references(
    options: &Options,
    by_picture: &mut ByPicture,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    let mut splits = Splits {
        wanted: options.split.as_deref(),
        others: BTreeSet::new(),
        found: false,
    };
    let path = &options.refs;
    if is_json(path)? {
        read_list(path, &mut |element| {
            if splits.take(element, problems)? {
                by_picture.add_coco(Part::Text, element, problems)?;
            }
            Ok(())
        })?;
    } else {
        let pickle = Pickle::open(path)?;
        let elements = pickle.elements().map_err(ReadError::pickle(path))?;
        for (index, value) in (0..).zip(elements) {
            let json = match value {
                Ok(value) => value.to_string(),
                Err(broken) => {
                    let place = Place::Element {
                        list: String::new(),
                        index,
                        byte: None,
                    };
                    problems.report(&Position::new(path, place), &broken)?;
                    continue;
                }
            };
            let element = Element {
                path,
                name: "",
                index: Some(index),
                byte: None,
                json: json.as_bytes(),
            };
            if splits.take(&element, problems)? {
                by_picture.add_coco(Part::Text, &element, problems)?;
            }
        }
    }
    splits.check(path)
}

/// Whether the file is JSON; no pickle starts as a list in JSON does.
fn is_json(path: &Path) -> Result<bool, ReadError> {
    let file = File::open(path).map_err(ReadError::io("open", path))?;
    for byte in BufReader::new(file).bytes() {
        let byte = byte.map_err(ReadError::io("read", path))?;
        if !byte.is_ascii_whitespace() {
            return Ok(byte == b'[');
        }
    }
    Ok(false)
}

/// Which references are wanted, and which others there are.
struct Splits<'a> {
    wanted: Option<&'a str>,
    others: BTreeSet<String>,
    found: bool,
}

#[derive(Deserialize)]
struct OfSplit {
    split: String,
}

impl Splits<'_> {
    /// Whether a reference is in the split.
    fn take(&mut self, element: &Element<'_>, problems: &mut Problems) -> Result<bool, ReadError> {
        let Some(wanted) = self.wanted else {
            return Ok(true);
        };
        let Some(OfSplit { split }) = element.read(problems)? else {
            return Ok(false);
        };
        let takes = match wanted.strip_prefix("test") {
            Some("") => split.contains("test"),
            Some(letter @ ("A" | "B" | "C")) => split.contains(letter),
            _ => split == wanted,
        };
        self.found |= takes;
        if !takes {
            self.others.insert(split);
        }
        Ok(takes)
    }

    /// Makes sure that the split is one of the data set's.
    fn check(&self, path: &Path) -> Result<(), ReadError> {
        match self.wanted {
            Some(wanted) if !self.found => {
                let others: Vec<&str> = self.others.iter().map(String::as_str).collect();
                let others = others.join(", ");
                let message = format!("there is no split {wanted:?}; there are: {others}");
                Err(ReadError::layout(path, message))
            }
            _ => Ok(()),
        }
    }
}

/// Sentences that mean the same.
#[derive(Deserialize)]
struct Reference {
    #[serde(deserialize_with = "ids")]
    ann_id: Vec<Id>,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    /// As it is used: lower-case and without punctuation.
    sent: Option<String>,
    /// As it was typed.
    raw: Option<String>,
}

/// The objects that are meant: one, several, or none.
fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Id>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "ann_id should be the id of an annotation, a list of them, or null"
    )]
    enum Ids {
        One(Id),
        Many(Vec<Id>),
    }
    let mut ids = match Option::<Ids>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Ids::One(id)) => vec![id],
        Some(Ids::Many(ids)) => ids,
    };
    ids.retain(|id| id.0 != NOTHING);
    Ok(ids)
}

impl Reference {
    /// Adds an expression for every sentence.
    fn express(&self, targets: &[usize], record: &mut PictureRecord, problems: &mut Problems) {
        for sentence in &self.sentences {
            let text = sentence.sent.as_deref().or(sentence.raw.as_deref());
            match text.unwrap_or_default().trim() {
                "" => problems.leave_out("empty expressions"),
                text => record.expressions.push(ExpressionRecord {
                    text: text.to_owned(),
                    kind: ExpressionKind::Short,
                    targets: targets.to_vec(),
                    answer: None,
                    is_sentence: None,
                }),
            }
        }
    }
}

/// What is marked in a picture.
struct Objects<'a> {
    picture: &'a Id,
    categories: &'a Categories,
    entries: HashMap<Id, &'a Entry>,
    /// Places among the regions of those that were asked for; none of those that cannot be used.
    places: HashMap<Id, Option<usize>>,
}

#[derive(Deserialize)]
struct Named {
    id: Id,
}

impl<'a> Objects<'a> {
    fn new(
        group: &'a Group,
        categories: &'a Categories,
        problems: &mut Problems,
    ) -> Result<Self, ReadError> {
        let mut entries = HashMap::new();
        for entry in &group.annotations {
            if let Some(Named { id }) = entry.read(problems)? {
                entries.insert(id, entry);
            }
        }
        Ok(Self {
            picture: &group.id,
            categories,
            entries,
            places: HashMap::new(),
        })
    }

    /// The places of the objects among the regions, to which new ones are added; none where one of
    /// them cannot be used.
    fn targets(
        &mut self,
        ids: &[Id],
        reference: &Entry,
        record: &mut PictureRecord,
        problems: &mut Problems,
    ) -> Result<Option<Vec<usize>>, ReadError> {
        let mut targets = Vec::new();
        for id in ids {
            let place = match self.places.get(id) {
                Some(place) => *place,
                None => {
                    let Some(entry) = self.entries.get(id) else {
                        let picture = self.picture;
                        let message =
                            format!("its annotation {id} is not among those of picture {picture}");
                        problems.report(&reference.element().position(), &message)?;
                        return Ok(None);
                    };
                    let place = add_region(entry, self.categories, record, problems)?;
                    self.places.insert(id.clone(), place);
                    place
                }
            };
            let Some(place) = place else {
                problems.leave_out("references to regions that cannot be used");
                return Ok(None);
            };
            if !targets.contains(&place) {
                targets.push(place);
            }
        }
        Ok(Some(targets))
    }
}

/// Adds what an annotation marks to the regions and tells its place; none where it cannot be used.
fn add_region(
    entry: &Entry,
    categories: &Categories,
    record: &mut PictureRecord,
    problems: &mut Problems,
) -> Result<Option<usize>, ReadError> {
    let Some(annotation) = entry.read::<Annotation>(problems)? else {
        return Ok(None);
    };
    match annotation.region(record, categories) {
        Ok(Some(region)) => {
            record.regions.push(region);
            Ok(Some(record.regions.len() - 1))
        }
        Ok(None) => {
            problems.leave_out(EMPTY_MASKS);
            Ok(None)
        }
        Err(broken) => {
            problems.report(&entry.element().position(), &broken)?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const INSTANCES: &str = r#"{
        "images": [{"id": 7, "file_name": "COCO_train2014_000000000007.jpg", "width": 4, "height": 3},
                   {"id": 8, "file_name": "COCO_train2014_000000000008.jpg", "width": 4, "height": 3}],
        "annotations": [
            {"id": 71, "image_id": 7, "category_id": 3, "segmentation": [[1, 0, 1, 2, 2, 2, 2, 0]]},
            {"id": 70, "image_id": 7, "category_id": 3, "segmentation": [[0, 0, 0, 3, 1, 3, 1, 0]]},
            {"id": 80, "image_id": 8, "category_id": 3, "segmentation": [[0, 0, 0, 3, 1, 3, 1, 0]]}],
        "categories": [{"id": 3, "name": "cup"}]}"#;

    // Three references: to 70 ("left cup", "the red one") and to 79, which is not there ("no cup"),
    // in `train`; to 71 ("other cup") in `testA`. By pickle.dumps of Python 3.11.
    const PROTOCOL_0: &[u8] = b"(lp0\n(dp1\nVann_id\np2\nI70\nsVimage_id\np3\nI7\nsVsplit\np4\n\
        Vtrain\np5\nsVsentences\np6\n(lp7\n(dp8\nVsent\np9\nVleft cup\np10\nsVraw\np11\nVleft cup.\np12\n\
        sa(dp13\ng9\nVthe red one\np14\nsg11\nVThe red one\np15\nsasa(dp16\ng2\nI71\nsg3\nI7\nsg4\n\
        VtestA\np17\nsg6\n(lp18\n(dp19\ng9\nVother cup\np20\nsg11\ng20\nsasa(dp21\ng2\nI79\nsg3\nI7\n\
        sg4\ng5\nsg6\n(lp22\n(dp23\ng9\nVno cup\np24\nsg11\ng24\nsasa.";
    const PROTOCOL_2: &[u8] = b"\x80\x02]q\x00(}q\x01(X\x06\x00\x00\x00ann_idq\x02KFX\x08\x00\x00\x00\
        image_idq\x03K\x07X\x05\x00\x00\x00splitq\x04X\x05\x00\x00\x00trainq\x05X\t\x00\x00\x00\
        sentencesq\x06]q\x07(}q\x08(X\x04\x00\x00\x00sentq\tX\x08\x00\x00\x00left cupq\nX\x03\x00\x00\x00\
        rawq\x0bX\t\x00\x00\x00left cup.q\x0cu}q\r(h\tX\x0b\x00\x00\x00the red oneq\x0eh\x0b\
        X\x0b\x00\x00\x00The red oneq\x0fueu}q\x10(h\x02KGh\x03K\x07h\x04X\x05\x00\x00\x00testAq\x11\
        h\x06]q\x12}q\x13(h\tX\t\x00\x00\x00other cupq\x14h\x0bh\x14uau}q\x15(h\x02KOh\x03K\x07h\x04h\x05\
        h\x06]q\x16}q\x17(h\tX\x06\x00\x00\x00no cupq\x18h\x0bh\x18uaue.";
    const JSON: &[u8] = br#" [{"ann_id": 70, "image_id": 7, "split": "train", "sentences":
            [{"sent": "left cup", "raw": "left cup."}, {"sent": "the red one", "raw": "The red one"}]},
        {"ann_id": 71, "image_id": 7, "split": "testA", "sentences": [{"sent": "other cup"}]},
        {"ann_id": 79, "image_id": 7, "split": "train", "sentences": [{"sent": "no cup"}]}]"#;

    fn records(
        refs: &[u8],
        split: Option<&str>,
        problems: &mut Problems,
    ) -> Result<Vec<PictureRecord>, ReadError> {
        let folder = tempfile::tempdir().unwrap();
        let [references, instances] =
            ["refs(unc).p", "instances.json"].map(|name| folder.path().join(name));
        fs::write(&references, refs).unwrap();
        fs::write(&instances, INSTANCES).unwrap();
        let options = Options {
            refs: references,
            instances,
            pictures: Pictures::new(&[PathBuf::from("/coco/train2014")]).unwrap(),
            split: split.map(str::to_owned),
        };
        let mut records: Vec<PictureRecord> = Vec::new();
        let mut sink = |record: PictureRecord, _: &mut Problems| {
            record.check().unwrap();
            records.push(record);
            Ok(())
        };
        read(&options, &mut sink, problems)?;
        Ok(records)
    }

    /// Every expression with the ids of the regions that it means.
    fn expressions(record: &PictureRecord) -> Vec<(&str, Vec<&str>)> {
        let told = record.expressions.iter().map(|expression| {
            assert_eq!(expression.kind, ExpressionKind::Short);
            let targets = expression.targets.iter();
            let ids = targets.map(|&place| record.regions[place].id.as_str());
            (expression.text.as_str(), ids.collect::<Vec<_>>())
        });
        told.collect()
    }

    #[test]
    fn pickles_and_json_are_read_alike() {
        let mut all = Vec::new();
        for refs in [PROTOCOL_0, PROTOCOL_2, JSON] {
            let mut problems = Problems::new(1);
            let records = records(refs, None, &mut problems).unwrap();
            let [record] = records.as_slice() else {
                panic!("{records:?}");
            };
            assert_eq!(
                record.image,
                "/coco/train2014/COCO_train2014_000000000007.jpg"
            );
            assert_eq!(
                expressions(record),
                [
                    ("left cup", vec!["70"]),
                    ("the red one", vec!["70"]),
                    ("other cup", vec!["71"])
                ]
            );
            assert_eq!(record.regions.len(), 2);
            assert_eq!(record.regions[0].category.as_deref(), Some("cup"));
            let areas = [0, 1].map(|place| record.mask(place).unwrap().area());
            assert_eq!(areas, [3, 2]);
            let problem = problems.kept()[0].to_string();
            assert!(problem.contains("refs(unc).p: [2]"), "{problem}");
            assert!(problem.contains("annotation 79 is not among"), "{problem}");
            all.push(records);
        }
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
    }

    #[test]
    fn only_the_split_is_read() {
        let texts = |split: &str| -> Vec<String> {
            let records = records(PROTOCOL_2, Some(split), &mut Problems::default()).unwrap();
            let record = &records[0];
            let told = expressions(record).into_iter();
            told.map(|(text, _)| text.to_owned()).collect()
        };
        assert_eq!(texts("train"), ["left cup", "the red one"]);
        for test in ["testA", "test"] {
            assert_eq!(texts(test), ["other cup"]);
        }
        let none = records(PROTOCOL_2, Some("val"), &mut Problems::default());
        let error = none.unwrap_err().to_string();
        assert!(
            error.contains("there is no split \"val\"; there are: testA, train"),
            "{error}"
        );
    }

    #[test]
    fn expressions_can_mean_several_objects_or_none() {
        let refs = br#"[
            {"ann_id": [71, 70, 71], "image_id": 7, "split": "val", "sentences": [{"raw": "both cups"}]},
            {"ann_id": [-1], "image_id": 7, "split": "val", "sentences": [{"sent": "the dog"}, {"sent": " "}]},
            {"ann_id": -1, "image_id": 7, "split": "val", "sentences": [{"sent": "a cat"}]},
            {"ann_id": null, "image_id": 8, "split": "val", "sentences": [{"sent": "a bird"}]},
            {"ann_id": 1.5, "image_id": 8, "split": "val", "sentences": [{"sent": "x"}]},
            {"ann_id": 80, "split": "val", "sentences": [{"sent": "y"}]}]"#;
        let mut problems = Problems::new(2);
        let records = records(refs, Some("val"), &mut problems).unwrap();
        assert_eq!(
            expressions(&records[0]),
            [
                ("both cups", vec!["71", "70"]),
                ("the dog", vec![]),
                ("a cat", vec![])
            ]
        );
        assert_eq!(expressions(&records[1]), [("a bird", vec![])]);
        assert!(records[1].regions.is_empty());
        assert_eq!(problems.left_out()["empty expressions"], 1);
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        assert!(
            told[0].contains("[5] at byte") && told[0].contains("image_id"),
            "{told:?}"
        );
        assert!(
            told[1].contains("[4] at byte") && told[1].contains("a list of them"),
            "{told:?}"
        );
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn too_much_that_is_broken_ends_the_reading() {
        let error = records(PROTOCOL_0, None, &mut Problems::new(0)).unwrap_err();
        assert!(
            matches!(error, ReadError::TooManyBroken { limit: 0, .. }),
            "{error}"
        );
        let error = records(b"cos\nsystem\n.", None, &mut Problems::default()).unwrap_err();
        assert!(error.to_string().contains("GLOBAL of os.system"), "{error}");
    }
}
