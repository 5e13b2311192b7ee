//! Masks that the browser makes by itself, in a real browser: they are the server's, the server is
//! asked only where no device works, and what worker and server compute is the same.

use std::path::Path;
use std::time::{Duration, Instant};

use fclm_core::mask::Mask;
use fclm_core::sam::PicturePrompt;
use fclm_core::wire::{
    Chat, LightDevice, LightInfo, MaskPrompt, MaskSource, PictureView, Point, PointLabel,
    RegionVector, SampleInfo, SegmentRequest, SegmentResponse, WorkerReply, WorkerRequest,
};
use fclm_tests::browser::Tab;
use fclm_tests::host::{Host, numbers};
use fclm_tests::samples::{self, Scene};
use fclm_tests::served::Served;
use fclm_tests::view::View;
use fclm_tests::{difference, site, worker};
use image::RgbImage;

const MAX_PIXELS: u64 = 100_000_000;
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a worker may take to prepare a GPU that the CPU computes.
const GPU_PATIENCE: Duration = Duration::from_secs(400);
/// After so long the page does not wait for a worker's answer any more.
const PAGE_PATIENCE: Duration = Duration::from_secs(35);
const CARD: &str = "[data-testid=sample-card]";
const REGION: &str = "[data-testid=region-item]";
/// Least overlap of the mask of a click and that of the same point in exact coordinates: the
/// browser rounds a click to a pixel of the window, which moves the mask's edge.
const OVERLAP: f64 = 0.97;
/// Most that numbers of different devices may differ, relative to their length as vectors.
const DIFFERENCE: f64 = 1e-3;
/// Largest share of a picture's places that need not look as is expected.
const STRAY: f64 = 0.02;
/// Scenes that are compared where the CPU computes a GPU, which takes some twenty seconds for each.
const GPU_SCENES: usize = 2;

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
    let (x, y) = scene.middle();
    let served = Served::start().await;
    let light = worker::light_of(&served).await;
    let tab = Tab::open(&served.url("/")).await;
    tab.click(CARD).await;
    worker::wait_for_place(&tab, "cpu").await;
    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    let shows = |whether: bool| {
        format!("document.querySelector('[data-testid=canvas]').dataset.preview === '{whether}'")
    };
    tab.hover(view.window(x, y)).await;
    tab.wait_until("the pointer shows no mask", &shows(true))
        .await;
    let by: String = tab
        .evaluate("document.querySelector('[data-testid=canvas]').dataset.previewBy")
        .await;
    assert_eq!(by, "page", "nothing is drawn through WebGPU on the CPU");
    tab.hover(view.window(-8.0, y)).await;
    tab.wait_until("a mask is shown beside the picture", &shows(false))
        .await;

    let at = view.window(x, y);
    tab.drag(&[at]).await;
    let chat = saved_chat(&served, &tab).await;
    assert_eq!(tab.fetched("/segment").await, 0, "the server was asked");
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
    let (x, y) = samples::scenes()[0].middle();
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
    let light = worker::light_of(&served).await;
    let tab = Tab::open_with_gpu(&served.url("/")).await;
    // So that the CPU is not tried before the GPU has a picture to encode.
    worker::prefer_gpu(&tab, &light).await;
    tab.click(CARD).await;
    worker::wait_for_place(&tab, "cpu").await;
    let why = worker::why(&tab).await;
    let is_lost = why.starts_with("GPU: ") && !why.contains("does not answer");
    assert!(is_lost, "{why}");
    let choice: Option<String> = tab.evaluate("localStorage.getItem('fclm.extractor')").await;
    assert_eq!(choice, None, "the device that takes over is remembered");

    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    let (x, y) = samples::scenes()[0].middle();
    tab.drag(&[view.window(x, y)]).await;
    saved_chat(&served, &tab).await;
    assert_eq!(tab.fetched("/segment").await, 0, "the server was asked");
    tab.close().await;
}

/// Whether a colour is seen with that share of white over it.
fn has_white(below: &[u8], seen: &[u8], share: f64) -> bool {
    below.iter().zip(seen).all(|(&below, &seen)| {
        let below = f64::from(below);
        let wanted = below + (255.0 - below) * share;
        (f64::from(seen) - wanted).abs() <= 3.0
    })
}

/// The colour of the screen over a pixel of the picture.
fn color_over(screen: &RgbImage, view: &View, (x, y): (u32, u32)) -> [u8; 3] {
    let (left, top) = view.window(x as f32 + 0.5, y as f32 + 0.5);
    screen.get_pixel(left as u32, top as u32).0
}

