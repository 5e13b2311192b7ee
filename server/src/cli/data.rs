use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use fclm_server::data::scenes::{DEFAULT_SIDE, write_dataset_with_progress};

use super::{print, show_progress};

/// Options of `fclm data`.
#[derive(Debug, Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Render table-top scenes with masks, descriptions, expressions and questions.
    Scenes(Scenes),
}

#[derive(Debug, Args)]
struct Scenes {
    /// Which scenes; the same seed gives the same ones. Training never draws these.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many.
    #[arg(long, value_name = "K")]
    count: u64,
    /// The folder to write; must be new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Size of the pictures.
    #[arg(long, value_name = "WxH", value_parser = parse_size, default_value_t = Size::default())]
    size: Size,
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size(u32, u32);

impl Default for Size {
    fn default() -> Self {
        Self(DEFAULT_SIDE, DEFAULT_SIDE)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.0, self.1)
    }
}

impl Data {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Kind::Scenes(Scenes {
            seed,
            count,
            out,
            size: Size(width, height),
        }) = self.kind;
        anyhow::ensure!(count > 0, "a data set holds at least one scene");
        let progress = |finished| show_progress("scenes", finished as usize, count as usize);
        write_dataset_with_progress(seed, count, &out, (width, height), &progress)?;
        print(format!("{}: {count} scenes, seed {seed}", out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn parse_size(text: &str) -> Result<Size, String> {
    text.split_once('x')
        .and_then(|(width, height)| Some(Size(width.parse().ok()?, height.parse().ok()?)))
        .ok_or_else(|| "a size is width and height, as in 320x240".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_back() {
        assert_eq!(parse_size("320x240"), Ok(Size(320, 240)));
        assert_eq!(
            parse_size(&Size::default().to_string()),
            Ok(Size::default())
        );
        for wrong in ["", "320", "320x", "x240", "-3x4", "3x4x5"] {
            assert!(parse_size(wrong).is_err(), "{wrong:?}");
        }
    }
}
