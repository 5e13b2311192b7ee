//! A real Chromium, driven by mouse and keyboard over its debugging protocol.

mod keyboard;
mod measure;
mod media;
mod network;
mod pointer;
pub mod trace;

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::browser::{
    SetDownloadBehaviorBehavior, SetDownloadBehaviorParams,
};
use chromiumoxide::cdp::browser_protocol::dom::SetFileInputFilesParams;
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use chromiumoxide::cdp::browser_protocol::log::EventEntryAdded;
use chromiumoxide::cdp::browser_protocol::page::CaptureScreenshotFormat;
use chromiumoxide::cdp::js_protocol::runtime::EventExceptionThrown;
use chromiumoxide::page::{Page, ScreenshotParams};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];
const POLL: Duration = Duration::from_millis(50);
/// How long anything on the page may take; an answer on two busy cores is the slowest.
const PATIENCE: Duration = Duration::from_secs(90);
const VIEW: (u32, u32) = (1280, 860);
/// Takes WebGPU from a page. Without a GPU the browser computes it on the CPU, which takes so long
/// that only what is about it should use it.
const WITHOUT_GPU: &str =
    "Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined });";
/// With these the browser can show what WebGPU draws: it puts its windows together with the same
/// computed GPU. Otherwise a page that draws on a canvas through WebGPU loses the device.
const SHOWS_GPU: [(&str, &str); 3] = [
    ("use-angle", "swiftshader"),
    ("use-vulkan", "swiftshader"),
    ("enable-features", "Vulkan"),
];

/// One tab of a browser that was started for this test alone.
pub struct Tab {
    browser: Browser,
    page: Page,
    complaints: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<()>>,
    _profile: TempDir,
}

impl fmt::Debug for Tab {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tab")
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

/// A point of the window, in CSS pixels.
pub type Point = (f64, f64);

/// Where an element is in the window, in CSS pixels: left, top, width, height.
pub type Rect = [f64; 4];

impl Tab {
    /// Starts a browser without WebGPU and with a fresh profile, and opens a page in it.
    ///
    /// # Panics
    /// If there is no Chromium, or it does not start, or does not load the page.
    pub async fn open(url: &str) -> Self {
        Self::open_after(url, Some(WITHOUT_GPU), &[]).await
    }

    /// As [`Tab::open`], with WebGPU, which the CPU computes.
    ///
    /// # Panics
    /// As [`Tab::open`].
    pub async fn open_with_gpu(url: &str) -> Self {
        Self::open_after(url, None, &[]).await
    }

    /// As [`Tab::open_with_gpu`], in a browser that also shows what is drawn through WebGPU.
    ///
    /// # Panics
    /// As [`Tab::open`].
    pub async fn open_with_gpu_canvas(url: &str) -> Self {
        Self::open_after(url, None, &SHOWS_GPU).await
    }

    /// Opens a page after a script, which runs on every page before its own ones, in a browser that
    /// is started with further switches.
    async fn open_after(url: &str, script: Option<&str>, switches: &[(&str, &str)]) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let config = BrowserConfig::builder()
            .chrome_executable(chromium())
            .user_data_dir(profile.path())
            .no_sandbox()
            .window_size(VIEW.0, VIEW.1)
            .viewport(None)
            .launch_timeout(Duration::from_secs(60))
            .request_timeout(PATIENCE)
            .arg("enable-unsafe-webgpu")
            .arg(("use-webgpu-adapter", "swiftshader"))
            .arg("disable-component-update")
            .arg("disable-quic")
            .args(switches.iter().copied())
            .build()
            .expect("the browser's configuration is whole");
        let (browser, mut handler) = Browser::launch(config).await.expect("Chromium starts");
        let mut tasks = vec![tokio::spawn(async move {
            while let Some(event) = handler.next().await {
                // Messages that this version of the protocol does not know are no failure.
                drop(event);
            }
        })];
        let page = browser.new_page("about:blank").await.expect("a new tab");
        if let Some(script) = script {
            page.evaluate_on_new_document(script)
                .await
                .expect("the script is taken");
        }
        page.enable_log().await.expect("the browser's log");
        page.enable_runtime()
            .await
            .expect("the script's exceptions");
        let complaints = Arc::new(Mutex::new(Vec::new()));

