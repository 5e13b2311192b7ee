use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use fclm_core::wire::BoxPx;
use fclm_server::predict::{box_inside, check_text, read_mask, read_picture};

use super::{model::ModelArg, print};

/// Options of `fclm describe`.
#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// The picture: JPEG, PNG or WebP.
    image: PathBuf,
    #[command(flatten)]
    region: RegionArgs,
    /// What to ask; a detailed description where it is not given.
    #[arg(long, value_name = "TEXT")]
    question: Option<String>,
    #[command(flatten)]
    model: ModelArg,
}

/// The region that is asked about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct RegionArgs {
    /// A box around it, in pixels of the upright picture; it becomes a mask.
    #[arg(
        long = "box",
        value_name = "X0,Y0,X1,Y1",
        value_parser = parse_box,
        allow_hyphen_values = true
    )]
    box_px: Option<BoxPx>,
    /// A picture of the same size in which it is white on black.
    #[arg(long, value_name = "MASK.png")]
    mask: Option<PathBuf>,
}

impl Describe {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let question = self.question.unwrap_or_default();
        check_text(&question)?;
        let image = read_picture(&self.image)?;
        let (width, height) = image.dimensions();
        // Both are checked before the model is loaded, which takes a while.
        let box_px = self
            .region
            .box_px
            .map(|box_px| box_inside(box_px, width, height))
            .transpose()?;
        let mask = self
            .region
            .mask
            .map(|path| read_mask(&path, width, height))
            .transpose()?;

        let predictor = self.model.open()?;
        let mut picture = predictor.see(image)?;
        let mask = match (mask, box_px) {
            (Some(mask), _) => mask,
            (None, Some(box_px)) => predictor.box_mask(&picture, box_px)?,
            (None, None) => unreachable!("the arguments hold one of the two"),
        };
        print(predictor.describe(&mut picture, &mask, &question)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn parse_box(text: &str) -> Result<BoxPx, String> {
    let numbers: Option<Vec<f32>> = text
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect();
    numbers
        .and_then(|numbers| BoxPx::try_from(numbers).ok())
        .ok_or_else(|| "a box is four numbers, as in 10,20,110,90".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_four_numbers() {
        assert_eq!(parse_box("1,2.5, 30,40"), Ok([1.0, 2.5, 30.0, 40.0]));
        for wrong in ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1;2;3;4"] {
            assert!(parse_box(wrong).is_err(), "{wrong:?}");
        }
    }
}
