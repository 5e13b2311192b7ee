//! Osprey-724K: descriptions of regions and conversations about them, published with
//! [Osprey](https://github.com/CircleRadon/Osprey).
//!
//! Each of its five files is a list of pictures of COCO, each with `file_name`, `height`, `width`
//! and `annotation`, the regions. One file has `description`, one text of the form
//! `<region1>: ..` for each region; the others have `conversations`, by turns of `human` and
//! `gpt`, in which regions are named `<region1>`, `<region2>` and so on. The texts come from a
//! language model, which sometimes wrote the names in another way; what can be told is read.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{
    super::record::{
        DescriptionLength, DescriptionRecord, PictureRecord, QuestionRecord, RegionRecord,
    },
    PictureNameError, Pictures, Problems, ReadError, Sink,
    coco::EMPTY_MASKS,
    json_stream::{Element, read_list},
    segmentation::{Segmentation, SegmentationError},
};

/// What Osprey's own loader adds to questions that are answered in a word.
const SHORT_ANSWER: &str = " Answer the question using a single word or phrase.";

/// Which of the five files is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// `osprey_detail_description.json`: a detailed description of each region.
    DetailedDescription,
    /// `osprey_conversation.json`: conversations about regions.
    Conversation,
    /// `osprey_short_form.json`: questions that are answered in a word or a phrase.
    ShortForm,
    /// `osprey_part_level.json`: the same about parts of things.
    PartLevel,
    /// `osprey_lvis_positive_negative.json`: whether a region is this or that.
    LvisPositiveNegative,
}

impl Variant {
    /// Tells the variant by the name under which its file is published.
    pub fn of_file(path: &Path) -> Option<Self> {
        match path.file_name()?.to_str()? {
            "osprey_detail_description.json" => Some(Self::DetailedDescription),
            "osprey_conversation.json" => Some(Self::Conversation),
            "osprey_short_form.json" => Some(Self::ShortForm),
            "osprey_part_level.json" => Some(Self::PartLevel),
            "osprey_lvis_positive_negative.json" => Some(Self::LvisPositiveNegative),
            _ => None,
        }
    }

    /// What is added to each question.
    fn request(self) -> &'static str {
        match self {
            Self::ShortForm | Self::PartLevel => SHORT_ANSWER,
            _ => "",
        }
    }
}

/// Which part of Osprey-724K is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The file.
    pub annotations: PathBuf,
    /// Which one it is.
    pub variant: Variant,
    /// The folder that holds COCO's pictures. Where there is no picture with the name that the file
    /// gives, such as `COCO_train2014_000000000009.jpg`, it is the one that COCO has called
    /// `000000000009.jpg` since 2017.
    pub pictures: Pictures,
}

/// Reads the pictures in the order of the file; a picture's id is its place in the list, from 0.
///
/// Each turn of a conversation becomes a question of its own. One that names no region is about
/// what the conversation is about, so it is told which regions there are, as Osprey's own loader
/// does it at the beginning of each conversation.
///
/// # Errors
/// Where the file cannot be read or is no list, where too much is broken, or where the sink takes
/// no more.
pub fn read(options: &Options, sink: Sink<'_>, problems: &mut Problems) -> Result<(), ReadError> {
    read_list(&options.annotations, &mut |element| {
        let Some(picture) = element.read::<Picture>(problems)? else {
            return Ok(());
        };
        match record(&picture, element, options, problems) {
            Ok(record) if record.regions.is_empty() => {
                problems.leave_out("pictures of which nothing is said");
                Ok(())
            }
            Ok(record) => sink(record, problems).map_err(ReadError::of_sink),
            Err(broken) => problems.report(&element.position(), &broken),
        }
    })
}

#[derive(Deserialize)]
struct Picture {
    #[serde(alias = "image")]
    file_name: String,
    height: u32,
    width: u32,
    annotation: Vec<Annotation>,
    #[serde(default)]
    conversations: Vec<Turn>,
    #[serde(default)]
    description: Vec<String>,
}

#[derive(Deserialize)]
struct Annotation {
    segmentation: Segmentation,
}

