//! How fast a page's network is.

use chromiumoxide::cdp::browser_protocol::network::{
    EmulateNetworkConditionsByRuleParams, NetworkConditions,
};

use super::Tab;

/// What the browser takes for a speed without a limit.
const UNLIMITED: f64 = -1.0;

impl Tab {
    /// Lets the page send no more than so many bytes a second.
    ///
    /// # Panics
    /// If the browser refuses.
    pub async fn send_slowly(&self, bytes_per_second: f64) {
        // Without a pattern it is so for all addresses.
        let all = NetworkConditions::new("", 0.0, UNLIMITED, bytes_per_second);
        let parameters = EmulateNetworkConditionsByRuleParams::new(false, vec![all]);
        self.page
            .execute(parameters)
            .await
            .expect("the browser slows down");
    }
}
