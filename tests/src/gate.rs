//! A way to the server on which requests are counted and some of them held back.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::served::Served;

/// Most bytes before a request's body.
const MOST: usize = 1 << 16;
/// What ends them.
const END: &[u8] = b"\r\n\r\n";

/// The gate; nothing passes it any more when this is dropped.
#[derive(Debug)]
pub struct Gate {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    is_open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Gate {
    /// A gate before a server. Until it is opened, it holds the requests whose paths contain one of
    /// the texts.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn before(served: &Served, held: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the port has a number");
        let (sender, is_open) = watch::channel(false);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let way = Way {
            server: served.url("").trim_start_matches("http://").to_owned(),
            held: held.iter().map(|text| (*text).to_owned()).collect(),
            asked: Arc::clone(&asked),
            is_open,
        };
        let accepting = tokio::spawn(async move {
            while let Ok((browser, _)) = listener.accept().await {
                let way = way.clone();
                tokio::spawn(async move {
                    // Whatever breaks a connection, those at its ends notice.
                    let _ = way.pass(browser).await;
                });
            }
        });
        Self {
            address: format!("http://{address}"),
            asked,
            is_open: sender,
            accepting,
        }
    }

    /// A URL of the server, as it is seen through the gate.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// How many requests have come so far whose paths contain a text, held ones included.
    ///
    /// # Panics
    /// If a task that counts them panicked.
    pub fn asked(&self, text: &str) -> usize {
        let asked = self.asked.lock().expect("nobody fails with the requests");
        asked.iter().filter(|path| path.contains(text)).count()
    }

    /// Lets all requests pass, also those that were held.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What a connection needs to know.
#[derive(Clone)]
struct Way {
    server: String,
    held: Vec<String>,
    asked: Arc<Mutex<Vec<String>>>,
    is_open: watch::Receiver<bool>,
}

impl Way {
    /// Passes one request on, and its answer back.
    async fn pass(mut self, mut browser: TcpStream) -> io::Result<()> {
        let mut request: Vec<u8> = Vec::new();
        let end = loop {
            let end = request.windows(END.len()).position(|bytes| bytes == END);
            if let Some(end) = end {
                break end + END.len();
            }
            if request.len() > MOST || browser.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        };
        let (head, body) = request.split_at(end);
        let head = String::from_utf8_lossy(head);
        let path = head.split(' ').nth(1).unwrap_or_default();
        self.note(path);
        let is_held = self.held.iter().any(|text| path.contains(text.as_str()));
        if is_held && self.is_open.wait_for(|is_open| *is_open).await.is_err() {
            return Ok(());
        }
        let mut server = TcpStream::connect(&self.server).await?;
        server.write_all(alone(&head).as_bytes()).await?;
        server.write_all(body).await?;
        copy_bidirectional(&mut browser, &mut server).await?;
        Ok(())
    }

    fn note(&self, path: &str) {
        if let Ok(mut asked) = self.asked.lock() {
            asked.push(path.to_owned());
        }
    }
}

/// The head of a request that is the only one of its connection, so that each is seen here.
fn alone(head: &str) -> String {
    let lines = head.trim_end().split("\r\n");
    let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: Vec<&str> = kept.collect();
    format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_not_kept() {
        let head = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n";
        assert_eq!(
            alone(head),
            "GET /a HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
    }
}
