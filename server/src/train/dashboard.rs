//! burn-train's dashboard, fed from our own loop: burn's `Learner` is not needed for it.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use burn_train::Interrupter;
use burn_train::logger::TrainingProgressLogger;
use burn_train::metric::{
    MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry,
};
use burn_train::renderer::tui::TuiMetricsRendererWrapper;
use burn_train::renderer::{MetricState, MetricsRenderer, MetricsRendererTraining};
use serde_json::Value;

use super::log::StepRecord;
use super::terms::TERMS;

/// What the log's lines have that single steps have not.
const SPEEDS: [&str; 2] = ["scenes_per_s", "turns_per_s"];

/// Fills the terminal with a chart of every number of the run, and takes keys: `q` asks whether to
/// stop.
pub(super) struct Dashboard {
    /// None after somebody has killed it: what is left of it would fail at every call.
    renderer: Option<TuiMetricsRendererWrapper>,
    interrupter: Interrupter,
    metrics: BTreeMap<&'static str, MetricId>,
}

impl Dashboard {
    /// Takes the terminal over.
    pub(super) fn open(label: &str, total_steps: u64) -> Option<Self> {
        let interrupter = Interrupter::new();
        let mut dashboard = Self {
            renderer: Some(TuiMetricsRendererWrapper::new(interrupter.clone(), None)),
            interrupter,
            metrics: BTreeMap::new(),
        };
        dashboard.render(|renderer| {
            // One epoch: our recipes count steps.
            renderer.start(1, 1, None, Some(label));
            renderer.start_split("train", total_steps as usize);
        });
        Some(dashboard)
    }

    /// Shows what a step computed.
    pub(super) fn show_step(&mut self, record: &StepRecord) {
        for (name, term) in TERMS.into_iter().zip(record.terms) {
            self.show(name, f64::from(term));
        }
        self.show("grad_norm", record.norm);
        self.show("learning_rate", record.learning_rate);
        self.render(|renderer| renderer.update_split(record.step as usize));
    }

    /// Shows what a line of the log says of several steps together.
    pub(super) fn show_speeds(&mut self, logged: &Value) {
        for name in SPEEDS {
            if let Some(value) = logged[name].as_f64() {
                self.show(name, value);
            }
        }
    }

    /// Whether somebody has asked to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.renderer.is_none() || self.interrupter.should_stop()
    }

    /// Adds a number to its chart. One that was not computed leaves a gap in a chart that is there
    /// and does not make one.
    fn show(&mut self, name: &'static str, value: f64) {
        let is_number = value.is_finite();
        if !is_number && !self.metrics.contains_key(name) {
            return;
        }
        let id = self.metric(name);
        let text = if is_number {
            format!("{value:.4}")
        } else {
            SerializedEntry::NOT_AVAILABLE.to_owned()
        };
        let entry = MetricEntry::new(id, SerializedEntry::new(text.clone(), text));
        let point = is_number.then_some(NumericEntry::Value(value));
        self.render(|renderer| renderer.update_train(MetricState::Numeric(entry, point)));
    }

    fn metric(&mut self, name: &'static str) -> MetricId {
        if let Some(id) = self.metrics.get(name) {
            return id.clone();
        }
        let id = MetricId::new(Arc::new(name.to_owned()));
        let attributes = NumericAttributes {
            unit: None,
            higher_is_better: name.ends_with("_acc") || name.ends_with("_iou"),
        };
        let definition = MetricDefinition {
            metric_id: id.clone(),
            name: Arc::new(name.to_owned()),
            description: None,
            attributes: attributes.into(),
        };
        self.render(|renderer| renderer.register_metric(definition));
        self.metrics.insert(name, id.clone());
        id
    }

    /// Calls the renderer, which panics where somebody has chosen to kill the run. Stopping in good
    /// order with a checkpoint is no slower by more than a step, so that is what happens.
    fn render(&mut self, call: impl FnOnce(&mut TuiMetricsRendererWrapper)) {
        let Some(renderer) = &mut self.renderer else {
            return;
        };
        if panic::catch_unwind(AssertUnwindSafe(|| call(renderer))).is_err() {
            // Its end would panic once more, and its hook hides every later panic.
            std::mem::forget(self.renderer.take());
            let _ = panic::take_hook();
        }
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard")
            .field("is_open", &self.renderer.is_some())
            .field("metrics", &self.metrics)
            .finish_non_exhaustive()
    }
}