#[derive(Deserialize)]
struct Turn {
    from: Speaker,
    value: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    Human,
    Gpt,
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Name(#[from] PictureNameError),
    #[error("region {number}: {source}")]
    Mask {
        number: usize,
        source: SegmentationError,
    },
    #[error("the conversation does not go by turns of human and gpt")]
    Turns,
}

fn record(
    picture: &Picture,
    element: &Element<'_>,
    options: &Options,
    problems: &mut Problems,
) -> Result<PictureRecord, Broken> {
    let (width, height) = (picture.width, picture.height);
    let image = image_path(&picture.file_name, options)?;
    let mut regions = Vec::new();
    let mut places = Vec::new();
    for (number, annotation) in (1..).zip(&picture.annotation) {
        let mask = annotation
            .segmentation
            .to_rle(width, height)
            .map_err(|source| Broken::Mask { number, source })?;
        if mask.area() == 0 {
            problems.leave_out(EMPTY_MASKS);
            places.push(None);
            continue;
        }
        places.push(Some(regions.len()));
        regions.push(RegionRecord {
            id: number.to_string(),
            mask: mask.to_wire(),
            ignore: None,
            category: None,
            descriptions: Vec::new(),
        });
    }
    let places = Places(places);
    let mut questions = Vec::new();
    if options.variant == Variant::DetailedDescription {
        for text in &picture.description {
            match description(text, &places) {
                Some((place, text)) => regions[place].descriptions.push(DescriptionRecord {
                    text,
                    length: DescriptionLength::Detailed,
                }),
                None => problems.leave_out("descriptions of no region that is there"),
            }
        }
    } else {
        let (turns, unanswered) = picture.conversations.as_chunks::<2>();
        if !unanswered.is_empty() {
            problems.leave_out("questions without an answer");
        }
        for [asked, answered] in turns {
            if (asked.from, answered.from) != (Speaker::Human, Speaker::Gpt) {
                return Err(Broken::Turns);
            }
            match question(asked, answered, &places, options.variant) {
                Some(question) => questions.push(question),
                None => problems.leave_out("questions about a region that is not there"),
            }
        }
    }
    let described = regions.iter().any(|region| !region.descriptions.is_empty());
    if questions.is_empty() && !described {
        regions.clear();
    }
    Ok(PictureRecord {
        id: element.index.unwrap_or_default().to_string(),
        image,
        width,
        height,
        regions,
        questions,
        ..PictureRecord::default()
    })
}

fn image_path(name: &str, options: &Options) -> Result<String, PictureNameError> {
    let as_written = options.pictures.path(name);
    let since_2017 = name.rsplit('_').next().unwrap_or(name);
    match as_written {
        Ok(path) if since_2017 == name || Path::new(&path).is_file() => Ok(path),
        Err(error @ PictureNameError::NoName(_)) => Err(error),
        _ => options.pictures.path(since_2017),
    }
}

/// The place in the record of each region that the data set has; none for one without a pixel.
struct Places(Vec<Option<usize>>);

impl Places {
    /// The place of the region with a name.
    fn of(&self, name: &Name) -> Option<usize> {
        let index = name.number?.checked_sub(1)?;
        self.0.get(index).copied().flatten()
    }

    /// How many regions the record has.
    fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }
}

/// The place of the region that a text of the form `<region1>: ..` describes, and what it says.
fn description(text: &str, places: &Places) -> Option<(usize, String)> {
    let (name, rest) = Name::at_start(text.trim())?;
    let said = rest.trim_start().strip_prefix(':')?.trim();
    let place = places.of(&name)?;
    (!said.is_empty()).then(|| (place, said.to_owned()))
}

/// A turn as a question; none where it names a region that is not there.
fn question(
    asked: &Turn,
    answered: &Turn,
    places: &Places,
    variant: Variant,
) -> Option<QuestionRecord> {
    let mut regions = Vec::new();
    let mut question = rename(asked.value.trim(), places, &mut regions)?;
    let answer = rename(answered.value.trim(), places, &mut regions)?;
    if regions.is_empty() {
        regions = (0..places.count()).collect();
        question = format!("{}{question}", introduction(regions.len()));
    }
    question.push_str(variant.request());
    Some(QuestionRecord {
        question,
        answer,
        regions,
    })
}

/// Says which regions there are.
fn introduction(count: usize) -> String {
    let names: Vec<String> = (0..count)
        .map(|place| format!("<region:{place}>"))
        .collect();
    let names = names.join(", ");
    match count {
        1 => format!("There is 1 region in the picture: {names}. "),
        _ => format!("There are {count} regions in the picture: {names}. "),
    }
}

