//! What every run is measured at.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;

use super::error::AblateError;
use super::results::Measured;
use crate::eval::protocol::Task;
use crate::eval::{EvalOptions, evaluate};
use crate::predict::Predictor;
use crate::train::StopRequest;

/// The tasks that the tables have figures of.
const TASKS: [Task; 5] = [
    Task::Roc,
    Task::Dlc,
    Task::Res,
    Task::DlRes,
    Task::Consistency,
];
/// Chooses what is asked of each scene, the same for every run.
const SEED: u64 = 0;

/// What was measured of a model.
pub(super) struct ModelFigures {
    /// SHA-256 over its weight files, hexadecimal.
    pub(super) model_sha256: String,
    /// The figures by the name of the task.
    pub(super) tasks: BTreeMap<String, Measured>,
}

/// Measures a model on a folder of scenes; none where somebody asks to stop before all is measured.
pub(super) fn measure(
    model: &Path,
    data: &Path,
    device: &Device,
    stop: &StopRequest,
) -> Result<Option<ModelFigures>, AblateError> {
    let predictor = Predictor::open_on(model, device)?;
    let mut tasks = BTreeMap::new();
    let mut model_sha256 = String::new();
    for task in TASKS {
        if stop.is_made() {
            return Ok(None);
        }
        // Every run is measured on the same scenes, so that none of them may be broken.
        let options = EvalOptions {
            seed: SEED,
            limit_broken: 0,
            ..EvalOptions::new(task, data)
        };
        let report = evaluate(&predictor, &options, &|_, _| {})?;
        let estimates = report.metrics.into_iter();
        let metrics = estimates
            .filter_map(|(name, metric)| {
                let value = metric.estimate?.value;
                value.is_finite().then_some((name, value))
            })
            .collect();
        let measured = Measured {
            n: report.n,
            metrics,
        };
        tasks.insert(task.name().to_owned(), measured);
        model_sha256 = report.model_sha256;
    }
    Ok(Some(ModelFigures {
        model_sha256,
        tasks,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::table::FIGURES;
    use super::*;
    use crate::data::scenes::write_dataset;
    use crate::model_dir::fixtures::tiny_model;

    #[test]
    fn fixture_model_has_a_figure_for_every_column() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("scenes");
        write_dataset(11, 3, &data, (64, 64)).unwrap();
        let model = tiny_model(folder.path());
        let stop = StopRequest::default();
        let measured = measure(&model, &data, &Device::flex(), &stop).unwrap();
        let ModelFigures {
            model_sha256,
            tasks,
        } = measured.unwrap();
        assert_eq!(model_sha256.len(), 64);
        assert_eq!(tasks.len(), TASKS.len());
        for figure in FIGURES {
            let measured = &tasks[figure.task];
            assert!(measured.n > 0, "{}", figure.task);
            let value = measured.metrics.get(figure.metric);
            assert!(value.is_some(), "{} has no {}", figure.task, figure.metric);
        }
        stop.make();
        let stopped = measure(&model, &data, &Device::flex(), &stop).unwrap();
        assert!(stopped.is_none());
    }
}
