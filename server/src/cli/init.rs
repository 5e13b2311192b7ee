use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use fclm_server::model_dir::{InitOptions, init};

use super::print;

/// Options of `fclm init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// A published Qwen2.5-VL folder.
    #[arg(long, value_name = "DIR")]
    qwen: PathBuf,
    /// A SAM checkpoint: .pth, .safetensors, or a folder of the latter.
    #[arg(long, value_name = "FILE")]
    sam: PathBuf,
    /// The model directory to write; must not exist yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of the new parts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The model's name; that of the directory where it is not given.
    #[arg(long)]
    name: Option<String>,
    /// Most pixels that the vision tower sees.
    #[arg(long, value_name = "N")]
    max_pixels: Option<usize>,
}

impl Init {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let model = init(&InitOptions {
            qwen: self.qwen,
            sam: self.sam,
            out: self.out,
            seed: self.seed,
            name: self.name,
            max_pixels: self.max_pixels,
        })?;
        let parameters: u64 = model.parts().iter().map(|part| part.parameters).sum();
        print(format!(
            "{}: {parameters} parameters, stage 0: region parts untrained",
            model.path().display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
