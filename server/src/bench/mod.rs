//! How long the model takes for what a person waits for: encoding, the first token, a whole
//! answer, a mask; and what memory it holds.
//!
//! [`bench()`] measures a loaded model on rendered scenes, part by part and then as a client of the
//! server sees it; [`bench_shapes`] measures the published sizes with random weights, so that it
//! needs no model; [`bench_training`] measures training, beside plain products of matrices.

mod error;
mod random_model;
mod report;
mod served;
mod shapes;
mod shapes_report;
mod shapes_run;
mod training;
mod training_report;

pub use error::BenchError;
pub use report::{BenchReport, Timing};
pub use shapes::{Part, ShapeOptions, Shapes, UnknownName, Workload};
pub use shapes_report::{ShapeRow, ShapesReport};
pub use shapes_run::bench_shapes;
pub use training::bench_training;
pub use training_report::{PhaseRow, ProductRow, TrainingReport};

use std::time::{Duration, Instant};

use burn::tensor::Device;
use fclm_core::mask::Mask;
use fclm_core::wire::{Mode, RunEvent, SegmentRequest};

use crate::data::scenes::{AnnotatedScene, Seeds, sample};
use crate::engine::{Backend, BackendError, FclmBackend, LoadedModel, Prompt, PromptRegion};

/// Scenes that are measured; the first is a warm-up and does not count.
const SCENES: u64 = 11;
/// Seed of those scenes in the public stream.
const SEED: u64 = 20_261;
/// Most steps of one answer.
const MAX_STEPS: usize = 512;

/// Measures a loaded model on rendered scenes.
///
/// # Errors
/// Where the model, its device or the server that is measured fails.
pub fn bench(backend: &FclmBackend) -> Result<BenchReport, BenchError> {
    let mut report = BenchReport::new(backend.info());
    let LoadedModel {
        model,
        config,
        device,
        ..
    } = backend.loaded();
    for index in 0..SCENES {
        let AnnotatedScene { drawn, annotations } = sample(Seeds::public(SEED), index);
        let Some(description) = annotations.descriptions.first() else {
            continue;
        };
        let mask: &Mask = &drawn.masks[description.object];
        let counts = index > 0;

        let (features, image_time) = timed(device, || backend.encode_image(&drawn.image))?;
        let (_, time) = timed(device, || {
            let seen = model.encode_for_llm(&drawn.image, config, device);
            seen.map_err(|error| BackendError::Failed(Box::new(error)))
        })?;
        report.push(counts, "encode image: vision tower", time);
        let (_, time) = timed(device, || {
            Ok(model.sam.encode(&drawn.image, &config.sam, device))
        })?;
        report.push(counts, "encode image: SAM", time);
        report.push(counts, "encode image: both", image_time);
        let (region, region_time) = timed(device, || {
            backend.encode_region(&features, &drawn.image, mask)
        })?;
        report.push(counts, "encode region (crop and extractor)", region_time);

        let ask = |text| Prompt {
            image_key: index,
            features: &features,
            mode: Mode::Ask,
            text,
            regions: vec![PromptRegion {
                number: 1,
                key: index,
                tokens: region.clone(),
            }],
        };
        let started = Instant::now();
        let mut answer = backend.begin(ask(""), None)?;
        backend.step(&mut answer)?;
        let first = started.elapsed();
        report.push(counts, "describe: prompt to first token", first);
        report.push(
            counts,
            "describe: new picture to first token",
            image_time + region_time + first,
        );
        run(backend, &mut answer)?;
        let whole = started.elapsed();
        report.push(counts, "describe: whole answer", whole);
        let written = backend.counts(&answer).written;
        report.push(counts, "describe: one token", whole / written.max(1));
        let session = backend.end(answer);

        let started = Instant::now();
        let mut answer = backend.begin(ask("What colour is it?"), Some(session))?;
        backend.step(&mut answer)?;
        report.push(
            counts,
            "second question: prompt to first token",
            started.elapsed(),
        );
        drop(answer);

        if let Some(refer) = annotations.refs.first() {
            let started = Instant::now();
            let prompt = Prompt {
                image_key: index,
                features: &features,
                mode: Mode::Find,
                text: &refer.text,
                regions: Vec::new(),
            };
            let mut answer = backend.begin(prompt, None)?;
            run(backend, &mut answer)?;
            let time = started.elapsed();
            report.push(counts, "find: expression to mask", time);
            report.push(counts, "find: new picture to mask", image_time + time);
        }
        if let Some(box_px) = mask.bounds() {
            let request = SegmentRequest {
                box_px: Some(box_px),
                points: Vec::new(),
            };
            // A box for which nothing stands out is an answer too, and takes as long.
            let started = Instant::now();
            let _ = backend.segment(&features, &request);
            report.push(counts, "box to mask", started.elapsed());
        }
    }
    served::time_server(backend, &mut report)?;
    report.finish();
    Ok(report)
}

/// Times work to its end: a GPU may have only been told what to do when a call returns.
fn timed<T>(
    device: &Device,
    work: impl FnOnce() -> Result<T, BackendError>,
) -> Result<(T, Duration), BackendError> {
    let started = Instant::now();
    let value = work()?;
    device
        .sync()
        .map_err(|error| BackendError::Failed(error.to_string().into()))?;
    Ok((value, started.elapsed()))
}

fn run(
    backend: &FclmBackend,
    answer: &mut <FclmBackend as Backend>::Answer,
) -> Result<Vec<RunEvent>, BackendError> {
    let mut events = Vec::new();
    for _ in 0..MAX_STEPS {
        let step = backend.step(answer)?;
        events.extend(step.events);
        if step.finish.is_some() {
            break;
        }
    }
    Ok(events)
}
