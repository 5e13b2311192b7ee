use std::path::{Path, PathBuf};

use super::{
    ConvertError, ConvertOptions, Source,
    source::{GRANDF_FILE, OSPREY_FILE, Wanted},
};
use crate::data::published::{
    Pictures, Problems, ReadError, Sink, captions, coco, describe_anything, grandf, muse, osprey,
    reasonseg, refer, roc,
};

/// The file of COCO's objects beside references to them.
const INSTANCES: &str = "instances.json";

/// What is read as one.
#[derive(Debug)]
pub(super) struct Input {
    /// The file or folder.
    pub(super) path: PathBuf,
    /// What tells its pictures from those of other files; none where there is only one.
    pub(super) prefix: Option<String>,
    layout: Layout,
}

/// What a reader needs to know besides file and pictures.
#[derive(Debug, Clone)]
enum Layout {
    References {
        instances: PathBuf,
        split: Option<String>,
    },
    ReasonSeg {
        split: String,
    },
    Muse,
    Instances,
    Captions,
    RocList,
    GranDf(grandf::Variant),
    DescribeAnything {
        is_packed: bool,
    },
    Osprey(osprey::Variant),
}

/// Finds out what is to be read, after making sure that what the data set needs is given and
/// nothing that would be passed over.
pub(super) fn inputs(options: &ConvertOptions) -> Result<Vec<Input>, ConvertError> {
    let source = options.source;
    match options.images.is_empty() {
        true if source.needs_images() => return Err(ConvertError::NoImages(source)),
        false if source.refuses_images() => return Err(ConvertError::ImagesWithin(source)),
        _ => {}
    }
    if !source.has_splits() && options.split.is_some() {
        return Err(ConvertError::NoSplits(source));
    }
    if let Some(name) = source.references() {
        return Ok(vec![references(options, name)?]);
    }
    if source == Source::ReasonSeg && options.files.len() != 1 {
        return Err(ConvertError::Files(source));
    }
    let mut inputs = Vec::with_capacity(options.files.len());
    for path in &options.files {
        check_kind(source, path)?;
        let prefix = (options.files.len() > 1).then(|| stem(path));
        if let Some(prefix) = &prefix
            && inputs
                .iter()
                .any(|input: &Input| input.prefix.as_ref() == Some(prefix))
        {
            return Err(ConvertError::SameName(prefix.clone()));
        }
        inputs.push(Input {
            path: path.clone(),
            prefix,
            layout: layout(options, path)?,
        });
    }
    Ok(inputs)
}

/// Refuses a folder where a file is wanted, and the reverse. What is not there is told when it is
/// opened.
fn check_kind(source: Source, path: &Path) -> Result<(), ConvertError> {
    match source.wanted() {
        Some(Wanted::File(example)) if path.is_dir() => Err(ConvertError::FolderForFile {
            path: path.to_owned(),
            source_name: source,
            example,
        }),
        Some(Wanted::Folder(wanted)) if path.is_file() => Err(ConvertError::FileForFolder {
            path: path.to_owned(),
            source_name: source,
            wanted,
        }),
        _ => Ok(()),
    }
}

/// References with the objects that they are about: a folder with both, both files, or the first
/// of them with the other one beside it.
fn references(options: &ConvertOptions, name: &str) -> Result<Input, ConvertError> {
    let (path, instances) = match options.files.as_slice() {
        [folder] if folder.is_dir() => (folder.join(name), folder.join(INSTANCES)),
        several if several.iter().any(|path| path.is_dir()) => {
            return Err(ConvertError::Files(options.source));
        }
        [refs] => (refs.clone(), refs.with_file_name(INSTANCES)),
        [instances, refs] if instances.ends_with(INSTANCES) => (refs.clone(), instances.clone()),
        [refs, instances] => (refs.clone(), instances.clone()),
        _ => return Err(ConvertError::Files(options.source)),
    };
    Ok(Input {
        path,
        prefix: None,
        layout: Layout::References {
            instances,
            split: options.split.clone(),
        },
    })
}

