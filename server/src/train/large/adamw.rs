use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};

use super::trained::{Trained, Walk};
use crate::train::recipe::OptimizerRecipe;

/// AdamW with decoupled weight decay, computed where the parameters are.
///
/// The formulas are those of [`AdamW`](crate::train::AdamW), which works on vectors of the host.
#[derive(Debug, Clone)]
pub(super) struct DeviceAdamW {
    recipe: OptimizerRecipe,
    /// Updates done.
    pub(super) time: u64,
    /// In the order of the trained parameters.
    pub(super) moments: Vec<Moments>,
}

/// What the optimiser remembers of one parameter; flat, in f32.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    pub(super) first: Tensor<1>,
    pub(super) second: Tensor<1>,
}

/// How far one update goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Update<'a> {
    /// Each trained parameter's share of the learning rate; those of share 0 stay as they are.
    pub(super) shares: &'a [f64],
    /// Factor on the gradients, by which they are clipped.
    pub(super) scale: f32,
    pub(super) learning_rate: f64,
}

impl DeviceAdamW {
    /// A fresh optimiser.
    pub(super) fn new(recipe: OptimizerRecipe, trained: &Trained, device: &Device) -> Self {
        let zeros = |count: usize| Tensor::zeros([count], (device, DType::F32));
        let moments = trained.parameters.iter().map(|parameter| Moments {
            first: zeros(parameter.len()),
            second: zeros(parameter.len()),
        });
        Self {
            recipe,
            time: 0,
            moments: moments.collect(),
        }
    }

    /// Factor that brings a gradient of this norm to the largest that is allowed.
    pub(super) fn clip(&self, norm: f64) -> f32 {
        (self.recipe.clip_norm / (norm + 1e-6)).min(1.0) as f32
    }

    /// The model after one update; `gradients` has one tensor for each trained parameter.
    ///
    /// # Panics
    /// Panics where `gradients` or the shares have another length.
    pub(super) fn step<M: Module>(
        &mut self,
        module: M,
        trained: &Trained,
        gradients: Vec<Tensor<1>>,
        update: Update<'_>,
    ) -> M {
        assert_eq!(gradients.len(), trained.count(), "one gradient for each");
        assert_eq!(update.shares.len(), trained.count(), "one share for each");
        self.time += 1;
        let time = self.time as f64;
        let mut stepper = Stepper {
            walk: Walk::default(),
            trained,
            gradients: gradients.into_iter().map(Some).collect(),
            recipe: self.recipe,
            update,
            corrected: update.learning_rate / (1.0 - self.recipe.beta_1.powf(time)),
            root: 1.0 / (1.0 - self.recipe.beta_2.powf(time)).sqrt(),
            moments: &mut self.moments,
        };
        module.map(&mut stepper)
    }
}

struct Stepper<'a> {
    walk: Walk,
    trained: &'a Trained,
    gradients: Vec<Option<Tensor<1>>>,
    recipe: OptimizerRecipe,
    update: Update<'a>,
    /// The learning rate with the correction of the first moment.
    corrected: f64,
    /// The correction of the second moment's root.
    root: f64,
    moments: &'a mut [Moments],
}

impl Stepper<'_> {
    /// The new values of trained parameter `place`, outside autodiff.
    fn updated(&mut self, place: usize, value: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let share = self.update.shares[place];
        let is_matrix = self.trained.parameters[place].shape.len() >= 2;
        let decay = match is_matrix {
            true => 1.0 - self.update.learning_rate * share * self.recipe.weight_decay,
            false => 1.0,
        };
        let moments = &mut self.moments[place];
        let gradient = gradient.mul_scalar(self.update.scale);
        let (first, second) = (moments.first.clone(), moments.second.clone());
        let towards = |old: Tensor<1>, new: Tensor<1>, beta: f64| {
            old.clone() + (new - old).mul_scalar(1.0 - beta)
        };
        moments.first = towards(first, gradient.clone(), self.recipe.beta_1);
        moments.second = towards(second, gradient.clone() * gradient, self.recipe.beta_2);
        let spread = moments.second.clone().sqrt().mul_scalar(self.root);
        let change = moments.first.clone().mul_scalar(self.corrected * share)
            / spread.add_scalar(self.recipe.epsilon);
        value.mul_scalar(decay) - change
    }
}

