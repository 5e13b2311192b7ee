use std::{
    cmp::Reverse,
    fs, io,
    path::{Component, Path, PathBuf},
};

use fclm_app::PageAssets;
use fclm_core::wire::SampleInfo;
use serde::Deserialize;
use serde_json::Value;
use tower_http::services::ServeDir;

/// Why the built page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} is not valid: {why}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The built page and the sample scenes: what `cargo xtask build` writes.
#[derive(Debug, Clone, Default)]
pub struct Site {
    pub(super) assets: Option<PageAssets>,
    pub(super) files: Option<ServeDir>,
    samples: Vec<Sample>,
}

/// A sample scene.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) info: SampleInfo,
    pub(super) path: PathBuf,
    pub(super) media_type: &'static str,
}

/// Things to type in Find that a sample offers: the first half of them short, the rest detailed.
const SUGGESTIONS: usize = 4;

/// What the page needs of a line of `samples/scenes.jsonl`, the layout of rendered scenes.
#[derive(Deserialize)]
struct Scene {
    id: Value,
    /// Path of the picture in the same folder.
    image: String,
    width: u32,
    height: u32,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    refs: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    text: String,
    #[serde(default)]
    kind: String,
    targets: Vec<Value>,
}

impl Site {
    /// Reads what the site in `dir` is made of. A folder without `manifest.json` has no page, one
    /// without `samples` no sample scenes.
    ///
    /// # Errors
    /// Where a file is there but not valid.
    pub fn open(dir: &Path) -> Result<Self, SiteError> {
        let manifest = dir.join("manifest.json");
        let assets = match read(&manifest)? {
            Some(text) => Some(parse(&manifest, &text)?),
            None => None,
        };
        let list = dir.join("samples").join("scenes.jsonl");
        let scenes = read(&list)?.unwrap_or_default();
        let samples = (1..).zip(scenes.lines()).map(|(number, line)| {
            let scene = parse(&list, line)?;
            sample(&list, number, scene)
        });
        let samples = samples.collect::<Result<_, _>>()?;
        let files = ServeDir::new(dir)
            .precompressed_br()
            .append_index_html_on_directories(false);
        Ok(Self {
            assets,
            files: Some(files),
            samples,
        })
    }

    pub(super) fn sample(&self, id: &str) -> Option<&Sample> {
        self.samples.iter().find(|sample| sample.info.id == id)
    }

    pub(super) fn sample_infos(&self) -> Vec<SampleInfo> {
        self.samples
            .iter()
            .map(|sample| sample.info.clone())
            .collect()
    }
}

fn sample(list: &Path, number: usize, scene: Scene) -> Result<Sample, SiteError> {
    let Scene {
        id,
        image,
        width,
        height,
        title,
        refs,
    } = scene;
    let invalid = |why: String| SiteError::Invalid {
        path: list.to_path_buf(),
        why,
    };
    let relative = Path::new(&image);
    if !relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(invalid(format!("{image:?} leads out of the folder")));
    }
    let media_type = match relative
        .extension()
        .and_then(|extension| extension.to_str())
    {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        _ => return Err(invalid(format!("{image:?} is no PNG, JPEG or WebP"))),
    };
    let id = match id {
        Value::String(id) => id,
        other => other.to_string(),
    };
    let title = title.unwrap_or_else(|| format!("Scene {number}"));
    let url = format!("/api/v1/samples/{id}/image");
    let path = list.with_file_name("").join(relative);
    let info = SampleInfo {
        id,
        title,
        width,
        height,
        url,
        suggestions: suggestions(&refs),
    };
    Ok(Sample {
        info,
        path,
        media_type,
    })
}

/// What a sample offers to type in Find: first short expressions, then detailed ones.
///
/// The more an expression says, the less a small model takes one thing for another. So of each kind
/// those come first that say the most, about things that nothing offered so far means; those that
/// mean several things come last.
fn suggestions(refs: &[Reference]) -> Vec<String> {
    let mut rest: Vec<&Reference> = refs
        .iter()
        .filter(|reference| !reference.targets.is_empty())
        .collect();
    let mut offered: Vec<&Reference> = Vec::new();
    while offered.len() < SUGGESTIONS {
        let wanted = match offered.len() < SUGGESTIONS / 2 {
            true => "short",
            false => "detailed",
        };
        let best = rest.iter().enumerate().min_by_key(|(_, reference)| {
            let means_the_same = |other: &&Reference| other.targets == reference.targets;
            (
                reference.kind != wanted,
                reference.targets.len(),
                offered.iter().any(means_the_same),
                Reverse(reference.text.split_whitespace().count()),
            )
        });
        let Some((index, _)) = best else { break };
        let next = rest.remove(index);
        rest.retain(|other| other.text != next.text);
        offered.push(next);
    }
    offered
        .into_iter()
        .map(|reference| reference.text.clone())
        .collect()
}

