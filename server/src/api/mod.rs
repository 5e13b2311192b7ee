//! The HTTP interface: routes, limits, security headers, server-sent events, and the page.
//!
//! Only this module knows HTTP. Every error is an [`AppError`] and travels as
//! `{"error": ApiError}` with the status that belongs to its code; what went wrong inside is
//! logged under the request's id and never sent.

mod body;
mod chats;
mod decode;
mod error;
mod event_reader;
mod health;
mod images;
mod light;
mod live;
mod messages;
mod model;
mod page;
mod picture_decoder;
mod regions;
mod router;
mod runs;
mod samples;
mod security;
mod site;
mod sniff;
mod trace;

use std::{path::Path, pin::pin, sync::Arc, time::Duration};

use tokio::time::timeout;

pub use self::{
    decode::{ImageLimits, decode_picture},
    error::{AppError, ErrorBody},
    event_reader::{EventError, EventReader, NumberedEvent},
    router::{openapi, router},
    site::{Site, SiteError},
};
use self::{live::LiveRuns, picture_decoder::PictureDecoder, trace::request_id};
use crate::{engine::Engine, model_dir::LIGHT, store::Store};

/// How long the ends of answers may take to be stored and sent when the server goes down.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the routes share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    store: Arc<Store>,
    engine: Engine,
    runs: Arc<LiveRuns>,
    site: Arc<Site>,
    decoder: PictureDecoder,
    /// The weights that browsers load.
    light: Option<Arc<Path>>,
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
            light: None,
        }
    }

    /// The same with the light part of a model directory for browsers.
    pub fn with_light(self, model: Option<&Path>) -> Self {
        Self {
            light: model.map(|folder| Arc::from(folder.join(LIGHT))),
            ..self
        }
    }

    /// Goes down in good order: requests and answers go on for `grace`, those that are left are
    /// ended as failed, and the store is closed behind the last of them.
    ///
    /// `served` ends when no connection is left; what it gives is returned, or none where a
    /// connection is still held at the end.
    pub async fn drain<T>(&self, served: impl Future<Output = T>, grace: Duration) -> Option<T> {
        self.engine.close();
        let mut ending = pin!(async {
            let served = served.await;
            // Looked at last, because the last request may have begun a run.
            self.runs.finished().await;
            served
        });
        let ended = match timeout(grace, ending.as_mut()).await {
            Ok(served) => Some(served),
            Err(_) => {
                tracing::warn!("requests and answers that take too long are ended");
                // Answers end at once, and their readers are told so before they are cut off.
                self.engine.abort();
                timeout(LAST_WORDS, ending).await.ok()
            }
        };
        self.engine.abort();
        self.store.close().await;
        ended
    }
}
