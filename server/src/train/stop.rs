use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks a run to end behind the step that it is at, with a checkpoint. All clones are one request.
#[derive(Debug, Clone, Default)]
pub struct StopRequest(Arc<AtomicBool>);

impl StopRequest {
    /// Makes the request; it cannot be taken back.
    pub fn make(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it has been made.
    pub fn is_made(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
