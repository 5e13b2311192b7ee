//! The page and the worker that makes its masks, in a real browser: when it is loaded, what is kept
//! of it, which device it computes on, and what takes the place of a device that fails.

mod failing;

use std::fs;
use std::time::{Duration, Instant};

use fclm_core::wire::{
    LightDevice, LightInfo, MaskPrompt, Point, PointLabel, WorkerReply, WorkerRequest,
};
use fclm_tests::browser::Tab;
use fclm_tests::gate::Gate;
use fclm_tests::served::Served;
use fclm_tests::view::View;
use fclm_tests::{samples, site, worker};
use serde::Deserialize;
use tokio::sync::Mutex;

const CARD: &str = "[data-testid=sample-card]";
const REGION: &str = "[data-testid=region-item]";
const WEIGHTS: &str = "light.safetensors";
/// How long requests may take to come.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long the page may take to time both devices, of which the CPU computes one for the other.
const TRIAL_PATIENCE: Duration = Duration::from_secs(400);

/// Held by tests in which a GPU computes that the CPU stands in for: two of these at once would be
/// taken for GPUs that hang.
static GPU: Mutex<()> = Mutex::const_new(());

/// What the page remembers of its devices.
#[derive(Debug, PartialEq, Deserialize)]
struct Choice {
    sha256: String,
    device: LightDevice,
}

async fn remembered(tab: &Tab) -> Option<Choice> {
    tab.evaluate("JSON.parse(localStorage.getItem('fclm.extractor'))")
        .await
}

/// Which worker was started on which device, in their order.
async fn started(tab: &Tab) -> Vec<(usize, LightDevice)> {
    let starts = worker::said(tab, "start").await;
    let device = |mut start: worker::Said| {
        let device = serde_json::from_value(start.message["device"].take());
        (start.worker, device.expect("workers start on a device"))
    };
    starts.into_iter().map(device).collect()
}

/// How long the encodings took that workers tell of, in milliseconds.
async fn encodings(tab: &Tab, kind: &str) -> Vec<f64> {
    let replies = worker::said(tab, kind).await;
    let times = replies
        .iter()
        .map(|reply| reply.message["encode_ms"].as_f64());
    times.map(|ms| ms.expect("it is timed")).collect()
}

async fn wait_for_regions(tab: &Tab, count: usize) {
    tab.wait_until(
        &format!("there are not {count} regions"),
        &format!("document.querySelectorAll('{REGION}').length === {count}"),
    )
    .await;
}

/// Waits until there are so many regions, and all have their masks.
async fn wait_for_masks(tab: &Tab, count: usize) {
    tab.frames().await;
    wait_for_regions(tab, count).await;
    tab.wait_until(
        "a mask does not come",
        &format!("!document.querySelector('{REGION} .spinner')"),
    )
    .await;
}

/// Draws a line with the brush, so far below the picture's upper edge, as another region.
async fn paint(tab: &Tab, y: f32) {
    View::of(tab).await;
    tab.hold('n').await;
    tab.let_go('n').await;
    tab.click("[data-testid=tool-brush]").await;
    let view = View::of(tab).await;
    tab.drag(&[view.window(60.0, y), view.window(120.0, y)])
        .await;
}

