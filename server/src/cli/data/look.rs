use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail, ensure};
use clap::Args;
use fclm_server::{
    data::{
        folder::PictureFolder,
        look::{MAX_LOOK, look},
    },
    disk,
};

use super::count_pictures;
use crate::cli::{at_least_one, print, show_progress};

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
}

impl Look {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self { dir, count, out } = self;
        ensure!(
            count <= MAX_LOOK,
            "a page shows up to {MAX_LOOK} pictures, not {count}"
        );
        ensure!(
            !out.is_dir(),
            "{} is a folder; --out names a file",
            out.display()
        );
        let folder = PictureFolder::open(&dir)?;
        let all = count.min(folder.len());
        let page = look(&folder, count, &|finished| {
            show_progress("pictures", finished, all);
        })?;
        if page.shown == 0
            && let Some(reason) = page.broken.first()
        {
            bail!("nothing can be shown; {reason}");
        }
        disk::write_to(&out, page.html.as_bytes())
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
}
