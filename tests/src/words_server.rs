//! A running `words-server`: the model of words, served by a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::api::Client;

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub struct WordsServer {
    /// Speaks to it.
    pub client: Client,
    child: Child,
}

impl WordsServer {
    /// Starts the program at `binary`, which only tests in `tests/` know, as
    /// `env!("CARGO_BIN_EXE_words-server")`, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(binary: &str, data: &Path) -> Self {
        let mut child = Command::new(binary)
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output)
            .read_line(&mut address)
            .expect("an address");
        let client = Client::new(address.trim());
        Self { client, child }
    }

    /// The most memory that it has ever held, in bytes.
    ///
    /// # Panics
    /// If the system does not say; Linux does.
    pub fn peak_bytes(&self) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("Linux says what a process holds");
        let peak = status.lines().find_map(|line| {
            let kibibytes = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
            kibibytes.parse::<usize>().ok()
        });
        peak.expect("a number of kB") << 10
    }

    /// SIGKILL: no handler runs.
    ///
    /// # Panics
    /// If it has ended already.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for WordsServer {
    fn drop(&mut self) {
        // Already killed is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
