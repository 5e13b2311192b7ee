//! A running `fclm serve` with a data directory of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::binary;

/// Loading a model on two busy cores takes the most of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub struct Served {
    child: Child,
    address: String,
    data: TempDir,
    client: reqwest::Client,
}

impl Served {
    /// Starts the server on a free port and waits until it is ready.
    ///
    /// # Panics
    /// If it does not start; shows its log.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Served::start`], with another page than the one that was built.
    ///
    /// # Panics
    /// As [`Served::start`].
    pub async fn with_site(site: &Path) -> Self {
        Self::start_with(&[OsStr::new("--site"), site.as_os_str()]).await
    }

    /// As [`Served::start`], with another model than nano.
    ///
    /// # Panics
    /// As [`Served::start`].
    pub async fn with_model(model: &Path) -> Self {
        Self::start_with(&[OsStr::new("--model"), model.as_os_str()]).await
    }

    async fn start_with(arguments: &[&OsStr]) -> Self {
        let port = free_port();
        let data = tempfile::tempdir().expect("a folder for the server's data");
        let log = File::create(data.path().join("log")).expect("a log file");
        let child = binary::command()
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .arg("--data-dir")
            .arg(data.path().join("data"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file is shared"))
            .stderr(log)
            .spawn()
            .expect("fclm starts");
        fclm_server::chat_client::prepare_tls();
        let client = reqwest::Client::new();
        let mut served = Self {
            child,
            address: format!("http://127.0.0.1:{port}"),
            data,
            client,
        };
        served.wait_until_ready().await;
        served
    }

    async fn wait_until_ready(&mut self) {
        let started = Instant::now();
        let url = self.url("/readyz");
        loop {
            if let Some(status) = self.child.try_wait().expect("the server can be asked") {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            let answer = self.client.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "the server is not ready:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A URL of the server.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The JSON that a path answers with.
    ///
    /// # Panics
    /// If it does not answer, or with something else.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = self
            .client
            .get(self.url(path))
            .send()
            .await
            .expect("the server answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer
            .json()
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Deletes what is at a path.
    ///
    /// # Panics
    /// If it is not deleted.
    pub async fn delete(&self, path: &str) {
        let answer = self
            .client
            .delete(self.url(path))
            .send()
            .await
            .expect("the server answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// Tells the server to end, as the system does: by SIGTERM.
    ///
    /// # Panics
    /// If it cannot be told.
    pub fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let told = Command::new("sh").args(["-c", &kill]).status();
        assert!(told.expect("a shell").success(), "{kill}");
    }

    /// Waits until the server has ended by itself.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the server can be asked") {
                return status;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "the server does not end:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Already ended is as good as killed, and a test that fails must not fail twice.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the port has a number").port()
}
