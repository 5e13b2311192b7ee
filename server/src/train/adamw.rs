use super::parameters::ParameterTable;
use super::recipe::OptimizerRecipe;

/// AdamW with decoupled weight decay over the flat parameter vector, with clipping by the global
/// norm of the gradient.
///
/// burn's optimiser clips each parameter by itself and walks a dozen tensors per parameter; one
/// fused pass over flat vectors is what the two CPU workers can afford.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    recipe: OptimizerRecipe,
    /// Updates done.
    pub time: u64,
    /// First moments.
    pub first: Vec<f32>,
    /// Second moments.
    pub second: Vec<f32>,
}

impl AdamW {
    /// A fresh optimiser for `len` parameters.
    pub fn new(recipe: OptimizerRecipe, len: usize) -> Self {
        Self {
            recipe,
            time: 0,
            first: vec![0.0; len],
            second: vec![0.0; len],
        }
    }

    /// Updates each parameter by its own share of the learning rate, those of share 0 not at all;
    /// returns the gradient's norm over the others before clipping.
    pub fn step(
        &mut self,
        parameters: &mut [f32],
        gradients: &[f32],
        table: &ParameterTable,
        shares: &[f64],
        learning_rate: f64,
    ) -> f64 {
        let ranges: Vec<_> = table
            .parameters
            .iter()
            .zip(shares)
            .filter(|&(_, &share)| share > 0.0)
            .map(|(parameter, &share)| {
                let range = parameter.offset..parameter.offset + parameter.len();
                (range, parameter.shape.len() >= 2, share)
            })
            .collect();
        let square: f64 = ranges
            .iter()
            .map(|(range, ..)| {
                gradients[range.clone()]
                    .iter()
                    .map(|&g| f64::from(g * g))
                    .sum::<f64>()
            })
            .sum();
        let norm = square.sqrt();
        let scale = (self.recipe.clip_norm / (norm + 1e-6)).min(1.0) as f32;

        self.time += 1;
        let (beta_1, beta_2) = (self.recipe.beta_1 as f32, self.recipe.beta_2 as f32);
        let epsilon = self.recipe.epsilon as f32;
        let time = self.time as f64;
        let corrected = learning_rate / (1.0 - self.recipe.beta_1.powf(time));
        let root = (1.0 / (1.0 - self.recipe.beta_2.powf(time)).sqrt()) as f32;
        for (range, is_matrix, share) in ranges {
            let rate = (corrected * share) as f32;
            let decay = if is_matrix {
                1.0 - (learning_rate * share * self.recipe.weight_decay) as f32
            } else {
                1.0
            };
            let moments = self.first[range.clone()]
                .iter_mut()
                .zip(&mut self.second[range.clone()]);
            let values = parameters[range.clone()].iter_mut().zip(&gradients[range]);
            for ((value, &gradient), (first, second)) in values.zip(moments) {
                let gradient = gradient * scale;
                *first += (1.0 - beta_1) * (gradient - *first);
                *second += (1.0 - beta_2) * (gradient * gradient - *second);
                *value = *value * decay - rate * *first / (second.sqrt() * root + epsilon);
            }
        }
        norm
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameters::Parameter;
    use super::*;

    fn recipe() -> OptimizerRecipe {
        OptimizerRecipe {
            beta_1: 0.9,
            beta_2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            extractor_share: 1.0,
        }
    }

    #[test]
    fn frozen_parameters_stay_and_the_others_step_by_the_rate() {
        let parameter = |offset| Parameter {
            path: String::new(),
            shape: vec![2],
            offset,
        };
        let table = ParameterTable {
            parameters: vec![parameter(0), parameter(2), parameter(4)],
        };
        let mut adam = AdamW::new(recipe(), 6);
        let mut values = vec![1.0; 6];
        let norm = adam.step(
            &mut values,
            &[3.0, -4.0, 9.0, 9.0, 12.0, 0.0],
            &table,
            &[1.0, 0.0, 0.1],
            0.1,
        );
        assert!((norm - 13.0).abs() < 1e-6);
        // The first Adam step is the rate times the gradient's sign, however long it was.
        for (value, wanted) in values.iter().zip([0.9, 1.1, 1.0, 1.0, 0.99, 1.0]) {
            assert!((value - wanted).abs() < 1e-4, "{values:?}");
        }
    }
}
