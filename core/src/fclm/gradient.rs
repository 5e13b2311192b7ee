//! Gradients through extractor, projection and decoder against finite differences.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Gradients, Tensor, TensorData};
use image::{Rgb, RgbImage};

use super::{Fclm, FclmConfig};
use crate::loss::segmentation_loss;
use crate::mask::Mask;
use crate::region::{RegionBatch, prepare_region};
use crate::sam::Decoded;

/// Step of the central difference along a direction of length 1.
const STEP: f64 = 2e-2;
const TOLERANCE: f64 = 0.02;

/// A direction in parameter space: one pseudo-random sign per number under `prefix`, scaled to
/// length 1.
fn direction<const D: usize>(param: &Param<Tensor<D>>, path: &str, device: &Device) -> Tensor<D> {
    let shape = param.lazy_shape();
    let count = shape.num_elements();
    let mut state = path.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let signs: Vec<f32> = (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state & 1 == 0 { 1.0 } else { -1.0 }
        })
        .collect();
    Tensor::from_data(TensorData::new(signs, shape), device)
}

struct Move<'a> {
    path: Vec<String>,
    prefix: &'a str,
    by: f64,
    device: Device,
}

impl ModuleMapper for Move<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        if !path.starts_with(self.prefix) {
            return param;
        }
        let by = direction(&param, &path, &self.device).mul_scalar(self.by);
        param.map(|value| (value.detach() + by).detach().require_grad())
    }
}

struct Slope<'a> {
    path: Vec<String>,
    prefix: &'a str,
    gradients: &'a Gradients,
    device: Device,
    sum: f64,
    count: usize,
}

impl ModuleVisitor for Slope<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if !path.starts_with(self.prefix) {
            return;
        }
        self.count += param.lazy_shape().num_elements();
        if let Some(gradient) = param.val().grad(self.gradients) {
            let along = direction(param, &path, &self.device);
            self.sum += (gradient * along).sum().into_scalar::<f64>();
        }
    }
}

/// `<mask>`, `<pos>` and a hidden state are each drawn by the decoder and compared with the mask.
fn loss(model: &Fclm, config: &FclmConfig, image: &RgbImage, mask: &Mask) -> Tensor<1> {
    let device = Device::flex().autodiff();
    let features = model
        .encode_image(image, config, &device)
        .expect("a picture that fits");
    let prepared =
        prepare_region(image, mask, &config.sam, &config.region).expect("a mask that fits");
    let batch = RegionBatch::new(&[&prepared], config.sam.image_size, &device);
    let crop = model.sam.image_encoder.forward(batch.crop_pixels.clone());
    let vision = features.vision.clone().unsqueeze::<3>();
    let tokens = model.extract_regions(crop, features.sam.clone(), vision, features.grid, batch);
    let tokens = model
        .seg_projection
        .forward(Tensor::cat(vec![tokens.mask, tokens.pos], 0));
    let Decoded { low_res, iou } = model.decode_tokens(tokens, features.sam.repeat_dim(0, 2));
    let [prompts, masks, height, width] = low_res.dims();
    let side = width as u32;
    let target = Tensor::<3>::from_data(
        TensorData::new(mask.area_average(side, side), [1, height, width]),
        &device,
    );
    let logits = low_res.reshape([prompts * masks, height, width]);
    segmentation_loss(logits, target.repeat_dim(0, prompts * masks)) + iou.mean()
}

#[test]
fn gradients_agree_with_finite_differences() {
    let device = Device::flex().autodiff();
    device.seed(7);
    let config = FclmConfig::tiny(64, 1);
    let model = config.init(&device);
    let noise = Tensor::<1>::random([64 * 48 * 3], Distribution::Uniform(0.0, 255.0), &device);
    let noise: Vec<f32> = noise.into_data().iter::<f32>().collect();
    let image = RgbImage::from_fn(64, 48, |x, y| {
        let at = ((y * 64 + x) * 3) as usize;
        Rgb([noise[at] as u8, noise[at + 1] as u8, noise[at + 2] as u8])
    });
    let mask = Mask::from_fn(64, 48, |x, y| {
        (20..44).contains(&x) && (10..30).contains(&y)
    });
    let gradients = loss(&model, &config, &image, &mask).backward();
    for prefix in [
        "region.local",
        "region.pixel",
        "region.semantic",
        "region.position",
        "seg_projection",
        "sam.mask_decoder",
        "sam.image_encoder",
        "qwen.visual",
    ] {
        let mut slope = Slope {
            path: Vec::new(),
            prefix,
            gradients: &gradients,
            device: Device::flex(),
            sum: 0.0,
            count: 0,
        };
        model.visit(&mut slope);
        assert!(slope.count > 0, "{prefix} holds parameters");
        let length = (slope.count as f64).sqrt();
        let moved = |by: f64| {
            let mut mover = Move {
                path: Vec::new(),
                prefix,
                by: by / length,
                device: Device::flex(),
            };
            let model = model.clone().map(&mut mover);
            loss(&model, &config, &image, &mask).into_scalar::<f64>()
        };
        let measured = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        let computed = slope.sum / length;
        let off = (measured - computed).abs() / measured.abs().max(computed.abs()).max(1e-3);
        assert!(
            off < TOLERANCE,
            "{prefix}: {computed:.6} computed, {measured:.6} measured"
        );
    }
}