fn layout(options: &ConvertOptions, path: &Path) -> Result<Layout, ConvertError> {
    let unknown = |example| ConvertError::UnknownName {
        path: path.to_owned(),
        source_name: options.source,
        example,
    };
    Ok(match options.source {
        Source::ReasonSeg => Layout::ReasonSeg {
            split: options.split.clone().ok_or(ConvertError::NoSplit)?,
        },
        Source::Muse => Layout::Muse,
        Source::CocoCaptions => Layout::Captions,
        Source::RocList => Layout::RocList,
        Source::GranDf => {
            Layout::GranDf(grandf::Variant::of_file(path).ok_or_else(|| unknown(GRANDF_FILE))?)
        }
        Source::DescribeAnything => Layout::DescribeAnything {
            is_packed: options.images.is_empty(),
        },
        Source::Osprey => {
            Layout::Osprey(osprey::Variant::of_file(path).ok_or_else(|| unknown(OSPREY_FILE))?)
        }
        _ => Layout::Instances,
    })
}

/// The name of a file without its ending, or that of a folder.
fn stem(path: &Path) -> String {
    let name = match path.is_dir() {
        true => path.file_name(),
        false => path.file_stem(),
    };
    name.unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

impl Input {
    /// Reads all of it.
    ///
    /// # Errors
    /// What the reader returns.
    pub(super) fn read(
        &self,
        pictures: &Pictures,
        save: describe_anything::SavePicture<'_>,
        sink: Sink<'_>,
        problems: &mut Problems,
    ) -> Result<(), ReadError> {
        let (annotations, pictures) = (self.path.clone(), pictures.clone());
        let of_coco = |annotations, pictures| coco::Options {
            annotations,
            pictures,
        };
        match self.layout.clone() {
            Layout::References { instances, split } => {
                let options = refer::Options {
                    refs: annotations,
                    instances,
                    pictures,
                    split,
                };
                refer::read(&options, sink, problems)
            }
            Layout::ReasonSeg { split } => {
                let options = reasonseg::Options {
                    folder: annotations,
                    split,
                };
                reasonseg::read(&options, sink, problems)
            }
            Layout::Muse => {
                let options = muse::Options {
                    annotations,
                    pictures,
                };
                muse::read(&options, sink, problems)
            }
            Layout::Instances => coco::read(&of_coco(annotations, pictures), sink, problems),
            Layout::Captions => captions::read(&of_coco(annotations, pictures), sink, problems),
            Layout::RocList => {
                let options = roc::Options {
                    annotations,
                    pictures,
                };
                roc::read(&options, sink, problems)
            }
            Layout::GranDf(variant) => {
                let options = grandf::Options {
                    annotations,
                    variant,
                    pictures,
                };
                grandf::read(&options, sink, problems)
            }
            Layout::DescribeAnything { is_packed } => {
                let options = describe_anything::Options {
                    folder: annotations,
                    pictures: match is_packed {
                        true => describe_anything::Source::Shards,
                        false => describe_anything::Source::Folders(pictures),
                    },
                };
                describe_anything::read(&options, save, sink, problems)
            }
            Layout::Osprey(variant) => {
                let options = osprey::Options {
                    annotations,
                    variant,
                    pictures,
                };
                osprey::read(&options, sink, problems)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn options(source: Source, files: &[&str]) -> ConvertOptions {
        ConvertOptions {
            source,
            files: files.iter().map(PathBuf::from).collect(),
            images: match source.refuses_images() {
                true => Vec::new(),
                false => vec![PathBuf::from("photos")],
            },
            split: None,
            limit_broken: 0,
            on_skip: |_| {},
            copy: false,
            out: PathBuf::from("out"),
        }
    }

    fn refused(options: &ConvertOptions) -> String {
        inputs(options).unwrap_err().to_string()
    }

    #[test]
    fn references_are_found_with_their_objects() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("refcocog")).unwrap();
        let folder = folder.path().join("refcocog");
        let found = |files: &[&str]| {
            let found = inputs(&options(Source::RefCocoG, files)).unwrap().remove(0);
            match found.layout {
                Layout::References { instances, .. } => (found.path, instances),
                other => panic!("{other:?}"),
            }
        };
        let paths = |refs: &str, instances: &str| (PathBuf::from(refs), PathBuf::from(instances));
        let whole = (folder.join("refs(umd).p"), folder.join("instances.json"));
        assert_eq!(found(&[folder.to_str().unwrap()]), whole);
        let beside = paths("d/refs.json", "d/instances.json");
        assert_eq!(found(&["d/refs.json"]), beside);
        let apart = paths("d/refs.p", "e/instances.json");
        assert_eq!(found(&["d/refs.p", "e/instances.json"]), apart);
        assert_eq!(found(&["e/instances.json", "d/refs.p"]), apart);
        let three = refused(&options(Source::RefCocoG, &["a", "b", "c"]));
        assert!(three.contains("refcocog wants its folder"), "{three}");
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        for source in Source::ALL
            .into_iter()
            .filter(|source| source.needs_images())
        {
            let mut bare = options(source, &["osprey_conversation.json"]);
            bare.images.clear();
            let sentence = refused(&bare);
            assert!(sentence.contains("needs --images"), "{sentence}");
        }
        let mut packed = options(Source::ReasonSeg, &["ReasonSeg"]);
        assert!(refused(&packed).contains("needs --split"));
        packed.split = Some("val".to_owned());
        assert_eq!(inputs(&packed).unwrap().len(), 1);
        packed.images.push(PathBuf::from("photos"));
        assert!(refused(&packed).contains("leave out --images"));
        let mut split = options(Source::Lvis, &["lvis_v1_val.json"]);
        split.split = Some("val".to_owned());
        assert!(refused(&split).contains("leave out --split"));
        let grandf = refused(&options(Source::GranDf, &["d/train.json"]));
        assert!(
            grandf.contains("d/train.json") && grandf.contains("GranDf_HA_GCG"),
            "{grandf}"
        );
        let osprey = refused(&options(Source::Osprey, &["train.json"]));
        assert!(osprey.contains("osprey_conversation.json"), "{osprey}");
        let same = refused(&options(Source::Coco, &["a/val.json", "b/val.json"]));
        assert!(same.contains("called val"), "{same}");
    }

    #[test]
    fn files_and_folders_are_not_taken_for_each_other() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().to_str().unwrap();
        let file = parent.path().join("annotations.json");
        fs::write(&file, "{}").unwrap();
        let file = file.to_str().unwrap();
        for source in Source::ALL {
            let mut given = options(source, &[folder]);
            given.split = source.has_splits().then(|| "val".to_owned());
            let Some(Wanted::File(example)) = source.wanted() else {
                inputs(&given).unwrap();
                continue;
            };
            let sentence = refused(&given);
            assert!(
                sentence.contains("is a folder") && sentence.contains(example),
                "{sentence}"
            );
        }
        let subset = refused(&options(Source::DescribeAnything, &[file]));
        assert!(
            subset.contains("is a file") && subset.contains("such as COCOStuff"),
            "{subset}"
        );
        let mut split = options(Source::ReasonSeg, &[file]);
        split.split = Some("val".to_owned());
        assert!(refused(&split).contains("train, val and test"));
        let both = refused(&options(Source::RefCoco, &[file, folder]));
        assert!(both.contains("refcoco wants its folder"), "{both}");
    }

    #[test]
    fn only_several_files_tell_their_pictures_apart() {
        let prefixes = |files: &[&str]| -> Vec<Option<String>> {
            let inputs = inputs(&options(Source::Coco, files)).unwrap();
            inputs.into_iter().map(|input| input.prefix).collect()
        };
        assert_eq!(prefixes(&["a/val.json"]), [None]);
        let several = prefixes(&["a/train.json", "a/val.json"]);
        assert_eq!(several, ["train", "val"].map(|name| Some(name.to_owned())));
    }
}