impl ModuleMapper for Stepper<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(place) = self.walk.place(self.trained) else {
            return param;
        };
        let gradient = self.gradients[place].take();
        let Some(gradient) = gradient.filter(|_| self.update.shares[place] > 0.0) else {
            return param;
        };
        let (id, value, mapper) = param.consume();
        let shape = value.dims();
        let strategy = value.gradient_checkpointing_strategy();
        let count = self.trained.parameters[place].len();
        // Outside autodiff, or every step would be recorded behind the one before.
        let flat: Tensor<1> = value.without_autodiff().reshape([count]);
        let new: Tensor<D> = self.updated(place, flat, gradient).reshape(shape);
        let new = match strategy {
            Some(strategy) => new
                .autodiff()
                .with_gradient_checkpointing_strategy(strategy)
                .set_require_grad(true),
            None => new,
        };
        Param::from_mapped_value(id, new, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{GradientCheckpointingStrategy, TensorData};

    use super::*;
    use crate::train::adamw::AdamW;
    use crate::train::parameters::ParameterTable;

    #[derive(Module, Debug)]
    struct Layers {
        first: Linear,
        frozen: Linear,
        slow: Linear,
    }

    fn layers(device: &Device) -> Layers {
        device.seed(2);
        let layer = || LinearConfig::new(3, 2).init(device);
        Layers {
            first: layer(),
            frozen: layer(),
            slow: layer(),
        }
    }

    const RECIPE: OptimizerRecipe = OptimizerRecipe {
        beta_1: 0.9,
        beta_2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.1,
        clip_norm: 1.0,
        extractor_share: 1.0,
    };

    /// Shares of weight and bias of the three layers.
    const SHARES: [f64; 6] = [1.0, 1.0, 0.0, 0.0, 0.25, 0.25];

    #[test]
    fn updates_are_those_of_the_host() {
        for device in [
            Device::flex(),
            Device::flex().autodiff(),
            Device::flex().autodiff().gradient_checkpointing(),
        ] {
            let mut ours = layers(&device);
            let table = ParameterTable::of(&ours);
            let trained = Trained::chosen(&ours, |path| !path.starts_with("frozen"));
            let shares: Vec<f64> = [0, 1, 4, 5].map(|place| SHARES[place]).to_vec();
            let mut optimizer = DeviceAdamW::new(RECIPE, &trained, &Device::flex());

            let mut theirs = table.values(&ours);
            let frozen = theirs[8..16].to_vec();
            let mut host = AdamW::new(RECIPE, table.len());
            for step in 0..4_u32 {
                let gradients: Vec<f32> = (0..table.len())
                    .map(|place| ((place as u32 * 7 + step * 3) as f32).sin())
                    .collect();
                let rate = 0.05 / f64::from(step + 1);
                let norm = host.step(&mut theirs, &gradients, &table, &SHARES, rate);
                let of_trained = table
                    .parameters
                    .iter()
                    .filter(|parameter| !parameter.path.starts_with("frozen"))
                    .map(|parameter| {
                        let range = parameter.offset..parameter.offset + parameter.len();
                        let data = TensorData::new(gradients[range].to_vec(), [parameter.len()]);
                        Tensor::<1>::from_data(data, &Device::flex())
                    });
                let update = Update {
                    shares: &shares,
                    scale: optimizer.clip(norm),
                    learning_rate: rate,
                };
                ours = optimizer.step(ours, &trained, of_trained.collect(), update);
            }
            let values = table.values(&ours);
            for (ours, theirs) in values.iter().zip(&theirs) {
                assert!((ours - theirs).abs() < 1e-6, "{ours}, {theirs}");
            }
            assert_eq!(values[8..16], frozen);
            assert_eq!(optimizer.time, 4);

            let weight = ours.first.weight.val();
            assert_eq!(weight.is_require_grad(), device.is_autodiff());
            assert_eq!(
                weight.gradient_checkpointing_strategy(),
                device.gradient_checkpointing_strategy()
            );
        }
        let strategy = Device::flex()
            .autodiff()
            .gradient_checkpointing()
            .gradient_checkpointing_strategy();
        assert_eq!(strategy, Some(GradientCheckpointingStrategy::Balanced));
    }

    #[test]
    fn parameters_can_be_learned_from_again_after_an_update() {
        let device = Device::flex().autodiff();
        let mut layers = layers(&device);
        let trained = Trained::chosen(&layers, |path| path.starts_with("first"));
        let mut optimizer = DeviceAdamW::new(RECIPE, &trained, &Device::flex());
        let x = Tensor::<2>::ones([1, 3], &device);
        let mut losses = Vec::new();
        for _ in 0..20 {
            let output = layers.first.forward(x.clone());
            let loss = output.sub_scalar(5.0).square().sum();
            losses.push(loss.clone().into_scalar::<f32>());
            let mut gradients = super::super::gradients::GradientBuffer::new(&trained);
            gradients.add(&layers, &trained, loss.backward());
            let update = Update {
                shares: &[1.0, 1.0],
                scale: 1.0,
                learning_rate: 0.05,
            };
            let gradients = gradients.into_tensors(&trained, &Device::flex());
            layers = optimizer.step(layers, &trained, gradients, update);
        }
        assert!(losses[19] < 0.5 * losses[0], "{losses:?}");
    }

    #[test]
    fn long_gradients_are_shortened_and_short_ones_are_not() {
        let trained = Trained {
            parameters: Vec::new(),
        };
        let optimizer = DeviceAdamW::new(RECIPE, &trained, &Device::flex());
        assert!((optimizer.clip(13.0) - 1.0 / 13.0).abs() < 1e-6);
        assert_eq!(optimizer.clip(0.5), 1.0);
    }
}
