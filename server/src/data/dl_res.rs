//! DL-RES: expressions as detailed as descriptions, made by turning descriptions around.
//!
//! The task is to find the region that a detailed description describes. There is no published data
//! for it, so it is made of data that describes regions, such as the Describe Anything dataset: a
//! language model behind a chat endpoint rewrites each description as an expression, by the
//! instructions in `dl_res_prompt.txt`. Scenes need none of this; their grammar has expressions of
//! that kind.
//!
//! What the model answered is kept by the client's cache, so that a run that was stopped asks only
//! for what is missing.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    pin::pin,
};

use futures::stream::{self, StreamExt};

use super::{
    folder::{FolderError, PictureFolder, PictureWriter},
    published::{Place, Position, Problem, Problems, ReadError},
    record::{DescriptionLength, ExpressionKind, ExpressionRecord, PictureRecord},
};
use crate::chat_client::{ChatAnswer, ChatClient, ChatError};

/// What the model is told to do with a description.
pub const PROMPT: &str = include_str!("dl_res_prompt.txt");
/// Longest expression, in tokens; an answer that is longer is cut off and not used.
const MAX_TOKENS: u32 = 512;
/// Characters that an expression may have beyond twice those of its description.
const SPARE_CHARACTERS: usize = 80;
/// How a model begins that will not do it.
const REFUSALS: [&str; 5] = ["i'm sorry", "i am sorry", "sorry", "i can't", "i cannot"];

/// What is turned around, and into what.
#[derive(Debug, Clone)]
pub struct DlResOptions {
    /// A folder of pictures whose regions are described in detail.
    pub data: PathBuf,
    /// The folder to write; must be new or empty. Its pictures stay where they are.
    pub out: PathBuf,
    /// How many pictures are worked on at once; each has one request on its way.
    pub at_once: usize,
    /// Only so many pictures are read.
    pub limit: Option<usize>,
    /// How many broken records and unusable answers are skipped, of each.
    pub limit_broken: u64,
    /// Hears of each of them as soon as it is found.
    pub on_skip: fn(&Problem),
}

/// What came of it.
#[derive(Debug)]
pub struct DlRes {
    /// How many pictures were written.
    pub pictures: u64,
    /// How many expressions they were given.
    pub expressions: u64,
    /// What could not be read.
    pub unread: Problems,
    /// Descriptions that gave no expression.
    pub unusable: Problems,
}

