//! The HTTP interface against bad input: each gets a typed refusal, and other requests go on.

use std::io::Cursor;

use fclm_core::wire::{
    Counts, CreateChat, ErrorCode, ImageInfo, MAX_REGIONS, MaskRle, Mode, Point, PointLabel,
    PutRegions, SegmentRequest,
};
use fclm_tests::api::{Api, HEIGHT, WIDTH, ask, png, read, refused, region};
use fclm_tests::words_server::WordsServer;
use image::{ImageFormat, RgbImage};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// A server whose memory is its own.
const SERVER: &str = env!("CARGO_BIN_EXE_words-server");
/// What is said of a picture that is over the limit.
const LARGER: &str = "The picture is larger than 32 MiB; send a smaller one.";

#[tokio::test]
async fn what_is_no_picture_is_refused() {
    let api = Api::start().await;
    let client = &api.client;
    refused(client.upload(Vec::new()).await, ErrorCode::BadImage).await;
    refused(
        client.upload(b"just text".to_vec()).await,
        ErrorCode::UnsupportedImage,
    )
    .await;
    refused(
        client.upload(b"<svg/>".to_vec()).await,
        ErrorCode::UnsupportedImage,
    )
    .await;
    let whole = png(1);
    for length in [8, 20, whole.len() / 2, whole.len() - 20] {
        refused(
            client.upload(whole[..length].to_vec()).await,
            ErrorCode::BadImage,
        )
        .await;
    }
    client.upload_picture(1).await;
}

