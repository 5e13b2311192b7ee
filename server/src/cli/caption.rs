use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use clap::Args;
use fclm_core::mask::Mask;
use fclm_server::{
    disk::is_vacant,
    predict::{Found, Picture, read_picture},
};

use super::{mask::write_mask, model::ModelArg, print};

/// Options of `fclm caption`.
#[derive(Debug, Args)]
pub(crate) struct Caption {
    /// The picture: JPEG, PNG or WebP.
    image: PathBuf,
    /// Print the caption with its phrases and their masks as JSON: `{text, regions: [{phrase,
    /// start, end, score, box, mask}]}`.
    #[arg(long)]
    json: bool,
    /// Where to write a mask for each region, 1.png, 2.png and so on in the order of the text: PNGs
    /// of 0 and 255 at the picture's size. A folder that is new or empty.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArg,
}

impl Caption {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let image = read_picture(&self.image)?;
        // Checked before the model is loaded, which takes a while.
        if let Some(out) = &self.out {
            check_folder(out)?;
        }
        let predictor = self.model.open()?;
        let mut picture = predictor.see(image)?;
        let caption = predictor.caption(&mut picture)?;
        if let Some(out) = &self.out {
            write_masks(&caption, &picture, out)?;
        }
        match self.json {
            true => print(serde_json::to_string(&caption)?)?,
            false => print(caption.text.trim())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes sure that nothing of a person's is where the masks go.
fn check_folder(out: &Path) -> anyhow::Result<()> {
    let vacant = is_vacant(out).with_context(|| format!("cannot use {}", out.display()))?;
    ensure!(
        vacant,
        "{} is not empty; choose a new folder for the masks",
        out.display()
    );
    Ok(())
}

fn write_masks(caption: &Found, picture: &Picture, out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let pixels = u64::from(picture.width()) * u64::from(picture.height());
    for (number, region) in (1..).zip(&caption.regions) {
        let mask = Mask::from_wire(&region.mask, pixels)?;
        write_mask(&mask, &out.join(format!("{number}.png")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_go_into_new_or_empty_folders_only() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_folder(folder.path()).is_ok());
        assert!(check_folder(&folder.path().join("new/masks")).is_ok());
        let file = folder.path().join("mine.txt");
        fs::write(&file, "mine").unwrap();
        let taken = check_folder(folder.path()).unwrap_err().to_string();
        assert!(taken.contains("is not empty"), "{taken}");
        assert!(check_folder(&file).is_err());
    }
}