/// The file's text; none where there is no such file.
fn read(path: &Path) -> Result<Option<String>, SiteError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SiteError::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path, json: &str) -> Result<T, SiteError> {
    serde_json::from_str(json).map_err(|error| SiteError::Invalid {
        path: path.to_path_buf(),
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_cannot_lead_out_of_their_folder() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("samples")).expect("made");
        let list = dir.path().join("samples").join("scenes.jsonl");
        let scene = |image: &str| {
            format!(
                r#"{{"id":7,"image":"{image}","width":2,"height":2,"objects":[],"refs":[
                    {{"text":"the cube","kind":"short","targets":[0]}},
                    {{"text":"the moon","kind":"none","targets":[]}}]}}"#
            )
            .replace('\n', " ")
        };
        fs::write(&list, scene("../../secret.png")).expect("written");
        assert!(matches!(
            Site::open(dir.path()),
            Err(SiteError::Invalid { .. })
        ));
        fs::write(&list, scene("/etc/secret.png")).expect("written");
        assert!(Site::open(dir.path()).is_err());
        fs::write(&list, scene("images/s.png")).expect("written");
        let site = Site::open(dir.path()).expect("valid");
        let info = &site.sample_infos()[0];
        assert_eq!(info.url, "/api/v1/samples/7/image");
        assert_eq!(info.suggestions, ["the cube"]);
        assert_eq!(
            site.samples[0].path,
            dir.path().join("samples/images/s.png")
        );
    }

    /// The suggestions for expressions, each with its kind and targets.
    fn suggested(refs: &[(&str, &str, &[u8])]) -> Vec<String> {
        let refs: Vec<Reference> = refs
            .iter()
            .map(|(kind, text, targets)| Reference {
                text: (*text).to_owned(),
                kind: (*kind).to_owned(),
                targets: targets.iter().map(|&id| Value::from(id)).collect(),
            })
            .collect();
        suggestions(&refs)
    }

    #[test]
    fn suggestions_say_much_and_are_short_and_detailed() {
        let found = suggested(&[
            ("short", "the yellow thing", &[0]),
            ("short", "the pyramid behind the glass pyramid", &[0]),
            ("short", "the rightmost thing", &[1]),
            ("short", "the rightmost orange thing", &[1]),
            ("detailed", "the large orange glass pyramid", &[1]),
            (
                "detailed",
                "A large plain yellow rubber pyramid at the left.",
                &[0],
            ),
            (
                "several",
                "both of the large pyramids in the picture",
                &[0, 1],
            ),
            ("none", "the green pyramid", &[]),
        ]);
        assert_eq!(
            found,
            [
                "the pyramid behind the glass pyramid",
                "the rightmost orange thing",
                "A large plain yellow rubber pyramid at the left.",
                "the large orange glass pyramid",
            ]
        );
    }

    #[test]
    fn other_kinds_fill_up_and_what_means_nothing_is_not_suggested() {
        let found = suggested(&[
            ("several", "the large pyramids", &[0, 1]),
            ("none", "the green pyramid", &[]),
            ("short", "the orange pyramid", &[1]),
        ]);
        assert_eq!(found, ["the orange pyramid", "the large pyramids"]);
        assert!(suggested(&[("none", "the green pyramid", &[])]).is_empty());
    }

    #[test]
    fn each_sample_offers_short_and_detailed_expressions() {
        let public = Path::new(env!("CARGO_MANIFEST_DIR")).join("../public");
        let samples = Site::open(&public).expect("valid").sample_infos();
        assert!(!samples.is_empty());
        for sample in samples {
            let [short, other, detailed, more] = &sample.suggestions[..] else {
                panic!("{}: {:?}", sample.title, sample.suggestions);
            };
            let longest = short.len().max(other.len());
            assert!(
                detailed.len() > longest && more.len() > longest,
                "{sample:?}"
            );
        }
    }
}
