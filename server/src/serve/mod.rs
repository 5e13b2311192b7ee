//! Puts store, engine and interface together, listens, and goes down in good order.

mod error;
mod places;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, interval_at},
};

pub use self::{
    error::ServeError,
    places::{find_data_dir, find_model, find_site},
};
use crate::{
    api::{AppState, ImageLimits, Site, router},
    engine::{Engine, LoadState},
    store::Store,
};

/// How often unused uploads are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// How the server runs.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where it listens; port 0 takes any that is free.
    pub addr: SocketAddr,
    /// Where it keeps what users make.
    pub data_dir: PathBuf,
    /// The built page; without one there is only the interface for programs.
    pub site: Option<PathBuf>,
    /// The model directory, whose light part browsers load; none where they may not.
    pub model: Option<PathBuf>,
    /// What a picture may be at most.
    pub images: ImageLimits,
    /// How long requests and answers may go on after the server was told to end.
    pub grace: Duration,
}

impl ServeOptions {
    /// The usual options for a data directory.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            data_dir,
            site: None,
            model: None,
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
        let sweeping = tokio::spawn(sweep(Arc::clone(&store)));
        let state = AppState::new(store, engine.clone(), site, options.images)
            .with_light(options.model.as_deref());
        let (end, ended) = oneshot::channel::<()>();
        let grace = options.grace;
        let serving = tokio::spawn(async move {
            let app = router(state.clone());
            let (stop_accepting, stopped) = oneshot::channel::<()>();
            let accepting = tokio::spawn(
                axum::serve(listener, app)
                    .with_graceful_shutdown(async {
                        // Dropping the sender says the same as sending.
                        let _ = stopped.await;
                    })
                    .into_future(),
            );
            let _ = ended.await;
            drop(stop_accepting);
            sweeping.abort();
            let cut_off = accepting.abort_handle();
            let served = state.drain(accepting, grace).await;
            // Streams have had their last event; nobody waits for who still holds a connection.
            cut_off.abort();
            match served {
                Some(Ok(served)) => served,
                Some(Err(failed)) => Err(std::io::Error::other(failed)),
                None => Ok(()),
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

    /// Waits until the model can answer no more, and says why.
    pub async fn failed(&self) -> String {
        self.engine.failed().await
    }

    /// Takes no new connection, lets requests and answers be finished for the time that the
    /// options give, and stores everything.
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

/// Serves until SIGTERM, ctrl-c or the model's failure, then goes down in good order. From here on
/// the process's panics go into its log.
///
/// # Errors
/// Where it cannot start, or the model cannot be loaded or breaks down.
pub async fn serve(options: ServeOptions, engine: Engine) -> Result<(), ServeError> {
    log_panics();
    let server = Server::start(options, engine).await?;
    tracing::info!(address = %server.addr(), "listening on http://{}", server.addr());
    let failing = async {
        match server.loaded().await {
            LoadState::Failed(why) => why,
            LoadState::Ready(info) => {
                tracing::info!(
                    model = info.name,
                    parameters = info.parameters,
                    "model loaded"
                );
                server.failed().await
            }
            LoadState::Loading => std::future::pending().await,
        }
    };
    let failed = tokio::select! {
        why = failing => Some(why),
        () = told_to_end() => None,
    };
    tracing::info!("going down");
    server.shut_down().await?;
    match failed {
        Some(why) => Err(ServeError::Model(why)),
        None => Ok(()),
    }
}

/// Removes uploads that nobody asks about, for as long as the server runs.
async fn sweep(store: Arc<Store>) {
    // The store has swept when it was opened.
    let mut hours = interval_at(Instant::now() + SWEEP, SWEEP);
    loop {
        hours.tick().await;
        if let Err(error) = store.sweep_images().await {
            tracing::warn!(%error, "unused pictures stay for another hour");
        }
    }
}

/// Writes panics like everything else, with the request that they happened in.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let text = panic.payload_as_str().unwrap_or("without a text");
        tracing::error!(place, text, "panicked");
    }));
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
