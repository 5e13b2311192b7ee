//! A server with the model of words in a process of its own, so that a test can kill it.
//!
//! `words-server DATA_DIR` prints its address on the first line.

use std::io::Write;
use std::path::PathBuf;

use fclm_server::engine::{Engine, EngineOptions};
use fclm_server::serve::{ServeOptions, Server};
use fclm_tests::double::Words;

#[tokio::main]
async fn main() {
    let data = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .expect("a data directory");
    let engine = Engine::start(EngineOptions::default(), || Ok(Words::default()));
    let mut options = ServeOptions::new(data);
    options.addr.set_port(0);
    let server = Server::start(options, engine.expect("a thread"))
        .await
        .expect("it starts");
    server.loaded().await;
    let mut out = std::io::stdout();
    writeln!(out, "http://{}", server.addr())
        .and_then(|()| out.flush())
        .expect("an open pipe");
    std::future::pending().await
}