/// Why there is no data set.
#[derive(Debug, thiserror::Error)]
pub enum DlResError {
    /// The pictures cannot be read, or the new ones not written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Too many answers could not be used.
    #[error(transparent)]
    TooManyBroken(#[from] ReadError),
    /// The model cannot be asked.
    #[error("{0}; what has been answered is kept, so the same command goes on from here")]
    Chat(#[from] ChatError),
    /// A picture's path that cannot be written down.
    #[error("the path of the picture {} is not UTF-8", .0.display())]
    Path(PathBuf),
    /// Nothing was described in detail, or no answer could be used.
    #[error("{} gives no expression{because}", data.display(), because = first.as_ref().map(|first| format!("; the first problem: {first}")).unwrap_or_default())]
    Nothing {
        /// The folder.
        data: PathBuf,
        /// What was wrong first.
        first: Option<String>,
    },
}

/// Why an answer is no expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Unusable {
    #[error("the answer is longer than {} tokens", MAX_TOKENS)]
    CutOff,
    #[error("the answer is empty")]
    Empty,
    #[error("the answer has more than one line")]
    Lines,
    #[error("the answer is much longer than the description")]
    TooLong,
    #[error("the model will not answer")]
    Refused,
}

/// Writes a folder of the pictures with an expression for each detailed description of a region,
/// beside all that they had. Pictures without one are left out. `progress` hears how many pictures
/// are done, and how many there are.
///
/// # Errors
/// Where the model cannot be asked, where too much is broken or unusable, or where a folder cannot
/// be read or written. The new folder does not appear then; what was answered is kept.
pub fn build_dl_res(
    client: &ChatClient,
    options: &DlResOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<DlRes, DlResError> {
    let folder = PictureFolder::open(&options.data)?;
    let mut writer = PictureWriter::create(&options.out)?;
    let problems = || Problems::told_to(options.limit_broken, options.on_skip);
    let (mut unread, mut unusable) = (problems(), problems());
    let mut expressions = 0;
    let count = options.limit.unwrap_or(usize::MAX).min(folder.len());
    client.block_on(async {
        let pictures = stream::iter(folder.records(&mut unread).take(count))
            .map(|record| rewrite(client, record))
            .buffered(options.at_once.max(1));
        let mut pictures = pin!(pictures);
        let mut done = 0;
        while let Some(rewritten) = pictures.next().await {
            let Rewritten { mut record, texts } = rewritten?;
            let added = add_expressions(&mut record, texts, folder.path(), &mut unusable)?;
            if added > 0 {
                record.image = absolute(&folder.image_path(&record))?;
                writer.write(&record)?;
            }
            expressions += added;
            done += 1;
            progress(done, count);
        }
        Ok::<(), DlResError>(())
    })?;
    if expressions == 0 {
        let first = unread.kept().iter().chain(unusable.kept()).next();
        return Err(DlResError::Nothing {
            data: options.data.clone(),
            first: first.map(ToString::to_string),
        });
    }
    Ok(DlRes {
        pictures: writer.finish()?,
        expressions,
        unread,
        unusable,
    })
}

/// A picture with what was made of its descriptions: the region's place, and the expression or why
/// there is none.
struct Rewritten {
    record: PictureRecord,
    texts: Vec<(usize, Result<String, String>)>,
}

async fn rewrite(
    client: &ChatClient,
    record: Result<PictureRecord, FolderError>,
) -> Result<Rewritten, DlResError> {
    let record = record?;
    let mut texts = Vec::new();
    for (place, region) in record.regions.iter().enumerate() {
        for description in &region.descriptions {
            if description.length != DescriptionLength::Detailed {
                continue;
            }
            let text = match client.ask(PROMPT, &description.text, MAX_TOKENS).await {
                Ok(answer) => {
                    expression_in(&answer, &description.text).map_err(|error| error.to_string())
                }
                Err(error) if error.concerns_one_request() => Err(error.to_string()),
                Err(error) => return Err(error.into()),
            };
            texts.push((place, text));
        }
    }
    Ok(Rewritten { record, texts })
}

/// Adds the expressions that mean one region only, and says how many there are.
fn add_expressions(
    record: &mut PictureRecord,
    texts: Vec<(usize, Result<String, String>)>,
    file: &Path,
    unusable: &mut Problems,
) -> Result<u64, ReadError> {
    let mut good: Vec<(usize, String)> = Vec::new();
    for (place, text) in texts {
        match text {
            Ok(text) => good.push((place, text)),
            Err(reason) => {
                let region = record
                    .regions
                    .get(place)
                    .map_or("", |region| region.id.as_str());
                let member = format!("picture {}, region {region}", record.id);
                let position = Position::new(file, Place::Member(member));
                unusable.report(&position, &reason)?;
            }
        }
    }
    // What was written of several regions tells nobody which of them is meant.
    let mut meant: HashMap<String, Option<usize>> = HashMap::new();
    for (place, text) in &good {
        meant
            .entry(text.to_lowercase())
            .and_modify(|only| *only = only.filter(|only| only == place))
            .or_insert(Some(*place));
    }
    let mut added = 0;
    for (place, text) in good {
        let lower = text.to_lowercase();
        if meant.get(&lower) == Some(&None) {
            unusable.leave_out("expressions that would mean several regions");
            continue;
        }
        if meant.remove(&lower).is_none() {
            unusable.leave_out("expressions that came twice");
            continue;
        }
        record.expressions.push(ExpressionRecord {
            text,
            kind: ExpressionKind::Detailed,
            targets: vec![place],
            answer: None,
            is_sentence: None,
        });
        added += 1;
    }
    Ok(added)
}

/// The expression in an answer, without what models put around it.
fn expression_in(answer: &ChatAnswer, description: &str) -> Result<String, Unusable> {
    if !answer.whole {
        return Err(Unusable::CutOff);
    }
    let thought = answer.text.rsplit("</think>").next();
    let mut text = thought.unwrap_or(&answer.text).trim();
    for label in ["referring expression:", "expression:"] {
        let start = text.get(..label.len());
        if start.is_some_and(|start| start.eq_ignore_ascii_case(label)) {
            text = text[label.len()..].trim();
        }
    }
    let text = text
        .trim_matches(['"', '`', '\u{201c}', '\u{201d}'])
        .trim()
        .trim_end_matches('.');
    if text.is_empty() {
        return Err(Unusable::Empty);
    }
    let lower = text.to_lowercase().replace('\u{2019}', "'");
    if REFUSALS.iter().any(|refusal| lower.starts_with(refusal)) {
        return Err(Unusable::Refused);
    }
    if text.lines().count() > 1 {
        return Err(Unusable::Lines);
    }
    if text.chars().count() > 2 * description.chars().count() + SPARE_CHARACTERS {
        return Err(Unusable::TooLong);
    }
    Ok(text.to_owned())
}

fn absolute(path: &Path) -> Result<String, DlResError> {
    std::path::absolute(path)
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok())
        .ok_or_else(|| DlResError::Path(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{
        http::StatusCode,
        response::{IntoResponse, Response},
    };
    use fclm_core::mask::Mask;
    use serde_json::Value;

    use super::*;
    use crate::{
        chat_client::{
            ChatOptions,
            endpoint::{Endpoint, completion, user_text},
        },
        data::record::{DescriptionRecord, RegionRecord},
    };

    fn region(id: &str, descriptions: &[(&str, DescriptionLength)]) -> RegionRecord {
        let describe = |&(text, length): &(&str, DescriptionLength)| DescriptionRecord {
            text: text.to_owned(),
            length,
        };
        RegionRecord {
            id: id.to_owned(),
            mask: Mask::rect(6, 4, [0.0, 0.0, 2.0, 2.0]).to_wire(),
            ignore: None,
            category: None,
            descriptions: descriptions.iter().map(describe).collect(),
        }
    }

    /// Pictures with one region for each of their descriptions.
    fn data(folder: &Path, pictures: &[&[&str]]) -> DlResOptions {
        let data = folder.join("described");
        let mut writer = PictureWriter::create(&data).unwrap();
        for (index, descriptions) in pictures.iter().enumerate() {
            let regions = descriptions
                .iter()
                .enumerate()
                .map(|(place, text)| {
                    region(
                        &place.to_string(),
                        &[
                            ("a phrase", DescriptionLength::Brief),
                            (*text, DescriptionLength::Detailed),
                        ],
                    )
                })
                .collect();
            let record = PictureRecord {
                id: index.to_string(),
                image: format!("images/{index}.jpg"),
                width: 6,
                height: 4,
                regions,
                ..PictureRecord::default()
            };
            writer.write(&record).unwrap();
        }
        writer.finish().unwrap();
        DlResOptions {
            data,
            out: folder.join("dl-res"),
            at_once: 3,
            limit: None,
            limit_broken: 0,
            on_skip: |_| {},
        }
    }

    fn client(endpoint: &Endpoint, cache: &Path) -> ChatClient {
        ChatClient::new(ChatOptions {
            cache: Some(cache.to_owned()),
            retries: 0,
            timeout: Duration::from_secs(20),
            ..ChatOptions::new(&endpoint.base_url, "writer")
        })
        .unwrap()
    }

    /// Answers "The A." with "the a".
    fn rewritten(request: &Value) -> Response {
        assert_eq!(request["messages"][0]["content"], PROMPT);
        completion(&user_text(request).to_lowercase())
    }

    fn written(options: &DlResOptions) -> Vec<PictureRecord> {
        let folder = PictureFolder::open(&options.out).unwrap();
        (0..folder.len())
            .map(|place| folder.record(place).unwrap())
            .collect()
    }

    #[test]
    fn each_detailed_description_becomes_an_expression() {
        let folder = tempfile::tempdir().unwrap();
        let options = data(
            folder.path(),
            &[
                &["The red cup.", "The blue cup."],
                &["The dog."],
                &["The cat."],
            ],
        );
        // The later a picture is asked for, the sooner it is answered.
        let endpoint = Endpoint::start(|before, _, request| {
            std::thread::sleep(Duration::from_millis(
                40_u64.saturating_sub(10 * before as u64),
            ));
            rewritten(request)
        });
        let client = client(&endpoint, &folder.path().join("cache"));
        let mut heard = Vec::new();
        let made = build_dl_res(&client, &options, &mut |done, count| {
            heard.push((done, count))
        })
        .unwrap();
        assert_eq!((made.pictures, made.expressions), (3, 4));
        assert_eq!(heard, [(1, 3), (2, 3), (3, 3)]);
        let records = written(&options);
        let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
        assert_eq!(ids, ["0", "1", "2"]);
        let expression = &records[0].expressions[1];
        assert_eq!(expression.text, "the blue cup");
        assert_eq!(expression.kind, ExpressionKind::Detailed);
        assert_eq!(expression.targets, [1]);
        assert_eq!(records[0].regions[0].descriptions.len(), 2);
        let image = Path::new(&records[2].image);
        assert!(image.is_absolute() && image.ends_with("described/images/2.jpg"));
    }

    #[test]
    fn a_run_that_was_stopped_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let options = DlResOptions {
            at_once: 1,
            ..data(
                folder.path(),
                &[&["The cup."], &["The dog."], &["The cat."]],
            )
        };
        let endpoint = Endpoint::start(|before, _, request| match before {
            2 => StatusCode::UNAUTHORIZED.into_response(),
            _ => rewritten(request),
        });
        let client = client(&endpoint, &folder.path().join("cache"));
        let error = build_dl_res(&client, &options, &mut |_, _| ()).unwrap_err();
        assert!(error.to_string().contains("answers 401"), "{error}");
        assert!(error.to_string().contains("goes on from here"), "{error}");
        assert!(!options.out.exists());
        assert_eq!(endpoint.asked(), 3);
        build_dl_res(&client, &options, &mut |_, _| ()).unwrap();
        assert_eq!(endpoint.asked(), 4, "two answers were kept");
        assert_eq!(written(&options).len(), 3);
    }

    #[test]
    fn answers_that_are_none_are_told_and_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let options = DlResOptions {
            limit_broken: 2,
            ..data(
                folder.path(),
                &[&["The cup.", "long", "The dog.", "THE DOG."], &["sorry"]],
            )
        };
        let endpoint = Endpoint::start(|_, _, request| match user_text(request) {
            "long" => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            "sorry" => completion("I\u{2019}m sorry, but I can\u{2019}t help with that."),
            _ => rewritten(request),
        });
        let cache = folder.path().join("cache");
        let made = build_dl_res(&client(&endpoint, &cache), &options, &mut |_, _| ()).unwrap();
        assert_eq!((made.pictures, made.expressions), (1, 1));
        let told: Vec<String> = made
            .unusable
            .kept()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            told[0].contains("picture 0, region 1: ") && told[0].contains("413"),
            "{told:?}"
        );
        assert!(
            told[1].contains("picture 1, region 0: the model will not"),
            "{told:?}"
        );
        let several = "expressions that would mean several regions";
        assert_eq!(made.unusable.left_out()[several], 2);

        let strict = DlResOptions {
            out: folder.path().join("again"),
            limit_broken: 1,
            ..options
        };
        let error = build_dl_res(&client(&endpoint, &cache), &strict, &mut |_, _| ()).unwrap_err();
        assert!(matches!(error, DlResError::TooManyBroken(_)), "{error}");
        assert!(!strict.out.exists());
    }

