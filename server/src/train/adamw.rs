use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};

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
    /// returns the gradient's norm over the others before clipping. Where that is no finite number,
    /// nothing is updated.
    pub fn step(
        &mut self,
        parameters: &mut [f32],
        gradients: &[f32],
        table: &ParameterTable,
        shares: &[f64],
        learning_rate: f64,
    ) -> f64 {
        let mut pieces = Vec::with_capacity(shares.len());
        let mut rest = [parameters, &mut self.first[..], &mut self.second[..]];
        for (parameter, &share) in table.parameters.iter().zip(shares) {
            let length = parameter.len();
            let [values, first, second] = rest;
            let (values, later_values) = values.split_at_mut(length);
            let (first, later_first) = first.split_at_mut(length);
            let (second, later_second) = second.split_at_mut(length);
            rest = [later_values, later_first, later_second];
            if share > 0.0 {
                pieces.push(Piece {
                    values,
                    first,
                    second,
                    gradients: &gradients[parameter.offset..][..length],
                    is_matrix: parameter.shape.len() >= 2,
                    share,
                });
            }
        }
        // Added up in the parameters' order, so that the sum is the same on any number of threads.
        let squares: Vec<f64> = pieces.par_iter().map(Piece::square).collect();
        let square: f64 = squares.iter().sum();
        let norm = square.sqrt();
        if !norm.is_finite() {
            return norm;
        }
        let scale = (self.recipe.clip_norm / (norm + 1e-6)).min(1.0) as f32;

        self.time += 1;
        let (beta_1, beta_2) = (self.recipe.beta_1 as f32, self.recipe.beta_2 as f32);
        let epsilon = self.recipe.epsilon as f32;
        let time = self.time as f64;
        let corrected = learning_rate / (1.0 - self.recipe.beta_1.powf(time));
        let root = (1.0 / (1.0 - self.recipe.beta_2.powf(time)).sqrt()) as f32;
        let weight_decay = self.recipe.weight_decay;
        pieces.into_par_iter().for_each(|piece| {
            let rate = (corrected * piece.share) as f32;
            let decay = if piece.is_matrix {
                1.0 - (learning_rate * piece.share * weight_decay) as f32
            } else {
                1.0
            };
            let moments = piece.first.iter_mut().zip(piece.second);
            let values = piece.values.iter_mut().zip(piece.gradients);
            for ((value, &gradient), (first, second)) in values.zip(moments) {
                let gradient = gradient * scale;
                *first += (1.0 - beta_1) * (gradient - *first);
                *second += (1.0 - beta_2) * (gradient * gradient - *second);
                *value = *value * decay - rate * *first / (second.sqrt() * root + epsilon);
            }
        });
        norm
    }
}

/// A parameter that is updated, with what its update needs.
struct Piece<'a> {
    values: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    gradients: &'a [f32],
    is_matrix: bool,
    share: f64,
}

impl Piece<'_> {
    /// The gradient's squared norm.
    fn square(&self) -> f64 {
        self.gradients.iter().map(|&g| f64::from(g * g)).sum()
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

    fn table() -> ParameterTable {
        let parameter = |offset| Parameter {
            path: String::new(),
            shape: vec![2],
            offset,
        };
        ParameterTable {
            parameters: vec![parameter(0), parameter(2), parameter(4)],
        }
    }

    #[test]
    fn a_gradient_that_is_no_number_updates_nothing() {
        let fresh = AdamW::new(recipe(), 6);
        for (gradient, shares) in [
            ([0.0, f32::NAN, 0.0, 0.0, 1.0, 0.0], [1.0; 3]),
            ([0.0, 1.0, 0.0, f32::INFINITY, 1.0, 0.0], [1.0; 3]),
            // What is not a number in the end, because its square is none.
            ([1e30, 1.0, 0.0, 0.0, 1.0, 0.0], [1.0; 3]),
        ] {
            let mut adam = fresh.clone();
            let mut values = vec![1.0; 6];
            let norm = adam.step(&mut values, &gradient, &table(), &shares, 0.1);
            assert!(!norm.is_finite(), "{norm}");
            assert_eq!((values, &adam), (vec![1.0; 6], &fresh));
        }
        // What is frozen need be no number.
        let mut adam = fresh.clone();
        let gradient = [0.0, f32::NAN, 0.0, 0.0, 1.0, 0.0];
        let norm = adam.step(&mut [1.0; 6], &gradient, &table(), &[0.0, 1.0, 1.0], 0.1);
        assert!((norm - 1.0).abs() < 1e-6);
        assert_ne!(adam, fresh);
    }

    #[test]
    fn frozen_parameters_stay_and_the_others_step_by_the_rate() {
        let mut adam = AdamW::new(recipe(), 6);
        let mut values = vec![1.0; 6];
        let norm = adam.step(
            &mut values,
            &[3.0, -4.0, 9.0, 9.0, 12.0, 0.0],
            &table(),
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
