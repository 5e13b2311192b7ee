//! Masks that the browser makes by itself, beside the original modules: in a real browser, a worker
//! with the reference SAM computes of the reference pictures and prompts what those gave.

use std::fs;
use std::path::{Path, PathBuf};

use fclm_core::mask::Mask;
use fclm_core::sam::PicturePrompt;
use fclm_core::weights::{Precision, StoredTensor, Weights};
use fclm_core::wire::{
    BoxPx, ImageInfo, LightDevice, MaskPrompt, Point, PointLabel, WorkerReply, WorkerRequest,
};
use fclm_tests::api::{self, Client};
use fclm_tests::browser::Tab;
use fclm_tests::difference;
use fclm_tests::fixtures;
use fclm_tests::host::{Host, numbers};
use fclm_tests::served::Served;
use fclm_tests::worker;
use image::RgbImage;
use reqwest::StatusCode;
use tempfile::TempDir;

/// Most that numbers may differ from the reference, relative to its length as a vector.
const DIFFERENCE: f64 = 1e-3;
/// Prompts of the reference that a page can give.
const PROMPTS: [&str; 2] = ["points", "box"];

/// A picture of the reference with its prompts.
struct Picture {
    name: String,
    file: PathBuf,
    pixels: RgbImage,
    points: Vec<Point>,
    box_px: BoxPx,
}

impl Picture {
    /// The pictures that have prompts.
    fn all(expected: &Weights) -> Vec<Self> {
        let names = expected.iter().map(|tensor| tensor.name());
        let pictures: Vec<Self> = names
            .filter_map(|name| name.strip_suffix(".preprocessed"))
            .map(|name| Self::read(name, expected))
            .collect();
        assert!(!pictures.is_empty(), "no tensor is called *.preprocessed");
        pictures
    }

    fn read(name: &str, expected: &Weights) -> Self {
        let file = fixtures::path("sam").join(format!("image_{name}.png"));
        let pixels = image::open(&file).expect("the fixture has the picture");
        let places = floats(expected, &format!("{name}.points"));
        let labels = labels(expected, &format!("{name}.point_labels"));
        assert_eq!(places.len(), 2 * labels.len(), "each point has a label");
        let points = places.chunks_exact(2).zip(labels);
        let points = points.map(|(place, label)| Point {
            x: place[0],
            y: place[1],
            label,
        });
        let corners = floats(expected, &format!("{name}.box"));
        Self {
            name: name.to_owned(),
            file,
            pixels: pixels.into_rgb8(),
            points: points.collect(),
            box_px: corners.try_into().expect("a box has four numbers"),
        }
    }

    /// A mask to give with the points: the whole box.
    fn mask(&self) -> Mask {
        Mask::rect(self.pixels.width(), self.pixels.height(), self.box_px)
    }

    /// What the worker is asked: [`PROMPTS`], and the points with the mask.
    fn prompts(&self) -> [MaskPrompt; 3] {
        let points = MaskPrompt {
            points: self.points.clone(),
            ..MaskPrompt::default()
        };
        let in_box = MaskPrompt {
            box_px: Some(self.box_px),
            ..MaskPrompt::default()
        };
        let masked = MaskPrompt {
            mask: Some(self.mask().to_wire()),
            ..points.clone()
        };
        [points, in_box, masked]
    }

    /// Uploads it, and returns where the worker finds the same pixels.
    async fn upload(&self, client: &Client) -> String {
        let bytes = fs::read(&self.file).expect("the fixture has the picture");
        let info: ImageInfo = api::read(client.upload(bytes).await, StatusCode::CREATED).await;
        let stored = client.get(&info.url).await.bytes().await;
        let stored = image::load_from_memory(&stored.expect("a body")).expect("it is a picture");
        let is_same = stored.into_rgb8() == self.pixels;
        assert!(is_same, "other pixels than those of {} are kept", self.name);
        info.url
    }
}

/// What is compared of a picture and a prompt.
struct Numbers<'a> {
    embedding: &'a [f32],
    low_res: &'a [f32],
    scores: &'a [f32],
}

impl<'a> Numbers<'a> {
    fn of(reply: &'a WorkerReply) -> Self {
        match reply {
            WorkerReply::Probed {
                embedding,
                low_res,
                scores,
                ..
            } => Self {
                embedding,
                low_res,
                scores,
            },
            other => panic!("not what was asked for: {other:?}"),
        }
    }
}

fn stored<'a>(expected: &'a Weights, name: &str) -> StoredTensor<'a> {
    let found = expected.get(name);
    found.unwrap_or_else(|| panic!("the fixture has no tensor {name}"))
}

fn floats(expected: &Weights, name: &str) -> Vec<f32> {
    let data = stored(expected, name).to_float_data(Precision::F32);
    let data = data.expect("the reference's tensors are floats");
    data.iter::<f32>().collect()
}

