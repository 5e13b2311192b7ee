//! Parity with the published implementation, and with the published checkpoints' tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::optim::GradientsParams;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use super::*;
use crate::fixtures::{self, assert_all_known, folder, tensors, test_device, test_precision};
use crate::weights::{NameMap, Precision, WeightFile, Weights, load_as, tensor_specs};

/// Bound on `|out - reference| / |reference|`: f32 sums in another order.
const TOLERANCE: f64 = 1e-4;

struct Fixture {
    folder: PathBuf,
    config: QwenConfig,
    qwen: Qwen,
    expected: Weights,
    case: Value,
    device: Device,
}

impl Fixture {
    fn read() -> Self {
        Self::read_on(test_device(), Precision::F32)
    }

    /// With weights in the type that forward passes are tested in.
    fn read_for_passes() -> Self {
        Self::read_on(test_device(), test_precision())
    }

    fn read_on(device: Device, precision: Precision) -> Self {
        let folder = folder("qwen");
        let config = QwenConfig::from_json(&text(&folder.join("config.json"))).unwrap();
        let qwen = config.init(&device);
        // A head that is the embedding table is sometimes stored all the same.
        let tied = config.tie_word_embeddings;
        let weights = checkpoint(&folder).filtered(|name| !(tied && name == "lm_head.weight"));
        let names = NameMap::with_rewrites(names());
        let qwen = load_as(qwen, &weights, &names, &[], precision).unwrap();
        let case = serde_json::from_str(&text(&folder.join("case.json"))).unwrap();
        Self {
            expected: tensors("qwen", "expected.safetensors"),
            folder,
            config,
            qwen,
            case,
            device,
        }
    }

    /// The names of the fixture's pictures.
    fn pictures(&self) -> Vec<String> {
        let names: BTreeSet<_> = self
            .expected
            .iter()
            .map(|t| t.name().split('.').next().unwrap().to_owned())
            .collect();
        assert!(!names.is_empty());
        names.into_iter().collect()
    }

    fn floats<const D: usize>(&self, picture: &str, name: &str) -> Tensor<D> {
        self.expected
            .tensor(&format!("{picture}.{name}"), &self.device)
            .unwrap()
    }

    fn ints(&self, picture: &str, name: &str) -> Vec<i64> {
        let data = self
            .expected
            .get(&format!("{picture}.{name}"))
            .unwrap()
            .to_int_data()
            .unwrap();
        data.iter::<i64>().collect()
    }

    fn ids(&self, picture: &str, name: &str) -> Vec<u32> {
        self.ints(picture, name)
            .into_iter()
            .map(|id| id as u32)
            .collect()
    }

    fn grid(&self, picture: &str) -> GridThw {
        let grid = self.ints(picture, "image_grid_thw");
        GridThw {
            t: grid[0] as usize,
            h: grid[1] as usize,
            w: grid[2] as usize,
        }
    }

    fn positions(&self, picture: &str) -> (Vec<[i32; 3]>, i32) {
        mrope_positions(
            &self.ids(picture, "input_ids"),
            self.config.image_token_id,
            self.config.vision_start_token_id,
            &[self.grid(picture)],
            self.config.vision.spatial_merge_size,
        )
    }

    fn id_tensor(&self, ids: &[u32]) -> Tensor<2, Int> {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let len = ids.len();
        Tensor::from_data(TensorData::new(ids, [1, len]), &self.device)
    }

    /// The prompt with the picture's tokens in the place of their ids.
    fn prompt(&self, picture: &str) -> Tensor<3> {
        let pixels = self.floats::<2>(picture, "pixel_values").unsqueeze();
        let image = self.qwen.encode_images(pixels, self.grid(picture));
        let ids = self.ids(picture, "input_ids");
        let embeds = self.qwen.embed(self.id_tensor(&ids));
        let begin = ids
            .iter()
            .position(|&id| id == self.config.image_token_id)
            .unwrap();
        let end = begin + image.dims()[1];
        Tensor::cat(
            vec![
                embeds.clone().slice_dim(1, 0..begin),
                image,
                embeds.slice_dim(1, end..ids.len()),
            ],
            1,
        )
    }

