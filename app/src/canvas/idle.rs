use std::time::Duration;

use js_sys::Reflect;
use leptos::prelude::{set_timeout, window};
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::IdleDeadline;

/// Between two tasks, where the browser does not tell of idle times, as Safari.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs a task when the browser has nothing else to do. It is told for how many milliseconds that
/// will be so.
pub(super) fn when_idle(task: impl FnOnce(f64) + 'static) {
    let tells = Reflect::has(&window(), &"requestIdleCallback".into());
    if tells != Ok(true) {
        set_timeout(move || task(f64::INFINITY), PAUSE);
        return;
    }
    let task = Closure::once_into_js(move |deadline: IdleDeadline| task(deadline.time_remaining()));
    // It fails only where there is no such function, and there is.
    let _ = window().request_idle_callback(task.unchecked_ref());
}
