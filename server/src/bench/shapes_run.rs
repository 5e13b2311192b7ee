//! Times the parts of a model with random weights, each as it is served.

use std::fmt::Display;

use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorData};
use fclm_core::fclm::{Fclm, PromptPart, Session};
use fclm_core::qwen::{GridThw, KvCache, mrope_continue, mrope_positions, positions_tensor};

use super::random_model::random_model;
use super::shapes::{Part, ShapeOptions};
use super::shapes_report::{ShapeRow, ShapesReport};
use super::{Timing, timed};
use crate::device;
use crate::engine::BackendError;

/// Ids of text start here, behind those that the smallest model gives a picture.
const FIRST_TEXT: u32 = 2;
/// Places of a new conversation's cache, as it is served: a prompt, 512 more, and what is left to
/// a multiple of that.
const CACHE_STEP: usize = 512;
const MIB: f64 = 1_048_576.0;

/// Measures a model of those sizes with random weights. `progress` hears of each row as it is done.
///
/// # Errors
/// Where the device fails.
///
/// # Panics
/// Panics if the sides of the pictures are not multiples of a merged token's.
pub fn bench_shapes(
    options: &ShapeOptions,
    device: &Device,
    progress: &dyn Fn(&ShapeRow),
) -> Result<ShapesReport, BackendError> {
    let wants = |part| options.parts.contains(&part);
    let (model, time) = timed(device, || {
        let config = &options.config;
        let with_sam = wants(Part::Encode);
        Ok(random_model(config, options.precision, with_sam, device))
    })?;
    let weights_mib = taken_mib(device);
    let mut bench = ShapeBench {
        options,
        device,
        model: &model,
        progress,
        rows: Vec::new(),
    };
    if wants(Part::Encode) {
        bench.encode()?;
    }
    if wants(Part::Prefill) {
        bench.prefill()?;
    }
    if wants(Part::Decode) {
        bench.decode()?;
    }
    Ok(ShapesReport {
        shapes: options.config.name.clone(),
        dtype: options.precision,
        device: device::name_of(device),
        features: ShapesReport::features(),
        weights_s: time.as_secs_f64(),
        weights_mib,
        rows: bench.rows,
    })
}

struct ShapeBench<'a> {
    options: &'a ShapeOptions,
    device: &'a Device,
    model: &'a Fclm,
    progress: &'a dyn Fn(&ShapeRow),
    rows: Vec<ShapeRow>,
}

/// Conversations side by side, with their prompt read.
struct Conversations<'a> {
    model: &'a Fclm,
    device: &'a Device,
    cache: KvCache,
    rope_delta: i32,
}

impl<'a> ShapeBench<'a> {
    /// Pictures that are on the device already: the vision tower, then SAM.
    fn encode(&mut self) -> Result<(), BackendError> {
        let Self {
            options,
            device,
            model,
            ..
        } = *self;
        let vision = &options.config.qwen.vision;
        for side in &options.workload.pictures {
            let cells = side / vision.patch_size;
            let grid = GridThw {
                t: 1,
                h: cells,
                w: cells,
            };
            let shape = [1, grid.patches(), vision.patch_dim()];
            let pixels = normal(shape, 1.0, device, DType::F32);
            let name = format!("encode: vision tower, {side} x {side} (grid {cells} x {cells})");
            self.row(name, || Ok(model.qwen.encode_images(pixels.clone(), grid)))?;
        }
        let side = options.config.sam.image_size;
        let pixels = normal([1, 3, side, side], 1.0, device, DType::F32);
        let dtype = options.precision.dtype();
        self.row(format!("encode: SAM, {side} x {side}"), || {
            Ok(model.sam.image_encoder.forward(pixels.clone().cast(dtype)))
        })
    }

    /// A new conversation's prompt, to its first token.
    fn prefill(&mut self) -> Result<(), BackendError> {
        let Self {
            options,
            device,
            model,
            ..
        } = *self;
        let workload = &options.workload;
        let text = &options.config.qwen.text;
        for &regions in &workload.regions {
            let parts = self.parts(regions);
            let needed = workload.prompt(regions) + CACHE_STEP;
            let capacity = needed.next_multiple_of(CACHE_STEP);
            let name = format!(
                "prefill: {} image + {} text + {} region tokens",
                workload.picture(),
                workload.text,
                2 * regions
            );
            self.row(name, || {
                let mut session = Session::new(text, capacity, device);
                let (state, _) = session
                    .prefill(model, &parts)
                    .map_err(|error| failed(&error))?;
                let id = state.logits.argmax(1).try_into_vec_as::<i32>();
                Ok((session, id.map_err(|error| failed(&error))?))
            })?;
        }
        Ok(())
    }

