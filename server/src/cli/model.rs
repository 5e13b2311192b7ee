use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use fclm_core::wire::Stage;
use fclm_server::{predict::Predictor, serve::find_model};

/// Which model is used.
#[derive(Debug, Args)]
pub(super) struct ModelArg {
    /// The model directory; nano where it is not given.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
}

impl ModelArg {
    /// The directory.
    pub(super) fn path(self) -> anyhow::Result<PathBuf> {
        self.model.or_else(find_model).context(
            "there is no model: give one by --model, for example one that `fclm init` has joined",
        )
    }

    /// The model, loaded. Says so where its region parts have never been trained.
    pub(super) fn open(self) -> anyhow::Result<Predictor> {
        let predictor = Predictor::open(&self.path()?)?;
        let info = predictor.info();
        if info.stage == Stage::Untrained {
            eprintln!(
                "fclm: the region parts of {} are untrained; answers mean nothing",
                info.name
            );
        }
        Ok(predictor)
    }
}
