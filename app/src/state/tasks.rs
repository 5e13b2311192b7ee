use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{AbortHandle, Abortable};
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Work that ends with the page it belongs to, so that nothing touches signals that are gone.
#[derive(Clone, Copy)]
pub(crate) struct Tasks {
    handles: StoredValue<Arc<Mutex<Vec<AbortHandle>>>>,
}

impl Tasks {
    /// Tasks of the current owner.
    pub(crate) fn new() -> Self {
        let handles = Arc::new(Mutex::new(Vec::<AbortHandle>::new()));
        on_cleanup({
            let handles = handles.clone();
            move || {
                let mut handles = handles.lock().unwrap_or_else(PoisonError::into_inner);
                handles.drain(..).for_each(|handle| handle.abort());
            }
        });
        Self {
            handles: StoredValue::new(handles),
        }
    }

    /// Starts work.
    pub(crate) fn spawn(self, work: impl Future<Output = ()> + 'static) {
        let Some(handles) = self.handles.try_get_value() else {
            return;
        };
        let (handle, registration) = AbortHandle::new_pair();
        {
            let mut handles = handles.lock().unwrap_or_else(PoisonError::into_inner);
            handles.retain(|handle| !handle.is_aborted());
            handles.push(handle.clone());
        }
        spawn_local(async move {
            // Aborted work has nothing to tell.
            let _ = Abortable::new(work, registration).await;
            handle.abort();
        });
    }
}
