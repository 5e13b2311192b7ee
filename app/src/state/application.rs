use std::collections::HashSet;
use std::time::Duration;

use fclm_core::wire::{CHATS_PER_PAGE, Chat, ChatSummary, CreateChat, ModelInfo, SampleInfo};
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::File;

use super::Notices;
use crate::client::{self, Failure, Picked, UploadStep};
use crate::extractor::Extractor;
use crate::shell::Boot;

const MODEL_POLL: Duration = Duration::from_secs(2);
// As many characters as the server takes.
const MAX_TITLE: usize = 200;

/// An upload on its way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Upload {
    /// The file's name.
    pub(crate) name: String,
    /// How far it is.
    pub(crate) step: UploadStep,
}

/// What belongs to no chat: model, samples, recent chats, uploads, notices. It lives as long as
/// the page, so its work needs no [`Tasks`](super::Tasks).
#[derive(Clone, Copy)]
pub(crate) struct Application {
    /// Messages to the user.
    pub(crate) notices: Notices,
    /// The model, once it is loaded.
    pub(crate) model: RwSignal<Option<ModelInfo>>,
    /// Masks from this device, where it can make them.
    pub(crate) extractor: Extractor,
    /// The sample scenes.
    pub(crate) samples: RwSignal<Vec<SampleInfo>>,
    /// Chats of before; none until they are fetched.
    pub(crate) chats: RwSignal<Option<Vec<ChatSummary>>>,
    /// Whether there are chats behind those.
    pub(crate) has_more_chats: RwSignal<bool>,
    /// The upload on its way.
    pub(crate) upload: RwSignal<Option<Upload>>,
    /// The script of the worker that decodes HEIC photos, where there is one.
    heic: StoredValue<Option<String>>,
    /// The sample that is being opened.
    pub(crate) opening: RwSignal<Option<String>>,
    /// Where to go next.
    pub(crate) destination: RwSignal<Option<String>>,
    /// What takes pictures that are pasted while a chat is shown.
    pub(super) pasted: StoredValue<Option<Callback<Picked>>>,
}

impl Application {
    /// Starts from what the server rendered.
    pub(crate) fn new() -> Self {
        let boot = Boot::current();
        let model = RwSignal::new(boot.model);
        let application = Self {
            notices: Notices::new(),
            model,
            extractor: Extractor::new(boot.extractor, model),
            samples: RwSignal::new(boot.samples),
            chats: RwSignal::new(None),
            has_more_chats: RwSignal::new(false),
            upload: RwSignal::new(None),
            heic: StoredValue::new(boot.heic),
            opening: RwSignal::new(None),
            destination: RwSignal::new(None),
            pasted: StoredValue::new(None),
        };
        Effect::new(move |_| application.fetch_missing());
        application
    }

    fn fetch_missing(self) {
        if self.model.with_untracked(Option::is_none) {
            spawn_local(self.await_model());
        }
        if self.samples.with_untracked(Vec::is_empty) {
            spawn_local(async move {
                if let Ok(samples) = client::get::<Vec<SampleInfo>>("/api/v1/samples").await {
                    self.samples.set(samples);
                }
            });
        }
    }

    async fn await_model(self) {
        loop {
            match client::get::<ModelInfo>("/api/v1/model").await {
                Ok(model) => return self.model.set(Some(model)),
                Err(failure) if failure.is_passing() => client::pause(MODEL_POLL).await,
                Err(failure) => return self.notices.fail(&failure),
            }
        }
    }

    /// What there is to find in the sample that a chat with this title is about; nothing where it
    /// is about none.
    pub(crate) fn suggestions(self, title: &str) -> Vec<String> {
        self.samples.with(|samples| {
            let same = samples.iter().find(|sample| sample.title == title);
            same.map(|sample| sample.suggestions.clone())
                .unwrap_or_default()
        })
    }

    /// Fetches the chats of before.
    pub(crate) fn fetch_chats(self) {
        spawn_local(async move {
            match client::get::<Vec<ChatSummary>>("/api/v1/chats").await {
                Ok(chats) => {
                    self.has_more_chats.set(chats.len() == CHATS_PER_PAGE);
                    self.chats.set(Some(chats));
                }
                Err(failure) => {
                    self.chats.set(Some(Vec::new()));
                    self.notices.fail(&failure);
                }
            }
        });
    }

