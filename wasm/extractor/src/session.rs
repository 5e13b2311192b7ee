use std::io::Cursor;

use burn::tensor::wgpu::{WgpuBackend, WgpuSetup};
use burn::tensor::{Device, Tensor};
use fclm_core::fclm::{LightConfig, LightFeatures, LightModel, ScoredMask, candidates};
use fclm_core::mask::Mask;
use fclm_core::sam::{Decoded, LogitPlace, PicturePrompt};
use fclm_core::weights::{WeightFile, Weights};
use fclm_core::wire::{
    LightDevice, LightInfo, MaskPrompt, MaskRle, PictureView, Point, RegionMask, WorkerFailure,
    WorkerReply,
};
use image::{ImageReader, Rgb, RgbImage};
use web_sys::OffscreenCanvas;

use crate::download;
use crate::preview::{Placed, Preview};
use crate::problem::Problem;
use crate::surroundings::{has_gpu, now};

/// The model on its device, and the picture that is open.
pub(crate) struct Session {
    device: Device,
    config: LightConfig,
    model: LightModel,
    picture: Option<Picture>,
    // How many pictures have been encoded, with those that made the device warm.
    encodings: u32,
    // The GPU as others than the model use it; none on the CPU.
    gpu: Option<WgpuSetup>,
    preview: Option<Preview>,
}

struct Picture {
    pixels: RgbImage,
    features: LightFeatures,
}

impl Session {
    /// Opens the device, loads the model and encodes a picture twice: once to make the device
    /// warm, once to time it.
    pub(crate) async fn start(
        kind: LightDevice,
        light: &LightInfo,
    ) -> Result<(Self, WorkerReply), Problem> {
        let config = LightConfig::from_value(light.config.clone())
            .map_err(|error| Problem::new(WorkerFailure::Unreadable, error.to_string()))?;
        // The device first: who has none need not load the weights for it.
        let (device, gpu) = open_device(kind, &config).await?;
        let adapter = gpu
            .as_ref()
            .map(|gpu| gpu.adapter.get_info().name)
            .unwrap_or_default();
        let bytes = download::weights(light).await?;
        let weights = WeightFile::parse(bytes)
            .and_then(|file| Weights::from_files([file]))
            .and_then(|weights| config.load(&weights, &device));
        let model =
            weights.map_err(|error| Problem::new(WorkerFailure::Unreadable, error.to_string()))?;
        let mut session = Self {
            device,
            config,
            model,
            picture: None,
            encodings: 0,
            gpu,
            preview: None,
        };
        let side = session.config.sam.image_size as u32;
        let pixels = RgbImage::from_fn(side, side, |x, y| Rgb([x as u8, y as u8, 128]));
        session.encode(&pixels).await?;
        let (_, encode_ms) = session.encode(&pixels).await?;
        let ready = WorkerReply::Ready {
            device: kind,
            adapter,
            encode_ms,
        };
        Ok((session, ready))
    }

    /// Fetches and encodes a picture; returns how long the encoding took, in milliseconds.
    pub(crate) async fn open(&mut self, url: &str) -> Result<f64, Problem> {
        self.picture = None;
        let bytes = download::bytes(url).await?;
        let read = || -> image::ImageResult<RgbImage> {
            let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
            // What the server has stored was within its limits.
            reader.no_limits();
            Ok(reader.decode()?.into_rgb8())
        };
        let pixels = read()
            .map_err(|error| Problem::new(WorkerFailure::Unreadable, format!("{url}: {error}")))?;
        let (features, encode_ms) = self.encode(&pixels).await?;
        self.picture = Some(Picture { pixels, features });
        Ok(encode_ms)
    }

    /// Candidates for a prompt, best first.
    pub(crate) async fn segment(&self, prompt: &MaskPrompt) -> Result<Vec<RegionMask>, Problem> {
        let Picture { features, .. } = self.picture()?;
        let Decoded { low_res, iou } = self.decode(prompt, features)?;
        let (low_res, scores) = (read(low_res).await?, read(iou).await?);
        Ok(candidates(&low_res, &scores, features, &self.config))
    }

    /// The answer to the request `id`, which asks what picture and prompt become.
    pub(crate) async fn probe(&self, id: u32, prompt: &MaskPrompt) -> Result<WorkerReply, Problem> {
        let Picture { features, .. } = self.picture()?;
        let Decoded { low_res, iou } = self.decode(prompt, features)?;
        Ok(WorkerReply::Probed {
            id,
            low_res: read(low_res).await?,
            scores: read(iou).await?,
            encodings: self.encodings,
            embedding: read(features.sam.clone()).await?,
        })
    }

    /// Takes the page's canvas in place of an earlier one.
    pub(crate) async fn attach(&mut self, canvas: OffscreenCanvas) {
        self.preview = match &self.gpu {
            Some(gpu) => Preview::new(gpu, canvas).await,
            None => None,
        };
    }

