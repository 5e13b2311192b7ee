use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use burn::module::Module;
use fclm_core::{
    fclm::{Fclm, FclmConfig, is_light, name_map},
    weights::{
        Precision, Shard, StoredTensor, Weights, export_where, plan_shards, shard_index,
        tensor_specs, to_safetensors,
    },
};
use serde_json::{Map, json};

use super::{CHAT_TEMPLATE, CONFIG, INDEX, LIGHT, TOKENIZER, error::ModelDirError};
use crate::disk::{self, StagingFolder, is_vacant};

/// Below this size a model is meant to live in a repository.
const SMALL_MODEL: usize = 64 << 20;
/// Most bytes of tensors in a file of a small model: with its header it stays below 12 MB.
const SMALL_SHARD: usize = 11 << 20;
/// Most bytes of tensors in a file of a large model.
const LARGE_SHARD: usize = 4 << 30;

/// What a model directory holds beside the weights.
#[derive(Debug, Clone, Copy)]
pub struct ModelFiles<'a> {
    /// The configuration.
    pub config: &'a FclmConfig,
    /// The content of `tokenizer.json`.
    pub tokenizer_json: &'a str,
    /// The content of `chat_template.jinja`.
    pub chat_template: &'a str,
}

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightLayout {
    /// The type of the floats.
    pub precision: Precision,
    /// Most bytes of tensors in one file.
    pub shard_bytes: usize,
}

impl WeightLayout {
    /// The layout for a model of so many parameters: small ones as f16 in files that a repository
    /// takes, large ones as bf16, whose range f16 does not have, in files of 4 GiB.
    pub fn for_parameters(parameters: usize) -> Self {
        if parameters * Precision::F16.size() <= SMALL_MODEL {
            Self {
                precision: Precision::F16,
                shard_bytes: SMALL_SHARD,
            }
        } else {
            Self {
                precision: Precision::Bf16,
                shard_bytes: LARGE_SHARD,
            }
        }
    }
}

/// Writes a model directory in the layout that suits its size, in place of the one that is there.
///
/// # Errors
///
/// As [`write_model`].
pub fn write_trained(
    out: &Path,
    config: &FclmConfig,
    tokenizer_json: &str,
    chat_template: &str,
    model: &Fclm,
) -> Result<(), ModelDirError> {
    let files = ModelFiles {
        config,
        tokenizer_json,
        chat_template,
    };
    write_model(
        out,
        files,
        model,
        WeightLayout::for_parameters(model.num_params()),
    )
}

/// Writes a model directory, in place of the one that is there.
///
/// The new directory is complete and on the disk before it takes its name; files of the old one
/// that do not belong to a model (a README, say) are kept. On the host there is never more than one
/// weight file's worth of tensors.
///
/// # Errors
///
/// If a file cannot be written, or if `out` holds something else than a model.
pub fn write_model(
    out: &Path,
    files: ModelFiles<'_>,
    model: &Fclm,
    layout: WeightLayout,
) -> Result<(), ModelDirError> {
    refuse_foreign(out)?;
    let names = name_map();
    let sizes = tensor_specs(model, &names)
        .into_iter()
        .map(|(name, shape)| {
            (
                name,
                shape.iter().product::<usize>() * layout.precision.size(),
            )
        });
    let shards = shards_of(sizes, layout.shard_bytes);
    let staging = Staging::new(out)?;
    staging.write_texts(files, &shards)?;
    for shard in &shards {
        let keep = |name: &str| shard.tensors.iter().any(|tensor| tensor == name);
        let bytes = export_where(model, &names, layout.precision, keep)
            .and_then(to_safetensors)
            .map_err(ModelDirError::weights(staging.folder.path()))?;
        staging.write(&shard.file, |file| file.write_all(&bytes))?;
    }
    staging.commit(out)
}

/// Writes a model directory from the tensors of other checkpoints, each in the type it is stored
/// in.
pub(super) fn write_joined(
    out: &Path,
    files: ModelFiles<'_>,
    weights: &Weights,
    order: &[String],
) -> Result<(), ModelDirError> {
    let stored: BTreeMap<&str, StoredTensor<'_>> = weights
        .iter()
        .map(|tensor| (tensor.name(), tensor))
        .collect();
    let bytes_of = |name: &String| stored.get(name.as_str()).map(|tensor| tensor.bytes().len());
    let sizes: Vec<(String, usize)> = order
        .iter()
        .filter_map(|name| bytes_of(name).map(|bytes| (name.clone(), bytes)))
        .collect();
    let shards = shards_of(sizes, LARGE_SHARD);
    let staging = Staging::new(out)?;
    staging.write_texts(files, &shards)?;
    for shard in &shards {
        let tensors: Vec<StoredTensor<'_>> = shard
            .tensors
            .iter()
            .filter_map(|name| stored.get(name.as_str()).copied())
            .collect();
        staging.write(&shard.file, |file| write_safetensors(file, tensors))?;
    }
    staging.commit(out)
}