        let mut entries = page
            .event_listener::<EventEntryAdded>()
            .await
            .expect("log events");
        let heard = Arc::clone(&complaints);
        tasks.push(tokio::spawn(async move {
            while let Some(event) = entries.next().await {
                let entry = &event.entry;
                if entry.level.as_ref() == "error" {
                    let source = entry.source.as_ref();
                    let place = entry.url.as_deref().unwrap_or_default();
                    note(&heard, format!("{source}: {} {place}", entry.text));
                }
            }
        }));
        let mut thrown = page
            .event_listener::<EventExceptionThrown>()
            .await
            .expect("exceptions");
        let heard = Arc::clone(&complaints);
        tasks.push(tokio::spawn(async move {
            while let Some(event) = thrown.next().await {
                let details = &event.exception_details;
                let what = details
                    .exception
                    .as_ref()
                    .and_then(|object| object.description.clone());
                note(
                    &heard,
                    format!("exception: {} {}", details.text, what.unwrap_or_default()),
                );
            }
        }));

        page.goto(url)
            .await
            .unwrap_or_else(|error| panic!("{url} did not load: {error}"));
        let tab = Self {
            browser,
            page,
            complaints,
            tasks,
            _profile: profile,
        };
        tab.wait_until_live().await;
        tab
    }

    /// Loads the page again and waits until it answers to clicks and keys.
    ///
    /// # Panics
    /// If it does not load.
    pub async fn reload(&self) {
        // The page that is about to go must not be taken for the one that comes.
        let _: bool = self
            .evaluate("delete document.documentElement.dataset.live")
            .await;
        self.page.reload().await.expect("the page loads again");
        self.wait_until_live().await;
    }

    /// A page that has loaded is a picture of itself until its script has taken it over; what is
    /// clicked before is lost.
    ///
    /// # Panics
    /// If that does not happen.
    pub async fn wait_until_live(&self) {
        self.wait_until(
            "the page is not live",
            "document.documentElement.dataset.live === 'true'",
        )
        .await;
    }

