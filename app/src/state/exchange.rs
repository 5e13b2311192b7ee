use fclm_core::mask::{Rle, png};
use fclm_core::wire::{Mode, Role};
use leptos::prelude::*;
use web_sys::File;

use super::{Application, Workspace};
use crate::client::{self, Picked};
use crate::editor::MAX_PIXELS;
use crate::formats::{
    Asked, Imported, Named, Table, Turn, are_masks, coco_json, conversation_json,
    conversation_markdown, csv, indexed_png, masks_of_pixels, overlap, polygon_json, read_regions,
    svg, table,
};

/// What stands for a region that is not there any more.
pub(crate) const DELETED: &str = "a deleted region";

/// What is lost in a PNG in which each pixel is of one region.
const OVERLAP: &str = "Where they do, this PNG keeps the later region alone. \
    COCO JSON, or a PNG of each mask, keeps all of them.";

/// What can be saved of a chat as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Export {
    /// Regions as a COCO data set.
    Coco,
    /// Regions as polygons in JSON.
    Polygons,
    /// Regions as an SVG drawing.
    Svg,
    /// Regions as one PNG with a palette.
    Indexed,
    /// The conversation for people.
    Markdown,
    /// The conversation for programs.
    Json,
}

impl Export {
    /// What the file's name ends with, and its media type.
    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Coco => ("coco.json", "application/json"),
            Self::Polygons => ("polygons.json", "application/json"),
            Self::Svg => ("regions.svg", "image/svg+xml"),
            Self::Indexed => ("regions.png", "image/png"),
            Self::Markdown => ("chat.md", "text/markdown"),
            Self::Json => ("chat.json", "application/json"),
        }
    }
}

impl Workspace {
    /// Makes regions of a file: a PNG, or any text that is read.
    pub(crate) fn import_file(self, file: File) {
        let Some(size) = self.editor.size() else {
            return;
        };
        self.tasks.spawn(async move {
            if file.type_().starts_with("image/") && file.type_() != "image/svg+xml" {
                match client::pixels(&file).await {
                    Ok(pixels) if (pixels.width, pixels.height) == size => {
                        self.take_in(masks_of_pixels(size.0, size.1, &pixels.rgba));
                    }
                    Ok(pixels) => self.refuse(&format!(
                        "The mask is for a picture of {} x {} pixels, and this one has {} x {}.",
                        pixels.width, pixels.height, size.0, size.1
                    )),
                    Err(_) => self.refuse("The file is no picture that this browser can read."),
                }
                return;
            }
            match client::text(&file).await {
                Some(text) => self.import_text(&text),
                None => self.refuse("The file could not be read."),
            }
        });
    }

    /// Makes regions of a picture that was pasted, where it is a mask of this picture's size; any
    /// other one is opened.
    pub(crate) fn take_pasted(self, picked: Picked, application: Application) {
        let Some((width, height)) = self.editor.size() else {
            return application.open_picked(picked);
        };
        self.tasks.spawn(async move {
            match client::pixels(&picked.file).await {
                Ok(pixels)
                    if (pixels.width, pixels.height) == (width, height)
                        && are_masks(&pixels.rgba) =>
                {
                    self.take_in(masks_of_pixels(width, height, &pixels.rgba));
                }
                _ => application.open_picked(picked),
            }
        });
    }

    /// Makes regions of a text.
    pub(crate) fn import_text(self, text: &str) {
        let Some(size) = self.editor.size() else {
            return;
        };
        match read_regions(text, size) {
            Ok(found) => self.take_in(found),
            Err(error) => self.refuse(&error.to_string()),
        }
    }

    fn take_in(self, found: Vec<Imported>) {
        let offered = found.len();
        if offered == 0 {
            return self.refuse("There is no region with a pixel on this picture in it.");
        }
        let taken = self.editor.import(found);
        if taken < offered {
            let text = format!("There was room for {taken} of {offered} regions.");
            self.notices.info("Not all was imported", &text);
        }
        self.editor.say(if taken == 1 {
            "One region imported".to_owned()
        } else {
            format!("{taken} regions imported")
        });
    }

    fn refuse(self, text: &str) {
        self.notices.error("Nothing was imported", text);
    }

    /// Lets the browser save something of the chat; edges of polygons keep within `tolerance`
    /// pixels.
    pub(crate) fn export(self, what: Export, tolerance: f32) {
        let Some(size) = self.editor.size() else {
            return;
        };
        let title = self.title.get_untracked();
        let regions = || self.editor.document.with_untracked(|d| d.to_wire());
        let mut is_lossy = false;
        let bytes = match what {
            Export::Coco => coco_json(&title, size, &self.named()).into_bytes(),
            Export::Polygons => polygon_json(size, &self.named(), tolerance).into_bytes(),
            Export::Svg => svg(size, &self.named(), tolerance).into_bytes(),
            Export::Indexed => {
                let regions = self.named();
                is_lossy = overlap(&regions);
                indexed_png(size, &regions)
            }
            Export::Markdown => {
                conversation_markdown(&title, &regions(), &self.turns()).into_bytes()
            }
            Export::Json => conversation_json(&title, size, &regions(), &self.turns()).into_bytes(),
        };
        let (ending, kind) = what.file();
        let is_saved = self.save(&self.file_name(ending), kind, &bytes);
        if is_saved && is_lossy {
            self.notices.info("Regions overlap", OVERLAP);
        }
    }

