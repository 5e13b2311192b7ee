use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::MediaQueryList;

struct Watch {
    query: MediaQueryList,
    _callback: Closure<dyn Fn()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.query.set_onchange(None);
    }
}

/// Whether a media query holds.
pub(crate) fn matches_media(query: &str) -> bool {
    list(query).is_some_and(|list| list.matches())
}

/// Tells whether a media query holds, now and whenever that changes, for as long as the reactive
/// owner lives.
pub(crate) fn watch_media(query: &str, tell: impl Fn(bool) + 'static) {
    let Some(query) = list(query) else { return };
    tell(query.matches());
    let list = query.clone();
    let callback = Closure::<dyn Fn()>::new(move || tell(list.matches()));
    query.set_onchange(Some(callback.as_ref().unchecked_ref()));
    StoredValue::new_local(Watch {
        query,
        _callback: callback,
    });
}

fn list(query: &str) -> Option<MediaQueryList> {
    window().match_media(query).ok().flatten()
}
