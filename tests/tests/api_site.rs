//! The page, its files and the sample scenes as the server gives them out.

use std::fs;

use fclm_core::mask::Mask;
use fclm_core::wire::{Chat, CreateChat, ErrorCode, SampleInfo};
use fclm_server::engine::EngineOptions;
use fclm_server::predict::{Predictor, read_picture};
use fclm_tests::api::{Api, Client, HEIGHT, WIDTH, ask, png, read, refused, start_server};
use fclm_tests::double::{LIGHT, Words};
use fclm_tests::samples;
use reqwest::{Method, StatusCode};
use tempfile::TempDir;

fn site() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |path: &str, bytes: &[u8]| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    };
    let manifest = r#"{"js":"/pkg/fclm-1.js","wasm":"/pkg/fclm-2.wasm","css":"/pkg/fclm-3.css"}"#;
    write("manifest.json", manifest.as_bytes());
    write("pkg/fclm-1.js", b"plain");
    write("pkg/fclm-1.js.br", b"pressed");
    write("pkg/fclm-2.wasm", b"\0asm");
    write("favicon.svg", b"<svg/>");
    write("samples/images/000007.png", &png(3));
    let scene = format!(
        r#"{{"id":7,"image":"images/000007.png","width":{WIDTH},"height":{HEIGHT},"objects":[],"refs":[{{"text":"the cube","kind":"short","targets":[1]}}]}}"#
    );
    write("samples/scenes.jsonl", scene.as_bytes());
    dir
}

async fn start(site: &TempDir) -> Api {
    let dir = site.path().to_path_buf();
    Api::with(EngineOptions::default(), |options| options.site = Some(dir)).await
}

#[tokio::test]
async fn the_page_runs_only_its_own_scripts() {
    let site = site();
    let api = start(&site).await;
    let mut nonces = Vec::new();
    for path in ["/", "/c/0a1b", "/"] {
        let answer = api.client.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let headers = answer.headers().clone();
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.contains("default-src 'none'") && policy.contains("'wasm-unsafe-eval'"));
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(headers.contains_key("referrer-policy"));
        assert!(headers.contains_key("permissions-policy"));
        let nonce = policy
            .split("'nonce-")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        let nonce = nonce.expect("a nonce").to_owned();
        let html = answer.text().await.expect("a body");
        assert!(html.contains("/pkg/fclm-1.js") && html.contains("/pkg/fclm-3.css"));
        let scripts = html.matches("<script").count();
        assert_eq!(html.matches(&format!("nonce=\"{nonce}\"")).count(), scripts);
        nonces.push(nonce);
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 3);
}

#[tokio::test]
async fn the_workers_have_a_policy_of_their_own() {
    let site = site();
    let manifest = r#"{"js":"/pkg/fclm-1.js","wasm":"/pkg/fclm-2.wasm","css":"/pkg/fclm-3.css",
        "extractor":{"worker":"/pkg/fclm-1.js","js":"/pkg/a.js","wasm":"/pkg/a.wasm"},
        "heic":{"worker":"/pkg/fclm-4.js","js":"/pkg/b.js","wasm":"/pkg/b.wasm"}}"#;
    fs::write(site.path().join("pkg/fclm-4.js"), "heic").expect("written");
    fs::write(site.path().join("manifest.json"), manifest).expect("written");
    let api = start(&site).await;
    let page = api.client.get("/").await;
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(policy.contains("worker-src 'self'"), "{policy}");
    let html = page.text().await.expect("a body");
    for (name, script) in [("extractor", "/pkg/fclm-1.js"), ("heic", "/pkg/fclm-4.js")] {
        let named = format!(r#""{name}":"{script}""#);
        assert!(html.contains(&named), "{html}");
        let worker = api.client.get(script).await;
        let policy = worker.headers()["content-security-policy"]
            .to_str()
            .expect("text");
        for allowed in ["'wasm-unsafe-eval'", "connect-src 'self'"] {
            assert!(policy.contains(allowed), "{policy}");
        }
        assert!(!policy.contains("'unsafe-eval'"), "{policy}");
    }
}

#[tokio::test]
async fn the_light_weights_may_be_kept_under_the_address_that_names_them() {
    let model = tempfile::tempdir().expect("a folder");
    fs::write(model.path().join("light.safetensors"), b"weights").expect("written");
    let data = tempfile::tempdir().expect("a folder");
    let words = Words::default().with_light();
    let server = start_server(data.path(), words, EngineOptions::default(), |options| {
        options.model = Some(model.path().to_path_buf());
    })
    .await;
    let client = Client::new(&format!("http://{}", server.addr()));
    let named = format!("/models/light.safetensors?sha256={LIGHT}");
    for (path, caching) in [
        (named.as_str(), "public, max-age=31536000, immutable"),
        ("/models/light.safetensors?sha256=ff", "no-cache"),
        ("/models/light.safetensors", "no-cache"),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["cache-control"], caching, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        assert_eq!(answer.bytes().await.expect("a body"), "weights");
    }
    let without = Api::start().await;
    refused(without.client.get(&named).await, ErrorCode::NotFound).await;
}