    /// Lets the browser save a region's mask as a black and white PNG.
    pub(crate) fn export_mask(self, id: &str) {
        if let Some(mask) = self.editor.mask(id) {
            let name = self.file_name(&format!("{}.png", self.place(id)));
            self.save(&name, "image/png", &png::grey(&mask));
        }
    }

    /// Lets the browser save the part of the picture that a region covers.
    pub(crate) fn export_cut_out(self, id: &str) {
        let (Some(mask), Some(image)) = (self.editor.mask(id), self.editor.image.get_untracked())
        else {
            return;
        };
        let name = self.file_name(&format!("{}-cutout.png", self.place(id)));
        self.tasks.spawn(async move {
            let saved = client::save_cut_out(&name, &image.url, mask.data()).await;
            if saved.is_err() {
                self.not_saved();
            }
        });
    }

    /// The table of the last question that was asked of several regions.
    pub(crate) fn table(self) -> Option<Table> {
        let asked = self.conversation.messages.with(|messages| {
            let pairs = messages.iter().zip(messages.iter().skip(1));
            pairs
                .filter(|(question, answer)| {
                    question.role == Role::User
                        && question.mode == Mode::Ask
                        && answer.role == Role::Assistant
                })
                .map(|(question, answer)| Asked {
                    question: question.text.get_untracked(),
                    region_ids: question.region_ids.clone(),
                    answer_id: answer.id.clone(),
                })
                .collect::<Vec<_>>()
        });
        table(&asked)
    }

    /// A row of the table: the region's `@k`, or that it was deleted, its name, and the answer as
    /// far as it is written.
    pub(crate) fn table_row(self, (region, answer): &(String, String)) -> Vec<String> {
        let (number, name) = self.editor.document.with(|document| {
            let number = document.number(region).map(|number| format!("@{number}"));
            let name = document.get(region).map(|region| region.name.clone());
            let number = number.unwrap_or_else(|| DELETED.to_owned());
            (number, name.unwrap_or_default())
        });
        let text = self.conversation.messages.with(|messages| {
            let message = messages.iter().find(|message| message.id == *answer);
            message.map(|message| message.text.get())
        });
        vec![number, name, text.unwrap_or_default()]
    }

    /// Lets the browser save the table as CSV.
    pub(crate) fn export_table(self) {
        let Some(table) = untrack(|| self.table()) else {
            return;
        };
        let head = ["Region", "Name", table.question.as_str()].map(str::to_owned);
        let mut rows = vec![head.to_vec()];
        rows.extend(table.rows.iter().map(|row| {
            let mut row = untrack(|| self.table_row(row));
            // A spreadsheet takes what starts with @ for a formula.
            row[0] = row[0].trim_start_matches('@').to_owned();
            row
        }));
        let name = self.file_name("answers.csv");
        self.save(&name, "text/csv", csv(&rows).as_bytes());
    }

    // Whether the browser took the file; says so where it did not.
    fn save(self, name: &str, kind: &str, bytes: &[u8]) -> bool {
        let is_taken = client::save(name, kind, bytes).is_ok();
        if !is_taken {
            self.not_saved();
        }
        is_taken
    }

    fn not_saved(self) {
        self.notices
            .error("Nothing was saved", "The browser did not take the file.");
    }

    fn named(self) -> Vec<Named> {
        let regions = self
            .editor
            .document
            .with_untracked(|document| document.regions.clone());
        regions
            .into_iter()
            .filter_map(|region| {
                Some(Named {
                    mask: Rle::from_wire(&region.mask, MAX_PIXELS).ok()?,
                    name: region.name,
                    color: region.color,
                })
            })
            .collect()
    }

    fn turns(self) -> Vec<Turn> {
        let messages = self.conversation.messages.get_untracked();
        messages
            .into_iter()
            .map(|message| {
                let found = message.found.get_untracked();
                Turn {
                    is_question: message.role == Role::User,
                    mode: message.mode,
                    text: message.text.get_untracked(),
                    region_ids: message.region_ids,
                    found: found
                        .iter()
                        .map(|found| (found.phrase.clone(), found.score))
                        .collect(),
                    masks: found
                        .iter()
                        .filter_map(|found| serde_json::to_value(&*found.mask).ok())
                        .collect(),
                }
            })
            .collect()
    }

    fn place(self, id: &str) -> usize {
        let number = self.editor.document.with_untracked(|d| d.number(id));
        number.unwrap_or(0)
    }

    fn file_name(self, ending: &str) -> String {
        file_name(&self.title.get_untracked(), ending)
    }
}

/// A file's name after a chat's title, without what file systems do not take.
fn file_name(title: &str, ending: &str) -> String {
    let stem = title.rsplit_once('.').map_or(title, |(stem, _)| stem);
    let plain: String = stem
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .take(60)
        .collect();
    match plain.trim_matches('-') {
        "" => format!("fclm-{ending}"),
        plain => format!("{plain}-{ending}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_after_the_chat() {
        assert_eq!(file_name("red mug.jpg", "coco.json"), "red-mug-coco.json");
        assert_eq!(file_name("../..", "1.png"), "fclm-1.png");
        assert_eq!(file_name("Table", "chat.md"), "Table-chat.md");
    }
}
