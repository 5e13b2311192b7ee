//! The page is loaded in parts: how large they are, and what happens where one does not arrive.

use std::fs;
use std::path::{Path, PathBuf};

use fclm_tests::browser::Tab;
use fclm_tests::served::Served;
use fclm_tests::{samples, site};
use serde_json::Value;

const CARD: &str = "[data-testid=sample-card]";
const ERROR: &str = "[data-testid=error-message]";
/// Most compressed bytes that are loaded before the page is live, and as many that a chat needs.
const PAGE_BYTES: u64 = 300_000;
/// Most compressed bytes of the worker's module.
const WORKER_BYTES: u64 = 2_000_000;
/// Most bytes of the weights that it loads, which are sent as they are.
const LIGHT_BYTES: u64 = 8_000_000;
/// Most compressed bytes of the module that decodes HEIC photos.
const HEIC_BYTES: u64 = 150_000;

fn file(site: &Path, url: &Value) -> PathBuf {
    let url = url.as_str().expect("it is a path");
    site.join(url.trim_start_matches('/'))
}

fn compressed(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.br", path.display()))
}

fn sent(site: &Path, url: &Value) -> u64 {
    let path = compressed(&file(site, url));
    let metadata = fs::metadata(&path);
    metadata.expect("it is compressed beforehand").len()
}

/// The parts that chats need.
fn parts(site: &Path) -> Vec<PathBuf> {
    let manifest = site::manifest(site);
    let parts = manifest["parts"].as_array().expect("the page has parts");
    parts.iter().map(|part| file(site, part)).collect()
}

fn hide(site: &Path) {
    for part in parts(site) {
        fs::rename(&part, part.with_extension("away")).expect("the part is moved");
        fs::rename(compressed(&part), part.with_extension("br.away"))
            .expect("so is its other form");
    }
}

fn bring_back(site: &Path) {
    for part in parts(site) {
        fs::rename(part.with_extension("br.away"), compressed(&part)).expect("it is moved back");
        fs::rename(part.with_extension("away"), &part).expect("it is moved back");
    }
}

#[test]
fn no_part_of_the_page_is_too_large() {
    let site = site::built();
    let manifest = site::manifest(&site);
    let page = ["js", "loader", "wasm", "css"].map(|part| sent(&site, &manifest[part]));
    assert!(page.iter().sum::<u64>() <= PAGE_BYTES, "{page:?}");
    let parts = manifest["parts"].as_array().expect("the page has parts");
    assert!(!parts.is_empty());
    let chats: u64 = parts.iter().map(|part| sent(&site, part)).sum();
    assert!(chats <= PAGE_BYTES, "{chats}");
    let worker = sent(&site, &manifest["extractor"]["wasm"]);
    assert!(worker <= WORKER_BYTES, "{worker}");
    let light = fs::metadata(samples::nano().join("light.safetensors"));
    let light = light.expect("nano has a part for browsers").len();
    assert!(light <= LIGHT_BYTES, "{light}");
    let heic = sent(&site, &manifest["heic"]["wasm"]);
    assert!(heic <= HEIC_BYTES, "{heic}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_waits_for_its_part_of_the_page() {
    let page = site::copied();
    hide(page.path());
    let served = Served::with_site(page.path()).await;

    // The home page needs none of it.
    let tab = Tab::open(&served.url("/")).await;
    tab.click(CARD).await;
    tab.see(ERROR).await;
    let text: String = tab
        .evaluate(&format!("document.querySelector('{ERROR}').innerText"))
        .await;
    assert_eq!(text, "The chat could not be loaded");

    // The button loads the page anew. What the server has rendered of the chat stays as it is until
    // the part has come.
    tab.click("main.blank button").await;
    tab.wait_until(
        "the part is not asked for",
        "document.documentElement.dataset.live === undefined
         && performance.getEntriesByType('resource')
             .some(entry => entry.responseStatus === 404 && entry.name.endsWith('.wasm'))",
    )
    .await;
    bring_back(page.path());
    tab.wait_until_live().await;
    tab.see("[data-testid=ask-input]").await;
    tab.close().await;
}
