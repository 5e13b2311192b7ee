use std::path::{Path, PathBuf};

use burn::tensor::{Device, TensorData};
use fclm_core::{
    fclm::{ConsistencyConfig, FclmConfig, name_map},
    qwen::QwenConfig,
    region::RegionConfig,
    sam::{self, SamConfig},
    weights::{
        NameMap, Precision, StoredDtype, WeightError, WeightFile, Weights, check, export_where,
        tensor_specs, to_safetensors,
    },
    wire::Stage,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    TOKENIZER,
    error::ModelDirError,
    mapped::open_checkpoint,
    open::ModelDir,
    qwen_folder::QwenFolder,
    sam_config::sam_config_of,
    tokens::with_special_tokens,
    write::{ModelFiles, refuse_existing, write_joined},
};

/// Most pixels of a new model unless asked for otherwise: 1280 tokens. The published processor
/// allows 16 384, which few machines can train with.
const MAX_PIXELS: usize = 1280 * 28 * 28;
/// A grown embedding table has a multiple of this many rows.
const ROW_GROUP: usize = 64;

/// What [`init`] joins, and where to.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// A published Qwen2.5-VL folder.
    pub qwen: PathBuf,
    /// A SAM checkpoint: `.pth`, `.safetensors` or a folder of the latter.
    pub sam: PathBuf,
    /// The model directory to write; must not exist.
    pub out: PathBuf,
    /// Seed of the new parts.
    pub seed: u64,
    /// The model's name; that of the directory where there is none.
    pub name: Option<String>,
    /// Most pixels that the vision tower sees.
    pub max_pixels: Option<usize>,
    /// Heads of the SAM's mask decoder, which its tensors do not say; as [`sam_config_of`] assumes
    /// where there is no number.
    pub sam_heads: Option<usize>,
}

/// Joins a published Qwen2.5-VL and a SAM into an FCLM at stage 0.
///
/// Published tensors are copied bit for bit. The region extractor and the segmentation projection
/// are drawn from the seed and stored as f32. FCLM's special tokens are added after the published
/// ones; where the embedding tables have no spare rows for them, rows are added that lie around the
/// mean of the published ones.
///
/// # Errors
///
/// If one of the two is not what it should be (every tensor that does not fit is named), or if
/// `out` exists.
pub fn init(options: &InitOptions) -> Result<ModelDir, ModelDirError> {
    refuse_existing(&options.out)?;
    let mut qwen = QwenFolder::open(&options.qwen)?;
    let (sam_config, sam) = open_sam(&options.sam, options.sam_heads)?;
    let tokenizer = with_special_tokens(&qwen.tokenizer, qwen.config.text.vocab_size)
        .map_err(|reason| ModelDirError::content(&options.qwen.join(TOKENIZER), reason))?;
    if tokenizer.ids > qwen.config.text.vocab_size {
        let rows = tokenizer.ids.next_multiple_of(ROW_GROUP);
        qwen.weights = grown(&qwen.weights, &qwen.config, rows, options.seed)
            .map_err(ModelDirError::weights(&options.qwen))?;
        qwen.config.text.vocab_size = rows;
    }
    let config = joined_config(options, &qwen, sam_config)?;

    let device = Device::flex();
    device.seed(options.seed);
    let module = config.init(&device);
    let names = name_map();
    let joined = || -> Result<Weights, WeightError> {
        let fresh = export_where(&module, &names, Precision::F32, is_new)?;
        let mut weights = qwen.weights.clone();
        weights.join(sam.renamed(|name| Some(format!("sam.{name}")))?)?;
        weights.add(WeightFile::parse(to_safetensors(fresh)?)?)?;
        check(&module, &weights, &names, &[])?;
        Ok(weights)
    };
    let weights = joined().map_err(ModelDirError::weights(&options.out))?;
    let order: Vec<String> = tensor_specs(&module, &names)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let files = ModelFiles {
        config: &config,
        tokenizer_json: &tokenizer.json,
        chat_template: &qwen.chat_template,
    };
    write_joined(&options.out, files, &weights, &order)?;
    ModelDir::open(&options.out)
}