fn labels(expected: &Weights, name: &str) -> Vec<PointLabel> {
    let data = stored(expected, name).to_int_data();
    let data = data.expect("labels are whole numbers");
    let label = |number: i64| match number {
        1 => PointLabel::Positive,
        0 => PointLabel::Negative,
        other => panic!("{name} holds {other}, which no click is"),
    };
    data.iter::<i64>().map(label).collect()
}

#[track_caller]
fn check(what: &str, actual: &[f32], expected: &[f32]) {
    let apart = difference::relative(actual, expected);
    eprintln!("{what}: {apart:.1e}");
    assert!(apart <= DIFFERENCE, "{what}: relative error {apart:.1e}");
}

async fn compare(served: &Served, folder: &Path, tab: &Tab, device: LightDevice) {
    let expected = fixtures::tensors("sam/expected.safetensors");
    let pictures = Picture::all(&expected);
    let light = worker::light_of(served).await;
    let host = Host::load(folder, &light);
    let client = Client::new(&served.url(""));
    let mut requests = vec![WorkerRequest::Start { device, light }];
    for picture in &pictures {
        let url = picture.upload(&client).await;
        requests.push(WorkerRequest::Open { id: 1, url });
        let probe = |prompt| WorkerRequest::Probe { id: 2, prompt };
        requests.extend(picture.prompts().map(probe));
    }
    let replies = worker::answers(tab, &requests).await;
    let (ready, of_pictures) = replies.split_first().expect("each request is answered");
    let is_there = matches!(ready, WorkerReply::Ready { device: own, .. } if *own == device);
    assert!(is_there, "not on {device:?}: {ready:?}");
    let (of_pictures, _) = of_pictures.as_chunks::<4>();
    for (picture, [opened, points, in_box, masked]) in pictures.iter().zip(of_pictures) {
        assert!(matches!(opened, WorkerReply::Opened { .. }), "{opened:?}");
        let [points, in_box, masked] = [points, in_box, masked].map(Numbers::of);
        compare_with_reference(picture, &expected, [&points, &in_box]);
        compare_with_host(picture, &host, &masked);
        let change = difference::relative(masked.low_res, points.low_res);
        assert!(
            change > DIFFERENCE,
            "the mask changes nothing: {change:.1e}"
        );
    }
}

fn compare_with_reference(picture: &Picture, expected: &Weights, found: [&Numbers<'_>; 2]) {
    let name = &picture.name;
    for (kind, found) in PROMPTS.into_iter().zip(found) {
        for (tensor, actual) in [
            (format!("{name}.image_embedding"), found.embedding),
            (format!("{name}.{kind}.multi.low_res"), found.low_res),
            (format!("{name}.{kind}.multi.iou"), found.scores),
        ] {
            check(&tensor, actual, &floats(expected, &tensor));
        }
    }
}

/// The mask prompt of the reference is noise, also where there is no picture, and no mask becomes
/// that. So what the worker makes of a mask is compared with what the server makes of it, whose
/// decoder is compared with the reference, mask prompts included, where no browser is needed.
fn compare_with_host(picture: &Picture, host: &Host, found: &Numbers<'_>) {
    let features = host.encode(&picture.pixels);
    let points: Vec<(f32, f32, i32)> = picture.points.iter().map(Point::labelled).collect();
    let mask = picture.mask();
    let prompt = PicturePrompt {
        points: &points,
        mask: Some(&mask),
        ..PicturePrompt::default()
    };
    let decoded = host.segment(prompt, &features);
    for (what, actual, expected) in [
        ("embedding", found.embedding, numbers(features.sam)),
        ("logits", found.low_res, numbers(decoded.low_res)),
        ("scores", found.scores, numbers(decoded.iou)),
    ] {
        let what = format!("{} with a mask, {what}", picture.name);
        check(&what, actual, &expected);
    }
}

/// A folder with the model that is joined from the reference checkpoints, and where it is in it.
fn joined() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder for the model");
    let model = folder.path().join("joined");
    fixtures::join(&model, "3");
    (folder, model)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cpu_of_a_browser_computes_what_the_fixture_holds() {
    let (_folder, model) = joined();
    let served = Served::with_model(&model).await;
    let tab = Tab::open(&served.url("/")).await;
    compare(&served, &model, &tab, LightDevice::Cpu).await;
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gpu_of_a_browser_computes_what_the_fixture_holds() {
    let (_folder, model) = joined();
    let served = Served::with_model(&model).await;
    let tab = Tab::open_with_gpu(&served.url("/")).await;
    compare(&served, &model, &tab, LightDevice::Gpu).await;
    tab.close().await;
}
