//! MUSE: questions of which each asks for several masks, published with
//! [PixelLM](https://github.com/MaverickRen/PixelLM).
//!
//! The file is a list of pictures of COCO, each with `ann_list` (what is marked), `questions`,
//! `answers` (for each question a list of what it means, written out once more as in `ann_list`)
//! and, in a part of the data set, `text_answers` with `{seg}` where each of them is named. A
//! picture of `train2014` has a `file_name`, one of `train2017` or `val2017` a `coco_url`.

use std::path::PathBuf;

use serde::Deserialize;

use super::{
    super::record::{ExpressionKind, ExpressionRecord, PictureRecord, RegionRecord},
    PictureNameError, Pictures, Problems, ReadError, Sink,
    coco::EMPTY_MASKS,
    json_stream::{Element, read_list},
    pictures::name_of_url,
    segmentation::{Segmentation, SegmentationError},
};

/// Where a target is named in an answer.
const TARGET_SIGN: &str = "{seg}";

/// Which part of MUSE is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The file, such as `muse_train.json`, `muse_val.json` or `MUSE_test_less.json`.
    pub annotations: PathBuf,
    /// The folder that holds COCO's `train2014`, `train2017` and `val2017`.
    pub pictures: Pictures,
}

/// Reads the pictures in the order of the file; a picture's id is its place in the list, from 0.
///
/// An answer whose `{seg}` are not as many as its question's targets is left out, as nobody can
/// tell which of them is which; the question stays. A question with a target that has no pixel is
/// left out as a whole.
///
/// # Errors
/// Where the file cannot be read or is no list, where too much is broken, or where the sink takes
/// no more.
pub fn read(options: &Options, sink: Sink<'_>, problems: &mut Problems) -> Result<(), ReadError> {
    read_list(&options.annotations, &mut |element| {
        let Some(picture) = element.read::<Picture>(problems)? else {
            return Ok(());
        };
        match record(picture, element, &options.pictures, problems) {
            Ok(record) => sink(record, problems).map_err(ReadError::of_sink),
            Err(broken) => problems.report(&element.position(), &broken),
        }
    })
}

#[derive(Deserialize)]
struct Picture {
    file_name: Option<String>,
    coco_url: Option<String>,
    height: u32,
    width: u32,
    ann_list: Vec<Annotation>,
    #[serde(default)]
    questions: Vec<String>,
    #[serde(default)]
    answers: Vec<Vec<Annotation>>,
    text_answers: Option<Vec<Option<String>>>,
}

#[derive(Deserialize, PartialEq)]
struct Annotation {
    category_name: String,
    rephrased_name: Option<String>,
    segmentation: Segmentation,
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("it has neither file_name nor coco_url")]
    NoName,
    #[error(transparent)]
    Name(#[from] PictureNameError),
    #[error("a picture of {0}x{1} cannot be")]
    Size(u32, u32),
    #[error("it has {questions} questions and {answers} {what}")]
    Counts {
        questions: usize,
        answers: usize,
        what: &'static str,
    },
    #[error("{category:?}: {source}")]
    Mask {
        category: String,
        source: SegmentationError,
    },
}

fn record(
    picture: Picture,
    element: &Element<'_>,
    pictures: &Pictures,
    problems: &mut Problems,
) -> Result<PictureRecord, Broken> {
    let (width, height) = (picture.width, picture.height);
    if width == 0 || height == 0 {
        return Err(Broken::Size(width, height));
    }
    let image = pictures.path(&picture.path()?)?;
    let count = picture.questions.len();
    let written = picture
        .text_answers
        .unwrap_or_else(|| std::iter::repeat_n(None, count).collect());
    for (answers, what) in [
        (picture.answers.len(), "answers"),
        (written.len(), "text_answers"),
    ] {
        if answers != count {
            return Err(Broken::Counts {
                questions: count,
                answers,
                what,
            });
        }
    }
    let mut marked = picture.ann_list;
    let meant: Vec<Vec<usize>> = picture
        .answers
        .into_iter()
        .map(|annotations| {
            let places = annotations.into_iter();
            places.map(|other| place_of(other, &mut marked)).collect()
        })
        .collect();
    let mut regions = Vec::new();
    let mut places = Vec::new();
    for annotation in marked {
        let category = annotation.name();
        let mask = match annotation.segmentation.to_rle(width, height) {
            Ok(mask) => mask,
            Err(source) => return Err(Broken::Mask { category, source }),
        };
        if mask.area() == 0 {
            problems.leave_out(EMPTY_MASKS);
            places.push(None);
            continue;
        }
        places.push(Some(regions.len()));
        regions.push(RegionRecord {
            id: regions.len().to_string(),
            mask: mask.to_wire(),
            ignore: None,
            category: Some(category),
            descriptions: Vec::new(),
        });
    }
    let mut expressions = Vec::new();
    for ((text, meant), answer) in picture.questions.into_iter().zip(meant).zip(written) {
        let targets: Option<Vec<usize>> = meant.iter().map(|&place| places[place]).collect();
        let Some(targets) = targets else {
            problems.leave_out("questions with a target without a pixel");
            continue;
        };
        let fits = |answer: &String| answer.matches(TARGET_SIGN).count() == targets.len();
        if answer.as_ref().is_some_and(|answer| !fits(answer)) {
            problems.leave_out("answers that do not name each target once");
        }
        expressions.push(ExpressionRecord {
            text,
            kind: ExpressionKind::Multiple,
            answer: answer.filter(fits),
            targets,
            is_sentence: None,
        });
    }
    Ok(PictureRecord {
        id: element.index.unwrap_or_default().to_string(),
        image,
        width,
        height,
        regions,
        expressions,
        ..PictureRecord::default()
    })
}