    /// The tokens behind the first prompt, of several conversations side by side.
    fn decode(&mut self) -> Result<(), BackendError> {
        let regions = self.options.workload.regions.first().copied();
        let steps = self.options.workload.new_tokens;
        let warm_ups = self.options.warm_ups.min(1);
        for &batch in &self.options.workload.batches {
            let mut conversations = self.conversations(batch, regions.unwrap_or_default());
            let mut tokens = 0;
            let mut samples = self.samples(warm_ups, || {
                tokens = conversations.decode(steps)?;
                Ok(())
            })?;
            for sample in &mut samples {
                *sample /= steps.max(1) as f64;
            }
            let timing = Timing::of(format!("decode: batch {batch}"), samples);
            let run_s = timing.median_ms * steps as f64 / 1e3;
            self.push(ShapeRow {
                tokens: Some(tokens),
                tokens_per_s: Some(tokens as f64 / run_s),
                memory_mib: taken_mib(self.device),
                timing,
            });
        }
        Ok(())
    }

    /// A prompt whose picture and regions were encoded before.
    fn parts(&self, regions: usize) -> Vec<PromptPart> {
        let workload = &self.options.workload;
        let side = workload.picture_tokens;
        let [before, each, behind] = workload.texts(regions);
        let text = |count: usize| PromptPart::Text((FIRST_TEXT..).take(count).collect());
        let mut parts = vec![
            text(before),
            PromptPart::Image {
                key: 0,
                tokens: self.encoded(workload.picture()),
                grid: [side, side],
            },
        ];
        for key in 0..regions as u64 {
            parts.push(text(each));
            parts.push(PromptPart::Region {
                key,
                mask: self.encoded(1),
                pos: self.encoded(1),
            });
        }
        parts.push(text(behind));
        parts
    }

    /// Rows of the language model's width, in the type in which the parts before it compute.
    fn encoded(&self, rows: usize) -> Tensor<2> {
        let width = self.options.config.qwen.text.hidden_size;
        let dtype = self.options.precision.dtype();
        normal([rows, width], 1.0, self.device, dtype)
    }

    /// Caches that hold a prompt each, with room for the new tokens.
    fn conversations(&self, batch: usize, regions: usize) -> Conversations<'a> {
        let Self {
            options,
            device,
            model,
            ..
        } = *self;
        let (workload, qwen) = (&options.workload, &options.config.qwen);
        let merge = qwen.vision.spatial_merge_size;
        let cells = workload.picture_tokens * merge;
        let grid = GridThw {
            t: 1,
            h: cells,
            w: cells,
        };
        let length = workload.prompt(regions);
        let [before, ..] = workload.texts(regions);
        let start = qwen.vision_start_token_id;
        let mut ids = vec![FIRST_TEXT; before.saturating_sub(1)];
        ids.push(start);
        ids.resize(ids.len() + workload.picture(), qwen.image_token_id);
        ids.resize(length, FIRST_TEXT);
        let (positions, rope_delta) =
            mrope_positions(&ids, qwen.image_token_id, start, &[grid], merge);

        let capacity = length + workload.new_tokens;
        let mut cache = KvCache::new(&qwen.text, batch, capacity, device);
        let width = qwen.text.hidden_size;
        let embeds = normal(
            [batch, length, width],
            1.0,
            device,
            model.qwen.model.dtype(),
        );
        let rows = vec![positions.as_slice(); batch];
        let positions = positions_tensor(&rows, device);
        model
            .qwen
            .forward(embeds, positions, None, Some(&mut cache));
        Conversations {
            model,
            device,
            cache,
            rope_delta,
        }
    }

    fn row<T>(
        &mut self,
        name: String,
        work: impl FnMut() -> Result<T, BackendError>,
    ) -> Result<(), BackendError> {
        let samples = self.samples(self.options.warm_ups, work)?;
        self.push(ShapeRow {
            timing: Timing::of(name, samples),
            tokens: None,
            tokens_per_s: None,
            memory_mib: taken_mib(self.device),
        });
        Ok(())
    }

    /// Milliseconds of each run. Buffers of earlier work are given back first, so that what is taken
    /// in the end is of this work.
    fn samples<T>(
        &self,
        warm_ups: usize,
        mut work: impl FnMut() -> Result<T, BackendError>,
    ) -> Result<Vec<f64>, BackendError> {
        self.device.sync().map_err(|error| failed(&error))?;
        self.device.memory_cleanup();
        for _ in 0..warm_ups {
            timed(self.device, &mut work)?;
        }
        (0..self.options.runs)
            .map(|_| {
                let (_, time) = timed(self.device, &mut work)?;
                Ok(time.as_secs_f64() * 1e3)
            })
            .collect()
    }

    fn push(&mut self, row: ShapeRow) {
        (self.progress)(&row);
        self.rows.push(row);
    }
}

