//! The page stays quick while its worker computes. The test is alone in its file, so that no other
//! browser is at work on the same cores.

use fclm_tests::browser::Tab;
use fclm_tests::served::Served;
use fclm_tests::view::View;
use fclm_tests::{samples, worker};

const CARD: &str = "[data-testid=sample-card]";
const REGION: &str = "[data-testid=region-item]";
/// Rounds, of which one must be without a long task. Two cores are all that page, worker, browser
/// and server may have, and a task that has to wait for one looks long; a task that is long by
/// itself is so in every round.
const ROUNDS: usize = 3;
/// Keeps start and length, in milliseconds, of tasks that hold the main thread for more than 50 ms,
/// which is what browsers call a long one.
const KEEP_LONG_TASKS: &str = "(() => { window.longTasks = [];
    const keep = ({ startTime, duration }) => window.longTasks.push([startTime, duration]);
    new PerformanceObserver(list => list.getEntries().forEach(keep)).observe({ type: 'longtask' });
    return true; })()";
const LONG_TASK: &str = "(setTimeout(() => {
    const end = performance.now() + 120; while (performance.now() < end); }), true)";

/// Waits until the one region has its mask.
async fn wait_for_mask(tab: &Tab) {
    tab.frames().await;
    tab.wait_until(
        "a click is not answered",
        &format!(
            "document.querySelector('{REGION}') && !document.querySelector('{REGION} .spinner')"
        ),
    )
    .await;
}

/// Opens a picture, and clicks while the worker loads, encodes and answers: the long tasks of the
/// main thread from when the picture can be clicked on.
async fn long_tasks(served: &Served) -> Vec<[f64; 2]> {
    let (x, y) = samples::scenes()[0].middle();
    let tab = Tab::open(&served.url("/")).await;
    let _: bool = tab.evaluate(KEEP_LONG_TASKS).await;
    tab.click(CARD).await;
    let view = View::of(&tab).await;
    let since: f64 = tab.evaluate("performance.now()").await;
    tab.click("[data-testid=tool-click]").await;
    // There is no worker yet.
    tab.drag(&[view.window(x, y)]).await;
    wait_for_mask(&tab).await;
    worker::wait_for_place(&tab, "cpu").await;
    let asked = tab.fetched("/segment").await;
    for step in [2.0, 4.0, 6.0, 8.0] {
        // Each place asks for a preview, and the click for a mask.
        for beside in [-6.0, -3.0, 0.0] {
            tab.hover(view.window(x + step + beside, y + beside)).await;
            tab.frames().await;
        }
        tab.drag(&[view.window(x + step, y)]).await;
        wait_for_mask(&tab).await;
    }
    assert_eq!(tab.fetched("/segment").await, asked, "the server was asked");
    let until: f64 = tab.evaluate("performance.now()").await;
    // Tasks are told in their order: once this one is told, all before it are.
    let _: bool = tab.evaluate(LONG_TASK).await;
    tab.wait_until(
        "a long task is not told",
        &format!(
            "window.longTasks.some(([start, length]) => start >= {until} - 1 && length >= 100)"
        ),
    )
    .await;
    let all: Vec<[f64; 2]> = tab.evaluate("window.longTasks").await;
    assert_eq!(tab.complaints(), [] as [&str; 0]);
    tab.close().await;
    let is_between = |&[start, length]: &[f64; 2]| start + length > since && start < until - 1.0;
    all.into_iter().filter(is_between).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_does_not_block_while_the_worker_computes() {
    let served = Served::start().await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let tasks = long_tasks(&served).await;
        if tasks.is_empty() {
            return;
        }
        rounds.push(tasks);
    }
    panic!("the main thread was held for more than 50 ms (start, length in ms): {rounds:?}");
}
