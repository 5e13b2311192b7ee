use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use fclm_core::sam::{DecoderConfig, SamConfig};
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
    /// Heads of SAM's mask decoder, which its tensors do not say; where it is not given 8, as in
    /// every published one, or the largest number below it that fits.
    #[arg(long, value_name = "N")]
    sam_heads: Option<usize>,
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
            sam_heads: self.sam_heads,
        })?;
        if self.sam_heads.is_none()
            && let Some(note) = assumption(&model.config().sam.decoder)
        {
            eprintln!("fclm: {note}");
        }
        let parameters: u64 = model.parts().iter().map(|part| part.parameters).sum();
        print(format!(
            "{}: {parameters} parameters, stage 0: region parts untrained",
            model.path().display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a person should know of a decoder whose heads were assumed; nothing where it is as wide as
/// the published ones.
fn assumption(decoder: &DecoderConfig) -> Option<String> {
    let published = SamConfig::vit_b().decoder.embedding_dim;
    (decoder.embedding_dim != published).then(|| {
        format!(
            "the SAM checkpoint does not say how many heads its mask decoder has; {} are assumed, \
             --sam-heads says otherwise",
            decoder.num_heads
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_said_to_be_assumed_where_the_decoder_is_not_the_published_one() {
        let published = SamConfig::mobile_sam().decoder;
        assert_eq!(assumption(&published), None);
        let other = DecoderConfig {
            embedding_dim: 32,
            ..published
        };
        assert!(assumption(&other).unwrap().contains("8 are assumed"));
    }
}