/// Waits until the screen shows a pixel of the picture as the page's own canvas has it, with that
/// share of white over it, and returns all that it shows.
async fn wait_for_white(tab: &Tab, pixel: (u32, u32), share: f64, shot: &Path) -> RgbImage {
    let started = Instant::now();
    loop {
        let view = View::of(tab).await;
        let below: [u8; 4] = tab.evaluate(&view.color_of(pixel)).await;
        tab.screenshot(shot).await;
        let screen = image::open(shot).expect("a screenshot is a picture");
        let screen = screen.into_rgb8();
        let seen = color_over(&screen, &view, pixel);
        if has_white(&below, &seen, share) {
            return screen;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "pixel {pixel:?} is {seen:?} instead of {below:?} with {share} of white"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Moves the pointer from beside the picture to a place until the mask of that very place is shown:
/// how long a GPU that the CPU computes takes for the first one, the page may not wait.
async fn hover_until_shown(tab: &Tab, beside: (f64, f64), at: (f64, f64)) {
    let started = Instant::now();
    while started.elapsed() < GPU_PATIENCE {
        tab.hover(beside).await;
        tab.hover(at).await;
        let asked = Instant::now();
        while asked.elapsed() < PAGE_PATIENCE {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let by: Option<String> = tab
                .evaluate(
                    "document.querySelector('[data-testid=canvas]').dataset.previewBy ?? null",
                )
                .await;
            if let Some(by) = by {
                assert_eq!(by, "worker", "the page draws the mask");
                return;
            }
        }
    }
    panic!("the pointer shows no mask");
}

/// The screen shows a mask over what it showed below: white inside, its line along the edge, and
/// nothing beside it.
#[track_caller]
fn assert_drawn(mask: &Mask, view: &View, below: &RgbImage, above: &RgbImage) {
    assert!(view.scale >= 1.0, "a pixel of the picture is less than one");
    let (deep, near) = (mask.shrunk(3), mask.grown(4));
    let colors = |at| (color_over(below, view, at), color_over(above, view, at));
    let rows = (0..mask.height()).step_by(4);
    let grid = rows.flat_map(|y| (0..mask.width()).step_by(4).map(move |x| (x, y)));
    let (inside, outside): (Vec<_>, Vec<_>) = grid
        .filter(|&(x, y)| deep.get(x, y) || !near.get(x, y))
        .partition(|&(x, y)| deep.get(x, y));
    for (what, places, share) in [
        ("inside", inside, PictureView::FILL),
        ("outside", outside, 0.0),
    ] {
        assert!(places.len() > 20, "only {} places {what}", places.len());
        let strays = places.iter().filter(|&&at| {
            let (below, above) = colors(at);
            !has_white(&below, &above, share)
        });
        let strays = strays.count() as f64 / places.len() as f64;
        assert!(strays <= STRAY, "{strays} of the places {what} look wrong");
    }
    let edge = (0..mask.height()).flat_map(|y| (0..mask.width()).map(move |x| (x, y)));
    let edge = edge.filter(|&(x, y)| near.get(x, y) && !deep.get(x, y));
    let lined = edge.filter(|&at| {
        let (below, above) = colors(at);
        below.iter().any(|&part| part < 220) && above.iter().all(|&part| part > 245)
    });
    let lined = lined.count();
    assert!(lined > 20, "only {lined} places of the edge have a line");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_draws_what_a_click_would_give_by_itself() {
    let scene = samples::scenes().remove(0);
    let (x, y) = scene.middle();
    let object = (x as u32, y as u32);
    // The corner that is the farthest from the object.
    let far = |at: f32, size: u32| if at > size as f32 / 2.0 { 4 } else { size - 5 };
    let corner = (far(x, scene.width), far(y, scene.height));
    let served = Served::start().await;
    let light = worker::light_of(&served).await;
    let tab = Tab::open_with_gpu_canvas(&served.url("/")).await;
    worker::prefer_gpu(&tab, &light).await;
    tab.click(CARD).await;
    worker::wait_for_place(&tab, "gpu").await;
    tab.click("[data-testid=tool-click]").await;
    let folder = tempfile::tempdir().expect("a folder for screenshots");
    let shot = folder.path().join("screen.png");
    let below = wait_for_white(&tab, object, 0.0, &shot).await;

    let view = View::of(&tab).await;
    let (beside, at) = (view.window(-8.0, y), view.window(x, y));
    hover_until_shown(&tab, beside, at).await;
    let above = wait_for_white(&tab, object, PictureView::FILL, &shot).await;
    wait_for_white(&tab, corner, 0.0, &shot).await;

    // It stays on the object while the picture is zoomed.
    tab.wheel(at, -400.0).await;
    tab.wait_until(
        "the wheel does not zoom",
        &format!(
            "Number(document.querySelector('[data-testid=canvas]').dataset.scale) > {}",
            view.scale * 1.2
        ),
    )
    .await;
    wait_for_white(&tab, object, PictureView::FILL, &shot).await;
    let by: Option<String> = tab
        .evaluate("document.querySelector('[data-testid=canvas]').dataset.previewBy ?? null")
        .await;
    assert_eq!(by.as_deref(), Some("worker"));

    let place = tab.see("[data-testid=ask-input]").await;
    tab.hover((place[0] + 5.0, place[1] + 5.0)).await;
    tab.wait_until(
        "a mask is shown beside the picture",
        "document.querySelector('[data-testid=canvas]').dataset.preview === 'false'",
    )
    .await;
    wait_for_white(&tab, object, 0.0, &shot).await;

    // The click gives what was shown for it. The picture has to lie where it lay then.
    tab.click("[data-testid=zoom-fit]").await;
    tab.wait_until(
        "the picture is not fitted again",
        &format!(
            "Math.abs(document.querySelector('[data-testid=canvas]').dataset.scale - {}) < 1e-9",
            view.scale
        ),
    )
    .await;
    assert_eq!(View::of(&tab).await.offset, view.offset);
    tab.drag(&[at]).await;
    let chat = saved_chat(&served, &tab).await;
    let mask = Mask::from_wire(&chat.regions[0].mask, MAX_PIXELS).expect("it is a mask");
    assert_drawn(&mask, &view, &below, &above);
    assert_eq!(tab.fetched("/segment").await, 0, "the server was asked");
    assert_eq!(worker::place(&tab).await, "gpu", "the GPU was given up");
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
        &format!("{}?.title.startsWith('CPU: ')", worker::PLACE),
    )
    .await;
    worker::wait_for_place(&tab, "server").await;
    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    let (x, y) = samples::scenes()[0].middle();
    tab.drag(&[view.window(x, y)]).await;
    saved_chat(&served, &tab).await;
    assert_eq!(tab.fetched("/segment").await, 1);
    tab.close().await;
}

/// What is compared of a scene.
struct Numbers {
    embedding: Vec<f32>,
    low_res: Vec<f32>,
    scores: Vec<f32>,
    vector: Vec<f32>,
}

impl Numbers {
    /// What the server computes of a scene.
    fn by(host: &Host, scene: &Scene) -> Self {
        let picture = image::open(scene.picture()).expect("the scene has a picture");
        let picture = picture.into_rgb8();
        let features = host.encode(&picture);
        let (x, y) = scene.middle();
        let points = [(x, y, 1)];
        let prompt = PicturePrompt {
            points: &points,
            ..PicturePrompt::default()
        };
        let decoded = host.segment(prompt, &features);
        let mask = Mask::from_wire(&scene.clearest().mask, MAX_PIXELS).expect("it is a mask");
        let vector = host
            .model
            .vector(&picture, &mask, &features, &host.config, &host.device)
            .expect("the mask fits");
        Self {
            embedding: numbers(features.sam),
            low_res: numbers(decoded.low_res),
            scores: numbers(decoded.iou),
            vector: numbers(vector),
        }
    }
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
        let (x, y) = scene.middle();
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
    let replies = worker::answers(tab, &requests).await;
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

async fn compare(served: &Served, tab: &Tab, device: LightDevice, scenes: &[Scene]) {
    let light = worker::light_of(served).await;
    let host = Host::load(&samples::nano(), &light);
    let offered: Vec<SampleInfo> = served.get("/api/v1/samples").await;
    let urls: Vec<String> = offered.into_iter().map(|sample| sample.url).collect();
    let all = computed_by(tab, light, device, scenes, &urls).await;
    assert_eq!(all.len(), scenes.len());
    for (actual, scene) in all.iter().zip(scenes) {
        let expected = Numbers::by(&host, scene);
        for (what, actual, expected) in [
            ("embedding", &actual.embedding, &expected.embedding),
            ("logits", &actual.low_res, &expected.low_res),
            ("scores", &actual.scores, &expected.scores),
            ("vector", &actual.vector, &expected.vector),
        ] {
            let apart = difference::relative(actual, expected);
            assert!(apart < DIFFERENCE, "{what} of {:?}: {apart}", scene.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cpu_of_a_browser_computes_what_the_server_does() {
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
    let scenes = samples::scenes();
    compare(&served, &tab, LightDevice::Cpu, &scenes).await;
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gpu_of_a_browser_computes_what_the_server_does() {
    let served = Served::start().await;
    let tab = Tab::open_with_gpu(&served.url("/")).await;
    let scenes = samples::scenes();
    compare(&served, &tab, LightDevice::Gpu, &scenes[..GPU_SCENES]).await;
    tab.close().await;
}