    /// Draws the best mask of a prompt on the page's canvas; false where there is none to draw on.
    pub(crate) async fn preview(
        &mut self,
        prompt: &MaskPrompt,
        view: &PictureView,
    ) -> Result<bool, Problem> {
        if self.preview.is_none() {
            return Ok(false);
        }
        let Picture { features, .. } = self.picture()?;
        let original = [features.height as usize, features.width as usize];
        let placed = Placed {
            view,
            place: LogitPlace::new(view, features.sam_input, original),
            image_size: self.config.sam.image_size,
        };
        let decoded = self.decode(prompt, features)?;
        let scores = ScoredMask::scores(&decoded, features, &self.config);
        let is_drawn = match &mut self.preview {
            Some(preview) => preview.draw(decoded.low_res, scores, placed).await?,
            None => false,
        };
        if !is_drawn {
            self.preview = None;
        }
        Ok(is_drawn)
    }

    /// Leaves nothing on the page's canvas.
    pub(crate) fn clear_preview(&self) {
        if let Some(preview) = &self.preview {
            preview.clear();
        }
    }

    /// Logits of the candidates at the decoder's resolution, and their scores; on the GPU they may
    /// still have to be computed.
    fn decode(&self, prompt: &MaskPrompt, features: &LightFeatures) -> Result<Decoded, Problem> {
        let points: Vec<(f32, f32, i32)> = prompt.points.iter().map(Point::labelled).collect();
        let mask = prompt
            .mask
            .as_ref()
            .map(|mask| read_mask(mask, features))
            .transpose()?;
        if points.is_empty() && prompt.box_px.is_none() && mask.is_none() {
            return Err(bad_request("give a point, a box or a mask".to_owned()));
        }
        let prompt = PicturePrompt {
            points: &points,
            box_px: prompt.box_px,
            mask: mask.as_ref(),
        };
        Ok(self.model.segment(prompt, features, &self.config))
    }

    /// A region's vector.
    pub(crate) async fn vector(&self, mask: &MaskRle) -> Result<Vec<f32>, Problem> {
        let Picture { pixels, features } = self.picture()?;
        let mask = read_mask(mask, features)?;
        let vector = self
            .model
            .vector(pixels, &mask, features, &self.config, &self.device)
            .map_err(|error| bad_request(error.to_string()))?;
        read(vector).await
    }

    async fn encode(&mut self, pixels: &RgbImage) -> Result<(LightFeatures, f64), Problem> {
        self.encodings += 1;
        let started = now();
        let features = self.model.encode(pixels, &self.config, &self.device);
        // Only what is read has been computed for certain; of a kernel that a GPU refuses to run
        // nothing but zeros tells.
        let values = read(features.sam.clone()).await?;
        if values.iter().all(|value| *value == 0.0) {
            let message = "the device computed nothing".to_owned();
            return Err(Problem::new(WorkerFailure::Device, message));
        }
        Ok((features, now() - started))
    }

    fn picture(&self) -> Result<&Picture, Problem> {
        self.picture
            .as_ref()
            .ok_or_else(|| bad_request("no picture is open".to_owned()))
    }
}

/// A device, and what else there is to know of it where it is a GPU.
async fn open_device(
    kind: LightDevice,
    config: &LightConfig,
) -> Result<(Device, Option<WgpuSetup>), Problem> {
    let unsupported = |message: String| Problem::new(WorkerFailure::Unsupported, message);
    match kind {
        LightDevice::Cpu => Ok((Device::flex(), None)),
        LightDevice::Gpu if !has_gpu() => Err(unsupported("this browser has no WebGPU".to_owned())),
        LightDevice::Gpu => {
            let options = Device::wgpu_options().graphics_api(WgpuBackend::WebGpu);
            let (device, setup) = options
                .init_with_setup_async()
                .await
                .map_err(|error| unsupported(format!("there is no usable GPU: {error}")))?;
            let limits = setup.device.limits();
            let (needed, most) = (
                config.largest_buffer(),
                limits.max_storage_buffer_binding_size,
            );
            if most < needed {
                return Err(unsupported(format!(
                    "the GPU binds up to {most} bytes at once, and the model needs {needed}"
                )));
            }
            Ok((device, Some(setup)))
        }
    }
}

/// The numbers of a tensor, all of them finite.
async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Problem> {
    let data = tensor
        .into_data_async()
        .await
        .map_err(|error| Problem::of_device(&error))?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => {
            let message = "the device computed something that is no number".to_owned();
            Err(Problem::new(WorkerFailure::NotANumber, message))
        }
    }
}

fn read_mask(mask: &MaskRle, features: &LightFeatures) -> Result<Mask, Problem> {
    if mask.size != [features.height, features.width] {
        return Err(bad_request(
            "the mask has another size than the picture".to_owned(),
        ));
    }
    let pixels = u64::from(features.width) * u64::from(features.height);
    let mask = Mask::from_wire(mask, pixels).map_err(|error| bad_request(error.to_string()))?;
    match mask.is_empty() {
        true => Err(bad_request("the mask is empty".to_owned())),
        false => Ok(mask),
    }
}

fn bad_request(message: String) -> Problem {
    Problem::new(WorkerFailure::BadRequest, message)
}
