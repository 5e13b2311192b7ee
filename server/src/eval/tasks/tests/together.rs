//! Questions that are answered side by side are answered as one by one.

use std::{fs, path::Path};

use serde_json::Value;

use super::{kept, measure, options, pictures, scenes};
use crate::{
    eval::{EvalOptions, protocol::Task, samples::PictureSamples},
    model_dir::fixtures::tiny_model,
    predict::Predictor,
};

/// What was asked of each picture and answered, as a folder keeps it.
fn samples_in(dir: &Path, task: Task) -> Vec<PictureSamples<Value>> {
    let text = fs::read_to_string(dir.join(format!("{task}.samples.jsonl"))).unwrap();
    // A measurement that is gone on with may have a header of its own.
    let pictures = text.lines().filter(|line| !line.starts_with("{\"format\""));
    let mut all: Vec<PictureSamples<Value>> = pictures
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    all.sort_by_key(|picture| picture.picture);
    all
}

/// Texts are the same, and masks but for what rounding does to a pixel at an edge.
fn assert_alike(one: &[PictureSamples<Value>], other: &[PictureSamples<Value>]) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        assert_eq!((one.picture, &one.id), (other.picture, &other.id));
        assert_eq!(one.samples.len(), other.samples.len());
        for (one, other) in one.samples.iter().zip(&other.samples) {
            let (one, other) = (&one.exchange, &other.exchange);
            assert_eq!(one.asked, other.asked);
            assert_eq!(one.answer, other.answer);
            assert_eq!(one.refusal, other.refusal);
            assert_eq!(one.drawn.len(), other.drawn.len());
            for (one, other) in one.drawn.iter().zip(&other.drawn) {
                assert_eq!(one.phrase, other.phrase);
                let (one, other) = (one.mask.rle(), other.mask.rle());
                let is_same = one == other || one.iou(other).unwrap() > 0.99;
                assert!(is_same, "{} and {} pixels", one.area(), other.area());
            }
        }
    }
}

#[test]
fn fixture_model_answers_alike_whatever_is_asked_together() {
    let folder = tempfile::tempdir().unwrap();
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    let (scenes, pictures) = (scenes(folder.path(), 3), pictures(folder.path()));
    for (task, data) in [
        (Task::Res, &scenes),
        (Task::RegionCaption, &scenes),
        (Task::Gres, &pictures),
        (Task::Roc, &pictures),
        (Task::CaptionFind, &pictures),
    ] {
        let of = |batch: usize| EvalOptions {
            batch,
            ..options(task, data)
        };
        let [alone, by_two, together] = [1, 2, 8].map(|batch| {
            let dir = folder.path().join(format!("{task}-{batch}"));
            let report = measure(&predictor, &of(batch), &kept(&dir, false));
            assert!(report.n > 1, "{task}");
            samples_in(&dir, task)
        });
        assert!(alone.iter().any(|picture| picture.samples.len() > 1));
        assert_alike(&alone, &by_two);
        assert_alike(&alone, &together);

        // What was begun by another number is gone on with.
        let dir = folder.path().join(format!("{task}-resumed"));
        let first = EvalOptions {
            limit: Some(1),
            ..of(1)
        };
        measure(&predictor, &first, &kept(&dir, false));
        measure(&predictor, &of(8), &kept(&dir, true));
        assert_alike(&alone, &samples_in(&dir, task));
    }
}