    /// The value of a JavaScript expression.
    ///
    /// # Panics
    /// If it throws, or its value is of another type.
    pub async fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> T {
        let result = self
            .page
            .evaluate_expression(expression)
            .await
            .unwrap_or_else(|error| panic!("{expression}: {error}"));
        // The protocol leaves `null` out.
        let value = result.value().cloned().unwrap_or_default();
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// How often the page has fetched addresses that hold a text.
    ///
    /// # Panics
    /// As [`Tab::evaluate`].
    pub async fn fetched(&self, text: &str) -> usize {
        self.evaluate(&format!(
            "performance.getEntriesByType('resource')\
             .filter(entry => entry.name.includes('{text}')).length"
        ))
        .await
    }

    /// Waits until a JavaScript expression is truthy; `what` says in the failure what was missing.
    ///
    /// # Panics
    /// If it stays falsy; says what the page shows and what the browser complained about.
    pub async fn wait_until(&self, what: &str, expression: &str) -> Value {
        let question = format!("(() => {{ const v = {expression}; return v ? v : null; }})()");
        let started = Instant::now();
        loop {
            // While a page is being replaced there is no context to evaluate in; that passes.
            if let Ok(result) = self.page.evaluate_expression(question.as_str()).await
                && let Ok(value) = result.into_value::<Value>()
                && !value.is_null()
            {
                return value;
            }
            if started.elapsed() > PATIENCE {
                self.give_up(what).await;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for an element that is seen, and returns where it is.
    ///
    /// # Panics
    /// If it does not appear.
    pub async fn see(&self, selector: &str) -> Rect {
        let selector_json = Value::from(selector);
        let found = self
            .wait_until(
                &format!("`{selector}` is not on the page"),
                &format!(
                    "(() => {{ const e = document.querySelector({selector_json}); if (!e) return 0;
                     const r = e.getBoundingClientRect();
                     return r.width > 0 && r.height > 0 && [r.left, r.top, r.width, r.height]; }})()"
                ),
            )
            .await;
        serde_json::from_value(found).expect("four numbers")
    }

    /// Brings an element into view and clicks its centre.
    ///
    /// # Panics
    /// If the element does not appear, or another one covers it.
    pub async fn click(&self, selector: &str) {
        self.see(selector).await;
        let selector_json = Value::from(selector);
        let enabled = format!(
            "(() => {{ const e = document.querySelector({selector_json}); if (!e || e.disabled) return 0;
             e.scrollIntoView({{block: 'nearest', behavior: 'instant'}});
             const r = e.getBoundingClientRect();
             const at = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
             return at && (e.contains(at) || at.contains(e)) &&
                 [r.left + r.width / 2, r.top + r.height / 2]; }})()"
        );
        let centre = self
            .wait_until(&format!("`{selector}` cannot be clicked"), &enabled)
            .await;
        let centre: Point = serde_json::from_value(centre).expect("two numbers");
        self.drag(&[centre]).await;
    }

    /// Lets the page save files into a folder.
    ///
    /// # Panics
    /// If the browser refuses.
    pub async fn save_files_to(&self, folder: &Path) {
        let behavior = SetDownloadBehaviorParams::builder()
            .behavior(SetDownloadBehaviorBehavior::Allow)
            .download_path(folder.to_string_lossy())
            .build()
            .expect("the choice is whole");
        self.browser
            .execute(behavior)
            .await
            .expect("the folder is taken");
    }

    /// Waits until all that has happened so far is painted.
    ///
    /// # Panics
    /// If the browser paints nothing.
    pub async fn settle(&self) {
        let _: bool = self
            .evaluate(
                "(() => { const root = document.documentElement; delete root.dataset.painted;
                 const next = then => requestAnimationFrame(then);
                 next(() => next(() => { root.dataset.painted = 'true'; })); return true; })()",
            )
            .await;
        self.wait_until(
            "no frame is painted",
            "document.documentElement.dataset.painted === 'true'",
        )
        .await;
    }

    /// Puts a file into a file input, as its picker would.
    ///
    /// # Panics
    /// If the page has no such input.
    pub async fn choose_file(&self, selector: &str, file: &Path) {
        let input = self
            .page
            .find_element(selector)
            .await
            .unwrap_or_else(|error| panic!("`{selector}` is not on the page: {error}"));
        let choice = SetFileInputFilesParams::builder()
            .file(file.to_string_lossy())
            .backend_node_id(input.backend_node_id)
            .build()
            .expect("the choice is whole");
        self.page.execute(choice).await.expect("the file is taken");
    }

    /// Gives the page another size, in CSS pixels, as on a phone.
    ///
    /// # Panics
    /// If the browser refuses.
    pub async fn resize(&self, width: u32, height: u32) {
        let (width, height) = (i64::from(width), i64::from(height));
        let size = SetDeviceMetricsOverrideParams::new(width, height, 1.0, true);
        self.page
            .execute(size)
            .await
            .expect("the page takes another size");
    }

    /// Saves what the tab shows as a PNG.
    ///
    /// # Panics
    /// If it cannot be written.
    pub async fn screenshot(&self, file: &Path) {
        let parameters = ScreenshotParams::builder()
            .format(CaptureScreenshotFormat::Png)
            .build();
        self.page
            .save_screenshot(parameters, file)
            .await
            .expect("the screenshot is written");
    }

    /// What the browser has complained about so far: exceptions, refused resources, violations of
    /// the content security policy.
    ///
    /// # Panics
    /// If a task that collects them panicked.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints
            .lock()
            .expect("the collecting tasks live")
            .clone()
    }

    /// Closes the browser.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn close(mut self) {
        self.browser.close().await.expect("the browser closes");
        self.browser.wait().await.expect("the browser ends");
        for task in self.tasks {
            task.abort();
        }
    }

    async fn give_up(&self, what: &str) -> ! {
        let picture = env::temp_dir().join(format!("fclm-browser-{}.png", std::process::id()));
        self.screenshot(&picture).await;
        let url: String = self.evaluate("location.href").await;
        let shown: String = self
            .evaluate("document.body ? document.body.innerText : ''")
            .await;
        panic!(
            "{what}, after {} s at {url}\n--- the page shows (also {}):\n{shown}\n--- the browser \
             complained:\n{}",
            PATIENCE.as_secs(),
            picture.display(),
            self.complaints().join("\n")
        );
    }
}

fn note(complaints: &Mutex<Vec<String>>, complaint: String) {
    if let Ok(mut list) = complaints.lock() {
        list.push(complaint);
    }
}

/// Where Chromium is: `FCLM_CHROMIUM`, or the first of its names on the `PATH`.
fn chromium() -> PathBuf {
    if let Some(named) = env::var_os("FCLM_CHROMIUM") {
        return named.into();
    }
    let directories = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&directories)
        .flat_map(|directory| NAMES.map(|name| directory.join(name)))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "the browser test needs Chromium; `cargo xtask test` installs Debian's package, or \
             name a binary in FCLM_CHROMIUM"
        )
    })
}
