//! Gradients through extractor, projection and decoder against finite differences.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use image::{Rgb, RgbImage};

use super::{Fclm, FclmConfig};
use crate::loss::segmentation_loss;
use crate::mask::Mask;
use crate::region::{RegionBatch, prepare_region};
use crate::sam::Decoded;

/// Of weights, picture and directions. With 14 of the first 39 a kink of a ReLU lies within a step, or
/// a part has no slope above the noise; with this one no difference is more than a seventh of its
/// bound.
const SEED: u64 = 15;
/// How much the loss should change over a step of the central difference: a thousand times what
/// f32 rounds off a loss of about 3.
const CHANGE: f64 = 4e-4;
/// Bounds of that step along a direction of length 1: a longer one leaves the straight part of
/// the loss.
const STEPS: [f64; 2] = [2e-3, 2e-2];
/// What the rounding of two losses makes of a slope over the longest step.
const NOISE: f64 = 2e-5;
/// Slope along the gradient's own signs below which a part would not have been tested.
const LEAST_SLOPE: f64 = 5.0 * NOISE;

/// Which way the numbers of a part are moved, all by the same length.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// By one pseudo-random sign each: what the gradient misses moves too.
    Drawn,
    /// By the gradient's signs: where the loss is flat along drawn ones, it is steepest here.
    Steep,
}

impl Way {
    /// Bound on the difference of computed and measured slope, as a share of the larger. Along the
    /// gradient all ReLUs are moved towards or away from their kinks together.
    fn tolerance(self) -> f64 {
        match self {
            Self::Drawn => 0.02,
            Self::Steep => 0.05,
        }
    }

    fn signs<const D: usize>(
        self,
        param: &Param<Tensor<D>>,
        path: &str,
        gradients: &Gradients,
    ) -> Tensor<D> {
        let drawn = drawn_signs(param, path, &Device::flex());
        match (self, param.val().grad(gradients)) {
            (Self::Steep, Some(gradient)) => {
                let own = gradient.sign();
                let is_zero = own.clone().abs().neg().add_scalar(1.0);
                own + drawn * is_zero
            }
            _ => drawn,
        }
    }
}

/// Pseudo-random numbers (`SplitMix64`), the same in every run: those of a device are drawn by all
/// tests of the process in turn.
struct Stream(u64);

impl Stream {
    fn new(purpose: &str, path: &str) -> Self {
        let bytes = purpose.bytes().chain(path.bytes());
        Self(bytes.fold(SEED, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From -1 to 1.
    fn uniform(&mut self) -> f32 {
        (self.draw() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn sign(&mut self) -> f32 {
        if self.draw() & 1 == 0 { 1.0 } else { -1.0 }
    }

    fn byte(&mut self) -> u8 {
        (self.draw() >> 56) as u8
    }
}

/// One pseudo-random sign per number.
fn drawn_signs<const D: usize>(param: &Param<Tensor<D>>, path: &str, device: &Device) -> Tensor<D> {
    let shape = param.lazy_shape();
    let mut stream = Stream::new("signs of ", path);
    let signs: Vec<f32> = (0..shape.num_elements()).map(|_| stream.sign()).collect();
    Tensor::from_data(TensorData::new(signs, shape), device)
}

/// Gives every parameter numbers of its own stream: matrices by the number of their inputs, those
/// that start at zero too, because nothing behind them would have a gradient; small biases; and
/// factors of norms near those of a new model.
struct Fill {
    path: Vec<String>,
}

impl ModuleMapper for Fill {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let shape = param.lazy_shape();
        let reach = match shape.as_slice() {
            [] | [_] => 0.1,
            [inputs, _] => (*inputs as f32).sqrt().recip(),
            [_, inputs @ ..] => (inputs.iter().product::<usize>() as f32).sqrt().recip(),
        };
        // Factors of norms, and the directions in which step 3 samples.
        let is_factor = D == 1
            && !path.ends_with("beta")
            && (!path.ends_with("bias") || path.contains("sampling_offsets"));
        let mut stream = Stream::new("values of ", &path);
        let fresh: Vec<f32> = param.val().into_data().iter::<f32>().collect();
        let values: Vec<f32> = fresh
            .into_iter()
            .map(|fresh| {
                let drawn = reach * stream.uniform();
                if is_factor {
                    fresh * (1.0 + drawn)
                } else {
                    drawn
                }
            })
            .collect();
        param.map(|fresh| {
            let values = Tensor::<D>::from_data(TensorData::new(values, shape), &fresh.device());
            values.set_require_grad(fresh.is_require_grad())
        })
    }
}

struct Move<'a> {
    path: Vec<String>,
    prefix: &'a str,
    way: Way,
    gradients: &'a Gradients,
    by: f64,
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
        let signs = self.way.signs(&param, &path, self.gradients);
        let by = signs.mul_scalar(self.by);
        param.map(|value| (value.detach() + by).detach().require_grad())
    }
}

struct Slope<'a> {
    path: Vec<String>,
    prefix: &'a str,
    way: Way,
    gradients: &'a Gradients,
    sum: f64,
    count: usize,
    /// Parameters that the gradient does not reach.
    missed: Vec<String>,
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
        match param.val().grad(self.gradients) {
            Some(gradient) => {
                let signs = self.way.signs(param, &path, self.gradients);
                self.sum += (gradient * signs).sum().into_scalar::<f64>();
            }
            None => self.missed.push(path),
        }
    }
}

/// `<mask>` and `<pos>` of one region, each drawn by the decoder and compared with the region's
/// mask, and the scores of what was drawn.
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
    let config = FclmConfig::tiny(64, 1);
    let model = config.init(&device).map(&mut Fill { path: Vec::new() });
    let mut noise = Stream::new("picture", "");
    let image = RgbImage::from_fn(64, 48, |_, _| Rgb([(); 3].map(|()| noise.byte())));
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
        for way in [Way::Drawn, Way::Steep] {
            let mut slope = Slope {
                path: Vec::new(),
                prefix,
                way,
                gradients: &gradients,
                sum: 0.0,
                count: 0,
                missed: Vec::new(),
            };
            model.visit(&mut slope);
            assert!(slope.count > 0, "{prefix} holds parameters");
            assert!(slope.missed.is_empty(), "no gradient of {:?}", slope.missed);
            let length = (slope.count as f64).sqrt();
            let computed = slope.sum / length;
            let step = (CHANGE / computed.abs()).clamp(STEPS[0], STEPS[1]);
            let moved = |by: f64| {
                let mut mover = Move {
                    path: Vec::new(),
                    prefix,
                    way,
                    gradients: &gradients,
                    by: by / length,
                };
                let model = model.clone().map(&mut mover);
                loss(&model, &config, &image, &mask).into_scalar::<f64>()
            };
            let measured = (moved(step) - moved(-step)) / (2.0 * step);
            eprintln!("{prefix}, {way:?}: {computed:.2e} computed, {measured:.2e} measured");
            assert!(
                way == Way::Drawn || computed > LEAST_SLOPE,
                "{prefix} is flat: {computed:.2e}"
            );
            let bound = way.tolerance() * measured.abs().max(computed.abs()) + NOISE;
            assert!(
                (measured - computed).abs() <= bound,
                "{prefix}, {way:?}: {computed:.2e} computed, {measured:.2e} measured"
            );
        }
    }
}