impl Conversations<'_> {
    /// Gives each conversation that many tokens, always the likeliest one, and forgets them. Returns
    /// how many there were in all.
    ///
    /// A step is that of [`generate_greedy`](fclm_core::qwen::generate_greedy): the ids are read
    /// back, because an answer may end with them, and put in again.
    fn decode(&mut self, steps: usize) -> Result<usize, BackendError> {
        let (qwen, device) = (&self.model.qwen, self.device);
        let (batch, prompt) = (self.cache.batch(), self.cache.len());
        let mut ids = vec![FIRST_TEXT as i32; batch];
        let mut written = 0;
        for _ in 0..steps {
            let newest: Tensor<2, Int> =
                Tensor::from_data(TensorData::new(ids, [batch, 1]), (device, DType::I32));
            let position = mrope_continue(self.cache.len(), self.rope_delta, 1);
            let positions = positions_tensor(&vec![position.as_slice(); batch], device);
            let embeds = qwen.embed(newest);
            let hidden = qwen.forward(embeds, positions, None, Some(&mut self.cache));
            ids = qwen
                .logits(hidden)
                .argmax(2)
                .try_into_vec_as::<i32>()
                .map_err(|error| failed(&error))?;
            written += ids.len();
        }
        self.cache.truncate(prompt);
        Ok(written)
    }
}

fn normal<const D: usize>(
    shape: [usize; D],
    deviation: f64,
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, deviation), (device, dtype))
}

/// MiB that the device's allocator holds.
fn taken_mib(device: &Device) -> Option<f64> {
    let usage = device.memory_pool_usage()?;
    Some(usage.bytes_reserved as f64 / MIB)
}

fn failed(error: &dyn Display) -> BackendError {
    BackendError::Failed(error.to_string().into())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use fclm_core::fclm::FclmConfig;
    use fclm_core::weights::Precision;

    use super::*;
    use crate::bench::Workload;

    fn options(precision: Precision, parts: &[Part]) -> ShapeOptions {
        ShapeOptions {
            config: FclmConfig::tiny(64, 1),
            precision,
            parts: parts.to_vec(),
            workload: Workload {
                pictures: vec![32, 48],
                picture_tokens: 2,
                text: 12,
                regions: vec![1, 2],
                batches: vec![1, 3],
                new_tokens: 4,
            },
            runs: 3,
            warm_ups: 1,
        }
    }

    fn measured(options: &ShapeOptions) -> ShapesReport {
        bench_shapes(options, &Device::flex(), &|_| ()).unwrap()
    }

    fn names(report: &ShapesReport) -> Vec<&str> {
        let rows = report.rows.iter();
        rows.map(|row| row.timing.name.as_str()).collect()
    }

    #[test]
    fn every_row_is_measured() {
        let heard = Cell::new(0);
        let report = bench_shapes(
            &options(Precision::F32, &Part::ALL),
            &Device::flex(),
            &|_| heard.set(heard.get() + 1),
        )
        .unwrap();
        assert_eq!(
            names(&report),
            [
                "encode: vision tower, 32 x 32 (grid 4 x 4)",
                "encode: vision tower, 48 x 48 (grid 6 x 6)",
                "encode: SAM, 64 x 64",
                "prefill: 4 image + 12 text + 2 region tokens",
                "prefill: 4 image + 12 text + 4 region tokens",
                "decode: batch 1",
                "decode: batch 3",
            ]
        );
        assert_eq!(heard.get(), report.rows.len());
        for row in &report.rows {
            assert_eq!(row.timing.runs, 3, "{row}");
            assert!(row.timing.min_ms > 0.0, "{row}");
        }
    }

    #[test]
    fn each_conversation_gets_its_tokens() {
        let report = measured(&options(Precision::F32, &[Part::Decode]));
        for (row, batch) in report.rows.iter().zip([1, 3]) {
            assert_eq!(row.tokens, Some(4 * batch), "{row}");
            // A step gives each conversation one token.
            let in_a_step = row.tokens_per_s.unwrap() * row.timing.median_ms / 1e3;
            assert!((in_a_step - batch as f64).abs() < 1e-9, "{in_a_step}");
        }
    }

    #[test]
    fn only_the_wanted_rows_are_measured_and_in_the_wanted_type() {
        let report = measured(&options(Precision::Bf16, &[Part::Prefill]));
        assert_eq!(report.dtype, Precision::Bf16);
        assert_eq!(
            names(&report),
            [
                "prefill: 4 image + 12 text + 2 region tokens",
                "prefill: 4 image + 12 text + 4 region tokens",
            ]
        );
    }

    #[test]
    fn a_prompt_has_the_tokens_that_its_row_names() {
        let options = options(Precision::F32, &[]);
        let device = Device::flex();
        let model = random_model(&options.config, options.precision, false, &device);
        let bench = ShapeBench {
            options: &options,
            device: &device,
            model: &model,
            progress: &|_| (),
            rows: Vec::new(),
        };
        let mut session = Session::new(&options.config.qwen.text, 64, &device);
        session.prefill(&model, &bench.parts(2)).unwrap();
        assert_eq!(session.len(), 4 + 12 + 4);

        let mut conversations = bench.conversations(3, 2);
        assert_eq!(conversations.cache.len(), 4 + 12 + 4);
        assert_eq!(conversations.cache.batch(), 3);
        // Two by two tokens take two positions where text would take four.
        assert_eq!(conversations.rope_delta, -2);
        assert_eq!(conversations.decode(4).unwrap(), 12);
        assert_eq!(conversations.cache.len(), 4 + 12 + 4);
    }
}
