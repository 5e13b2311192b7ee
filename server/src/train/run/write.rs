//! What a run leaves: checkpoints and the model.

use burn::tensor::Device;

use fclm_core::fclm::prompt::CHAT_TEMPLATE;

use super::super::error::TrainError;
use super::super::phase::stage_after;
use super::Run;
use crate::model_dir;

impl Run<'_> {
    pub(super) fn save(&self) -> Result<(), TrainError> {
        self.state
            .clone()
            .save(&self.options.run, &self.parameters, &self.optimizer)?;
        self.log.write_plot()
    }

    pub(super) fn write_model(&self) -> Result<(), TrainError> {
        let mut config = self.recipe.model.clone();
        config.consistency = self.recipe.consistency;
        config.stage = stage_after(&self.recipe, self.state.step).unwrap_or(self.first_stage);
        // Loaded parameters are leaves of the graph, so that they need a device that records.
        let everything = vec![true; self.table.parameters.len()];
        let learner = self.table.with_values(
            self.learner.clone(),
            &self.parameters,
            &everything,
            &Device::flex().autodiff(),
        );
        model_dir::write_trained(
            &self.options.out,
            &config,
            &self.tokenizer_json,
            CHAT_TEMPLATE,
            &learner.model,
        )?;
        Ok(())
    }
}
