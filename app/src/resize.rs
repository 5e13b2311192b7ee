use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Element, ResizeObserver};

struct Observer {
    observer: ResizeObserver,
    _callback: Closure<dyn Fn()>,
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}

/// Calls back whenever an element has another size, for as long as the reactive owner lives.
/// Sizes are told before their frame is painted.
pub(crate) fn on_resize(element: &Element, callback: impl Fn() + 'static) {
    let callback = Closure::<dyn Fn()>::new(callback);
    if let Ok(observer) = ResizeObserver::new(callback.as_ref().unchecked_ref()) {
        observer.observe(element);
        StoredValue::new_local(Observer {
            observer,
            _callback: callback,
        });
    }
}
