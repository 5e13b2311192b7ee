use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use fclm_server::data::scenes::{DEFAULT_SIDE, DatasetOptions, World, write_dataset_with_progress};

use crate::cli::{at_least_one, at_least_zero, print, show_progress};

/// Options of `fclm data scenes`.
#[derive(Debug, Args)]
pub(super) struct Scenes {
    /// Which scenes; the same seed gives the same ones. Training never draws these.
    #[arg(
        long,
        default_value_t = 0,
        value_parser = at_least_zero::<u64>,
        allow_negative_numbers = true
    )]
    seed: u64,
    /// How many.
    #[arg(
        long,
        value_name = "K",
        value_parser = at_least_one::<u64>,
        allow_negative_numbers = true
    )]
    count: u64,
    /// The folder to write; must be new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Size of the pictures.
    #[arg(
        long,
        value_name = "WxH",
        value_parser = parse_size,
        default_value_t = Size::default(),
        allow_hyphen_values = true
    )]
    size: Size,
    /// How crowded they are: plain scenes have 2 to 6 objects, hard ones 3 to 10, of which several
    /// have one colour and some are hidden up to 70 %.
    #[arg(long, value_name = "plain|hard", default_value_t)]
    world: World,
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

impl Scenes {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self {
            seed,
            count,
            out,
            size: Size(width, height),
            world,
        } = self;
        let options = DatasetOptions {
            seed,
            count,
            size: (width, height),
            world,
        };
        let progress = |finished| show_progress("scenes", finished as usize, count as usize);
        write_dataset_with_progress(&options, &out, &progress)?;
        let scenes = match count {
            1 => "one scene".to_owned(),
            more => format!("{more} scenes"),
        };
        print(format!(
            "{}: {scenes}, seed {seed}, {world} world",
            out.display()
        ))?;
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
