use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Distribution, Tensor, activation};

use super::config::RegionConfig;
use super::shape::BOX_NUMBERS;
use crate::linear::in_type_of;

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
    /// New parameters, made when first used.
    pub fn new(config: &RegionConfig, device: &Device) -> Self {
        let [first, second] = config.position_hidden;
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        let mut fc1 = linear(config.shape_len(), first);
        let cells = config.mask_side * config.mask_side;
        fc1.weight = fc1.weight.init_mapper(move |weight: Tensor<2>| {
            let draws = Distribution::Uniform(-BOX_BOUND, BOX_BOUND);
            let boxes = Tensor::<2>::random([BOX_NUMBERS, first], draws, &weight.device());
            weight.slice_assign([cells..cells + BOX_NUMBERS, 0..first], boxes)
        });
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
        let shape = in_type_of(shape, self.fc1.weight.dtype());
        let hidden = activation::relu(self.fc1.forward(shape));
        let hidden = activation::relu(self.fc2.forward(hidden));
        self.fc3.forward(hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_centre_and_size_are_drawn_from_the_wider_range() {
        let config = RegionConfig {
            mask_side: 4,
            close_side: 2,
            position_hidden: [64, 8],
            ..RegionConfig::published(8)
        };
        let device = Device::flex();
        let branch = PositionBranch::new(&config, &device);
        assert!(!branch.fc1.weight.is_initialized());
        assert_eq!(branch.fc1.weight.lazy_shape().to_vec(), [24, 64]);
        let values: Vec<f32> = branch.fc1.weight.val().into_data().try_into_vec().unwrap();
        let default = 1.0 / 24.0f32.sqrt();
        for (row, values) in values.chunks_exact(64).enumerate() {
            let largest = values
                .iter()
                .fold(0.0f32, |largest, value| largest.max(value.abs()));
            let is_of_the_box = (16..20).contains(&row);
            assert!(largest <= BOX_BOUND as f32, "row {row}: {largest}");
            assert_eq!(
                largest > default * 1.001,
                is_of_the_box,
                "row {row}: {largest}"
            );
        }
        let shape = Tensor::ones([3, 24], &device);
        assert_eq!(branch.forward(shape).dims(), [3, 8]);
    }

    #[test]
    fn what_is_made_late_is_trained_as_well() {
        let config = RegionConfig {
            mask_side: 2,
            position_hidden: [8, 8],
            ..RegionConfig::published(4)
        };
        let device = Device::flex().autodiff();
        let branch = PositionBranch::new(&config, &device);
        let shape = Tensor::ones([2, config.shape_len()], &device);
        let gradients = branch.forward(shape).sum().backward();
        assert!(branch.fc1.weight.val().grad(&gradients).is_some());
    }
}
