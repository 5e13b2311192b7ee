use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, activation};

use super::config::RegionConfig;

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
        Self {
            fc1: linear(config.shape_len(), first),
            fc2: linear(first, second),
            fc3: linear(second, config.hidden_size),
        }
    }

    /// # Shapes
    /// - `shape`: `[regions, mask_side * mask_side + 4]`, coverage in `[0, 1]`, then cx, cy, w, h
    ///   in `[0, 1]`
    /// - output: `[regions, hidden_size]`
    pub fn forward(&self, shape: Tensor<2>) -> Tensor<2> {
        let hidden = activation::relu(self.fc1.forward(shape));
        let hidden = activation::relu(self.fc2.forward(hidden));
        self.fc3.forward(hidden)
    }
}