    /// Fetches the chats behind those that are there.
    pub(crate) fn fetch_more_chats(self) {
        let last = self.chats.with_untracked(|chats| {
            let last = chats.as_ref()?.last()?;
            Some(last.id.clone())
        });
        let Some(last) = last else {
            return self.fetch_chats();
        };
        spawn_local(async move {
            let path = format!("/api/v1/chats?after={last}");
            match client::get::<Vec<ChatSummary>>(&path).await {
                Ok(more) => {
                    self.has_more_chats.set(more.len() == CHATS_PER_PAGE);
                    self.chats.update(|chats| {
                        let chats = chats.get_or_insert_default();
                        // A second press may have fetched the same ones, and a chat that was
                        // used meanwhile comes again.
                        let known: HashSet<String> =
                            chats.iter().map(|chat| chat.id.clone()).collect();
                        chats.extend(more.into_iter().filter(|chat| !known.contains(&chat.id)));
                    });
                }
                Err(failure) => self.notices.fail(&failure),
            }
        });
    }

    /// Deletes a chat and takes it from the list.
    pub(crate) fn delete_chat(self, id: String) {
        spawn_local(async move {
            match client::delete(&format!("/api/v1/chats/{id}")).await {
                Ok(()) => {
                    self.chats.update(|chats| {
                        if let Some(chats) = chats {
                            chats.retain(|chat| chat.id != id);
                        }
                    });
                    client::forget_chat(&id);
                }
                Err(failure) => self.notices.fail(&failure),
            }
        });
    }

    /// Opens a chat about a sample.
    pub(crate) fn open_sample(self, id: String) {
        if self.opening.with_untracked(Option::is_some) {
            return;
        }
        self.opening.set(Some(id.clone()));
        spawn_local(async move {
            let body = CreateChat {
                sample_id: Some(id),
                ..CreateChat::default()
            };
            self.enter(client::post("/api/v1/chats", &body).await);
            self.opening.set(None);
        });
    }

    /// Takes a picture that was pasted: where a chat is shown it may be a mask for that.
    pub(crate) fn open_pasted(self, picked: Picked) {
        match self.pasted.get_value() {
            Some(take) => take.run(picked),
            None => self.open_picked(picked),
        }
    }

    /// Opens what was picked of the files that came together, and says that the others stay out.
    pub(crate) fn open_picked(self, Picked { file, others }: Picked) {
        if others > 0 && self.upload.with_untracked(Option::is_none) {
            let text = left_out(&file.name(), others);
            self.notices.info("One picture at a time", &text);
        }
        self.open_file(file);
    }

    /// Uploads a picture and opens a chat about it.
    pub(crate) fn open_file(self, file: File) {
        if self.upload.with_untracked(Option::is_some) {
            self.notices
                .info("One at a time", "Wait until the first picture is there.");
            return;
        }
        let name = file.name();
        self.upload.set(Some(Upload {
            name: name.clone(),
            step: UploadStep::Sending(0.0),
        }));
        spawn_local(async move {
            let progress = move |step| {
                self.upload.update(|upload| {
                    if let Some(upload) = upload {
                        upload.step = step;
                    }
                });
            };
            let heic = self.heic.get_value();
            let chat = async {
                let image = client::upload(&file, heic.as_deref(), progress).await?;
                let title = title(&name);
                let body = CreateChat {
                    image_id: Some(image.id),
                    title,
                    sample_id: None,
                };
                client::post("/api/v1/chats", &body).await
            };
            self.enter(chat.await);
            self.upload.set(None);
        });
    }

    fn enter(self, chat: Result<Chat, Failure>) {
        match chat {
            Ok(chat) => self.destination.set(Some(format!("/c/{}", chat.id))),
            Err(failure) => self.notices.fail(&failure),
        }
    }
}

fn left_out(name: &str, others: usize) -> String {
    match others {
        1 => format!("{name} is opened; the other file is left out."),
        more => format!("{name} is opened; the other {more} files are left out."),
    }
}

/// A file's name as the server takes it for a title; the server makes one where this is none.
fn title(name: &str) -> Option<String> {
    let plain = name.chars().filter(|c| !c.is_control());
    let title: String = plain.take(MAX_TITLE).collect();
    (!title.trim().is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        assert_eq!(
            left_out("mug.jpg", 1),
            "mug.jpg is opened; the other file is left out."
        );
        assert_eq!(
            left_out("mug.jpg", 3),
            "mug.jpg is opened; the other 3 files are left out."
        );
    }

    #[test]
    fn titles_are_one_line_and_not_too_long() {
        assert_eq!(title("mug.png").as_deref(), Some("mug.png"));
        assert_eq!(title("a\nb\u{7}.png").as_deref(), Some("ab.png"));
        assert_eq!(title("\t "), None);
        let long = title(&"ü".repeat(300)).unwrap_or_default();
        assert_eq!(long.chars().count(), MAX_TITLE);
    }
}
