use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, activation};

use super::config::RegionConfig;
use super::shape::BOX_NUMBERS;

/// Bound of the fresh weights of centre and size. The default, by the thousands of inputs of which
/// few are ever set at once, would leave these four without a voice.
const BOX_BOUND: f64 = 0.5;

/// Step 4, the position branch: an MLP over the mask's shape and the box's centre and size, which
/// gives `<pos>`.
#[derive(Module, Debug)]
pub struct PositionBranch {
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl PositionBranch {
    /// New parameters.
    pub fn new(config: &RegionConfig, device: &Device) -> Self {
        let [first, second] = config.position_hidden;
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        let mut fc1 = linear(config.shape_len(), first);
        let cells = config.mask_side * config.mask_side;
        let boxes = Initializer::Uniform {
            min: -BOX_BOUND,
            max: BOX_BOUND,
        };
        let boxes: Param<Tensor<2>> = boxes.init([BOX_NUMBERS, first], device);
        let all = fc1.weight.val();
        let mut weight = vec![all.clone().narrow(0, 0, cells), boxes.val()];
        let close = config.shape_len() - cells - BOX_NUMBERS;
        if close > 0 {
            weight.push(all.narrow(0, cells + BOX_NUMBERS, close));
        }
        fc1.weight = Param::from_tensor(Tensor::cat(weight, 0).detach());
        Self {
            fc1,
            fc2: linear(first, second),
            fc3: linear(second, config.hidden_size),
        }
    }

    /// # Shapes
    /// - `shape`: `[regions, shape_len]` of [`super::mask_shape`]
    /// - output: `[regions, hidden_size]`
    pub fn forward(&self, shape: Tensor<2>) -> Tensor<2> {
        let hidden = activation::relu(self.fc1.forward(shape));
        let hidden = activation::relu(self.fc2.forward(hidden));
        self.fc3.forward(hidden)
    }
}
