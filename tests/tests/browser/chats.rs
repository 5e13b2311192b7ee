//! A tab's chat, as the server has it.

use std::time::{Duration, Instant};

use fclm_core::wire::{Chat, MaskSource};
use fclm_tests::browser::Tab;
use fclm_tests::served::Served;

use super::marks::wait_for_regions;

/// How long masks and saving may take on two busy cores.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) async fn chat(served: &Served, tab: &Tab) -> Chat {
    let path: String = tab.evaluate("location.pathname").await;
    let id = path
        .strip_prefix("/c/")
        .expect("the address names the chat")
        .to_owned();
    served.get(&format!("/api/v1/chats/{id}")).await
}

/// The chat of a tab, once all of its regions have their masks and are on the server.
pub(super) async fn saved_chat(served: &Served, tab: &Tab, regions: usize) -> Chat {
    let started = Instant::now();
    let saved = loop {
        let now = chat(served, tab).await;
        let are_masked = now.regions.iter().all(|one| one.source == MaskSource::Box);
        if now.regions.len() == regions && are_masked {
            break now;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{} regions are saved instead of {regions}",
            now.regions.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    wait_for_save_state(tab, "Saved").await;
    saved
}

/// Comes back to the window of a tab, and sees so many regions there.
pub(super) async fn come_back(tab: &Tab, regions: usize) {
    let _: bool = tab
        .evaluate("window.dispatchEvent(new Event('focus'))")
        .await;
    wait_for_regions(tab, regions).await;
}

pub(super) async fn wait_for_save_state(tab: &Tab, state: &str) {
    tab.wait_until(
        &format!("the page does not say {state:?}"),
        &format!(
            "document.querySelector('[data-testid=save-state]').textContent.trim() === '{state}'"
        ),
    )
    .await;
}
