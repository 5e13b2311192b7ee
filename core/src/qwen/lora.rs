//! Low-rank adapters of the language model's linear layers (LoRA, <https://arxiv.org/abs/2106.09685>).

use burn::module::{Module, Param, ParamId};
use burn::nn::Linear;
use burn::tensor::module::linear;
use burn::tensor::{DType, Device, Distribution, Tensor};
use serde::{Deserialize, Serialize};

use crate::field::{FieldError, WIDEST, count, positive, require};

/// A linear layer of the language model's blocks, by its published name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraTarget {
    /// Queries.
    QProj,
    /// Keys.
    KProj,
    /// Values.
    VProj,
    /// The output projection of attention.
    OProj,
    /// The MLP's gate.
    GateProj,
    /// What the gate lets through.
    UpProj,
    /// Back to the residual width.
    DownProj,
}

impl LoraTarget {
    /// Every one of them.
    pub fn all() -> Vec<Self> {
        vec![
            Self::QProj,
            Self::KProj,
            Self::VProj,
            Self::OProj,
            Self::GateProj,
            Self::UpProj,
            Self::DownProj,
        ]
    }
}

/// Which layers are adapted, and how much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank of what is added to a weight.
    pub rank: usize,
    /// What is added is multiplied by `alpha / rank`.
    pub alpha: f64,
    /// The layers that are adapted, in every block.
    #[serde(default = "LoraTarget::all")]
    pub targets: Vec<LoraTarget>,
}

impl LoraConfig {
    /// Checks that adapters can be made of it.
    ///
    /// # Errors
    /// Names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), FieldError> {
        count("rank", self.rank, WIDEST)?;
        positive("alpha", self.alpha)?;
        require(
            !self.targets.is_empty(),
            "targets",
            &self.targets,
            "name at least one layer",
        )
    }

    /// Factor on what is added.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }
}