/// Whether a tensor belongs to the parts that no published checkpoint has.
fn is_new(name: &str) -> bool {
    name.starts_with("region.") || name.starts_with("seg_projection.")
}

fn open_sam(path: &Path, heads: Option<usize>) -> Result<(SamConfig, Weights), ModelDirError> {
    let weights = open_checkpoint(path)?;
    let config =
        sam_config_of(&weights, heads).map_err(|reason| ModelDirError::content(path, reason))?;
    let module = config.init(&Device::flex());
    let names = NameMap::with_rewrites(sam::names());
    check(&module, &weights, &names, sam::ignored_names()).map_err(ModelDirError::weights(path))?;
    // What no SAM uses is left behind, so that the joined model can be loaded strictly.
    let used = tensor_specs(&module, &names);
    let weights = weights.filtered(|name| used.iter().any(|(known, _)| known == name));
    Ok((config, weights))
}

fn joined_config(
    options: &InitOptions,
    qwen: &QwenFolder,
    sam: SamConfig,
) -> Result<FclmConfig, ModelDirError> {
    let folder = options
        .out
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let region = RegionConfig {
        sam_dim: sam.embed_dim(),
        vision_dim: qwen.config.vision.out_hidden_size,
        ..RegionConfig::published(qwen.config.text.hidden_size)
    };
    let config = FclmConfig {
        model_type: "fclm".to_owned(),
        name: options
            .name
            .clone()
            .or(folder)
            .unwrap_or_else(|| "fclm".to_owned()),
        knows: "Qwen2.5-VL and SAM, joined; the region parts are not trained yet".to_owned(),
        stage: Stage::Untrained,
        min_pixels: qwen.min_pixels,
        max_pixels: options
            .max_pixels
            .unwrap_or(qwen.max_pixels.min(MAX_PIXELS)),
        qwen: qwen.config.clone(),
        sam,
        region,
        consistency: ConsistencyConfig::paper(),
    };
    let json = serde_json::to_string(&config)
        .map_err(|error| ModelDirError::content(&options.out, error.to_string()))?;
    FclmConfig::from_json(&json).map_err(ModelDirError::model(&options.out))
}

/// The same weights with embedding tables of `rows` rows.
fn grown(
    weights: &Weights,
    config: &QwenConfig,
    rows: usize,
    seed: u64,
) -> Result<Weights, WeightError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tables = Vec::new();
    for name in ["model.embed_tokens.weight", "lm_head.weight"] {
        let Some(table) = weights.get(name) else {
            continue;
        };
        let precision = match table.dtype() {
            StoredDtype::F16 => Precision::F16,
            StoredDtype::BF16 => Precision::Bf16,
            _ => Precision::F32,
        };
        let width = config.text.hidden_size;
        let data = table.to_float_data(Precision::F32)?;
        let convert = |source| WeightError::Convert {
            name: name.to_owned(),
            source,
        };
        let values = data.try_into_vec::<f32>().map_err(convert)?;
        let values = with_rows(
            values,
            width,
            rows,
            config.text.initializer_range as f32,
            &mut random,
        );
        let data = TensorData::new(values, [rows, width]);
        let data = data
            .try_cast(precision.dtype())
            .map_err(|source| WeightError::Convert {
                name: name.to_owned(),
                source,
            })?;
        tables.push((name.to_owned(), data));
    }
    let mut grown = weights.filtered(|name| !tables.iter().any(|(table, _)| table == name));
    grown.add(WeightFile::parse(to_safetensors(tables)?)?)?;
    Ok(grown)
}

