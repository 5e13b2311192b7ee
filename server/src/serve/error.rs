use std::{io, net::SocketAddr};

use crate::{api::SiteError, store::StoreError};

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There are no accounts, so nobody else may be let in.
    #[error(
        "FCLM has no accounts yet, so it serves this computer only: {addr} can be reached from \
         others; use 127.0.0.1 or [::1]"
    )]
    NotLoopback {
        /// What was asked for.
        addr: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The built page cannot be used.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The model cannot be loaded, or has broken down.
    #[error("{0}")]
    Model(String),
    /// The listener failed.
    #[error("serving failed: {0}")]
    Io(io::Error),
}
