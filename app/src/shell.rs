use fclm_core::wire::{ModelInfo, SampleInfo};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::App;

const THEME_SCRIPT: &str = "try{const t=localStorage.getItem('fclm.theme');\
if(t==='dark'||t==='light')document.documentElement.dataset.theme=t}catch{}";

const BOOT_ID: &str = "fclm-boot";

/// Names of the built files, as `site/manifest.json` gives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageAssets {
    /// Path of the module that wasm-bindgen made.
    pub js: String,
    /// Path of the WebAssembly that the module loads.
    pub wasm: String,
    /// Path of the stylesheet.
    pub css: String,
    /// What computes masks in the browser; none where it has not been built.
    #[serde(default)]
    pub extractor: Option<ExtractorAssets>,
}

/// Names of the built files of the page's worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractorAssets {
    /// Path of the script that a worker starts with; it loads the others.
    pub worker: String,
    /// Path of the module that wasm-bindgen made.
    pub js: String,
    /// Path of the WebAssembly that the module loads.
    pub wasm: String,
}

/// What the server knows when it renders a page. The browser reads the same from the document, so
/// that its first render equals the server's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    /// The model, once it is loaded.
    pub model: Option<ModelInfo>,
    /// The sample scenes.
    #[serde(default)]
    pub samples: Vec<SampleInfo>,
    /// Path of the script of the worker that computes masks, where there is one.
    #[serde(default)]
    pub extractor: Option<String>,
}

impl Boot {
    /// The JSON in the document. `<` is escaped, so that no text can end the script element.
    fn to_json(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_default()
            .replace('<', "\\u003c")
    }

    /// What the server left: from the context while it renders, from the document in the browser.
    pub(crate) fn current() -> Self {
        if let Some(boot) = use_context::<Self>() {
            return boot;
        }
        if cfg!(not(target_family = "wasm")) {
            return Self::default();
        }
        document()
            .get_element_by_id(BOOT_ID)
            .and_then(|element| element.text_content())
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default()
    }
}

/// The whole HTML document around [`App`](crate::App()). Its scripts carry `nonce`; nothing in it needs an
/// inline style or an inline handler, so the policy `script-src 'nonce-..' 'self'
/// 'wasm-unsafe-eval'; style-src 'self'` fits.
///
/// It must be rendered within an owner that holds a `RequestUrl`; [`render_page`](crate::render_page) does that.
pub fn shell(assets: PageAssets, boot: Boot, nonce: &str) -> impl IntoView + use<> {
    let nonce = nonce.to_owned();
    let start = format!(
        "globalThis.__RESOLVED_RESOURCES??=[];globalThis.__SERIALIZED_ERRORS??=[];\
         globalThis.__INCOMPLETE_CHUNKS??=[];\
         import('{js}').then(m=>m.default({{module_or_path:'{wasm}'}}).then(()=>m.hydrate()));",
        js = assets.js,
        wasm = assets.wasm,
    );
    let data = boot.to_json();
    provide_context(boot);
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content"/>
                <meta name="color-scheme" content="light dark"/>
                <meta name="description" content="Mark a region of a picture and ask about it."/>
                <title>"FCLM"</title>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="stylesheet" href=assets.css/>
                <link rel="modulepreload" href=assets.js/>
                <link rel="preload" href=assets.wasm r#as="fetch" r#type="application/wasm" crossorigin="anonymous"/>
                <script nonce=nonce.clone() inner_html=THEME_SCRIPT></script>
                <script nonce=nonce.clone() id=BOOT_ID r#type="application/json" inner_html=data></script>
                <script nonce=nonce r#type="module" inner_html=start></script>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

/// Renders the page at `path` (with its query) to HTML.
#[cfg(feature = "ssr")]
pub fn render_page(path: &str, assets: &PageAssets, boot: &Boot, nonce: &str) -> String {
    let owner = Owner::new_root(None);
    let html = owner.with(|| {
        provide_context(leptos_router::location::RequestUrl::new(path));
        shell(assets.clone(), boot.clone(), nonce).to_html()
    });
    owner.unset_with_forced_cleanup();
    html
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    fn assets() -> PageAssets {
        PageAssets {
            js: "/pkg/fclm-1.js".to_owned(),
            wasm: "/pkg/fclm_bg-2.wasm".to_owned(),
            css: "/style-3.css".to_owned(),
            extractor: None,
        }
    }

    fn boot(title: &str) -> Boot {
        let sample = SampleInfo {
            id: "s1".to_owned(),
            title: title.to_owned(),
            width: 336,
            height: 336,
            url: "/samples/1.webp".to_owned(),
            suggestions: Vec::new(),
        };
        Boot {
            model: None,
            samples: vec![sample],
            extractor: None,
        }
    }

    #[test]
    fn the_document_is_whole_and_fits_the_policy() {
        let html = render_page("/", &assets(), &boot("Table"), "N0nce");
        assert!(html.starts_with("<!DOCTYPE html>"), "{}", &html[..40]);
        for part in [
            "/pkg/fclm-1.js",
            "/pkg/fclm_bg-2.wasm",
            "/style-3.css",
            "sample-card",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert_eq!(
            html.matches("<script").count(),
            html.matches("<script nonce=\"N0nce\"").count()
        );
        assert!(!html.contains(" style=") && !html.contains(" onclick="));
    }

    #[test]
    fn a_chat_has_its_own_page() {
        let html = render_page("/c/abc", &assets(), &Boot::default(), "n");
        assert!(html.contains("data-testid=\"ask-input\""));
        let html = render_page("/nowhere", &assets(), &Boot::default(), "n");
        assert!(html.contains("not-found"));
    }

    #[test]
    fn data_cannot_leave_its_script() {
        let boot = boot("</script><script>alert(1)</script>");
        let html = render_page("/", &assets(), &boot, "n");
        assert!(!html.contains("<script>alert"));
        let json = boot.to_json();
        assert_eq!(serde_json::from_str::<Boot>(&json).ok(), Some(boot));
    }
}