/// Refuses a place that holds anything at all.
pub(super) fn refuse_existing(out: &Path) -> Result<(), ModelDirError> {
    match is_vacant(out).map_err(ModelDirError::io("read", out))? {
        true => Ok(()),
        false => Err(ModelDirError::Exists {
            path: out.to_owned(),
        }),
    }
}

/// Refuses a place that holds anything but a model: it is going to be replaced.
///
/// # Errors
///
/// If `out` holds something else, or cannot be read.
pub(crate) fn refuse_foreign(out: &Path) -> Result<(), ModelDirError> {
    let vacant = is_vacant(out).map_err(ModelDirError::io("read", out))?;
    match vacant || out.join(CONFIG).is_file() {
        true => Ok(()),
        false => Err(ModelDirError::Exists {
            path: out.to_owned(),
        }),
    }
}

fn shards_of(sizes: impl IntoIterator<Item = (String, usize)>, limit: usize) -> Vec<Shard> {
    let (light, rest): (Vec<_>, Vec<_>) = sizes.into_iter().partition(|(name, _)| is_light(name));
    let mut shards = plan_shards(rest, limit);
    if !light.is_empty() {
        let bytes = light.iter().map(|(_, bytes)| bytes).sum();
        let tensors = light.into_iter().map(|(name, _)| name).collect();
        shards.insert(
            0,
            Shard {
                file: LIGHT.to_owned(),
                tensors,
                bytes,
            },
        );
    }
    shards
}

/// Streams tensors into one file, those of the widest type first so that all of them are aligned.
fn write_safetensors(
    file: &mut BufWriter<File>,
    mut tensors: Vec<StoredTensor<'_>>,
) -> std::io::Result<()> {
    tensors.sort_by(|left, right| {
        right
            .dtype()
            .cmp(&left.dtype())
            .then_with(|| left.name().cmp(right.name()))
    });
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut start = 0;
    for tensor in &tensors {
        let end = start + tensor.bytes().len();
        let entry = json!({
            "dtype": tensor.dtype().to_string(),
            "shape": tensor.shape(),
            "data_offsets": [start, end],
        });
        header.insert(tensor.name().to_owned(), entry);
        start = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    tensors
        .iter()
        .try_for_each(|tensor| file.write_all(tensor.bytes()))
}

/// A directory that is being written beside its place; removed again unless it takes that place.
struct Staging {
    folder: StagingFolder,
}

impl Staging {
    fn new(out: &Path) -> Result<Self, ModelDirError> {
        let folder = StagingFolder::new(out).map_err(beside_fails(out))?;
        Ok(Self { folder })
    }

    fn write_texts(&self, files: ModelFiles<'_>, shards: &[Shard]) -> Result<(), ModelDirError> {
        let json = |value: Result<String, serde_json::Error>, file: &str| {
            value.map_err(|error| {
                ModelDirError::content(&self.folder.path().join(file), error.to_string())
            })
        };
        let config = json(serde_json::to_string_pretty(files.config), CONFIG)?;
        let index = json(serde_json::to_string_pretty(&shard_index(shards)), INDEX)?;
        for (file, text) in [
            (CONFIG, config.as_str()),
            (TOKENIZER, files.tokenizer_json),
            (CHAT_TEMPLATE, files.chat_template),
            (INDEX, index.as_str()),
        ] {
            self.write(file, |file| file.write_all(text.as_bytes()))?;
        }
        Ok(())
    }

    fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> Result<(), ModelDirError> {
        let path = self.folder.path().join(name);
        disk::write_synced(&path, content).map_err(ModelDirError::io("write", &path))
    }

    fn commit(self, out: &Path) -> Result<(), ModelDirError> {
        let sync = |path: &Path| disk::sync_folder(path).map_err(ModelDirError::io("sync", path));
        let rename = |from: &Path, to: &Path| {
            fs::rename(from, to).map_err(ModelDirError::io("rename", from))
        };
        let old = disk::beside(out, "old").map_err(beside_fails(out))?;
        let replaces = out.exists();
        if replaces {
            self.keep_foreign_files(out)?;
        }
        sync(self.folder.path())?;
        if replaces {
            rename(out, &old)?;
        }
        rename(self.folder.path(), out)?;
        if let Some(parent) = self.folder.path().parent() {
            sync(parent)?;
        }
        if replaces {
            fs::remove_dir_all(&old).map_err(ModelDirError::io("remove", &old))?;
        }
        Ok(())
    }

    fn keep_foreign_files(&self, old: &Path) -> Result<(), ModelDirError> {
        let entries = fs::read_dir(old).map_err(ModelDirError::io("read", old))?;
        for entry in entries {
            let entry = entry.map_err(ModelDirError::io("read", old))?;
            let name = entry.file_name();
            let is_weights = Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "safetensors");
            let target = self.folder.path().join(&name);
            if is_weights || target.exists() || !entry.path().is_file() {
                continue;
            }
            fs::copy(entry.path(), &target).map_err(ModelDirError::io("copy", &target))?;
        }
        Ok(())
    }
}

fn beside_fails(out: &Path) -> impl FnOnce(std::io::Error) -> ModelDirError {
    ModelDirError::io("create a directory beside", out)
}
