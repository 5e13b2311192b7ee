use fclm_core::wire::{ModelInfo, SampleInfo};
use leptos::prelude::*;
use leptos_router::location::RequestUrl;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::page::CHATS;

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
    /// Path of the script that loads the further parts of the page.
    #[serde(default)]
    pub loader: Option<String>,
    /// Paths of these parts, which are WebAssembly: what chats need.
    #[serde(default)]
    pub parts: Vec<String>,
    /// Path of the stylesheet.
    pub css: String,
    /// What computes masks in the browser; none where it has not been built.
    #[serde(default)]
    pub extractor: Option<WorkerAssets>,
    /// What decodes HEIC photos in the browser; none where it has not been built.
    #[serde(default)]
    pub heic: Option<WorkerAssets>,
}

impl PageAssets {
    /// Whether a worker starts with the script at this path.
    pub fn is_worker(&self, path: &str) -> bool {
        [&self.extractor, &self.heic]
            .into_iter()
            .flatten()
            .any(|assets| assets.worker == path)
    }
}

/// Names of the built files of a worker of the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerAssets {
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
    /// Path of the script of the worker that decodes HEIC photos, where there is one.
    #[serde(default)]
    pub heic: Option<String>,
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
    let url = use_context::<RequestUrl>();
    let parts = match url.is_some_and(|url| url.as_ref().starts_with(CHATS)) {
        true => assets.parts,
        false => Vec::new(),
    };
    let parts = parts.into_iter().map(|part| {
        view! { <link rel="preload" href=part r#as="fetch" r#type="application/wasm" crossorigin="anonymous"/> }
    });
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
                {assets.loader.map(|loader| view! { <link rel="modulepreload" href=loader/> })}
                <link rel="preload" href=assets.wasm r#as="fetch" r#type="application/wasm" crossorigin="anonymous"/>
                {parts.collect_view()}
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
        provide_context(RequestUrl::new(path));
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
            loader: Some("/pkg/fclm-4.js".to_owned()),
            parts: vec!["/pkg/fclm-5.wasm".to_owned()],
            css: "/style-3.css".to_owned(),
            extractor: None,
            heic: None,
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
            heic: None,
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
            "/pkg/fclm-4.js",
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
    fn both_workers_are_known_by_their_scripts() {
        let worker = |name: &str| WorkerAssets {
            worker: format!("/pkg/{name}-worker.js"),
            js: format!("/pkg/{name}.js"),
            wasm: format!("/pkg/{name}.wasm"),
        };
        let assets = PageAssets {
            extractor: Some(worker("extractor")),
            heic: Some(worker("heic")),
            ..assets()
        };
        assert!(assets.is_worker("/pkg/extractor-worker.js"));
        assert!(assets.is_worker("/pkg/heic-worker.js"));
        assert!(!assets.is_worker("/pkg/heic.js") && !assets.is_worker("/pkg/fclm-1.js"));
    }

    #[test]
    fn a_chat_has_its_own_page() {
        let html = render_page("/c/abc", &assets(), &Boot::default(), "n");
        assert!(html.contains("data-testid=\"ask-input\""));
        // What only chats need is fetched early there, and nowhere else.
        assert!(html.contains("/pkg/fclm-5.wasm"));
        assert!(!render_page("/", &assets(), &boot("Table"), "n").contains("/pkg/fclm-5.wasm"));
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