/// Appends rows around the mean row, each a little different so that no two tokens stay equal.
fn with_rows(
    mut values: Vec<f32>,
    width: usize,
    rows: usize,
    deviation: f32,
    random: &mut impl Rng,
) -> Vec<f32> {
    let count = (values.len() / width).max(1) as f64;
    let mut mean = vec![0.0f64; width];
    for row in values.chunks_exact(width) {
        for (sum, value) in mean.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    while values.len() < rows * width {
        for sum in &mean {
            values.push((sum / count) as f32 + deviation * normal(random));
        }
    }
    values
}

/// A draw from the standard normal distribution, by Box and Muller.
fn normal(random: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - random.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * random.random::<f32>()).cos()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model_dir::{
        INDEX,
        fixtures::{copy_qwen, fixture, sam_heads},
        inspect, load_weights, open_checkpoint, write_trained,
    };

    fn options(out: PathBuf) -> InitOptions {
        InitOptions {
            qwen: fixture("qwen"),
            sam: fixture("sam/sam_vit.pth"),
            out,
            seed: 7,
            name: None,
            max_pixels: None,
            sam_heads: None,
        }
    }

    #[test]
    fn fixture_checkpoints_join_into_a_model_that_loads() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("models/tiny");
        let model = init(&options(out.clone())).unwrap();
        assert_eq!(model.config().stage, Stage::Untrained);
        assert_eq!(model.config().name, "tiny");
        model.check().unwrap();
        let sam = open_checkpoint(&fixture("sam/sam_vit.safetensors")).unwrap();
        for tensor in sam.iter() {
            let joined = model
                .weights()
                .get(&format!("sam.{}", tensor.name()))
                .unwrap();
            assert_eq!(joined.bytes(), tensor.bytes(), "{}", tensor.name());
        }
        let qwen = QwenFolder::open(&fixture("qwen")).unwrap();
        for tensor in qwen.weights.iter() {
            let joined = model.weights().get(tensor.name()).unwrap();
            // Tables may have grown.
            assert!(
                joined.bytes().starts_with(tensor.bytes()),
                "{}",
                tensor.name()
            );
        }
        let special = model.tokenizer().unwrap().special();
        assert!((special.phrase_close as usize) < model.config().qwen.text.vocab_size);
        let light = open_checkpoint(&out.join("light.safetensors")).unwrap();
        assert!(
            light
                .iter()
                .all(|tensor| fclm_core::fclm::is_light(tensor.name()))
        );
        assert!(light.get("region.local.proj.weight").is_some());
        let names: Vec<String> = fs::read_dir(folder.path().join("models"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["tiny"], "nothing may be left beside the directory");

        let inspection = inspect(&out).unwrap();
        assert!(inspection.parts.len() >= 6, "{inspection}");
        let shown = inspection.to_string();
        for file in ["light.safetensors", INDEX] {
            assert!(shown.contains(file), "{shown}");
        }
        let (_, config) = shown.split_once("configuration: ").unwrap();
        assert_eq!(&FclmConfig::from_json(config).unwrap(), model.config());
        assert!(matches!(
            init(&options(out)),
            Err(ModelDirError::Exists { .. })
        ));
    }

    #[test]
    fn fixture_model_survives_being_written_and_keeps_foreign_files() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("tiny");
        let model = init(&options(out.clone())).unwrap();
        let device = Device::flex();
        let module = model.load(&device).unwrap();
        fs::write(out.join("README.md"), "mine").unwrap();
        let mut config = model.config().clone();
        config.stage = Stage::One;
        write_trained(
            &out,
            &config,
            model.tokenizer_json(),
            model.chat_template(),
            &module,
        )
        .unwrap();
        let again = ModelDir::open(&out).unwrap();
        assert_eq!(again.config().stage, Stage::One);
        assert_eq!(fs::read_to_string(out.join("README.md")).unwrap(), "mine");
        again.check().unwrap();
        load_weights(config.init(&device), &out).unwrap();
        // The map of what was there before stays readable after its file has been replaced.
        for (before, after) in model.weights().iter().zip(again.weights().iter()) {
            let before = before.to_float_data(Precision::F16).unwrap();
            assert_eq!(
                before,
                after.to_float_data(Precision::F16).unwrap(),
                "{}",
                after.name()
            );
        }
        let foreign = folder.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.txt"), "years of work").unwrap();
        let error = write_trained(&foreign, &config, "{}", "", &module).unwrap_err();
        assert!(matches!(error, ModelDirError::Exists { .. }));
    }

    #[test]
    fn fixture_tables_without_spare_rows_grow() {
        let folder = tempfile::tempdir().unwrap();
        let qwen = folder.path().join("qwen");
        fs::create_dir(&qwen).unwrap();
        copy_qwen(&qwen);
        let published = QwenFolder::open(&qwen).unwrap();
        let vocabulary = published.config.text.vocab_size;
        let ids = with_special_tokens(&published.tokenizer, vocabulary)
            .unwrap()
            .ids;
        let rows = vocabulary.min(ids - 3);
        shrink(&qwen, &published, rows);
        let options = InitOptions {
            qwen,
            ..options(folder.path().join("out"))
        };
        let model = init(&options).unwrap();
        let grown = model.config().qwen.text.vocab_size;
        assert!(grown >= ids);
        let table = model.weights().get("model.embed_tokens.weight").unwrap();
        let before = published.weights.get("model.embed_tokens.weight").unwrap();
        assert_eq!(table.shape()[0], grown);
        // The two may be stored in different types: shrinking has written f32.
        let values = table.to_float_data(Precision::F32).unwrap();
        let values = values.as_slice::<f32>().unwrap();
        let before = before.to_float_data(Precision::F32).unwrap();
        let kept = rows * table.shape()[1];
        assert_eq!(values[..kept], before.as_slice::<f32>().unwrap()[..kept]);
        assert!(values.iter().all(|value| value.is_finite()));
        model.check().unwrap();
    }

    /// Cuts the embedding tables of a Qwen folder to `rows` rows.
    fn shrink(folder: &Path, published: &QwenFolder, rows: usize) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().contains("safetensors") {
                fs::remove_file(path).unwrap();
            }
        }
        let tensors = published
            .weights
            .iter()
            .map(|tensor| {
                let data = tensor.to_float_data(Precision::F32).unwrap();
                let name = tensor.name().to_owned();
                if !["model.embed_tokens.weight", "lm_head.weight"].contains(&tensor.name()) {
                    return (name, data);
                }
                let width = tensor.shape()[1];
                let values = data.as_slice::<f32>().unwrap()[..rows * width].to_vec();
                (name, TensorData::new(values, [rows, width]))
            })
            .collect();
        fs::write(
            folder.join("model.safetensors"),
            to_safetensors(tensors).unwrap(),
        )
        .unwrap();
        let mut config = published.config.clone();
        config.text.vocab_size = rows;
        fs::write(
            folder.join("config.json"),
            serde_json::to_string(&config).unwrap(),
        )
        .unwrap();
    }

    #[test]
    fn fixture_decoder_has_the_heads_that_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let heads = sam_heads();
        let asked = |heads| {
            init(&InitOptions {
                sam_heads: Some(heads),
                ..options(out.clone())
            })
        };
        let error = asked(0).unwrap_err().to_string();
        assert!(error.contains("decoder.num_heads is 0"), "{error}");
        let model = asked(heads).unwrap();
        assert_eq!(model.config().sam.decoder.num_heads, heads);
    }

    #[test]
    fn fixture_that_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let wrong = InitOptions {
            sam: fixture("qwen"),
            ..options(out.clone())
        };
        let error = init(&wrong).unwrap_err().to_string();
        assert!(error.contains("no SAM checkpoint"), "{error}");
        let wrong = InitOptions {
            qwen: fixture("sam"),
            ..options(out.clone())
        };
        assert!(
            init(&wrong)
                .unwrap_err()
                .to_string()
                .contains("config.json")
        );
        assert!(!out.exists());
    }

    #[test]
    fn appended_rows_lie_around_the_mean() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let values = with_rows(vec![1.0, 10.0, 3.0, 20.0], 2, 400, 0.02, &mut random);
        assert_eq!(values.len(), 800);
        assert_eq!(values[..4], [1.0, 10.0, 3.0, 20.0]);
        for row in values[4..].chunks_exact(2) {
            assert!(
                (row[0] - 2.0).abs() < 0.2 && (row[1] - 15.0).abs() < 0.2,
                "{row:?}"
            );
        }
        assert_ne!(values[4], values[6]);
    }
}
