//! FCLM's page: a picture with marked regions on one side, the conversation about it on the other.
//!
//! The server renders the page to HTML with [`render_page`] (feature `ssr`); the browser takes it
//! over by mounting [`App`](App()) (feature `hydrate`). Everything that changes is fetched by the
//! browser from `/api/v1`, so what the server renders is the same for everybody: the layout, the
//! samples and the badge of the model, which also travel as JSON in the document ([`Boot`]).
//!
//! The state of a chat is in three layers. The module `editor` holds what can be done to regions, free of
//! browser types and tested on the host; `state` holds signals over it and talks to the server;
//! `canvas`, `panel` and `page` show it. Masks live as COCO RLE; a bitmap exists only under a
//! running stroke and in the layers that are drawn.
//!
//! The model's text is only ever put into text nodes, and nothing needs an inline style or an
//! inline handler: colours and sizes are set through the style object, which a strict content
//! security policy lets through.
//!
//! # Marks for tests
//!
//! These `data-testid`s stay as they are, because the browser test relies on them:
//!
//! | mark | element |
//! |---|---|
//! | none; `data-live` of `<html>` | the page answers to clicks and keys |
//! | `sample-card` | a sample scene; `data-sample-id` |
//! | `upload-input`, `upload-progress` | the file input, and the upload on its way |
//! | `chat-row`, `chat-delete` | a chat of before |
//! | `more-chats` | shows older chats |
//! | `model-badge`, `model-stage`, `model-knows` | the model's badge and its parts |
//! | `theme-toggle` | dark or light |
//! | `chat-title`, `save-state` | the chat's title; `Saved` once the server has the regions |
//! | `stage`, `canvas` | the picture. The canvas tells how it shows it: `data-ready`, `data-tool`, `data-preview` (whether a click's result is shown beforehand) and `data-preview-by` (`worker` or `page`, who draws it), `data-image-width`, `data-image-height`, and `data-scale`, `data-offset-x`, `data-offset-y` with *canvas = image * scale + offset* in CSS pixels |
//! | `tool-select`, `tool-click`, `tool-minus`, `tool-box`, `tool-brush`, `tool-eraser`, `tool-polygon`, `tool-lasso`, `tool-undo`, `tool-redo`, `tool-peek`, `brush-size` | the tools |
//! | `mask-place` | where masks are made; `data-place` is `server`, `loading`, `gpu` or `cpu`, and the title says why a device was given up |
//! | `stage-hint` | what the tool in hand does next |
//! | `zoom-in`, `zoom-out`, `zoom-fit` | zoom |
//! | `toolbar`, `zoom` | what holds the tools and the zoom, both beside the fitted picture |
//! | `region-item` | a region; `data-region-id`, `data-bounds` (`x0 y0 x1 y1` of its mask), `data-area` in pixels. Within: `region-select`, `region-name`, `region-note` (score or kind), `region-rectangle`, `region-mention`, `region-hide`, `region-lock`, `region-delete` |
//! | `region-more` | what can be done to the chosen region: `region-duplicate`, `region-up`, `region-down`, `region-grow`, `region-shrink`, `region-fill`, `region-invert`, `region-png`, `region-cutout` |
//! | `opacity` | how strongly masks are filled |
//! | `exchange`, `import-input`, `export-coco`, `export-polygons`, `export-svg`, `export-indexed`, `export-markdown`, `export-json`, `export-tolerance` | import and export |
//! | `announcement` | what is told to screen readers |
//! | `ask-each` | asks the same of every region |
//! | `answer-table`, `table-csv` | the answers to a question that was asked of several regions |
//! | `new-region` | the next stroke starts another region |
//! | `mode-switch`, `mode-ask`, `mode-find`, `mode-caption` | what the next message asks for |
//! | `about` | the regions the next question is about |
//! | `ask-input`, `send-button`, `stop-button` | the next message |
//! | `suggestion` | something to find in a sample |
//! | `messages` | the conversation |
//! | `question` | a message of the user |
//! | `answer` | an answer; `data-message-id`, and `data-open` while it is being written. Within: `answer-text`, `answer-waiting`, `phrase`, `found-item` (`data-score`), `found-adopt`, `answer-cost` |
//! | `error-message` | something that went wrong, where known with `data-code` |
//! | `notice` | good to know |
//! | `not-found` | the page for wrong addresses |

// A page is one nested type, deeper than the default allows.
#![recursion_limit = "256"]
// The component macro makes the properties of every component public.
#![allow(unreachable_pub)]

mod bitmap;
mod canvas;
mod client;
mod editor;
mod extractor;
mod formats;
mod icons;
mod media;
mod page;
mod panel;
mod resize;
mod shell;
mod state;
mod text;

use leptos::prelude::*;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::path;

pub use page::load_parts;
#[cfg(feature = "ssr")]
pub use shell::render_page;
pub use shell::{Boot, PageAssets, WorkerAssets, shell};

use page::{ChatPage, Frame, HomePage, NotFound};
use state::Application;

/// The page with its routes: `/` for pictures and chats, `/c/{chat}` for a chat.
#[component]
pub fn App() -> impl IntoView {
    let application = Application::new();
    provide_context(application);
    view! {
        <Router>
            <Frame>
                <Routes fallback=NotFound>
                    <Route path=path!("/") view=HomePage/>
                    <Route path=path!("/c/:chat_id") view=ChatPage/>
                </Routes>
            </Frame>
        </Router>
    }
}
