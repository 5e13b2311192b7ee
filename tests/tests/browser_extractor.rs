//! Masks that the browser makes by itself, in a real browser: they are the server's, the server is
//! asked only where no device works, and what worker and server compute is the same.

use std::fs;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use fclm_core::fclm::{LightConfig, LightModel};
use fclm_core::mask::Mask;
use fclm_core::sam::PicturePrompt;
use fclm_core::weights::{WeightFile, Weights};
use fclm_core::wire::{
    Chat, LightDevice, LightInfo, MaskPrompt, MaskSource, ModelInfo, Point, PointLabel,
    RegionVector, SampleInfo, SegmentRequest, SegmentResponse, WorkerReply, WorkerRequest,
};
use fclm_tests::browser::Tab;
use fclm_tests::samples::{self, Scene};
use fclm_tests::served::Served;
use fclm_tests::site;
use fclm_tests::view::View;

const MAX_PIXELS: u64 = 100_000_000;
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a worker may take to prepare a GPU that the CPU computes.
const GPU_PATIENCE: Duration = Duration::from_secs(400);
const CARD: &str = "[data-testid=sample-card]";
const REGION: &str = "[data-testid=region-item]";
const PLACE: &str = "document.querySelector('[data-testid=mask-place]')";
/// Least overlap of the mask of a click and that of the same point in exact coordinates: the
/// browser rounds a click to a pixel of the window, which moves the mask's edge.
const OVERLAP: f64 = 0.97;
/// Most that numbers of different devices may differ, relative to their length as vectors.
const DIFFERENCE: f64 = 1e-3;
/// Scenes that are compared.
const SCENES: usize = 2;

async fn light_of(served: &Served) -> LightInfo {
    let model: ModelInfo = served.get("/api/v1/model").await;
    model.light.expect("nano's light part is small enough")
}

/// How often the page has fetched addresses that hold a text.
async fn fetched(tab: &Tab, text: &str) -> usize {
    tab.evaluate(&format!(
        "performance.getEntriesByType('resource')\
         .filter(entry => entry.name.includes('{text}')).length"
    ))
    .await
}

