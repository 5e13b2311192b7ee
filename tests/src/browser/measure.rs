//! What a page costs.

use chromiumoxide::cdp::browser_protocol::performance::{
    DisableParams, EnableParams, EnableTimeDomain, GetMetricsParams,
};

use super::Tab;

impl Tab {
    /// Starts to count the time of the main thread: its own, not that in which others have the
    /// processor.
    ///
    /// # Panics
    /// If the browser refuses.
    pub async fn count_time(&self) {
        // It counts in another way already.
        self.page
            .execute(DisableParams::default())
            .await
            .expect("the browser stops counting");
        let parameters = EnableParams::builder()
            .time_domain(EnableTimeDomain::ThreadTicks)
            .build();
        self.page
            .execute(parameters)
            .await
            .expect("the browser counts time");
    }

    /// Milliseconds that the tasks of the main thread have taken so far: scripts, style, layout
    /// and painting.
    ///
    /// # Panics
    /// If time is not counted.
    pub async fn busy_ms(&self) -> f64 {
        let answer = self
            .page
            .execute(GetMetricsParams::default())
            .await
            .expect("the browser tells what it has counted");
        let tasks = answer
            .result
            .metrics
            .iter()
            .find(|metric| metric.name == "TaskDuration");
        1000.0 * tasks.expect("time is counted").value
    }

    /// Waits until two frames are painted, with as little work as possible.
    ///
    /// # Panics
    /// If the browser paints nothing.
    pub async fn frames(&self) {
        let _: bool = self
            .evaluate(
                "new Promise(done => requestAnimationFrame(() =>
                     requestAnimationFrame(() => done(true))))",
            )
            .await;
    }
}
