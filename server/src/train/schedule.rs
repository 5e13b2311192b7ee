use super::recipe::StageRecipe;

/// Learning rate at `step` of a stage: a linear rise, then half a cosine down to the final rate.
pub(super) fn learning_rate(stage: &StageRecipe, step: u64) -> f64 {
    let rise = (stage.steps as f64 * stage.warm_up).max(1.0);
    let step = step as f64;
    if step < rise {
        return stage.learning_rate * (step + 1.0) / rise;
    }
    let progress = ((step - rise) / (stage.steps as f64 - rise).max(1.0)).min(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    stage.learning_rate * (stage.final_rate + (1.0 - stage.final_rate) * cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_then_falls_to_its_final_share() {
        let stage = StageRecipe {
            steps: 100,
            learning_rate: 1.0,
            warm_up: 0.1,
            final_rate: 0.2,
            detailed_share: 0.0,
        };
        assert!((learning_rate(&stage, 0) - 0.1).abs() < 1e-9);
        assert!((learning_rate(&stage, 9) - 1.0).abs() < 1e-9);
        assert!((learning_rate(&stage, 55) - 0.6).abs() < 1e-9);
        assert!((learning_rate(&stage, 100) - 0.2).abs() < 1e-9);
    }
}
