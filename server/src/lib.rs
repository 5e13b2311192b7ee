//! The server side of FCLM: what serves, trains and measures the model.
//!
//! [`serve`] joins the HTTP interface ([`api`]), the store behind it ([`store`]) and the engine
//! that owns the model ([`engine`]). [`predict`] asks the model without a server, for the command
//! line and for [`eval`]. Only this crate knows HTTP, the database and the layout of the file
//! system; the model itself is [`fclm_core`].

pub mod ablate;
pub mod api;
pub mod bench;
pub mod chat_client;
pub mod data;
pub mod device;
pub mod disk;
pub mod engine;
pub mod eval;
mod markup;
pub mod model_dir;
pub mod plot;
pub mod predict;
pub mod serve;
pub mod store;
pub mod train;
