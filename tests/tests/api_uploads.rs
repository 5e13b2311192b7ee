//! Uploads of every kind of picture, whole and cut short, and more of them than are taken.

use std::io::Cursor;
use std::time::Duration;

use fclm_core::wire::{ErrorCode, ImageInfo};
use fclm_tests::api::{Api, HEIGHT, WIDTH, png, read, refused};
use image::{ImageFormat, RgbImage};
use reqwest::StatusCode;

/// Time for what was begun to reach the server.
const BEGUN: Duration = Duration::from_secs(1);
/// Time after which the server has given up an upload of which nothing more arrives.
const STALLED: Duration = Duration::from_secs(15);
/// Uploads that the server takes at a time.
const AT_A_TIME: usize = 8;

fn encoded(format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| image::Rgb([x as u8, y as u8, 9]));
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), format)
        .expect("it encodes");
    bytes
}

#[tokio::test]
async fn pictures_of_each_format_are_taken_whole_only() {
    let api = Api::start().await;
    let client = &api.client;
    for (format, stored) in [
        (ImageFormat::Png, "image/png"),
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::WebP, "image/png"),
    ] {
        let whole = encoded(format);
        let answer = client.upload(whole.clone()).await;
        let image: ImageInfo = read(answer, StatusCode::CREATED).await;
        assert_eq!((image.width, image.height), (WIDTH, HEIGHT), "{format:?}");
        let picture = client.get(&image.url).await;
        assert_eq!(picture.headers()["content-type"], stored, "{format:?}");
        for length in [20, whole.len() / 2, whole.len() - 1] {
            let cut = client.upload(whole[..length].to_vec()).await;
            refused(cut, ErrorCode::BadImage).await;
        }
    }
}

#[tokio::test]
async fn uploads_beyond_those_that_fit_are_turned_away() {
    let api = Api::start().await;
    let client = &api.client;
    let picture = png(4);
    let (first, rest) = picture.split_at(picture.len() / 2);
    let begun: Vec<_> = (0..AT_A_TIME).map(|_| client.begin_upload(first)).collect();
    tokio::time::sleep(BEGUN).await;
    // Large enough that the client hears why only if its body is read to the end.
    let answer = client.upload(vec![0; 20 << 20]).await;
    assert!(answer.headers().contains_key("retry-after"));
    refused(answer, ErrorCode::Busy).await;
    for upload in begun {
        let answer = upload.finish(rest).await;
        read::<ImageInfo>(answer, StatusCode::CREATED).await;
    }
    client.upload_picture(9).await;
}

#[tokio::test]
async fn uploads_that_stall_give_up_their_places() {
    let api = Api::start().await;
    let client = &api.client;
    let picture = png(4);
    let (first, rest) = picture.split_at(picture.len() / 2);
    let begun: Vec<_> = (0..AT_A_TIME).map(|_| client.begin_upload(first)).collect();
    tokio::time::sleep(STALLED).await;
    client.upload_picture(9).await;
    for upload in begun {
        let error = refused(upload.finish(rest).await, ErrorCode::TooSlow).await;
        assert!(error.message.starts_with("Nothing"), "{}", error.message);
    }
}