async fn wait_for_requests(gate: &Gate, path: &str, count: usize) {
    let started = Instant::now();
    while gate.asked(path) < count {
        assert!(started.elapsed() < PATIENCE, "{path} is not asked for");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_can_be_drawn_on_before_any_of_its_worker_has_come() {
    let served = Served::start().await;
    let manifest = site::manifest(&site::built());
    let [script, js, module] = ["worker", "js", "wasm"].map(|part| {
        let path = manifest["extractor"][part].as_str();
        path.expect("the page has a worker")
    });
    let chats = manifest["parts"][0].as_str();
    let chats = chats.expect("chats have a part of the page");
    let gate = Gate::before(&served, &[module, WEIGHTS]).await;

    let tab = Tab::open(&gate.url("/")).await;
    // That part is fetched ahead, when the page is live and at rest; nothing else would come later.
    wait_for_requests(&gate, chats, 1).await;
    for path in [script, js, module, WEIGHTS] {
        assert_eq!(gate.asked(path), 0, "the first page asks for {path}");
    }

    tab.click(CARD).await;
    wait_for_requests(&gate, module, 1).await;
    paint(&tab, 60.0).await;
    wait_for_regions(&tab, 1).await;
    assert_eq!(worker::place(&tab).await, "loading");

    // The chat by its address.
    tab.reload().await;
    wait_for_regions(&tab, 1).await;
    wait_for_requests(&gate, module, 2).await;
    paint(&tab, 120.0).await;
    wait_for_regions(&tab, 2).await;
    assert_eq!(worker::place(&tab).await, "loading");
    assert_eq!(gate.asked(WEIGHTS), 0);

    gate.open();
    worker::wait_for_place(&tab, "cpu").await;
    assert_eq!(gate.asked(WEIGHTS), 1);
    tab.close().await;
}

/// Starts a worker of the test's own on the CPU: what it reports while the weights come.
async fn loaded(tab: &Tab, light: &LightInfo) -> Vec<(u64, u64)> {
    let start = WorkerRequest::Start {
        device: LightDevice::Cpu,
        light: light.clone(),
    };
    let heard = worker::heard(tab, &[start]).await;
    let is_ready = matches!(heard.answers.as_slice(), [WorkerReply::Ready { .. }]);
    assert!(is_ready, "{:?}", heard.answers);
    heard.progress
}

#[track_caller]
fn assert_grows_to(bytes: u64, progress: &[(u64, u64)]) {
    let (loaded, totals): (Vec<u64>, Vec<u64>) = progress.iter().copied().unzip();
    let is_growing = loaded.len() > 1 && loaded.is_sorted_by(|a, b| a < b);
    assert!(is_growing, "{loaded:?}");
    assert_eq!(loaded.last(), Some(&bytes));
    assert!(totals.iter().all(|total| *total == bytes), "{totals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_told_of_as_they_come_and_kept_for_the_next_visit() {
    let weights = fs::metadata(samples::nano().join(WEIGHTS));
    let bytes = weights.expect("nano has a part for browsers").len();
    let served = Served::start().await;
    let light = worker::light_of(&served).await;
    let tab = Tab::open(&served.url("/")).await;
    assert_grows_to(bytes, &loaded(&tab, &light).await);

    tab.reload().await;
    let again = loaded(&tab, &light).await;
    assert!(again.is_empty(), "they are loaded again: {again:?}");

    // What is kept must be what is served.
    let kept: usize = tab
        .evaluate(&format!(
            "(async () => {{ const cache = await caches.open('fclm-light');
             const {{ length }} = await cache.keys();
             await cache.put('{}', new Response(new Uint8Array({bytes})));
             return length; }})()",
            light.url
        ))
        .await;
    assert_eq!(kept, 1, "files are kept");
    assert_grows_to(bytes, &loaded(&tab, &light).await);
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_encoded_once_for_all_its_masks() {
    let scene = samples::scenes().remove(0);
    let (x, y) = scene.middle();
    let [x0, y0, x1, y1] = scene.clearest().box_px;
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
    worker::listen(&tab).await;
    tab.click(CARD).await;
    worker::wait_for_place(&tab, "cpu").await;
    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    worker::wait_until_idle(&tab).await;
    tab.hover(view.window(x, y)).await;
    tab.wait_until(
        "the pointer shows no mask",
        "document.querySelector('[data-testid=canvas]').dataset.preview === 'true'",
    )
    .await;
    for count in 1..=3 {
        for beside in [0.0, 4.0] {
            worker::wait_until_idle(&tab).await;
            tab.drag(&[view.window(x + beside, y)]).await;
            wait_for_masks(&tab, count).await;
        }
        worker::wait_until_idle(&tab).await;
        tab.click("[data-testid=new-region]").await;
    }
    tab.click("[data-testid=tool-box]").await;
    for count in 4..=6 {
        tab.drag(&[view.window(x0, y0), view.window(x, y), view.window(x1, y1)])
            .await;
        wait_for_masks(&tab, count).await;
        worker::wait_until_idle(&tab).await;
    }

    let asked = worker::said(&tab, "segment").await;
    assert_eq!(tab.fetched("/segment").await, 0, "the server was asked");
    assert_eq!(worker::said(&tab, "open").await.len(), 1);
    assert!(asked.len() >= 9, "{} masks are asked for", asked.len());

    // Nor does the worker encode it for a mask.
    let probe = WorkerRequest::Probe {
        id: u32::MAX,
        prompt: MaskPrompt {
            points: vec![Point {
                x,
                y,
                label: PointLabel::Positive,
            }],
            ..MaskPrompt::default()
        },
    };
    worker::ask(&tab, asked[0].worker, &probe).await;
    worker::wait_until_idle(&tab).await;
    let probed = worker::said(&tab, "probed").await;
    assert_eq!(probed[0].message["encodings"], 3);
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_devices_are_timed_on_the_first_visit_and_the_faster_one_is_taken_on_the_next() {
    let _alone = GPU.lock().await;
    let served = Served::start().await;
    let light = worker::light_of(&served).await;
    let tab = Tab::open_with_gpu(&served.url("/")).await;
    assert_eq!(remembered(&tab).await, None);
    worker::listen(&tab).await;
    tab.click(CARD).await;
    let begun = Instant::now();
    let choice = loop {
        if let Some(choice) = remembered(&tab).await {
            break choice;
        }
        let why = worker::why(&tab).await;
        assert!(begun.elapsed() < TRIAL_PATIENCE, "nothing is chosen: {why}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(worker::why(&tab).await, "", "a device has failed");
    let started_first = started(&tab).await;
    assert_eq!(
        started_first,
        [(0, LightDevice::Gpu), (1, LightDevice::Cpu)]
    );
    let times = encodings(&tab, "ready").await;
    assert_eq!(times.len(), 2, "not both are timed");
    let (winner, loser) = match times[0] <= times[1] {
        true => (0, 1),
        false => (1, 0),
    };
    let device = started_first[winner].1;
    let sha256 = light.sha256.clone();
    assert_eq!(choice, Choice { sha256, device }, "{times:?}");
    let ended = worker::said(&tab, "terminate").await;
    let ended: Vec<usize> = ended.iter().map(|ended| ended.worker).collect();
    assert_eq!(ended, [loser]);
    let name = match device {
        LightDevice::Gpu => "gpu",
        LightDevice::Cpu => "cpu",
    };
    worker::wait_for_place(&tab, name).await;

    // The page that is about to go must not be taken for the one that comes.
    let _: bool = tab
        .evaluate("(delete document.documentElement.dataset.live, location.assign('/'), true)")
        .await;
    tab.wait_until_live().await;
    worker::listen(&tab).await;
    tab.click(CARD).await;
    worker::wait_for_place(&tab, name).await;
    assert_eq!(started(&tab).await, [(0, device)]);
    tab.close().await;
}