/// The text with regions named by their places, which are added to `regions` where they are new;
/// none where a name is that of no region.
fn rename(text: &str, places: &Places, regions: &mut Vec<usize>) -> Option<String> {
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        renamed.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some((name, after)) = Name::at_start(rest) else {
            renamed.push('<');
            rest = &rest[1..];
            continue;
        };
        let place = places.of(&name)?;
        renamed.push_str(&format!("<region:{place}>"));
        if !regions.contains(&place) {
            regions.push(place);
        }
        rest = after;
    }
    renamed.push_str(rest);
    Some(renamed)
}

/// A region's name in a text: `<region1>`, or what was meant to be that.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    /// Counted from 1; none where no number is given.
    number: Option<usize>,
}

impl Name {
    /// The name that a text begins with, and what follows it. Besides `<region1>` the data set has
    /// `<Region1>`, `<regin1>`, `<region 1>`, `<region of1>`, `<region1]`, `<region1` before a full
    /// stop, and `<region>`.
    fn at_start(text: &str) -> Option<(Self, &str)> {
        let inner = text.strip_prefix('<')?;
        let word = ["region", "regin"].into_iter().find(|word| {
            let start = inner.get(..word.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(word))
        })?;
        let inner = &inner[word.len()..];
        let number = inner.strip_prefix(" of").unwrap_or(inner).trim_start();
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = number.split_at(digits);
        let closed = rest.strip_prefix(['>', ']']);
        if digits.is_empty() && closed.is_none() {
            return None;
        }
        let name = Self {
            number: digits.parse().ok(),
        };
        Some((name, closed.unwrap_or(rest)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Two regions in a picture of 6x4: the four pixels at the upper left, and column 3.
    const REGIONS: &str = r#""height": 4, "width": 6, "annotation": [
        {"bbox": [0, 0, 2, 2], "segmentation": [[0, 0, 0, 2, 2, 2, 2, 0]]},
        {"bbox": [3, 0, 1, 4], "segmentation": {"size": [4, 6], "counts": [12, 4, 8]}}]"#;

    fn options(folder: &Path, variant: Variant) -> Options {
        Options {
            annotations: folder.join("osprey.json"),
            variant,
            pictures: Pictures::new(&[folder.to_owned()]).unwrap(),
        }
    }

    fn read_all(list: &str, variant: Variant, problems: &mut Problems) -> Vec<PictureRecord> {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), variant);
        fs::write(&options.annotations, list).unwrap();
        let mut records = Vec::new();
        let sink: Sink<'_> = &mut |record, _| {
            record.check()?;
            records.push(record);
            Ok(())
        };
        read(&options, sink, problems).unwrap();
        records
    }

    fn conversation(turns: &[(&str, &str)]) -> String {
        let turns: Vec<String> = turns
            .iter()
            .map(|(from, value)| format!(r#"{{"from": "{from}", "value": "{value}"}}"#))
            .collect();
        let turns = turns.join(", ");
        format!(
            r#"{{"id": 9, "file_name": "000000000009.jpg", {REGIONS}, "conversations": [{turns}]}}"#
        )
    }

    #[test]
    fn descriptions_go_to_the_regions_that_they_name() {
        let list = format!(
            r#"[{{"id": 1, "file_name": "COCO_train2014_000000000009.jpg", {REGIONS},
                "description": ["<region2>: A long: thin pole.", "<Regin 1>:A red cup. ",
                                "<region3>: Nothing.", "A text without a name."]}}]"#
        );
        let mut problems = Problems::new(0);
        let records = read_all(&list, Variant::DetailedDescription, &mut problems);
        let record = &records[0];
        assert!(
            record.image.ends_with("/000000000009.jpg"),
            "{}",
            record.image
        );
        assert_eq!(record.mask(1).unwrap().area(), 4);
        let texts: Vec<&str> = record
            .regions
            .iter()
            .map(|region| {
                let [description] = &region.descriptions[..] else {
                    panic!("{region:?}");
                };
                assert_eq!(description.length, DescriptionLength::Detailed);
                description.text.as_str()
            })
            .collect();
        assert_eq!(texts, ["A red cup.", "A long: thin pole."]);
        assert!(record.questions.is_empty());
        let left_out: Vec<u64> = problems.left_out().values().copied().collect();
        assert_eq!(left_out, [2]);
    }

    #[test]
    fn turns_become_questions() {
        let list = conversation(&[
            ("human", "What is <region2> beside?"),
            ("gpt", "It is beside <region1>, and <region2> is taller."),
            ("human", "Is there anything else?"),
            ("gpt", "No."),
            ("human", "And <region3>?"),
            ("gpt", "A dog."),
            ("human", "Is the answer lost?"),
        ]);
        let mut problems = Problems::new(0);
        let records = read_all(&format!("[{list}]"), Variant::Conversation, &mut problems);
        let expected = [
            QuestionRecord {
                question: "What is <region:1> beside?".to_owned(),
                answer: "It is beside <region:0>, and <region:1> is taller.".to_owned(),
                regions: vec![1, 0],
            },
            QuestionRecord {
                question: "There are 2 regions in the picture: <region:0>, <region:1>. \
                           Is there anything else?"
                    .to_owned(),
                answer: "No.".to_owned(),
                regions: vec![0, 1],
            },
        ];
        assert_eq!(records[0].questions, expected);
        assert_eq!(records[0].id, "0");
        let left_out: Vec<u64> = problems.left_out().values().copied().collect();
        assert_eq!(left_out, [1, 1]);
    }

    #[test]
    fn short_answers_are_asked_for() {
        let list = conversation(&[("human", "What is <region1>?"), ("gpt", "Cup")]);
        for (variant, question) in [
            (
                Variant::PartLevel,
                "What is <region:0>? Answer the question using a single word or phrase.",
            ),
            (Variant::LvisPositiveNegative, "What is <region:0>?"),
        ] {
            let records = read_all(&format!("[{list}]"), variant, &mut Problems::new(0));
            assert_eq!(records[0].questions[0].question, question);
        }
    }

    #[test]
    fn names_are_read_as_they_were_meant() {
        for (text, number, rest) in [
            ("<region12> is", Some(12), " is"),
            ("<Region1>: a", Some(1), ": a"),
            ("<regin 1> a", Some(1), " a"),
            ("<region of2>", Some(2), ""),
            ("<region1].", Some(1), "."),
            ("<region1. It", Some(1), ". It"),
            ("<region>?", None, "?"),
        ] {
            assert_eq!(
                Name::at_start(text),
                Some((Name { number }, rest)),
                "{text}"
            );
        }
        for text in ["<regional>", "< 5", "region1", "<r\u{e9}gion1>", "<p>"] {
            assert_eq!(Name::at_start(text), None, "{text}");
        }
        let mut regions = Vec::new();
        let places = Places(vec![None, Some(0)]);
        let renamed = rename("a <b> < <region2>", &places, &mut regions);
        assert_eq!(renamed.as_deref(), Some("a <b> < <region:0>"));
        for lost in ["<region>", "<region0>", "<region1>", "<region3>"] {
            assert_eq!(rename(lost, &places, &mut regions), None, "{lost}");
        }
    }

    #[test]
    fn the_name_that_a_picture_has_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), Variant::Conversation);
        let name = "COCO_train2014_000000000009.jpg";
        let path = |name| image_path(name, &options).unwrap();
        assert!(path(name).ends_with("/000000000009.jpg"));
        fs::write(folder.path().join(name), "").unwrap();
        assert!(path(name).ends_with(name));
        assert!(image_path("../a_9.jpg", &options).is_err());
    }

    #[test]
    fn what_is_broken_is_told_and_skipped() {
        let good = conversation(&[("human", "What is <region1>?"), ("gpt", "A cup.")]);
        let list = [
            good.replace("[12, 4, 8]", "[12, 4, 9]"),
            conversation(&[("gpt", "A cup."), ("human", "What?")]),
            good.replace("\"width\": 6", "\"width\": \"six\""),
            conversation(&[]),
            good,
        ];
        let mut problems = Problems::new(3);
        let list = format!("[{}]", list.join(",\n"));
        let records = read_all(&list, Variant::Conversation, &mut problems);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].id, "4");
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3);
        for (message, expected) in told
            .iter()
            .zip(["region 2: the mask", "by turns", "\"six\""])
        {
            assert!(
                message.contains("osprey.json: [") && message.contains(expected),
                "{message}"
            );
        }
        assert_eq!(problems.left_out()["pictures of which nothing is said"], 1);
    }

    #[test]
    fn files_are_told_by_their_names() {
        let variant = |name: &str| Variant::of_file(&Path::new("Osprey-724K").join(name));
        assert_eq!(variant("osprey_part_level.json"), Some(Variant::PartLevel));
        assert_eq!(variant("instances.json"), None);
    }
}
