use std::ops::Add;

/// How much there is of what a loss averages over, in a picture or in a step.
///
/// A picture's mean counts by its share of the step's, so that summing over pictures, and over
/// devices, gives the mean over the whole step wherever each picture falls.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    /// Sum of the weights of the tokens that are predicted.
    pub(super) weight: f32,
    /// Tokens that are predicted.
    pub(super) targets: f32,
    /// Those of them that are words of categories.
    pub(super) categories: f32,
    /// Masks of `[SEG]`.
    pub(super) grounds: f32,
    /// Masks that are drawn back.
    pub(super) redrawn: f32,
    /// Prompts of SAM's own task.
    pub(super) prompts: f32,
}

impl Counts {
    /// Masks that the decoder draws from tokens of the language model and the extractor.
    pub(super) fn drawn(&self) -> f32 {
        self.grounds + self.redrawn
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            weight: self.weight + other.weight,
            targets: self.targets + other.targets,
            categories: self.categories + other.categories,
            grounds: self.grounds + other.grounds,
            redrawn: self.redrawn + other.redrawn,
            prompts: self.prompts + other.prompts,
        }
    }
}

/// The share of a picture in the mean of a step; 0 where there is nothing to average.
pub(super) fn share(own: f32, all: f32) -> f64 {
    if all > 0.0 {
        f64::from(own) / f64::from(all)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_step_add_up() {
        let of = |grounds: f32, redrawn: f32| Counts {
            grounds,
            redrawn,
            ..Counts::default()
        };
        let all = of(2.0, 0.0) + of(1.0, 3.0);
        assert_eq!((all.grounds, all.drawn()), (3.0, 6.0));
        assert!((share(2.0, all.grounds) + share(1.0, all.grounds) - 1.0).abs() < 1e-9);
        assert_eq!(share(0.0, 0.0), 0.0);
    }
}
