use std::fmt::Display;

use fclm_core::wire::WorkerFailure;
use wasm_bindgen::JsValue;

/// Why a request could not be done.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Problem {
    /// What it was.
    pub(crate) failure: WorkerFailure,
    message: String,
}

impl Problem {
    pub(crate) fn new(failure: WorkerFailure, message: String) -> Self {
        Self { failure, message }
    }

    /// What the device could not do.
    pub(crate) fn of_device(error: &dyn Display) -> Self {
        Self::new(WorkerFailure::Device, format!("the device failed: {error}"))
    }

    /// What the browser threw.
    pub(crate) fn thrown(failure: WorkerFailure, what: &str, thrown: &JsValue) -> Self {
        Self::new(failure, format!("{what}: {thrown:?}"))
    }
}
