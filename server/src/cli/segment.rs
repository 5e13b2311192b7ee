use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::ensure;
use clap::Args;
use fclm_server::predict::{check_text, read_picture};

use super::{mask::write_mask, model::ModelArg, print};

/// Exit code where nothing was found.
const NOTHING_FOUND: u8 = 3;

/// Options of `fclm segment`.
#[derive(Debug, Args)]
pub(crate) struct Segment {
    /// The picture: JPEG, PNG or WebP.
    image: PathBuf,
    /// What to find.
    text: String,
    /// Where to write the mask: a PNG of 0 and 255 at the picture's size.
    #[arg(long, value_name = "MASK.png")]
    out: PathBuf,
    /// Print what was found as JSON: `{text, regions: [{phrase, start, end, score, box, mask}]}`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArg,
}

impl Segment {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let text = self.text.trim();
        ensure!(!text.is_empty(), "the text is empty; say what to find");
        check_text(text)?;
        check_place(&self.out)?;
        let image = read_picture(&self.image)?;

        let predictor = self.model.open()?;
        let mut picture = predictor.see(image)?;
        let found = predictor.find(&mut picture, text)?;
        let union = found.union(&picture);
        write_mask(&union, &self.out)?;
        if self.json {
            print(serde_json::to_string(&found)?)?;
        } else if !found.text.trim().is_empty() {
            print(found.text.trim())?;
        }
        Ok(match union.is_empty() {
            true => ExitCode::from(NOTHING_FOUND),
            false => ExitCode::SUCCESS,
        })
    }
}

/// Tells before the model is loaded whether the mask can be written there at all.
fn check_place(out: &Path) -> anyhow::Result<()> {
    ensure!(
        !out.is_dir(),
        "{} is a folder; --out names a file",
        out.display()
    );
    let folder = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let is_there = folder.is_none_or(Path::is_dir);
    ensure!(is_there, "the folder of {} does not exist", out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_cannot_be_written_are_told_early() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_place(folder.path()).is_err());
        assert!(check_place(&folder.path().join("no/such.png")).is_err());
        assert!(check_place(Path::new("mask.png")).is_ok());
    }
}