/// A linear layer that may carry an adapter: `x W + b + s (x A) B`.
///
/// The low-rank path is computed as it is written, so that nothing of the weight's size is ever
/// made for it. Without an adapter the layer is [`Linear`], names included.
#[derive(Module, Debug)]
pub struct LoraLinear {
    /// `[inputs, outputs]`
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`
    pub bias: Option<Param<Tensor<1>>>,
    /// `A`, `[inputs, rank]`, in f32 whatever the type of the weight.
    pub lora_a: Option<Param<Tensor<2>>>,
    /// `B`, `[rank, outputs]`, likewise.
    pub lora_b: Option<Param<Tensor<2>>>,
    scale: f64,
}

impl From<Linear> for LoraLinear {
    fn from(Linear { weight, bias }: Linear) -> Self {
        Self {
            weight,
            bias,
            lora_a: None,
            lora_b: None,
            scale: 0.0,
        }
    }
}

impl LoraLinear {
    /// # Shapes
    ///
    /// - input: `[.., inputs]`
    /// - output: `[.., outputs]`, in the type of the weight
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let weight = self.weight.val();
        let bias = self.bias.as_ref().map(Param::val);
        let (Some(a), Some(b)) = (&self.lora_a, &self.lora_b) else {
            return linear(input, weight, bias);
        };
        let (a, b) = (a.val(), b.val());
        let low = linear(input.clone().cast(a.dtype()), a, None).mul_scalar(self.scale);
        let base = linear(input, weight, bias);
        let added = linear(low, b, None).cast(base.dtype());
        base + added
    }

    /// Whether it carries an adapter.
    pub fn is_adapted(&self) -> bool {
        self.lora_a.is_some()
    }

    /// Puts on a fresh adapter: `A` random as the published implementation draws it (Kaiming's
    /// uniform distribution with slope `sqrt(5)`, which is `1 / sqrt(inputs)` either way), `B`
    /// zero, so that nothing is added before it has learned. Both are made when first used.
    pub(super) fn adapt(&mut self, rank: usize, scale: f64) {
        let [inputs, outputs] = self.weight.lazy_shape().dims();
        let device = self.weight.lazy_device();
        let bound = 1.0 / (inputs as f64).sqrt();
        self.lora_a = Some(factor([inputs, rank], Some(bound), device.clone()));
        self.lora_b = Some(factor([rank, outputs], None, device));
        self.scale = scale;
    }

    /// Folds the adapter into the weight, which keeps its type and whether it is trained.
    pub(super) fn merge(&mut self) {
        let (Some(a), Some(b)) = (self.lora_a.take(), self.lora_b.take()) else {
            return;
        };
        let constant = |factor: &Param<Tensor<2>>| factor.val().set_require_grad(false);
        let added = constant(&a).matmul(constant(&b)).mul_scalar(self.scale);
        self.weight = self.weight.clone().map(|weight| {
            let (dtype, is_trained) = (weight.dtype(), weight.is_require_grad());
            let sum = weight.set_require_grad(false).cast(DType::F32) + added;
            sum.cast(dtype).detach().set_require_grad(is_trained)
        });
        self.scale = 0.0;
    }
}

/// A factor of an adapter, uniform within `bound` or zero.
fn factor(shape: [usize; 2], bound: Option<f64>, device: Device) -> Param<Tensor<2>> {
    Param::uninitialized(
        ParamId::new(),
        move |device: &Device, is_trained| {
            let options = (device, DType::F32);
            let values: Tensor<2> = match bound {
                Some(bound) => Tensor::random(shape, Distribution::Uniform(-bound, bound), options),
                None => Tensor::zeros(shape, options),
            };
            values.set_require_grad(is_trained)
        },
        device,
        true,
        shape.into(),
    )
}

#[cfg(test)]
mod tests {
    use burn::module::ModuleMapper;
    use burn::tensor::{Gradients, Int, TensorData, Tolerance};

    use super::*;
    use crate::fclm::FclmConfig;
    use crate::qwen::{TextModel, positions_tensor};
    use crate::weights::{NameMap, tensor_specs};

    fn config() -> LoraConfig {
        LoraConfig {
            rank: 2,
            alpha: 4.0,
            targets: LoraTarget::all(),
        }
    }

    fn text_model(device: &Device) -> TextModel {
        device.seed(3);
        FclmConfig::tiny(64, 1).qwen.text.init(device)
    }

    /// Three tokens through the whole language model.
    fn run(model: &TextModel) -> Tensor<3> {
        let device = model.embed_tokens.weight.device();
        let ids = Tensor::<2, Int>::from_data([[5, 9, 2]], &device);
        let embeds = model.embed_tokens.forward(ids);
        let positions: Vec<[i32; 3]> = (0..3).map(|place| [place; 3]).collect();
        model.forward(embeds, positions_tensor(&[&positions], &device), None, None)
    }

    /// Gives every `B` numbers, as training would.
    struct Learn;

    impl ModuleMapper for Learn {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let largest: f32 = param.val().abs().max().into_scalar();
            if D < 2 || largest > 0.0 {
                return param;
            }
            param.map(|zeros| {
                let device = zeros.device();
                let draws = Distribution::Uniform(-0.3, 0.3);
                let is_trained = zeros.is_require_grad();
                Tensor::random(zeros.shape(), draws, &device).set_require_grad(is_trained)
            })
        }
    }

    fn bits(x: Tensor<3>) -> Vec<u32> {
        x.into_data().iter::<f32>().map(f32::to_bits).collect()
    }

    #[test]
    fn a_fresh_adapter_changes_no_bit() {
        let device = Device::flex();
        let base = text_model(&device);
        let expected = bits(run(&base));
        let adapted = base.with_lora(&config());
        assert!(adapted.layers[1].mlp.down_proj.is_adapted());
        assert_eq!(bits(run(&adapted)), expected);
    }

    #[test]
    fn adapters_stand_beside_the_weights_that_they_adapt() {
        let device = Device::flex();
        let base = text_model(&device);
        let plain = tensor_specs(&base, &NameMap::new());
        let some = LoraConfig {
            targets: vec![LoraTarget::VProj, LoraTarget::DownProj],
            ..config()
        };
        let adapted = tensor_specs(&base.clone().with_lora(&some), &NameMap::new());
        let new: Vec<_> = adapted
            .iter()
            .filter(|spec| !plain.contains(spec))
            .collect();
        let spec = |name: &str, shape: [usize; 2]| (name.to_owned(), shape.to_vec());
        // 32 wide, 2 key/value heads of 8, an MLP of 48.
        assert_eq!(
            new[..4],
            [
                &spec("layers.0.self_attn.v_proj.lora_a", [32, 2]),
                &spec("layers.0.self_attn.v_proj.lora_b", [2, 16]),
                &spec("layers.0.mlp.down_proj.lora_a", [48, 2]),
                &spec("layers.0.mlp.down_proj.lora_b", [2, 32]),
            ]
        );
        assert_eq!(adapted.len(), plain.len() + 8);
        let merged = base.with_lora(&some).merge_lora();
        assert_eq!(tensor_specs(&merged, &NameMap::new()), plain);
    }

    #[test]
    fn only_adapters_are_trained() {
        let device = Device::flex().autodiff();
        let model = text_model(&device).with_lora(&config()).map(&mut Learn);
        let gradients = run(&model).square().sum().backward();
        let layer = &model.layers[0];
        for linear in [&layer.self_attn.q_proj, &layer.mlp.gate_proj] {
            assert!(linear.weight.val().grad(&gradients).is_none());
            for factor in [&linear.lora_a, &linear.lora_b] {
                let gradient = factor.as_ref().unwrap().val().grad(&gradients).unwrap();
                assert!(gradient.abs().max().into_scalar::<f32>() > 0.0);
            }
        }
        assert!(model.norm.gamma.val().grad(&gradients).is_none());
        assert!(model.embed_tokens.weight.val().grad(&gradients).is_none());
    }

    /// A layer of 3 inputs and 2 outputs, and what it is given.
    fn tiny(device: &Device) -> (LoraLinear, Tensor<2>) {
        let trained = |data: Tensor<2>| Some(Param::from_tensor(data));
        let layer = LoraLinear {
            weight: Param::from_tensor(Tensor::from_data(
                [[0.5, -1.0], [0.25, 2.0], [-0.75, 0.5]],
                device,
            ))
            .set_require_grad(false),
            bias: None,
            lora_a: trained(Tensor::from_data(
                [[1.0, 0.5], [-0.5, 1.0], [0.25, -1.0]],
                device,
            )),
            lora_b: trained(Tensor::from_data([[0.5, -0.25], [1.0, 0.75]], device)),
            scale: 2.0,
        };
        let x = Tensor::from_data([[1.0, 2.0, -1.0], [0.5, -1.0, 3.0]], device);
        (layer, x)
    }

    #[test]
    fn the_low_rank_path_is_added() {
        let (layer, x) = tiny(&Device::flex());
        // The first row: x W = (1.75, 2.5), x A = (-0.25, 3.5), and (x A) B = (3.375, 2.6875).
        let first = layer.forward(x).slice([0..1, 0..2]).into_data();
        first.assert_approx_eq::<f32>(
            &TensorData::from([[1.75_f32 + 2.0 * 3.375, 2.5 + 2.0 * 2.6875]]),
            Tolerance::absolute(1e-6),
        );
    }

    /// Moves one number of a factor.
    fn moved(factor: &Option<Param<Tensor<2>>>, place: usize, by: f32) -> Param<Tensor<2>> {
        let value = factor.as_ref().unwrap().val();
        let [rows, columns] = value.dims();
        let mut numbers: Vec<f32> = value.clone().into_data().iter::<f32>().collect();
        numbers[place] += by;
        let data = TensorData::new(numbers, [rows, columns]);
        Param::from_tensor(Tensor::from_data(data, &value.device()))
    }

    fn gradient_of(factor: &Option<Param<Tensor<2>>>, gradients: &Gradients) -> Vec<f32> {
        let gradient = factor.as_ref().unwrap().val().grad(gradients).unwrap();
        gradient.into_data().iter::<f32>().collect()
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (layer, x) = tiny(&Device::flex().autodiff());
        let loss = |layer: &LoraLinear| layer.forward(x.clone()).square().sum();
        let gradients = loss(&layer).backward();
        // The loss is quadratic in each number, for which central differences have no error of
        // their own.
        let step = 0.125;
        let slope = |change: &dyn Fn(&mut LoraLinear, f32)| {
            let at = |by: f32| {
                let mut layer = layer.clone();
                change(&mut layer, by);
                loss(&layer).into_scalar::<f32>()
            };
            (at(step) - at(-step)) / (2.0 * step)
        };
        for (place, gradient) in gradient_of(&layer.lora_a, &gradients)
            .into_iter()
            .enumerate()
        {
            let measured =
                slope(&|changed, by| changed.lora_a = Some(moved(&layer.lora_a, place, by)));
            assert!(
                (gradient - measured).abs() < 2e-3,
                "A {place}: {gradient}, {measured}"
            );
        }
        for (place, gradient) in gradient_of(&layer.lora_b, &gradients)
            .into_iter()
            .enumerate()
        {
            let measured =
                slope(&|changed, by| changed.lora_b = Some(moved(&layer.lora_b, place, by)));
            assert!(
                (gradient - measured).abs() < 2e-3,
                "B {place}: {gradient}, {measured}"
            );
        }
        assert!(layer.weight.val().grad(&gradients).is_none());
    }

    #[test]
    fn a_merged_model_says_the_same() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let base = text_model(&device);
            let before = run(&base);
            let model = base.with_lora(&config()).map(&mut Learn);
            let apart = run(&model);
            let change = (apart.clone() - before).abs().max().into_scalar::<f32>();
            assert!(change > 1e-2, "the adapters change the output by {change}");
            let merged = model.merge_lora();
            assert!(!merged.layers[0].self_attn.q_proj.is_adapted());
            let off = (run(&merged) - apart).abs().max().into_scalar::<f32>();
            assert!(off < 1e-5, "{off}");
        }
    }

    #[test]
    fn a_half_precision_base_takes_full_precision_adapters() {
        struct Halve;

        impl ModuleMapper for Halve {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                param.map(|value| value.set_require_grad(false).cast(DType::BF16))
            }
        }

        let device = Device::flex().autodiff();
        let full = text_model(&device);
        let expected = run(&full);
        let model = full.map(&mut Halve).with_lora(&config());
        let output = run(&model);
        assert_eq!(output.dtype(), DType::BF16);
        let norm = |x: Tensor<3>| x.square().sum().sqrt().into_scalar::<f32>();
        let off = norm(output.cast(DType::F32) - expected.clone()) / norm(expected);
        assert!((1e-5..3e-2).contains(&off), "{off}");

        let model = model.map(&mut Learn);
        let gradients = run(&model).cast(DType::F32).square().sum().backward();
        let b = model.layers[0].mlp.up_proj.lora_b.as_ref().unwrap().val();
        let gradient = b.grad(&gradients).unwrap();
        assert_eq!(gradient.dtype(), DType::F32);
        assert!(gradient.abs().max().into_scalar::<f32>() > 0.0);
    }

    #[test]
    fn settings_that_make_no_adapter_are_named() {
        let wrong = |change: fn(&mut LoraConfig)| {
            let mut config = config();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(config().validate().is_ok());
        assert!(wrong(|config| config.rank = 0).contains("rank is 0"));
        assert!(wrong(|config| config.alpha = f64::NAN).contains("alpha is NaN"));
        assert!(wrong(|config| config.targets.clear()).contains("targets is []"));
        let read: LoraConfig =
            serde_json::from_str(r#"{"rank": 8, "alpha": 16, "targets": ["q_proj", "down_proj"]}"#)
                .unwrap();
        assert_eq!(read.targets, [LoraTarget::QProj, LoraTarget::DownProj]);
        assert!((read.scale() - 2.0).abs() < 1e-12);
    }
}
