//! The server side of FCLM: what serves, trains and measures the model.

pub mod data;
pub mod eval;
