//! A page with a picture on it, and what is marked there.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::browser::{Point, Tab};
use crate::served::Served;
use crate::view::View;

const PATIENCE: Duration = Duration::from_secs(60);
const CARD: &str = "[data-testid=sample-card]";
const UPLOAD: &str = "[data-testid=upload-input]";
const ITEM: &str = "[data-testid=region-item]";
/// Pointers are told in whole CSS pixels; so much may an edge be off, in pixels of the picture.
const SLACK: i64 = 2;

/// A server and a tab that shows a chat about a picture.
#[derive(Debug)]
pub struct Easel {
    /// The server.
    pub served: Served,
    /// The tab.
    pub tab: Tab,
}

impl Easel {
    /// A page with a sample's picture and nothing marked on it.
    pub async fn open() -> Self {
        let easel = Self::at_home().await;
        easel.tab.click(CARD).await;
        View::of(&easel.tab).await;
        easel
    }

    /// A page with a picture from a file, and nothing marked on it.
    pub async fn with_picture(file: &Path) -> Self {
        let easel = Self::at_home().await;
        easel.tab.choose_file(UPLOAD, file).await;
        View::of(&easel.tab).await;
        easel
    }

    /// The first page.
    pub async fn at_home() -> Self {
        let served = Served::start().await;
        let tab = Tab::open(&served.url("/")).await;
        Self { served, tab }
    }

    /// Takes a tool by its button: `box`, `brush` and so on.
    pub async fn take(&self, tool: &str) {
        self.tab.click(&format!("[data-testid=tool-{tool}]")).await;
    }

    /// Clicks what has a mark of its own.
    pub async fn menu(&self, item: &str) {
        self.tab.click(&format!("[data-testid={item}]")).await;
    }

    /// Opens the menu of the chosen region, where it is closed.
    pub async fn edit(&self) {
        self.open_menu("region-more").await;
    }

    /// Opens the menu of files, where it is closed.
    pub async fn files(&self) {
        self.open_menu("exchange").await;
    }

    async fn open_menu(&self, menu: &str) {
        let menu = format!("[data-testid={menu}]");
        let is_open: bool = self
            .tab
            .evaluate(&format!("document.querySelector('{menu}').open"))
            .await;
        if !is_open {
            self.tab.click(&format!("{menu} summary")).await;
        }
    }

    /// Lets go of the chosen region, so that the next stroke makes a new one.
    pub async fn choose_none(&self) {
        self.tab.hold('n').await;
        self.tab.let_go('n').await;
    }

    /// Points of the picture as points of the window.
    pub async fn window<const N: usize>(&self, points: [(f32, f32); N]) -> [Point; N] {
        let view = View::of(&self.tab).await;
        points.map(|(x, y)| view.window(x, y))
    }

    /// Width and height of the picture.
    pub async fn size(&self) -> (u32, u32) {
        self.tab
            .evaluate(
                "(({imageWidth, imageHeight}) => [imageWidth, imageHeight].map(Number))\
                 (document.querySelector('[data-testid=canvas]').dataset)",
            )
            .await
    }

    /// Waits until there are so many regions.
    pub async fn count(&self, expected: usize) {
        self.tab
            .wait_until(
                &format!("there are not {expected} regions"),
                &format!("document.querySelectorAll('{ITEM}').length === {expected}"),
            )
            .await;
    }

    /// What the list tells of a region: `area`, `bounds`, `regionId`.
    pub async fn figure(&self, index: usize, name: &str) -> String {
        self.tab
            .evaluate(&format!(
                "document.querySelectorAll('{ITEM}')[{index}].dataset.{name}"
            ))
            .await
    }

    /// The pixels of a region.
    ///
    /// # Panics
    /// If the list does not tell.
    pub async fn area(&self, index: usize) -> i64 {
        let area = self.figure(index, "area").await;
        area.parse().expect("the area is a number")
    }

    /// The edges of a region's box: left, top, right, bottom.
    ///
    /// # Panics
    /// If the list does not tell.
    pub async fn bounds(&self, index: usize) -> [i64; 4] {
        let bounds = self.figure(index, "bounds").await;
        let edges = bounds.split(' ').map(|edge| edge.parse::<i64>());
        let edges: Result<Vec<i64>, _> = edges.collect();
        let edges = edges.expect("edges are numbers");
        edges.try_into().expect("there are four edges")
    }

