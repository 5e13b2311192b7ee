use std::{
    io::IsTerminal,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use fclm_server::{
    engine::{Engine, EngineOptions, FclmBackend},
    model_dir::ModelDir,
    serve::{ServeOptions, find_data_dir, find_site, serve},
};
use tracing_subscriber::EnvFilter;

use super::model::ModelArg;

/// Options of `fclm serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    model: ModelArg,
    /// Where chats and pictures are kept.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where to listen; this computer only.
    #[arg(
        long,
        visible_alias = "listen",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:3000"
    )]
    addr: String,
    /// The built page.
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,
    /// How the log is written.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let device = self.model.device()?;
        let model = self.model.path()?;
        let data_dir = self
            .data_dir
            .or_else(find_data_dir)
            .context("there is no place for what users make: give one by --data-dir")?;
        let options = ServeOptions {
            addr: resolve(&self.addr)?,
            site: self.site.or_else(find_site),
            model: Some(model.clone()),
            ..ServeOptions::new(data_dir)
        };
        // Opened before anything is logged, so that a wrong path is answered by one sentence.
        let model = ModelDir::open(&model)?;
        start_log(self.log);
        let load = move || FclmBackend::load(&model, &device).map_err(|error| error.to_string());
        let engine = Engine::start(EngineOptions::default(), load)
            .context("the system gives no thread for the model")?;
        let runtime = tokio::runtime::Runtime::new().context("the system gives no threads")?;
        runtime.block_on(serve(options, engine))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn resolve(addr: &str) -> anyhow::Result<SocketAddr> {
    let found = addr
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next());
    found.with_context(|| format!("{addr:?} is no address; write it as 127.0.0.1:3000"))
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.compact().init(),
    }
}