#[tokio::test]
async fn files_are_cached_by_what_their_name_promises() {
    let site = site();
    let api = start(&site).await;
    let plain = api.client.get("/pkg/fclm-1.js").await;
    assert_eq!(
        plain.headers()["cache-control"],
        "public, max-age=31536000, immutable"
    );
    assert!(
        plain.headers()["content-type"]
            .to_str()
            .expect("text")
            .contains("javascript")
    );
    assert_eq!(plain.text().await.expect("a body"), "plain");
    let request = api.client.request(Method::GET, "/pkg/fclm-1.js");
    let pressed = request
        .header("accept-encoding", "br")
        .send()
        .await
        .expect("an answer");
    assert_eq!(pressed.headers()["content-encoding"], "br");
    assert_eq!(pressed.bytes().await.expect("a body"), "pressed");
    let wasm = api.client.get("/pkg/fclm-2.wasm").await;
    assert_eq!(wasm.headers()["content-type"], "application/wasm");
    let icon = api.client.get("/favicon.svg").await;
    assert_eq!(icon.headers()["cache-control"], "no-cache");
    assert_eq!(icon.headers()["x-content-type-options"], "nosniff");
    refused(api.client.get("/pkg/none.js").await, ErrorCode::NotFound).await;
    refused(api.client.get("/pkg").await, ErrorCode::NotFound).await;
    // Longer than a file's name may be.
    let long = format!("/pkg/{}.js", "a".repeat(300));
    refused(api.client.get(&long).await, ErrorCode::NotFound).await;
    refused(
        api.client.get("/%2e%2e/%2e%2e/etc/passwd").await,
        ErrorCode::NotFound,
    )
    .await;
    let request = api
        .client
        .request(Method::GET, "/nowhere")
        .header("accept", "text/html");
    let page = request.send().await.expect("an answer");
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert!(page.text().await.expect("a body").contains("not-found"));
}

#[tokio::test]
async fn a_chat_is_opened_about_a_sample() {
    let site = site();
    let api = start(&site).await;
    let client = &api.client;
    let samples: Vec<SampleInfo> = read(client.get("/api/v1/samples").await, StatusCode::OK).await;
    assert_eq!(samples[0].id, "7");
    assert_eq!((samples[0].width, samples[0].height), (WIDTH, HEIGHT));
    assert_eq!(samples[0].suggestions, ["the cube"]);
    let picture = client.get(&samples[0].url).await;
    assert_eq!(picture.headers()["content-type"], "image/png");
    assert_eq!(picture.bytes().await.expect("a body"), png(3));
    let body = CreateChat {
        sample_id: Some("7".to_owned()),
        ..CreateChat::default()
    };
    let chat: Chat = read(
        client.post("/api/v1/chats", &body).await,
        StatusCode::CREATED,
    )
    .await;
    assert_eq!((chat.image.width, chat.image.height), (WIDTH, HEIGHT));
    assert_eq!(chat.title, samples[0].title);
    let posted = client.ask(&chat.id, &ask("hello")).await;
    assert!(!client.events(&posted.run_id, 0).await.is_empty());
}

/// Of a hundred things that the samples suggest, how many the model of the repository has to find.
const FOUND_OF_100: usize = 85;

#[tokio::test]
async fn what_the_samples_suggest_is_found() {
    let public = samples::folder().join("..");
    let api = Api::with(EngineOptions::default(), |options| {
        options.site = Some(public);
    })
    .await;
    let offered: Vec<SampleInfo> =
        read(api.client.get("/api/v1/samples").await, StatusCode::OK).await;
    let scenes = samples::scenes();
    assert_eq!(offered.len(), scenes.len());
    let predictor = Predictor::open(&samples::nano()).expect("the model opens");
    let (mut missed, mut tried) = (Vec::new(), 0);
    for (sample, scene) in offered.iter().zip(&scenes) {
        let image = read_picture(&scene.picture()).expect("a picture");
        let mut picture = predictor.see(image).expect("it is encoded");
        for text in &sample.suggestions {
            let meant = scene
                .refs
                .iter()
                .find(|reference| &reference.text == text)
                .expect("suggestions are expressions of their scene");
            let mut truth = Mask::new(scene.width, scene.height);
            for &id in &meant.targets {
                let pixels = u64::from(scene.width) * u64::from(scene.height);
                let mask = Mask::from_wire(&scene.object(id).mask, pixels);
                truth.union_with(&mask.expect("a mask"));
            }
            let found = predictor.find(&mut picture, text).expect("it answers");
            tried += 1;
            if found.union(&picture).iou(&truth) < 0.5 {
                missed.push(text);
            }
        }
    }
    let found = tried - missed.len();
    assert!(
        found * 100 >= tried * FOUND_OF_100,
        "{found} of {tried} suggestions are found; these are not: {missed:?}"
    );
}
