//! What the page and its worker, which computes masks in the browser, say to each other.
//!
//! Each message is one JSON text. The page sends a [`WorkerRequest`] and the worker answers with
//! [`WorkerReply`]s; those about a request carry its id. A worker has one device for its whole
//! life: where that fails, the page ends the worker and starts another one. One message is no text:
//! the canvas that a worker draws on, which the page hands over for good; another one replaces it.

use serde::{Deserialize, Serialize};

use super::{BoxPx, LightInfo, MaskRle, Point, RegionMask};

/// What a worker computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LightDevice {
    /// The browser's GPU, through WebGPU.
    Gpu,
    /// One core of the CPU, through WebAssembly.
    Cpu,
}

/// SAM's prompts for one mask. At least one of them must be given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MaskPrompt {
    /// Clicks on and off the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
    /// A box around the object.
    #[serde(default, rename = "box", skip_serializing_if = "Option::is_none")]
    pub box_px: Option<BoxPx>,
    /// A rough mask of the object, at the picture's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskRle>,
}

/// How a picture lies on a canvas: *canvas = picture * scale + offset*, in pixels of the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PictureView {
    /// Pixels of the canvas per pixel of the picture.
    pub scale: f64,
    /// Where the picture begins, from the left.
    pub x: f64,
    /// Where the picture begins, from the top.
    pub y: f64,
    /// Width of the canvas.
    pub width: u32,
    /// Height of the canvas.
    pub height: u32,
    /// Pixels of the canvas per CSS pixel, which lines are as wide as.
    pub ratio: f64,
}

/// What the mask that a click would give looks like, whoever draws it.
impl PictureView {
    /// How strong its fill is, 0 to 1.
    pub const FILL: f64 = 0.35;
    /// Width of its outline, in CSS pixels.
    pub const LINE: f64 = 1.5;
    /// By how much what is dark around a mask's outline is wider than the outline, in CSS pixels.
    pub const HALO: f64 = 1.6;
    /// How strong that is, 0 to 1.
    pub const DARKNESS: f64 = 0.55;
}

/// From the page to the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum WorkerRequest {
    /// Loads the model onto a device and times one encoding; the first message of all.
    Start {
        /// What to compute on.
        device: LightDevice,
        /// What to load.
        light: LightInfo,
    },
    /// Fetches a picture and encodes it; later requests are about it.
    Open {
        /// The request.
        id: u32,
        /// Where the picture is.
        url: String,
    },
    /// Makes masks of prompts.
    Segment {
        /// The request.
        id: u32,
        /// What the mask is of.
        prompt: MaskPrompt,
    },
    /// Draws the best mask of a prompt on the canvas that was handed over.
    Preview {
        /// The request.
        id: u32,
        /// What the mask is of.
        prompt: MaskPrompt,
        /// Where the picture is.
        view: PictureView,
    },
    /// Leaves nothing on that canvas.
    ClearPreview {
        /// The request.
        id: u32,
    },
    /// Computes the vector of a region.
    Vector {
        /// The request.
        id: u32,
        /// The region, at the picture's size.
        mask: MaskRle,
    },
    /// Tells what picture and prompt become before masks are made of them, so that devices can be
    /// compared with each other, and how often the worker has encoded.
    Probe {
        /// The request.
        id: u32,
        /// As for a mask.
        prompt: MaskPrompt,
    },
}

/// Why a worker could not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerFailure {
    /// There is no such device, or it is too small for the model.
    Unsupported,
    /// The model or the picture did not arrive.
    Download,
    /// What arrived is not the model that was announced, or no picture.
    Unreadable,
    /// The device is gone, out of memory, or failed otherwise.
    Device,
    /// The device computed what is no number.
    NotANumber,
    /// No picture is open, or the request does not fit it.
    BadRequest,
}

impl WorkerFailure {
    /// Whether nothing more can be expected of the worker.
    pub fn ends_worker(self) -> bool {
        match self {
            Self::Unsupported | Self::Device | Self::NotANumber => true,
            Self::Download | Self::Unreadable | Self::BadRequest => false,
        }
    }
}

