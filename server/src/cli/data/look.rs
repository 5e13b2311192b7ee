use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail, ensure};
use clap::Args;
use fclm_server::{
    data::{
        folder::PictureFolder,
        look::{self, MAX_LOOK, look},
    },
    disk,
    train::{AnyRecipe, PreviewOptions, preview},
};

use super::count_pictures;
use crate::cli::{at_least_one, at_least_zero, print, show_progress, train::read_any};

/// Options of `fclm data look`.
#[derive(Debug, Args)]
pub(super) struct Look {
    /// A folder of pictures or scenes.
    dir: PathBuf,
    /// How many pictures, from all over the folder; up to 1000.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 24,
        value_parser = at_least_one::<usize>,
        allow_negative_numbers = true
    )]
    count: usize,
    /// The page to write; it needs no other file.
    #[arg(long, value_name = "FILE.html", default_value = "look.html")]
    out: PathBuf,
    /// Show what a step of training by this recipe would get of each picture: conversations, marks,
    /// crops and masks. The recipe is one that tunes a model.
    #[arg(long, value_name = "3b|7b|FILE.toml", requires = "from")]
    as_training: Option<String>,
    /// The model directory that is to be tuned, for --as-training: its tokenizer and its sizes say
    /// what fits.
    #[arg(long, value_name = "DIR", requires = "as_training")]
    from: Option<PathBuf>,
    /// The stage of the recipe, for --as-training [default: 1].
    #[arg(long, value_name = "1|2", requires = "as_training", value_parser = stage)]
    stage: Option<u8>,
    /// What is drawn, for --as-training [default: the recipe's seed].
    #[arg(
        long,
        requires = "as_training",
        value_parser = at_least_zero::<u64>,
        allow_negative_numbers = true
    )]
    seed: Option<u64>,
}

impl Look {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self {
            dir, count, out, ..
        } = &self;
        let count = *count;
        ensure!(
            count <= MAX_LOOK,
            "a page shows up to {MAX_LOOK} pictures, not {count}"
        );
        ensure!(
            !out.is_dir(),
            "{} is a folder; --out names a file",
            out.display()
        );
        let folder = PictureFolder::open(dir)?;
        let all = count.min(folder.len());
        let page = self.page(&folder, &|finished| {
            show_progress("pictures", finished, all);
        })?;
        if page.shown == 0
            && let Some(reason) = page.broken.first()
        {
            bail!("nothing can be shown; {reason}");
        }
        disk::write_to(out, page.html.as_bytes())
            .with_context(|| format!("cannot write {}", out.display()))?;
        for reason in &page.broken {
            eprintln!("fclm: skipped: {reason}");
        }
        if page.unsound > 0 {
            eprintln!(
                "fclm: {} of the pictures cannot be opened or have another size than is said; the \
                 page tells which",
                page.unsound
            );
        }
        let shown = count_pictures(page.shown as u64);
        print(format!("{}: {shown}", out.display()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The page of the folder, or of what training makes of it.
    fn page(
        &self,
        folder: &PictureFolder,
        progress: &(dyn Fn(usize) + Sync),
    ) -> anyhow::Result<look::Look> {
        let (Some(name), Some(from)) = (&self.as_training, &self.from) else {
            return Ok(look(folder, self.count, progress)?);
        };
        let AnyRecipe::Large(recipe) = read_any(name)?.1 else {
            bail!(
                "the recipe {name} renders its own scenes and reads no folder; --as-training takes \
                 one that tunes a model"
            );
        };
        let mut recipe = *recipe;
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        let options = PreviewOptions {
            recipe,
            from: from.clone(),
            stage: self.stage.unwrap_or(1),
            count: self.count,
        };
        Ok(preview(folder, &options, progress)?)
    }
}

fn stage(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "2" => Ok(2),
        _ => Err("training has the stages 1 and 2".to_owned()),
    }
}
