//! Puts store, engine and interface together, listens, and goes down in good order.

mod error;
mod places;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub use self::{
    error::ServeError,
    places::{find_data_dir, find_model, find_site},
};
use crate::{
    api::{AppState, ImageLimits, Site, router},
    engine::{Engine, LoadState},
    store::Store,
};

/// How long connections may take to send what is left when the server goes down.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How the server runs.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where it listens; port 0 takes any that is free.
    pub addr: SocketAddr,
    /// Where it keeps what users make.
    pub data_dir: PathBuf,
    /// The built page; without one there is only the interface for programs.
    pub site: Option<PathBuf>,
    /// What a picture may be at most.
    pub images: ImageLimits,
    /// How long answers may go on being written after the server was told to end.
    pub grace: Duration,
}

impl ServeOptions {
    /// The usual options for a data directory.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            data_dir,
            site: None,
            images: ImageLimits::default(),
            grace: Duration::from_secs(10),
        }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    engine: Engine,
    end: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Opens the store and listens. The model may still be loading: until it is there, questions
    /// are answered with "still loading".
    ///
    /// # Errors
    /// Where the address is not loopback or is taken, or the data directory or the site cannot be
    /// used.
    pub async fn start(options: ServeOptions, engine: Engine) -> Result<Self, ServeError> {
        if !options.addr.ip().is_loopback() {
            return Err(ServeError::NotLoopback { addr: options.addr });
        }
        let site = match &options.site {
            Some(dir) => Site::open(dir)?,
            None => Site::default(),
        };
        let store = Arc::new(Store::open(&options.data_dir).await?);
        let listener =
            TcpListener::bind(options.addr)
                .await
                .map_err(|source| ServeError::Listen {
                    addr: options.addr,
                    source,
                })?;
        let addr = listener.local_addr().map_err(|source| ServeError::Listen {
            addr: options.addr,
            source,
        })?;
        let state = AppState::new(store, engine.clone(), site, options.images);
        let (end, ended) = oneshot::channel::<()>();
        let grace = options.grace;
        let serving = tokio::spawn(async move {
            let app = router(state.clone());
            let (stop_accepting, stopped) = oneshot::channel::<()>();
            let mut accepting = tokio::spawn(
                axum::serve(listener, app)
                    .with_graceful_shutdown(async {
                        // Dropping the sender says the same as sending.
                        let _ = stopped.await;
                    })
                    .into_future(),
            );
            let _ = ended.await;
            drop(stop_accepting);
            state.drain(grace).await;
            // Streams have had their last event; whoever still holds a connection is cut off.
            match tokio::time::timeout(LAST_WORDS, &mut accepting).await {
                Ok(ended) => ended.unwrap_or_else(|failed| Err(std::io::Error::other(failed))),
                Err(_) => {
                    accepting.abort();
                    Ok(())
                }
            }
        });
        Ok(Self {
            addr,
            engine,
            end,
            serving,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until the model is loaded or has failed to.
    pub async fn loaded(&self) -> LoadState {
        self.engine.loaded().await
    }

    /// Takes no new connection, lets answers be finished for the time that the options give, and
    /// stores everything.
    ///
    /// # Errors
    /// Where the listener failed.
    pub async fn shut_down(self) -> Result<(), ServeError> {
        drop(self.end);
        match self.serving.await {
            Ok(served) => served.map_err(ServeError::Io),
            Err(failed) => Err(ServeError::Io(std::io::Error::other(failed))),
        }
    }
}

/// Serves until SIGTERM or ctrl-c, then goes down in good order.
///
/// # Errors
/// Where it cannot start, or the model cannot be loaded.
pub async fn serve(options: ServeOptions, engine: Engine) -> Result<(), ServeError> {
    let server = Server::start(options, engine).await?;
    tracing::info!(address = %server.addr(), "listening on http://{}", server.addr());
    let loading = async {
        match server.loaded().await {
            LoadState::Failed(why) => why,
            LoadState::Ready(info) => {
                tracing::info!(
                    model = info.name,
                    parameters = info.parameters,
                    "model loaded"
                );
                std::future::pending().await
            }
            LoadState::Loading => std::future::pending().await,
        }
    };
    let failed = tokio::select! {
        why = loading => Some(why),
        () = told_to_end() => None,
    };
    tracing::info!("going down");
    server.shut_down().await?;
    match failed {
        Some(why) => Err(ServeError::Model(why)),
        None => Ok(()),
    }
}

async fn told_to_end() {
    use tokio::signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    };
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            // Without the handler the signal ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = ctrl_c() => {}
        () = terminated => {}
    }
}
