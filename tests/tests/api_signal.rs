//! The real `fclm serve`, ended as the system ends it.

use std::time::Duration;

use fclm_core::wire::{ImageInfo, RunEvent};
use fclm_tests::api::{Client, ask, png, read};
use fclm_tests::served::Served;
use reqwest::StatusCode;
use tokio::time::sleep;

#[tokio::test]
async fn sigterm_lets_uploads_and_answers_come_to_their_end() {
    let mut served = Served::start().await;
    let client = Client::new(&served.url(""));
    let chat = client.chat().await;
    let posted = client.ask(&chat.id, &ask("What is this?")).await;
    let mut stream = client.follow(&posted.run_id, 0).await;
    let picture = png(5);
    let (first, rest) = picture.split_at(picture.len() / 2);
    let upload = client.begin_upload(first);
    // Time for the upload to reach the server, and then for the signal to.
    sleep(Duration::from_millis(500)).await;
    served.terminate();
    sleep(Duration::from_millis(500)).await;
    read::<ImageInfo>(upload.finish(rest).await, StatusCode::CREATED).await;
    let mut last = None;
    while let Some(event) = stream.next().await {
        last = Some(event.event);
    }
    assert!(last.as_ref().is_some_and(RunEvent::is_last), "{last:?}");
    let status = served.ended().await;
    let log = served.log();
    assert!(status.success(), "{status}:\n{log}");
    assert!(log.contains("going down"), "{log}");
    // Who reads the log learns no id that opens a chat.
    for id in [&chat.id, &chat.image.id, &posted.run_id] {
        assert!(!log.contains(id.as_str()), "{log}");
    }
}