    #[test]
    fn data_without_detailed_descriptions_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let options = data(folder.path(), &[&[]]);
        let endpoint = Endpoint::start(|_, _, request| rewritten(request));
        let client = client(&endpoint, &folder.path().join("cache"));
        let error = build_dl_res(&client, &options, &mut |_, _| ()).unwrap_err();
        assert!(error.to_string().contains("gives no expression"), "{error}");
        assert_eq!(endpoint.asked(), 0);
    }

    #[test]
    fn only_the_expression_is_taken_from_an_answer() {
        let read = |text: &str, whole| {
            let text = text.to_owned();
            expression_in(&ChatAnswer { text, whole }, "A small red cup.")
        };
        for answer in [
            "the red cup",
            " \"The red cup.\"\n",
            "Referring expression: the red cup",
            "<think>A cup.\nRed.</think>\n\nExpression: the red cup.",
        ] {
            let text = read(answer, true).unwrap();
            assert!(
                text.eq_ignore_ascii_case("the red cup"),
                "{answer:?} became {text:?}"
            );
        }
        assert_eq!(read("the red", false), Err(Unusable::CutOff));
        assert_eq!(read(" \"\" ", true), Err(Unusable::Empty));
        assert_eq!(read("the cup\nthe saucer", true), Err(Unusable::Lines));
        assert_eq!(read("I cannot see it.", true), Err(Unusable::Refused));
        assert_eq!(read(&"the cup ".repeat(15), true), Err(Unusable::TooLong));
    }

    #[test]
    fn equal_expressions_of_one_region_are_one() {
        let mut record = PictureRecord {
            regions: vec![region("7", &[])],
            ..PictureRecord::default()
        };
        let mut unusable = Problems::new(0);
        let texts = ["the cup", "The cup", "the mug"].map(|text| (0, Ok(text.to_owned())));
        let added = add_expressions(&mut record, texts.into(), Path::new("d"), &mut unusable);
        assert_eq!(added.unwrap(), 2);
        assert_eq!(record.expressions[1].text, "the mug");
    }
}
