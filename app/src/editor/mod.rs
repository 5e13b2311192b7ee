//! What the canvas edits, free of any browser type: regions, their history, strokes, drags,
//! outlines and the mapping between image and screen. All of it is tested on the host.

mod clicks;
mod document;
mod drag;
mod history;
mod kept_view;
mod movement;
mod open_polygon;
mod outline;
mod polygon;
mod raster;
mod region;
mod run_index;
mod step;
mod viewport;

pub use clicks::Clicks;
pub use document::Document;
pub use drag::{dragged_box, is_inside};
pub use history::History;
pub use kept_view::KeptView;
pub use movement::{Movement, Press, Reshaping};
pub use open_polygon::OpenPolygon;
pub use outline::{coarser, outline};
pub use polygon::{Handle, Polygon};
pub use raster::{Ink, PixelRect, Raster};
pub use region::{Instrument, RegionState, clean_name, region_id_from};
pub use run_index::RunIndex;
pub use step::describe_step;
pub use viewport::{Insets, PointXy, Viewport};

/// Colours given to regions in turn: far apart, and readable on dark and light pictures.
pub const PALETTE: [&str; 10] = [
    "#ff5d5d", "#2f8fff", "#21b573", "#ffb020", "#a964f7", "#00b8c9", "#ff6fb5", "#8bc34a",
    "#ff8a3d", "#6b7cff",
];

/// The largest mask that the page unpacks, in pixels; the server refuses larger images anyway.
pub const MAX_PIXELS: u64 = 100_000_000;

/// The colour of an answer's n-th mask; it starts far from the first regions' colours.
pub fn found_color(index: usize) -> &'static str {
    PALETTE[(index * 3 + 4) % PALETTE.len()]
}