    fn positions_tensor(&self, positions: &[[i32; 3]]) -> Tensor<3, Int> {
        positions_tensor(&[positions], &self.device)
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn checkpoint(folder: &Path) -> Weights {
    let files: BTreeSet<String> = match std::fs::read(folder.join("model.safetensors.index.json")) {
        Ok(index) => {
            let index: Value = serde_json::from_slice(&index).unwrap();
            let map: BTreeMap<String, String> =
                serde_json::from_value(index["weight_map"].clone()).unwrap();
            map.into_values().collect()
        }
        Err(_) => BTreeSet::from(["model.safetensors".to_owned()]),
    };
    let parse = |file| WeightFile::parse(std::fs::read(folder.join(file)).unwrap()).unwrap();
    Weights::from_files(files.into_iter().map(parse)).unwrap()
}

#[track_caller]
fn assert_close<const D: usize>(what: &str, out: Tensor<D>, reference: Tensor<D>) {
    fixtures::assert_close(what, out, reference, TOLERANCE);
}

/// A configuration in the layout that it does not have.
fn other_layout(mut json: Value) -> Value {
    let top = json.as_object_mut().unwrap();
    match top.remove("text_config") {
        Some(nested) => flatten(top, nested),
        None => nest(top),
    }
    json
}

/// As published folders have it: text fields at the top, `rope_scaling`.
fn flatten(top: &mut Map<String, Value>, nested: Value) {
    let mut nested: Map<String, Value> = serde_json::from_value(nested).unwrap();
    if let Some(Value::Object(mut rope)) = nested.remove("rope_parameters") {
        top.extend(rope.remove_entry("rope_theta"));
        top.insert("rope_scaling".to_owned(), Value::Object(rope));
    }
    for (name, value) in nested {
        top.entry(name).or_insert(value);
    }
}

/// As newer tools write it: `text_config` with `rope_parameters`.
fn nest(top: &mut Map<String, Value>) {
    let mut nested = top.clone();
    nested.remove("vision_config");
    for name in nested.keys() {
        let stays = name.ends_with("_token_id") || name == "tie_word_embeddings";
        if !stays {
            top.remove(name);
        }
    }
    if let Some(Value::Object(mut rope)) = nested.remove("rope_scaling") {
        rope.extend(nested.remove_entry("rope_theta"));
        nested.insert("rope_parameters".to_owned(), Value::Object(rope));
    }
    top.insert("text_config".to_owned(), Value::Object(nested));
}

#[test]
fn both_layouts_of_the_fixture_configuration_load_alike() {
    let folder = folder("qwen");
    let read = |json: &Value| QwenConfig::from_json(&json.to_string()).unwrap();
    let json: Value = serde_json::from_str(&text(&folder.join("config.json"))).unwrap();
    let config = read(&json);
    let other = other_layout(json.clone());
    assert_ne!(
        json.get("text_config").is_some(),
        other.get("text_config").is_some()
    );
    assert_eq!(config, read(&other));
    assert_eq!(config, read(&other_layout(other)));
    if let Ok(flat) = std::fs::read_to_string(folder.join("config_flat.json")) {
        assert_eq!(config, QwenConfig::from_json(&flat).unwrap());
    }
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<QwenConfig>(&written).unwrap(),
        config
    );
}

#[test]
fn fixture_prompts_become_the_published_ids() {
    let fixture = Fixture::read();
    let tokenizer = Tokenizer::from_file(fixture.folder.join("tokenizer.json")).unwrap();
    let merge = fixture.config.vision.spatial_merge_size;
    for picture in fixture.pictures() {
        let prompt = fixture.case["prompts"][&picture].as_str().unwrap();
        // The published chat template's default system message.
        let chat = format!(
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n\
             <|vision_start|><|image_pad|><|vision_end|>{prompt}<|im_end|>\n\
             <|im_start|>assistant\n"
        );
        let encoded = tokenizer.encode(chat.as_str(), false).unwrap();
        let image = fixture.config.image_token_id;
        let tokens = fixture.grid(&picture).tokens(merge);
        let ids: Vec<u32> = encoded
            .get_ids()
            .iter()
            .flat_map(|&id| std::iter::repeat_n(id, if id == image { tokens } else { 1 }))
            .collect();
        assert_eq!(ids, fixture.ids(&picture, "input_ids"), "{picture}");
    }
}

#[test]
fn fixture_tensors_are_all_compared() {
    let compared = [
        "pixel_values",
        "image_grid_thw",
        "input_ids",
        "position_ids",
        "rope_delta",
        "vision_features",
        "logits",
        "generated_ids",
        "forced_ids",
        "forced_logits",
    ];
    let fixture = Fixture::read();
    assert_all_known(&fixture.expected, |name| {
        let (_, what) = name.split_once('.').unwrap_or(("", name));
        compared.contains(&what)
    });
    for picture in fixture.pictures() {
        for what in compared {
            let name = format!("{picture}.{what}");
            assert!(fixture.expected.get(&name).is_some(), "{name} is missing");
        }
    }
}

#[test]
fn fixture_pictures_become_the_published_pixel_values() {
    let fixture = Fixture::read();
    let deviation = [0.268_629_54f32, 0.261_302_6, 0.275_777_1];
    for picture in fixture.pictures() {
        let path = fixture.folder.join(format!("image_{picture}.png"));
        let image = image::open(path).unwrap().to_rgb8();
        let bound = |name: &str| fixture.case[name].as_u64().unwrap() as usize;
        let vision = &fixture.config.vision;
        let (values, grid) =
            preprocess(&image, vision, bound("min_pixels"), bound("max_pixels")).unwrap();
        assert_eq!(grid, fixture.grid(&picture));
        let shape = [grid.patches(), vision.patch_dim()];
        let reference = fixture.floats::<2>(&picture, "pixel_values");
        let out = Tensor::from_data(TensorData::new(values.clone(), shape), &fixture.device);
        assert_close(&format!("{picture}.pixel_values"), out, reference.clone());
        let per_channel = vision.patch_dim() / 3;
        let worst = values
            .iter()
            .zip(reference.into_data().iter::<f32>())
            .enumerate()
            .map(|(i, (a, b))| (a - b).abs() * deviation[i / per_channel % 3] * 255.0)
            .fold(0.0, f32::max);
        assert!(worst <= 1.001, "{picture}: a pixel is {worst} of 255 off");
    }
}

#[test]
fn fixture_pictures_become_the_published_vision_features() {
    let fixture = Fixture::read_for_passes();
    for picture in fixture.pictures() {
        let pixels = fixture
            .floats::<2>(&picture, "pixel_values")
            .unsqueeze::<3>();
        // Twice in one batch: images that share a grid must not see each other.
        let batch = Tensor::cat(vec![pixels.clone(), pixels * 0.5], 0);
        let out = fixture.qwen.encode_images(batch, fixture.grid(&picture));
        let first = out.slice_dim(0, 0..1).squeeze_dim::<2>(0);
        let reference = fixture.floats(&picture, "vision_features");
        assert_close(&format!("{picture}.vision_features"), first, reference);
    }
}

#[test]
fn fixture_prompts_have_the_published_positions() {
    let fixture = Fixture::read();
    for picture in fixture.pictures() {
        let (positions, delta) = fixture.positions(&picture);
        let by_axis: Vec<i64> = (0..3)
            .flat_map(|axis| positions.iter().map(move |p| i64::from(p[axis])))
            .collect();
        assert_eq!(by_axis, fixture.ints(&picture, "position_ids"));
        assert_eq!(i64::from(delta), fixture.ints(&picture, "rope_delta")[0]);
    }
}

#[test]
fn fixture_prompts_have_the_published_logits() {
    let fixture = Fixture::read_for_passes();
    for picture in fixture.pictures() {
        let embeds = fixture.prompt(&picture);
        let len = embeds.dims()[1];
        let positions = fixture.positions_tensor(&fixture.positions(&picture).0);
        let reference = fixture.floats::<2>(&picture, "logits");
        let hidden = fixture
            .qwen
            .forward(embeds.clone(), positions.clone(), None, None);
        let logits = fixture.qwen.logits(hidden).squeeze_dim(0);
        assert_close(&format!("{picture}.logits"), logits, reference.clone());

        let mask: Tensor<4, Bool> = crate::attention::causal_mask(len, len, &fixture.device);
        let hidden = fixture.qwen.forward(embeds, positions, Some(mask), None);
        let logits = fixture.qwen.logits(hidden).squeeze_dim(0);
        assert_close(
            &format!("{picture}.logits, explicit mask"),
            logits,
            reference,
        );
    }
}

#[test]
fn fixture_prompts_have_the_published_forced_logits() {
    let fixture = Fixture::read_for_passes();
    for picture in fixture.pictures() {
        let embeds = fixture.prompt(&picture);
        let (mut positions, delta) = fixture.positions(&picture);
        let len = positions.len();
        let forced = fixture.ids(&picture, "forced_ids");
        let reference = fixture.floats::<2>(&picture, "forced_logits");

        let text = &fixture.config.text;
        let mut cache = KvCache::new(text, 1, len + forced.len(), &fixture.device);
        let prompt = fixture.positions_tensor(&positions);
        fixture
            .qwen
            .forward(embeds.clone(), prompt, None, Some(&mut cache));
        let mut rows = Vec::new();
        let again = cache.clone();
        for &id in &forced {
            let position = mrope_continue(cache.len(), delta, 1);
            let hidden = fixture.qwen.forward(
                fixture.qwen.embed(fixture.id_tensor(&[id])),
                fixture.positions_tensor(&position),
                None,
                Some(&mut cache),
            );
            rows.push(fixture.qwen.logits(hidden).squeeze_dim::<2>(0));
        }
        assert_close(
            &format!("{picture}.forced_logits, token by token"),
            Tensor::cat(rows, 0),
            reference.clone(),
        );

        // The clone still ends at the prompt: all forced ids behind it in one pass.
        let mut cache = again;
        let rest = mrope_continue(len, delta, forced.len());
        let hidden = fixture.qwen.forward(
            fixture.qwen.embed(fixture.id_tensor(&forced)),
            fixture.positions_tensor(&rest),
            None,
            Some(&mut cache),
        );
        let logits = fixture.qwen.logits(hidden).squeeze_dim(0);
        assert_close(
            &format!("{picture}.forced_logits, one cached pass"),
            logits,
            reference.clone(),
        );

        positions.extend(rest);
        let embeds = Tensor::cat(
            vec![embeds, fixture.qwen.embed(fixture.id_tensor(&forced))],
            1,
        );
        let hidden = fixture
            .qwen
            .forward(embeds, fixture.positions_tensor(&positions), None, None);
        let logits = fixture
            .qwen
            .logits(hidden.slice_dim(1, len..len + forced.len()));
        assert_close(
            &format!("{picture}.forced_logits, no cache"),
            logits.squeeze_dim(0),
            reference,
        );
    }
}

#[test]
fn recorded_passes_over_fixture_prompts_agree_and_reach_every_weight() {
    let fixture = Fixture::read_on(fixtures::device(), Precision::F32);
    for picture in fixture.pictures() {
        let positions = fixture.positions_tensor(&fixture.positions(&picture).0);
        let hidden = fixture
            .qwen
            .forward(fixture.prompt(&picture), positions, None, None);
        let logits = fixture.qwen.logits(hidden).squeeze_dim::<2>(0);
        let reference = fixture.floats::<2>(&picture, "logits");
        assert_close(
            &format!("{picture}.logits, recorded"),
            logits.clone(),
            reference,
        );
        let grads = (logits.clone() * logits).sum().backward();
        let grads = GradientsParams::from_grads(grads, &fixture.qwen);
        let weights = tensor_specs(&fixture.qwen, &NameMap::new());
        assert_eq!(grads.len(), weights.len());
    }
}

#[test]
fn fixture_prompts_are_continued_as_published() {
    let fixture = Fixture::read();
    for picture in fixture.pictures() {
        let (positions, delta) = fixture.positions(&picture);
        let expected = fixture.ids(&picture, "generated_ids");
        let ids = generate_greedy(
            &fixture.qwen,
            &fixture.config.text,
            fixture.prompt(&picture),
            &positions,
            delta,
            expected.len(),
            &[],
        );
        assert_eq!(ids, expected);
    }
}

#[test]
fn a_truncated_cache_of_fixture_ids_continues_as_if_it_had_never_been_longer() {
    let fixture = Fixture::read();
    let picture = &fixture.pictures()[0];
    let ids = fixture.ids(picture, "forced_ids");
    let mut cache = KvCache::new(&fixture.config.text, 1, 4, &fixture.device);
    let read = |cache: &mut KvCache, ids: &[u32]| {
        let positions = mrope_continue(cache.len(), 0, ids.len());
        let embeds = fixture.qwen.embed(fixture.id_tensor(ids));
        fixture.qwen.forward(
            embeds,
            fixture.positions_tensor(&positions),
            None,
            Some(cache),
        )
    };
    read(&mut cache, &ids[..2]);
    let expected = read(&mut cache, &ids[2..4]);
    cache.truncate(2);
    read(&mut cache, &[ids[3]]);
    cache.truncate(2);
    cache.reserve(16);
    assert_eq!(cache.capacity(), 16);
    let out = read(&mut cache, &ids[2..4]);
    assert_close("hidden states", out, expected);
}

#[test]
fn published_checkpoints_of_the_fixture_lists_have_our_names_and_shapes() {
    let lists = [
        ("qwen2.5-vl-3b-instruct", QwenConfig::qwen2_5_vl_3b()),
        ("qwen2.5-vl-7b-instruct", QwenConfig::qwen2_5_vl_7b()),
    ];
    for (name, config) in lists {
        let path = folder("checkpoint_shapes").join(format!("{name}.json"));
        let published: BTreeMap<String, Vec<usize>> = serde_json::from_str(&text(&path)).unwrap();
        let qwen = config.init(&Device::flex());
        let ours: BTreeMap<_, _> = tensor_specs(&qwen, &NameMap::with_rewrites(names()))
            .into_iter()
            .collect();
        assert_eq!(ours, published, "{name}");
    }
}