    /// Waits until a figure of a region is another one, and gives that.
    ///
    /// # Panics
    /// If it stays.
    pub async fn other(&self, index: usize, name: &str, before: &str) -> String {
        self.tab
            .wait_until(
                &format!("the {name} of region {index} stays {before}"),
                &format!(
                    "(() => {{ const now = document.querySelectorAll('{ITEM}')[{index}]
                     ?.dataset.{name}; return now && now !== '{before}'; }})()"
                ),
            )
            .await;
        self.figure(index, name).await
    }

    /// Waits until the area of a region is another one, and gives that.
    ///
    /// # Panics
    /// If it stays.
    pub async fn other_area(&self, index: usize, before: i64) -> i64 {
        let area = self.other(index, "area", &before.to_string()).await;
        area.parse().expect("the area is a number")
    }

    /// Waits until something is the box of a region.
    pub async fn wait_for_bounds(&self, index: usize, expected: [i64; 4]) {
        let expected = expected.map(|edge| edge.to_string()).join(" ");
        self.tab
            .wait_until(
                &format!("the bounds of region {index} are not {expected}"),
                &format!(
                    "document.querySelectorAll('{ITEM}')[{index}]?.dataset.bounds === '{expected}'"
                ),
            )
            .await;
    }

    /// Makes a polygon by clicks, closed at its first corner.
    pub async fn draw_polygon<const N: usize>(&self, corners: [(f32, f32); N]) {
        let corners = self.open_polygon(corners).await;
        self.tab.drag(&[corners[0]]).await;
    }

    /// Makes the corners of a polygon by clicks and leaves it open; gives where they are in the
    /// window.
    pub async fn open_polygon<const N: usize>(&self, corners: [(f32, f32); N]) -> [Point; N] {
        self.take("polygon").await;
        let corners = self.window(corners).await;
        for corner in corners {
            self.tab.drag(&[corner]).await;
        }
        corners
    }

    /// Waits until a button says that it is pressed, or that it is not.
    ///
    /// # Panics
    /// If it does not.
    pub async fn wait_for_pressed(&self, button: &str, wanted: bool) {
        self.tab
            .wait_until(
                &format!("{button} is not as it should be, pressed: {wanted}"),
                &format!(
                    "document.querySelector('[data-testid={button}]')
                     .getAttribute('aria-pressed') === '{wanted}'"
                ),
            )
            .await;
    }

    /// Pastes a text beside any field; true where the page takes it.
    pub async fn paste(&self, text: &str) -> bool {
        let text = serde_json::Value::from(text);
        self.tab
            .evaluate(&format!(
                "(() => {{ const clipboardData = new DataTransfer();
                 clipboardData.setData('text/plain', {text});
                 const paste = new ClipboardEvent('paste',
                     {{clipboardData, bubbles: true, cancelable: true}});
                 return !document.body.dispatchEvent(paste); }})()"
            ))
            .await
    }

    /// Waits until the page says of its regions that they are saved.
    pub async fn saved(&self) {
        self.tab
            .wait_until(
                "the regions are not saved",
                "document.querySelector('[data-testid=save-state]').textContent.trim() === 'Saved'",
            )
            .await;
    }

    /// Waits for a notice or an error with certain words.
    pub async fn wait_for_words(&self, words: &str) {
        let words = serde_json::Value::from(words);
        self.tab
            .wait_until(
                &format!("nothing is said with {words}"),
                &format!(
                    "[...document.querySelectorAll('[data-testid=notice], \
                         [data-testid=error-message]')].some(e => e.innerText.includes({words}))"
                ),
            )
            .await;
    }

    /// Waits until these words are the last that screen readers are told.
    pub async fn wait_for_told(&self, words: &str) {
        self.tab
            .wait_until(
                &format!("it is not told: {words}"),
                &format!(
                    "document.querySelector('[data-testid=announcement]').textContent.trim()
                         === '{words}'"
                ),
            )
            .await;
    }

    /// Ends both; nothing may have been complained about.
    ///
    /// # Panics
    /// If the browser complained.
    pub async fn close(self) {
        let complaints = self.tab.complaints();
        assert_eq!(complaints, [] as [&str; 0], "the browser complained");
        self.tab.close().await;
        drop(self.served);
    }
}

/// Edges, or a point, are where they were meant to be, as far as pointers can tell.
///
/// # Panics
/// If one is not.
#[track_caller]
pub fn assert_near<const N: usize>(found: [i64; N], expected: [i64; N]) {
    let is_near = found
        .iter()
        .zip(expected)
        .all(|(found, expected)| (found - expected).abs() <= SLACK);
    assert!(is_near, "{found:?} is not near {expected:?}");
}

/// The bytes of a file that the browser saves into a folder under a name with that ending; it is
/// taken out of the folder.
///
/// # Panics
/// If it does not appear.
pub async fn saved_file(folder: &Path, ending: &str) -> Vec<u8> {
    let started = Instant::now();
    loop {
        let files = std::fs::read_dir(folder).expect("the folder is there");
        let names = files.map(|entry| entry.expect("an entry").path());
        let found = names.into_iter().find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().ends_with(ending))
        });
        if let Some(path) = found {
            let bytes = std::fs::read(&path).expect("the file is read");
            if !bytes.is_empty() {
                // The next one may have the same name.
                std::fs::remove_file(&path).expect("the file is removed");
                return bytes;
            }
        }
        assert!(started.elapsed() < PATIENCE, "no {ending} is saved");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
