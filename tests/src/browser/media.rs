//! What a person has told the system to prefer, and points with.

use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetEmulatedMediaParams, SetTouchEmulationEnabledParams,
};

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

    /// Makes a finger what the page is pointed at with first, as on a phone.
    ///
    /// # Panics
    /// If the browser refuses.
    pub async fn point_by_finger(&self) {
        let mut parameters = SetTouchEmulationEnabledParams::new(true);
        parameters.max_touch_points = Some(5);
        self.page
            .execute(parameters)
            .await
            .expect("fingers are taken");
    }
}
