//! The page stays quick while its worker computes. The test is alone in its file, so that no other
//! browser is at work on the same cores.

use std::time::Duration;

use fclm_tests::browser::Tab;
use fclm_tests::browser::trace::{Task, main_tasks};
use fclm_tests::served::Served;
use fclm_tests::view::View;
use fclm_tests::{samples, worker};

const CARD: &str = "[data-testid=sample-card]";
const REGION: &str = "[data-testid=region-item]";
/// Rounds, of which one must be without a long task: a task that is long by itself is so in every
/// round.
const ROUNDS: usize = 3;
/// Milliseconds that a task may compute.
const MOST: f64 = 50.0;
/// Milliseconds that it may take with what it waits for: with two cores for page, worker, browser
/// and server, one of these is a core.
const MOST_WITH_WAITING: f64 = 250.0;
/// Holds the main thread for a while, as nothing should.
const LONG_TASK: &str = "(setTimeout(() => {
    const end = performance.now() + 400; while (performance.now() < end); }), true)";

fn is_long(task: &Task) -> bool {
    task.own.unwrap_or(task.length) > MOST || task.length > MOST_WITH_WAITING
}

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
async fn long_tasks(served: &Served) -> Vec<Task> {
    let (x, y) = samples::scenes()[0].middle();
    let tab = Tab::open(&served.url("/")).await;
    tab.click(CARD).await;
    let view = View::of(&tab).await;
    let trace = tab.record().await;
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
    let tasks = main_tasks(&tab.recorded(trace).await);
    assert!(tasks.len() > 50, "only {} tasks are told", tasks.len());
    // One that is long is told.
    let trace = tab.record().await;
    let _: bool = tab.evaluate(LONG_TASK).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let with_long_one = main_tasks(&tab.recorded(trace).await);
    let computes = |task: &Task| task.own.is_some_and(|own| own > MOST);
    assert!(with_long_one.iter().any(computes), "{with_long_one:?}");
    assert_eq!(tab.complaints(), [] as [&str; 0]);
    tab.close().await;
    tasks.into_iter().filter(is_long).collect()
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
    panic!("the main thread was held for too long: {rounds:#?}");
}
