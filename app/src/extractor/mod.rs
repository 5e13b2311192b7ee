//! Masks and regions' vectors from a worker of this page, where the browser can compute them.
//!
//! The first chat that is opened starts it. A worker for the GPU and one for the CPU are tried, the
//! faster one is kept and remembered for the next visit. Until one is ready, and wherever one fails,
//! callers are told so and ask the server.

mod local;
mod trial;
mod worker;

pub(crate) use local::Extractor;
