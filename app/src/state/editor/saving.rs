use std::collections::BTreeSet;
use std::time::Duration;

use fclm_core::wire::PutRegions;
use leptos::prelude::*;

use super::{Editor, SaveState};
use crate::client::{self, ChatPart, Failure};
use crate::editor::Document;

const SAVE_DELAY: Duration = Duration::from_millis(500);
const SAVE_RETRY: Duration = Duration::from_secs(3);
const MASK_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(40);

/// The way of the regions to the server.
impl Editor {
    /// Waits until no mask is on its way any more, and until the server has all regions.
    pub(crate) async fn settle(self) -> Result<(), Failure> {
        let mut waited = Duration::ZERO;
        while !self.pending.with_untracked(BTreeSet::is_empty) && waited < MASK_PATIENCE {
            client::pause(POLL).await;
            waited += POLL;
        }
        while self.saved.get_untracked() != SaveState::Saved {
            self.save().await?;
        }
        Ok(())
    }

    /// Keeps the regions in the browser, and saves them when nothing has changed for a while.
    pub(super) fn save_later(self) {
        // Of a chat that is gone nothing is kept; keys still reach the regions behind the page
        // that says so.
        if self.chat.is_missing() {
            return;
        }
        let generation = self.generation.get_value() + 1;
        self.generation.set_value(generation);
        self.saved.set(SaveState::Saving);
        let regions = self.document.with_untracked(Document::to_wire);
        self.kept.set_value(client::remember(
            &self.chat.key(ChatPart::Regions),
            &regions,
        ));
        self.tasks.spawn(async move {
            client::pause(SAVE_DELAY).await;
            while self.generation.get_value() == generation
                && self.saved.get_untracked() != SaveState::Saved
            {
                match self.save().await {
                    Ok(()) => {}
                    Err(_) if self.chat.is_missing() => return,
                    Err(failure) if failure.is_passing() => client::pause(SAVE_RETRY).await,
                    Err(failure) => return self.notices.fail(&failure),
                }
            }
        });
    }

    // Only one request at a time, so that an older state cannot overtake a newer one.
    async fn save(self) -> Result<(), Failure> {
        while self.in_flight.get_value() {
            client::pause(POLL).await;
        }
        let generation = self.generation.get_value();
        self.in_flight.set_value(true);
        let body = PutRegions {
            regions: self.document.with_untracked(Document::to_wire),
        };
        let path = format!("{}/regions", self.chat.path());
        let result = client::put(&path, &body).await;
        self.in_flight.set_value(false);
        let gone = result
            .as_ref()
            .is_err_and(|failure| self.chat.leave_if_gone(failure));
        if gone || self.generation.get_value() != generation {
            return result;
        }
        match &result {
            Ok(()) => {
                client::forget(&self.chat.key(ChatPart::Regions));
                self.saved.set(SaveState::Saved);
            }
            Err(_) if self.kept.get_value() => self.saved.set(SaveState::Kept),
            Err(_) => self.saved.set(SaveState::Unsaved),
        }
        result
    }
}
