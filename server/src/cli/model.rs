use std::path::PathBuf;

use anyhow::Context;
use burn::tensor::Device;
use clap::Args;
use fclm_core::wire::Stage;
use fclm_server::{predict::Predictor, serve::find_model};

use super::device::DeviceArg;

/// Which model is used, and on what.
#[derive(Debug, Args)]
pub(super) struct ModelArg {
    /// The model directory; nano where it is not given.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArg,
}

impl ModelArg {
    /// The directory.
    pub(super) fn path(self) -> anyhow::Result<PathBuf> {
        self.model.or_else(find_model).context(
            "there is no model: give one by --model, for example one that `fclm init` has joined",
        )
    }

    /// What it runs on.
    pub(super) fn device(&self) -> anyhow::Result<Device> {
        self.device.open()
    }

    /// The model, loaded. Says so where its region parts have never been trained.
    pub(super) fn open(self) -> anyhow::Result<Predictor> {
        let device = self.device()?;
        let predictor = Predictor::open_on(&self.path()?, &device)?;
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
