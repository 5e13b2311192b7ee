//! The HTTP interface: routes, limits, security headers, server-sent events, and the page.
//!
//! Only this module knows HTTP. Every error is an [`AppError`] and travels as
//! `{"error": ApiError}` with the status that belongs to its code; what went wrong inside is
//! logged under the request's id and never sent.

mod body;
mod chats;
mod decode;
mod error;
mod health;
mod images;
mod live;
mod messages;
mod model;
mod page;
mod regions;
mod router;
mod runs;
mod samples;
mod security;
mod site;
mod trace;

use std::{sync::Arc, time::Duration};

use self::{decode::PictureDecoder, live::LiveRuns, trace::request_id};
pub use self::{
    decode::{ImageLimits, decode_picture},
    error::{AppError, ErrorBody},
    router::{openapi, router},
    site::{Site, SiteError},
};
use crate::{engine::Engine, store::Store};

/// What the routes share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    store: Arc<Store>,
    engine: Engine,
    runs: Arc<LiveRuns>,
    site: Arc<Site>,
    decoder: PictureDecoder,
}

impl AppState {
    /// Joins the parts.
    pub fn new(store: Arc<Store>, engine: Engine, site: Site, limits: ImageLimits) -> Self {
        Self {
            store,
            engine,
            runs: Arc::default(),
            site: Arc::new(site),
            decoder: PictureDecoder::new(limits),
        }
    }

    /// Lets what is being written go on for `grace`, ends the rest as failed, and waits until all
    /// of it is stored.
    pub async fn drain(&self, grace: Duration) {
        self.engine.close();
        if tokio::time::timeout(grace, self.runs.finished())
            .await
            .is_err()
        {
            tracing::warn!("answers that took too long are ended");
        }
        self.engine.abort();
        self.runs.finished().await;
        self.store.close().await;
    }
}