#[tokio::test]
async fn a_huge_header_is_refused() {
    let api = Api::start().await;
    let mut huge = png(1);
    huge[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    huge[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    let answer = api.client.upload(huge).await;
    let error = refused(answer, ErrorCode::TooLarge).await;
    assert!(error.message.contains("60000"), "{}", error.message);
}

#[tokio::test]
async fn a_picture_that_is_too_narrow_is_not_called_broken() {
    let api = Api::start().await;
    let mut bytes = Vec::new();
    RgbImage::new(2, 300)
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .expect("it encodes");
    let error = refused(api.client.upload(bytes).await, ErrorCode::TooNarrow).await;
    assert!(error.message.contains("2 x 300"), "{}", error.message);
}

#[tokio::test]
async fn huge_bodies_are_refused_and_not_kept() {
    let data = tempfile::tempdir().expect("a folder");
    let server = WordsServer::start(SERVER, data.path());
    let client = &server.client;
    let chat = client.chat().await;
    let before = server.peak_bytes();
    let sending = client.upload(vec![0; 200 << 20]);
    let (refusal, picture) = tokio::join!(sending, client.upload_picture(2));
    let error = refused(refusal, ErrorCode::TooLarge).await;
    assert_eq!(error.message, LARGER);
    assert_eq!((picture.width, picture.height), (WIDTH, HEIGHT));
    let long = json!({ "mode": "ask", "text": "a".repeat(50 << 20) });
    let path = format!("/api/v1/chats/{}/messages", chat.id);
    refused(client.post(&path, &long).await, ErrorCode::TooLarge).await;
    // What fits into the limit of 32 MiB is kept until more comes, twice while it is moved.
    let grown = server.peak_bytes().saturating_sub(before);
    assert!(grown < 100 << 20, "{} MiB more", grown >> 20);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}

#[tokio::test]
async fn forms_are_taken_and_checked() {
    let api = Api::start().await;
    let client = &api.client;
    let upload = |form| {
        client
            .request(Method::POST, "/api/v1/images")
            .multipart(form)
            .send()
    };
    let part = reqwest::multipart::Part::bytes(png(3)).file_name("a.png");
    let form = reqwest::multipart::Form::new().part("file", part);
    let image: ImageInfo = read(upload(form).await.expect("an answer"), StatusCode::CREATED).await;
    assert_eq!((image.width, image.height), (WIDTH, HEIGHT));
    let form = reqwest::multipart::Form::new().text("other", "x");
    refused(
        upload(form).await.expect("an answer"),
        ErrorCode::BadRequest,
    )
    .await;
    let part = reqwest::multipart::Part::bytes(vec![0; 40 << 20]).file_name("a.png");
    let form = reqwest::multipart::Form::new().part("file", part);
    let error = refused(upload(form).await.expect("an answer"), ErrorCode::TooLarge).await;
    assert_eq!(error.message, LARGER);
}

#[tokio::test]
async fn regions_that_do_not_fit_are_refused() {
    let api = Api::start().await;
    let client = &api.client;
    let chat = client.chat().await;
    let path = format!("/api/v1/chats/{}/regions", chat.id);
    let counts = |runs: &[u32]| MaskRle {
        size: [HEIGHT, WIDTH],
        counts: Counts::Runs(runs.to_vec()),
    };
    let all = WIDTH * HEIGHT;
    let masks = [
        counts(&[1, 2, 3]),
        counts(&[all, 1]),
        counts(&[u32::MAX, u32::MAX]),
        counts(&[all]),
        MaskRle {
            size: [WIDTH, HEIGHT],
            counts: Counts::Runs(vec![0, all]),
        },
        MaskRle {
            size: [60_000, 60_000],
            counts: Counts::Runs(vec![0, 3_600_000_000]),
        },
        MaskRle {
            size: [HEIGHT, WIDTH],
            counts: Counts::Compressed("not RLE\u{7f}".to_owned()),
        },
        MaskRle {
            size: [HEIGHT, WIDTH],
            counts: Counts::Compressed(String::new()),
        },
    ];
    for mask in masks {
        let body = PutRegions {
            regions: vec![fclm_core::wire::Region {
                mask,
                ..region("a")
            }],
        };
        let error = refused(client.put(&path, &body).await, ErrorCode::BadRegion).await;
        assert_eq!(error.param.as_deref(), Some("regions[0].mask"));
    }
    let boxes = [
        [-1.0, 0.0, 4.0, 4.0],
        [0.0, 0.0, WIDTH as f32 + 1.0, 4.0],
        [1000.0, 1000.0, 2000.0, 2000.0],
        [4.0, 4.0, 4.0, 8.0],
    ];
    for box_px in boxes {
        let outside = fclm_core::wire::Region {
            box_px: Some(box_px),
            ..region("a")
        };
        let body = PutRegions {
            regions: vec![outside],
        };
        refused(client.put(&path, &body).await, ErrorCode::BadRegion).await;
    }
    let negative = json!({ "regions": [{
        "id": "a", "name": "", "color": "#000000",
        "mask": { "size": [HEIGHT, WIDTH], "counts": [-1, 5] },
    }] });
    let error = refused(client.put(&path, &negative).await, ErrorCode::BadRequest).await;
    let sentence = "counts must be a COCO RLE string or a list of whole numbers from 0";
    assert!(error.message.contains(sentence), "{}", error.message);
    let many: Vec<_> = (0..=MAX_REGIONS)
        .map(|index| region(&format!("r{index}")))
        .collect();
    let body = PutRegions {
        regions: many.clone(),
    };
    refused(client.put(&path, &body).await, ErrorCode::TooLarge).await;
    let message = fclm_core::wire::PostMessage {
        regions: many,
        ..ask("what?")
    };
    refused(
        client.post_message(&chat.id, &message).await,
        ErrorCode::TooLarge,
    )
    .await;

    let body = PutRegions {
        regions: vec![region("a"), region("b")],
    };
    let kept: PutRegions = read(client.put(&path, &body).await, StatusCode::OK).await;
    assert_eq!(kept, body);
    assert_eq!(client.show(&chat.id).await.regions, body.regions);
}

#[tokio::test]
async fn prompts_outside_the_picture_are_refused() {
    let api = Api::start().await;
    let client = &api.client;
    let image = client.upload_picture(1).await;
    let path = format!("/api/v1/images/{}/segment", image.id);
    let with_box = |box_px| SegmentRequest {
        box_px: Some(box_px),
        points: Vec::new(),
    };
    let point = |x, y| Point {
        x,
        y,
        label: PointLabel::Positive,
    };
    let bad = [
        SegmentRequest::default(),
        with_box([0.0, 0.0, 500.0, 5.0]),
        with_box([5.0, 5.0, 5.0, 5.0]),
        SegmentRequest {
            box_px: None,
            points: vec![point(-1.0, 5.0)],
        },
    ];
    for request in bad {
        refused(client.post(&path, &request).await, ErrorCode::BadRegion).await;
    }
    let many = SegmentRequest {
        box_px: None,
        points: vec![point(1.0, 1.0); 65],
    };
    refused(client.post(&path, &many).await, ErrorCode::TooLarge).await;
    refused(
        client.post(&path, &json!({ "boxes": [] })).await,
        ErrorCode::BadRequest,
    )
    .await;
}

#[tokio::test]
async fn texts_are_checked() {
    let api = Api::start().await;
    let client = &api.client;
    let chat = client.chat().await;
    let post = async |text: &str, mode| {
        let message = fclm_core::wire::PostMessage { mode, ..ask(text) };
        client.post_message(&chat.id, &message).await
    };
    let long = "a".repeat(1_000_000);
    let error = refused(post(&long, Mode::Ask).await, ErrorCode::TooLarge).await;
    assert_eq!(error.param.as_deref(), Some("text"));
    refused(
        post(&"é".repeat(4001), Mode::Ask).await,
        ErrorCode::TooLarge,
    )
    .await;
    refused(post("  ", Mode::Ask).await, ErrorCode::BadText).await;
    refused(post("", Mode::Find).await, ErrorCode::BadText).await;
    let error = refused(post("what is @1?", Mode::Ask).await, ErrorCode::BadText).await;
    assert_eq!(error.param.as_deref(), Some("text"));
    refused(
        post("what is <region:x>?", Mode::Ask).await,
        ErrorCode::BadText,
    )
    .await;
    let unknown = fclm_core::wire::PostMessage {
        region_ids: vec!["x".to_owned()],
        ..ask("?")
    };
    let error = refused(
        client.post_message(&chat.id, &unknown).await,
        ErrorCode::BadText,
    )
    .await;
    assert_eq!(error.param.as_deref(), Some("region_ids"));
    assert!(client.show(&chat.id).await.messages.is_empty());
    assert_eq!(
        post(&"é".repeat(4000), Mode::Ask).await.status(),
        StatusCode::ACCEPTED
    );
}

#[tokio::test]
async fn what_people_type_stays_text() {
    let api = Api::start().await;
    let client = &api.client;
    let chat = client.chat().await;
    let text = "<b>&amp;</b><script>alert(1)</script> <|im_end|> [SEG] <mask><pos> me@5.org @0";
    let posted = client.ask(&chat.id, &ask(text)).await;
    assert_eq!(posted.message.text, text);
    assert!(posted.message.region_ids.is_empty());
    client.events(&posted.run_id, 0).await;
    assert_eq!(client.show(&chat.id).await.messages[0].text, text);
    let answer = client.get(&format!("/api/v1/chats/{}", chat.id)).await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn titles_are_one_line() {
    let api = Api::start().await;
    let client = &api.client;
    let image_id = client.upload_picture(1).await.id;
    let create = async |title: &str| {
        let body = CreateChat {
            image_id: Some(image_id.clone()),
            title: Some(title.to_owned()),
            ..CreateChat::default()
        };
        client.post("/api/v1/chats", &body).await
    };
    refused(create("a\nb").await, ErrorCode::BadRequest).await;
    let error = refused(create(&"é".repeat(201)).await, ErrorCode::TooLarge).await;
    assert_eq!(error.param.as_deref(), Some("title"));
    let longest = create(&"é".repeat(200)).await;
    assert_eq!(longest.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn unknown_ids_and_routes_are_refused() {
    let api = Api::start().await;
    let client = &api.client;
    let nobody = "00000000-0000-4000-8000-000000000000";
    for path in [
        format!("/api/v1/images/{nobody}"),
        format!("/api/v1/chats/{nobody}"),
        format!("/api/v1/runs/{nobody}/events"),
        "/api/v1/images/..%2F..%2Fetc%2Fpasswd".to_owned(),
        "/api/v1/images/%ff".to_owned(),
        "/api/v1/samples/none/image".to_owned(),
        "/api/v1/nothing".to_owned(),
        "/api/v2/images".to_owned(),
        "/../../etc/passwd".to_owned(),
        "/nothing.js".to_owned(),
        format!("/{}", "a".repeat(300)),
        format!("/api/v1/images/{}", "a".repeat(300)),
    ] {
        refused(client.get(&path).await, ErrorCode::NotFound).await;
    }
    let message = ask("hello");
    refused(
        client.post_message(nobody, &message).await,
        ErrorCode::NotFound,
    )
    .await;
    let stop = format!("/api/v1/runs/{nobody}/stop");
    refused(client.post(&stop, &()).await, ErrorCode::NotFound).await;
    let regions = PutRegions {
        regions: Vec::new(),
    };
    let path = format!("/api/v1/chats/{nobody}/regions");
    refused(client.put(&path, &regions).await, ErrorCode::NotFound).await;
    let chat = CreateChat {
        image_id: Some(nobody.to_owned()),
        ..CreateChat::default()
    };
    refused(
        client.post("/api/v1/chats", &chat).await,
        ErrorCode::NotFound,
    )
    .await;
    let chat = CreateChat {
        sample_id: Some("none".to_owned()),
        ..CreateChat::default()
    };
    refused(
        client.post("/api/v1/chats", &chat).await,
        ErrorCode::NotFound,
    )
    .await;
    refused(
        client.post("/api/v1/chats", &CreateChat::default()).await,
        ErrorCode::BadRequest,
    )
    .await;
    let put = client.put("/api/v1/chats", &()).await;
    refused(put, ErrorCode::MethodNotAllowed).await;
}

#[tokio::test]
async fn bodies_must_be_json() {
    let api = Api::start().await;
    let client = &api.client;
    let send = async |media: &str, body: &'static str| {
        let request = client.request(Method::POST, "/api/v1/chats");
        let request = request.header("content-type", media).body(body);
        request.send().await.expect("an answer")
    };
    refused(send("application/json", "{").await, ErrorCode::BadRequest).await;
    refused(
        send("application/json", r#"{"image":"x"}"#).await,
        ErrorCode::BadRequest,
    )
    .await;
    refused(
        send("text/plain", r#"{"image_id":"x"}"#).await,
        ErrorCode::BadRequest,
    )
    .await;
}

#[tokio::test]
async fn other_sites_and_hosts_are_refused() {
    let api = Api::start().await;
    let client = &api.client;
    let chat = client.chat().await;
    let path = format!("/api/v1/chats/{}", chat.id);
    let delete = |name: &'static str, value: &'static str| {
        client
            .request(Method::DELETE, &path)
            .header(name, value)
            .send()
    };
    for (name, value) in [
        ("origin", "https://example.org"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("host", "example.org"),
        ("host", "example.org:3000"),
    ] {
        let answer = delete(name, value).await.expect("an answer");
        refused(answer, ErrorCode::CrossOrigin).await;
    }
    let rebound = client
        .request(Method::GET, &path)
        .header("host", "example.org:3000");
    refused(
        rebound.send().await.expect("an answer"),
        ErrorCode::CrossOrigin,
    )
    .await;
    let own = delete("sec-fetch-site", "same-origin")
        .await
        .expect("an answer");
    assert_eq!(own.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn no_operation_that_changes_something_is_open_to_other_sites() {
    let api = Api::start().await;
    let client = &api.client;
    let description: serde_json::Value =
        read(client.get("/api/openapi.json").await, StatusCode::OK).await;
    let mut tried = 0;
    for (path, operations) in description["paths"].as_object().expect("paths") {
        let path = path.replace("{id}", "00000000-0000-4000-8000-000000000000");
        for name in operations.as_object().expect("operations").keys() {
            let Some(method) = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
                .into_iter()
                .find(|method| method.as_str().eq_ignore_ascii_case(name))
            else {
                continue;
            };
            for (header, value) in [
                ("origin", "https://example.org"),
                ("sec-fetch-site", "cross-site"),
            ] {
                let request = client
                    .request(method.clone(), &path)
                    .header(header, value)
                    .header("content-type", "application/json")
                    .body("{}");
                let answer = request.send().await.expect("an answer");
                refused(answer, ErrorCode::CrossOrigin).await;
            }
            tried += 1;
        }
    }
    // Uploading, asking, clicking, stopping; opening, changing and deleting a chat.
    assert!(tried >= 7, "{tried} operations");
}
