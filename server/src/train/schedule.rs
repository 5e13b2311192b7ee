use super::recipe::Schedule;

/// Learning rate at `step` of a stage: a linear rise, a plateau, then half a cosine down to the
/// final rate. The plateau is what lets a run be made longer or shorter after it has begun.
pub(super) fn learning_rate(stage: &Schedule, step: u64) -> f64 {
    let steps = stage.steps as f64;
    let rise = (steps * stage.warm_up).max(1.0);
    if (step as f64) < rise {
        return stage.learning_rate * (step as f64 + 1.0) / rise;
    }
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * stage.fallen(step)).cos());
    stage.learning_rate * (stage.final_rate + (1.0 - stage.final_rate) * cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_holds_and_falls_to_its_final_share() {
        let stage = Schedule {
            steps: 100,
            learning_rate: 1.0,
            warm_up: 0.1,
            decay: 0.5,
            final_rate: 0.2,
        };
        assert!((learning_rate(&stage, 0) - 0.1).abs() < 1e-9);
        assert!((learning_rate(&stage, 9) - 1.0).abs() < 1e-9);
        assert!((learning_rate(&stage, 50) - 1.0).abs() < 1e-9);
        assert!((learning_rate(&stage, 75) - 0.6).abs() < 1e-9);
        assert!((learning_rate(&stage, 100) - 0.2).abs() < 1e-9);
    }
}