/// Waits until masks are made in a place.
async fn wait_for_place(tab: &Tab, place: &str) {
    let started = Instant::now();
    loop {
        let [now, why]: [Option<String>; 2] = tab
            .evaluate(&format!(
                "[{PLACE}?.dataset.place ?? null, {PLACE}?.title ?? null]"
            ))
            .await;
        if now.as_deref() == Some(place) {
            return;
        }
        assert!(
            started.elapsed() < GPU_PATIENCE,
            "masks are made at {now:?} instead of {place}: {why:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The middle of what is seen best in a scene.
fn middle(scene: &Scene) -> (f32, f32) {
    let [x0, y0, x1, y1] = scene.clearest().box_px;
    (f32::midpoint(x0, x1), f32::midpoint(y0, y1))
}

fn on(x: f32, y: f32) -> Point {
    Point {
        x,
        y,
        label: PointLabel::Positive,
    }
}

/// The chat, once its one region has the model's mask and is on the server.
async fn saved_chat(served: &Served, tab: &Tab) -> Chat {
    let path: String = tab.evaluate("location.pathname").await;
    let id = path.strip_prefix("/c/").expect("a chat is open").to_owned();
    let started = Instant::now();
    loop {
        let chat: Chat = served.get(&format!("/api/v1/chats/{id}")).await;
        if chat.regions.len() == 1 && chat.regions[0].source == MaskSource::Box {
            return chat;
        }
        assert!(started.elapsed() < PATIENCE, "no mask was saved");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn area(tab: &Tab) -> String {
    tab.evaluate(&format!("document.querySelector('{REGION}').dataset.area"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_makes_the_servers_mask_without_the_server() {
    let scene = samples::scenes().remove(0);
    let (x, y) = middle(&scene);
    let served = Served::start().await;
    let light = light_of(&served).await;
    let tab = Tab::open(&served.url("/")).await;
    let early = fetched(&tab, "light.safetensors").await;
    assert_eq!(early, 0, "the page loads weights before a picture is open");
    tab.click(CARD).await;
    wait_for_place(&tab, "cpu").await;
    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    let shows = |whether: bool| {
        format!("document.querySelector('[data-testid=canvas]').dataset.preview === '{whether}'")
    };
    tab.hover(view.window(x, y)).await;
    tab.wait_until("the pointer shows no mask", &shows(true))
        .await;
    tab.hover(view.window(-8.0, y)).await;
    tab.wait_until("a mask is shown beside the picture", &shows(false))
        .await;

    let at = view.window(x, y);
    tab.drag(&[at]).await;
    let chat = saved_chat(&served, &tab).await;
    assert_eq!(fetched(&tab, "/segment").await, 0, "the server was asked");
    let request = SegmentRequest {
        box_px: None,
        points: vec![on(x, y)],
    };
    let url = served.url(&format!("/api/v1/images/{}/segment", chat.image.id));
    let answer = reqwest::Client::new().post(url).json(&request).send().await;
    let answer: SegmentResponse = answer
        .expect("the server answers")
        .json()
        .await
        .expect("masks come back");
    let read = |mask| Mask::from_wire(mask, MAX_PIXELS).expect("it is a mask");
    let best = &answer.masks[0];
    let region = &chat.regions[0];
    let overlap = read(&region.mask).iou(&read(&best.mask));
    assert!(overlap > OVERLAP, "they overlap by {overlap} only");
    let score = region.score.expect("the mask has a score");
    assert!(
        (score - best.score).abs() < 0.02,
        "its score is {score}, the server's {}",
        best.score
    );

    // The other candidates, and the first one again.
    assert!(answer.masks.len() > 1, "there is one candidate only");
    let first = area(&tab).await;
    let mut shown = Vec::new();
    while shown.last() != Some(&first) {
        let before = area(&tab).await;
        tab.press("Tab", 9, 0).await;
        tab.wait_until(
            "Tab shows no other mask",
            &format!("document.querySelector('{REGION}').dataset.area !== '{before}'"),
        )
        .await;
        shown.push(area(&tab).await);
        assert!(shown.len() <= 3, "{first} does not come again: {shown:?}");
    }

    // The question brings the region's vector.
    let _: bool = tab
        .evaluate(
            "(() => { const fetch = window.fetch; window.fetch = (request, ...rest) => {
             if (request.url?.endsWith('/messages'))
                 request.clone().json().then(body => { window.asked = body; });
             return fetch(request, ...rest); }; return true; })()",
        )
        .await;
    tab.type_into("[data-testid=ask-input]", "What is @1?")
        .await;
    tab.click("[data-testid=send-button]").await;
    tab.wait_until("no question was sent", "window.asked").await;
    let sent: Vec<RegionVector> = tab.evaluate("window.asked.region_vectors ?? []").await;
    let chat = saved_chat(&served, &tab).await;
    assert_eq!(sent.len(), 1, "the vectors of one region are sent");
    assert_eq!(sent[0].region_id, chat.regions[0].id);
    assert_eq!(sent[0].mask, chat.regions[0].mask);
    assert_eq!(sent[0].sha256, light.sha256);
    assert_eq!(sent[0].values.len(), light.vector_len as usize);
    tab.wait_until(
        "the question is not answered",
        "(e => e && !e.dataset.open && e.querySelector('[data-testid=answer-text]').innerText)\
         (document.querySelector('[data-testid=answer]'))",
    )
    .await;
    assert_eq!(tab.complaints(), [] as [&str; 0]);
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_adds_and_a_long_press_takes_away() {
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
    tab.click(CARD).await;
    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    let (x, y) = middle(&samples::scenes()[0]);
    let at = view.window(x, y);
    tab.touch_down(&[&[at]]).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    tab.touch_up().await;
    tab.wait_until(
        "a long press says not that there is nothing to take away from",
        "[...document.querySelectorAll('[data-testid=notice]')]
             .some(e => e.innerText.includes('Nothing to take away'))",
    )
    .await;
    let regions = format!("document.querySelectorAll('{REGION}').length");
    assert_eq!(tab.evaluate::<usize>(&regions).await, 0);
    tab.touch(&[&[at]]).await;
    tab.wait_until("a tap makes no region", &format!("{regions} === 1"))
        .await;
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_that_is_lost_while_it_encodes_gives_way_to_the_cpu() {
    let page = site::with_worker_after(
        "let device, isArmed = false;
         const requestDevice = GPUAdapter.prototype.requestDevice;
         GPUAdapter.prototype.requestDevice = async function (...rest) {
             return device = await requestDevice.apply(this, rest); };
         const submit = GPUQueue.prototype.submit;
         GPUQueue.prototype.submit = function (...rest) {
             if (isArmed) { isArmed = false; device.destroy(); }
             return submit.apply(this, rest); };
         addEventListener('message', (event) => {
             isArmed ||= String(event.data).includes('\"request\":\"open\"'); });",
    );
    let served = Served::with_site(page.path()).await;
    let light = light_of(&served).await;
    let tab = Tab::open_with_gpu(&served.url("/")).await;
    // So that the CPU is not tried before the GPU has a picture to encode.
    let choice = format!(
        "localStorage.setItem('fclm.extractor', \
         JSON.stringify({{ sha256: '{}', device: 'gpu' }})) ?? true",
        light.sha256
    );
    let _: bool = tab.evaluate(&choice).await;
    tab.click(CARD).await;
    wait_for_place(&tab, "cpu").await;
    let why: String = tab.evaluate(&format!("{PLACE}.title")).await;
    let is_lost = why.starts_with("GPU: ") && !why.contains("does not answer");
    assert!(is_lost, "{why}");
    let choice: Option<String> = tab.evaluate("localStorage.getItem('fclm.extractor')").await;
    assert_eq!(choice, None, "the device that takes over is remembered");

    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    let (x, y) = middle(&samples::scenes()[0]);
    tab.drag(&[view.window(x, y)]).await;
    saved_chat(&served, &tab).await;
    assert_eq!(fetched(&tab, "/segment").await, 0, "the server was asked");
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_worker_starts_the_server_makes_the_masks() {
    let page = site::with_worker_after("throw new Error('not here');");
    let served = Served::with_site(page.path()).await;
    let tab = Tab::open(&served.url("/")).await;
    tab.click(CARD).await;
    tab.wait_until(
        "the page does not say why",
        &format!("{PLACE}?.title.startsWith('CPU: ')"),
    )
    .await;
    wait_for_place(&tab, "server").await;
    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    let (x, y) = middle(&samples::scenes()[0]);
    tab.drag(&[view.window(x, y)]).await;
    saved_chat(&served, &tab).await;
    assert_eq!(fetched(&tab, "/segment").await, 1);
    tab.close().await;
}

/// What the server computes with: the same model on this machine's CPU.
struct Host {
    device: Device,
    config: LightConfig,
    model: LightModel,
}

/// What is compared of a scene.
struct Numbers {
    embedding: Vec<f32>,
    low_res: Vec<f32>,
    scores: Vec<f32>,
    vector: Vec<f32>,
}

impl Host {
    fn load(light: &LightInfo) -> Self {
        let device = Device::flex();
        let config = LightConfig::from_value(light.config.clone()).expect("it is a configuration");
        let bytes = fs::read(samples::nano().join("light.safetensors")).expect("nano is there");
        let file = WeightFile::parse(bytes).expect("it is a safetensors file");
        let weights = Weights::from_files([file]).expect("names are there once");
        let model = config.load(&weights, &device).expect("the weights fit");
        Self {
            device,
            config,
            model,
        }
    }

    fn compute(&self, scene: &Scene) -> Numbers {
        let picture = image::open(scene.picture()).expect("the scene has a picture");
        let picture = picture.into_rgb8();
        let features = self.model.encode(&picture, &self.config, &self.device);
        let (x, y) = middle(scene);
        let points = [(x, y, 1)];
        let prompt = PicturePrompt {
            points: &points,
            ..PicturePrompt::default()
        };
        let decoded = self.model.segment(prompt, &features, &self.config);
        let mask = Mask::from_wire(&scene.clearest().mask, MAX_PIXELS).expect("it is a mask");
        let vector = self
            .model
            .vector(&picture, &mask, &features, &self.config, &self.device)
            .expect("the mask fits");
        Numbers {
            embedding: numbers(features.sam),
            low_res: numbers(decoded.low_res),
            scores: numbers(decoded.iou),
            vector: numbers(vector),
        }
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// How far numbers are from those that are expected, over the length of the latter.
fn difference(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let pairs = actual.iter().zip(expected);
    let apart = length(pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    apart / length(expected.iter().copied().map(f64::from))
}

fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// What a worker of its own computes of scenes, on a device.
async fn computed_by(
    tab: &Tab,
    light: LightInfo,
    device: LightDevice,
    scenes: &[Scene],
    urls: &[String],
) -> Vec<Numbers> {
    let mut requests = vec![WorkerRequest::Start { device, light }];
    for (scene, url) in scenes.iter().zip(urls) {
        let (x, y) = middle(scene);
        let prompt = MaskPrompt {
            points: vec![on(x, y)],
            ..MaskPrompt::default()
        };
        requests.extend([
            WorkerRequest::Open {
                id: 1,
                url: url.clone(),
            },
            WorkerRequest::Probe { id: 2, prompt },
            WorkerRequest::Vector {
                id: 3,
                mask: scene.clearest().mask.clone(),
            },
        ]);
    }
    let texts = serde_json::to_string(&requests).expect("requests are JSON");
    let _: bool = tab
        .evaluate(&format!(
            "(() => {{ const boot = JSON.parse(document.getElementById('fclm-boot').textContent);
             const worker = new Worker(boot.extractor, {{ type: 'module' }});
             window.heard = [];
             const hear = reply => {{ if (reply.reply !== 'progress') window.heard.push(reply); }};
             worker.onmessage = event => hear(JSON.parse(event.data));
             worker.onerror = event => hear({{ reply: 'failed', id: null, failure: 'device',
                 message: String(event.message) }});
             for (const request of {texts}) worker.postMessage(JSON.stringify(request));
             return true; }})()"
        ))
        .await;
    let started = Instant::now();
    loop {
        let failure: Option<String> = tab
            .evaluate("window.heard.find(reply => reply.reply === 'failed')?.message ?? null")
            .await;
        assert_eq!(failure, None, "the worker failed");
        let count: usize = tab.evaluate("window.heard.length").await;
        if count == requests.len() {
            break;
        }
        assert!(
            started.elapsed() < GPU_PATIENCE,
            "after {count} of {} answers nothing comes",
            requests.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let replies: Vec<WorkerReply> = tab.evaluate("window.heard").await;
    let of_scenes = replies[1..].chunks_exact(3);
    of_scenes
        .map(|replies| match replies {
            [
                WorkerReply::Opened { .. },
                WorkerReply::Probed {
                    embedding,
                    low_res,
                    scores,
                    ..
                },
                WorkerReply::Vector { values, .. },
            ] => Numbers {
                embedding: embedding.clone(),
                low_res: low_res.clone(),
                scores: scores.clone(),
                vector: values.clone(),
            },
            other => panic!("not what was asked for: {other:?}"),
        })
        .collect()
}

async fn compare(served: &Served, tab: &Tab, device: LightDevice) {
    let light = light_of(served).await;
    let host = Host::load(&light);
    let scenes: Vec<Scene> = samples::scenes().into_iter().take(SCENES).collect();
    let offered: Vec<SampleInfo> = served.get("/api/v1/samples").await;
    let urls: Vec<String> = offered.into_iter().map(|sample| sample.url).collect();
    let all = computed_by(tab, light, device, &scenes, &urls).await;
    assert_eq!(all.len(), scenes.len());
    for (actual, scene) in all.iter().zip(&scenes) {
        let expected = host.compute(scene);
        for (what, actual, expected) in [
            ("embedding", &actual.embedding, &expected.embedding),
            ("logits", &actual.low_res, &expected.low_res),
            ("scores", &actual.scores, &expected.scores),
            ("vector", &actual.vector, &expected.vector),
        ] {
            let apart = difference(actual, expected);
            assert!(apart < DIFFERENCE, "{what} of {:?}: {apart}", scene.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cpu_of_a_browser_computes_what_the_server_does() {
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
    compare(&served, &tab, LightDevice::Cpu).await;
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gpu_of_a_browser_computes_what_the_server_does() {
    let served = Served::start().await;
    let tab = Tab::open_with_gpu(&served.url("/")).await;
    compare(&served, &tab, LightDevice::Gpu).await;
    tab.close().await;
}
