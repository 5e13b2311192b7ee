//! What a person has told the system to prefer.

use chromiumoxide::cdp::browser_protocol::emulation::{MediaFeature, SetEmulatedMediaParams};

use super::Tab;

impl Tab {
    /// Tells the page that less motion is preferred.
    ///
    /// # Panics
    /// If the browser refuses.
    pub async fn prefer_less_motion(&self) {
        let parameters = SetEmulatedMediaParams::builder()
            .feature(MediaFeature::new("prefers-reduced-motion", "reduce"))
            .build();
        self.page
            .execute(parameters)
            .await
            .expect("the preference is taken");
    }
}