/// From the worker to the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum WorkerReply {
    /// The model is on its way.
    Progress {
        /// Bytes that are here.
        loaded: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The model is loaded and has encoded a picture once.
    Ready {
        /// What it computes on.
        device: LightDevice,
        /// What the device calls itself; empty where it does not say.
        adapter: String,
        /// Milliseconds of one encoding, after another one that made the device warm.
        encode_ms: f64,
    },
    /// The picture is encoded.
    Opened {
        /// The request.
        id: u32,
        /// Milliseconds of the encoding.
        encode_ms: f64,
    },
    /// Masks, best first; none where nothing stands out.
    Segmented {
        /// The request.
        id: u32,
        /// Up to three candidates.
        masks: Vec<RegionMask>,
    },
    /// The canvas shows the best mask, or the worker cannot draw.
    Previewed {
        /// The request.
        id: u32,
        /// False where there is no canvas, or none that the device can draw on.
        is_drawn: bool,
    },
    /// The canvas shows nothing.
    PreviewCleared {
        /// The request.
        id: u32,
    },
    /// A region's vector.
    Vector {
        /// The request.
        id: u32,
        /// After the extractor's second step.
        values: Vec<f32>,
    },
    /// What is inside.
    Probed {
        /// The request.
        id: u32,
        /// The picture's embedding, `[channels, cells, cells]`.
        embedding: Vec<f32>,
        /// Logits of the candidates at the decoder's resolution, `[masks, side, side]`.
        low_res: Vec<f32>,
        /// Their estimated IoU.
        scores: Vec<f32>,
        /// How many pictures the worker has encoded, with the two that it began with.
        encodings: u32,
    },
    /// It went wrong.
    Failed {
        /// The request; none where it is about the worker as a whole.
        id: Option<u32>,
        /// What it was.
        failure: WorkerFailure,
        /// One sentence about it.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        let request = WorkerRequest::Segment {
            id: 7,
            prompt: MaskPrompt {
                box_px: Some([1.0, 2.0, 3.5, 4.0]),
                ..MaskPrompt::default()
            },
        };
        let written = serde_json::to_value(&request).expect("it is JSON");
        let wanted =
            json!({ "request": "segment", "id": 7, "prompt": { "box": [1.0, 2.0, 3.5, 4.0] } });
        assert_eq!(written, wanted);
        let read: WorkerRequest = serde_json::from_value(written).expect("it is read");
        assert_eq!(read, request);
    }

    #[test]
    fn the_place_of_the_picture_goes_with_the_prompt() {
        let view = PictureView {
            scale: 1.5,
            x: -3.25,
            y: 8.0,
            width: 640,
            height: 480,
            ratio: 2.0,
        };
        let request = WorkerRequest::Preview {
            id: 4,
            prompt: MaskPrompt::default(),
            view,
        };
        let written = serde_json::to_value(&request).expect("it is JSON");
        let wanted = json!({
            "request": "preview", "id": 4, "prompt": {},
            "view": { "scale": 1.5, "x": -3.25, "y": 8.0, "width": 640, "height": 480, "ratio": 2.0 },
        });
        assert_eq!(written, wanted);
        let read: WorkerRequest = serde_json::from_value(written).expect("it is read");
        assert_eq!(read, request);
    }

    #[test]
    fn values_of_a_vector_survive_the_way() {
        let values = vec![0.1, -1.0e-30, 123_456.79, f32::MIN_POSITIVE];
        let reply = WorkerReply::Vector { id: 1, values };
        let text = serde_json::to_string(&reply).expect("it is JSON");
        let read: WorkerReply = serde_json::from_str(&text).expect("it is read");
        assert_eq!(read, reply);
    }

    #[test]
    fn a_worker_outlives_what_its_device_is_not_to_blame_for() {
        for failure in [
            WorkerFailure::Unsupported,
            WorkerFailure::Device,
            WorkerFailure::NotANumber,
        ] {
            assert!(failure.ends_worker(), "{failure:?}");
        }
        assert!(!WorkerFailure::BadRequest.ends_worker());
        assert!(!WorkerFailure::Download.ends_worker());
    }
}