/// The place of an annotation among those of the picture; one that is not there is added.
fn place_of(annotation: Annotation, marked: &mut Vec<Annotation>) -> usize {
    let known = marked.iter().position(|other| *other == annotation);
    known.unwrap_or_else(|| {
        marked.push(annotation);
        marked.len() - 1
    })
}

impl Picture {
    /// The path below COCO's folder.
    fn path(&self) -> Result<String, Broken> {
        match (&self.file_name, &self.coco_url) {
            (Some(name), _) => Ok(format!("train2014/{name}")),
            (None, Some(url)) => {
                let train = url.contains("train2017");
                let folder = if train { "train2017" } else { "val2017" };
                Ok(format!("{folder}/{}", name_of_url(url)))
            }
            (None, None) => Err(Broken::NoName),
        }
    }
}

impl Annotation {
    /// What it is called: LVIS's names, such as `bun_(hair)`, were rephrased for people.
    fn name(&self) -> String {
        let rephrased = self.rephrased_name.as_deref().map(str::trim);
        rephrased
            .filter(|name| !name.is_empty())
            .map_or_else(|| self.category_name.replace('_', " "), str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CUP: &str = r#"{"category_id": 344, "category_name": "cup", "bbox": [0, 0, 2, 2],
        "segmentation": [[0, 0, 0, 2, 2, 2, 2, 0]]}"#;
    const BUN: &str = r#"{"category_id": 9, "category_name": "bun_(hair)", "bbox": [3, 1, 1, 2],
        "rephrased_name": "hair bun", "segmentation": {"size": [4, 6], "counts": [13, 2, 9]}}"#;
    const RIM: &str = r#"{"category_id": 7, "category_name": "wine_glass", "bbox": [4, 0, 2, 1],
        "segmentation": [[4, 0, 4, 1, 6, 1, 6, 0]]}"#;

    fn read_all(list: &str, problems: &mut Problems) -> Vec<PictureRecord> {
        let folder = tempfile::tempdir().unwrap();
        let annotations = folder.path().join("muse.json");
        fs::write(&annotations, list).unwrap();
        let options = Options {
            annotations,
            pictures: Pictures::new(&[PathBuf::from("/coco")]).unwrap(),
        };
        let mut records = Vec::new();
        let sink: Sink<'_> = &mut |record, _| {
            record.check()?;
            records.push(record);
            Ok(())
        };
        read(&options, sink, problems).unwrap();
        records
    }

    #[test]
    fn each_target_of_a_question_is_a_region_of_its_own() {
        let list = format!(
            r#"[{{"coco_url": "http://images.cocodataset.org/train2017/000000000034.jpg",
                "height": 4, "width": 6, "ann_list": [{CUP}, {BUN}],
                "questions": ["What holds tea?", "What can be seen?", "What flies?"],
                "answers": [[{CUP}], [{BUN}, {CUP}, {RIM}], []],
                "text_answers": ["The cup {{seg}}.", null, "Nothing does."]}}]"#
        );
        let mut problems = Problems::new(0);
        let records = read_all(&list, &mut problems);
        assert_eq!(records.len(), 1);
        let record = &records[0];
        assert_eq!(record.image, "/coco/train2017/000000000034.jpg");
        assert_eq!(
            (record.id.as_str(), record.width, record.height),
            ("0", 6, 4)
        );
        let names: Vec<&str> = record
            .regions
            .iter()
            .map(|region| region.category.as_deref().unwrap())
            .collect();
        assert_eq!(names, ["cup", "hair bun", "wine glass"]);
        let areas = [0, 1, 2].map(|place| record.mask(place).unwrap().area());
        assert_eq!(areas, [4, 2, 2]);
        assert!(
            record.mask(1).unwrap().get(3, 2),
            "runs go column by column"
        );
        let said: Vec<(&[usize], Option<&str>)> = record
            .expressions
            .iter()
            .map(|expression| (&expression.targets[..], expression.answer.as_deref()))
            .collect();
        assert_eq!(
            said,
            [
                (&[0][..], Some("The cup {seg}.")),
                (&[1, 0, 2][..], None),
                (&[][..], Some("Nothing does.")),
            ]
        );
        assert_eq!(record.expressions[1].text, "What can be seen?");
        assert_eq!(record.expressions[1].kind, ExpressionKind::Multiple);
        assert!(problems.left_out().is_empty());
    }

    #[test]
    fn pictures_lie_where_coco_has_them() {
        let list = r#"[
            {"file_name": "COCO_train2014_000000000009.jpg", "height": 4, "width": 6,
             "ann_list": []},
            {"coco_url": "http://images.cocodataset.org/val2017/000000000139.jpg", "height": 4,
             "width": 6, "ann_list": []}]"#;
        let records = read_all(list, &mut Problems::new(0));
        let images: Vec<&str> = records.iter().map(|record| record.image.as_str()).collect();
        assert_eq!(
            images,
            [
                "/coco/train2014/COCO_train2014_000000000009.jpg",
                "/coco/val2017/000000000139.jpg",
            ]
        );
    }

    #[test]
    fn an_answer_with_too_few_signs_is_left_out_but_not_its_question() {
        let list = format!(
            r#"[{{"file_name": "9.jpg", "height": 4, "width": 6, "ann_list": [{CUP}, {BUN}],
                "questions": ["What is there?"], "answers": [[{CUP}, {BUN}]],
                "text_answers": ["Both {{seg}}."]}}]"#
        );
        let mut problems = Problems::new(0);
        let records = read_all(&list, &mut problems);
        assert_eq!(records[0].expressions[0].targets, [0, 1]);
        assert_eq!(records[0].expressions[0].answer, None);
        let left_out: Vec<u64> = problems.left_out().values().copied().collect();
        assert_eq!(left_out, [1]);
    }

    #[test]
    fn a_target_without_a_pixel_takes_its_question_along() {
        let empty = BUN.replace("[13, 2, 9]", "[24]");
        let list = format!(
            r#"[{{"file_name": "9.jpg", "height": 4, "width": 6, "ann_list": [{empty}, {CUP}],
                "questions": ["What is there?", "What holds tea?"],
                "answers": [[{CUP}, {empty}], [{CUP}]]}}]"#
        );
        let mut problems = Problems::new(0);
        let records = read_all(&list, &mut problems);
        assert_eq!(records[0].regions.len(), 1);
        let [expression] = &records[0].expressions[..] else {
            panic!("{:?}", records[0].expressions);
        };
        assert_eq!(expression.text, "What holds tea?");
        assert_eq!(expression.targets, [0]);
        assert_eq!(problems.left_out()[EMPTY_MASKS], 1);
    }

    #[test]
    fn what_is_broken_is_told_and_skipped() {
        let picture = |name: &str, rest: &str| {
            format!(r#"{{"file_name": "{name}", "height": 4, "width": 6, {rest}}}"#)
        };
        let other_size = BUN.replace("[4, 6]", "[6, 4]");
        let list = [
            picture("a.jpg", r#""ann_list": 7"#),
            picture("b.jpg", &format!(r#""ann_list": [{other_size}]"#)),
            picture(
                "c.jpg",
                r#""ann_list": [], "questions": ["?"], "answers": []"#,
            ),
            picture("../d.jpg", r#""ann_list": []"#),
            r#"{"height": 4, "width": 6, "ann_list": []}"#.to_owned(),
            picture("f.jpg", &format!(r#""ann_list": [{CUP}]"#)),
        ];
        let mut problems = Problems::new(5);
        let records = read_all(&format!("[{}]", list.join(",\n")), &mut problems);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].id, "5");
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 5);
        for (place, (message, reason)) in told
            .iter()
            .zip([
                "invalid type",
                "\"hair bun\": the mask is",
                "0 answers",
                "d.jpg",
                "coco_url",
            ])
            .enumerate()
        {
            assert!(
                message.contains(&format!("muse.json: [{place}] at byte"))
                    && message.contains(reason),
                "{message}"
            );
        }
    }
}
