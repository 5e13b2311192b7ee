//! The fixture model at every task, and figures of samples that are made by hand.

mod data_sets;
mod descriptions;
mod every_task;
mod gcg;
mod going_on;
mod muse;
mod names;
mod searches;
mod together;

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::RgbImage;
use serde_json::{Value, json};

use super::{cases::tests::LINE, measured};
use crate::{
    chat_client::{ChatClient, ChatOptions, endpoint::Endpoint},
    data::{record::PICTURES_FILE, scenes::write_dataset},
    eval::{
        EvalOptions, EvalOut, EvalTools, evaluate_with,
        protocol::Task,
        report::Report,
        samples::{Header, Samples},
        source::DataKind,
        summary::Measured,
    },
    predict::Predictor,
};

const SIDE: u32 = 128;

fn scenes(folder: &Path, count: u64) -> PathBuf {
    let data = folder.join("scenes");
    write_dataset(11, count, &data, (SIDE, SIDE)).unwrap();
    data
}

fn pictures(folder: &Path) -> PathBuf {
    let data = folder.join("pictures");
    fs::create_dir(&data).unwrap();
    RgbImage::from_fn(64, 64, |x, y| image::Rgb([4 * x as u8, 4 * y as u8, 90]))
        .save(data.join("7.png"))
        .unwrap();
    fs::write(data.join(PICTURES_FILE), LINE.replace('\n', " ")).unwrap();
    data
}

fn options(task: Task, data: &Path) -> EvalOptions {
    EvalOptions {
        seed: 5,
        ..EvalOptions::new(task, data)
    }
}

fn kept(dir: &Path, resume: bool) -> EvalOut {
    EvalOut {
        dir: dir.to_owned(),
        resume,
    }
}

fn measure(predictor: &Predictor, options: &EvalOptions, out: &EvalOut) -> Report {
    let tools = EvalTools::default();
    evaluate_with(predictor, options, &tools, Some(out), &|_, _| {}).unwrap()
}

/// Tools with a judge whose answers are kept in a folder.
fn judged_by(endpoint: &Endpoint, cache: &Path) -> EvalTools {
    let client = ChatClient::new(ChatOptions {
        cache: Some(cache.to_owned()),
        ..ChatOptions::new(&endpoint.base_url, "llama-x")
    });
    EvalTools {
        judge: Some(client.unwrap()),
        ..EvalTools::default()
    }
}

/// What hand-made samples come to; each picture has the samples of one line.
fn of_samples(task: Task, on: DataKind, pictures: &[Value], tools: &EvalTools) -> Measured {
    let ids = (0..pictures.len()).map(|place| format!("p{place}"));
    of_named(task, on, &ids.zip(pictures).collect::<Vec<_>>(), tools)
}

/// What hand-made samples of pictures with these ids come to.
fn of_named(
    task: Task,
    on: DataKind,
    pictures: &[(String, &Value)],
    tools: &EvalTools,
) -> Measured {
    let data = ("/data".to_owned(), on, pictures.len());
    let header = Header::new(task, 1, "tiny".to_owned(), "00".to_owned(), data);
    let mut samples = Samples::in_memory(header);
    for (place, (id, picture)) in pictures.iter().enumerate() {
        let line = json!({"picture": place, "id": id, "image": "p.png", "samples": picture});
        samples.push(place, id.clone(), line.to_string()).unwrap();
    }
    measured(&samples, tools).unwrap()
}

/// A mask of one row of four pixels.
fn mask(runs: &[u32]) -> Value {
    json!({"size": [1, 4], "counts": runs})
}

fn marked(runs: &[u32], phrase: &str) -> Value {
    json!({"mask": mask(runs), "phrase": phrase})
}

fn value(measured: &Measured, name: &str) -> f64 {
    let metric = measured.report.metrics.get(name);
    let metric = metric.unwrap_or_else(|| panic!("there is no {name}"));
    metric.estimate.unwrap().value
}

fn close(measured: &Measured, name: &str, expected: f64) {
    let got = value(measured, name);
    assert!(
        (got - expected).abs() < 1e-4,
        "{name} is {got}, not {expected}"
    );
}
