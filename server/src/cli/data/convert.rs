use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use fclm_server::data::{
    convert::{ConvertOptions, Converted, Source, convert},
    published::DEFAULT_LIMIT,
};

use super::{count_pictures, tell_left_out, tell_skipped};
use crate::cli::{at_least_zero, print};

/// Pictures after which a person hears how many there are.
const STEP: u64 = 100;

/// Options of `fclm data convert`.
#[derive(Debug, Args)]
pub(super) struct Convert {
    /// Which data set it is: refcoco, refcoco+, refcocog, grefcoco, reasonseg, muse, lvis, paco,
    /// coco, coco-captions, roc-list, grandf, describe-anything or osprey.
    #[arg(long, value_name = "NAME")]
    from: Source,
    /// The folder to write; must be new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The folder in which the pictures are; of several, each picture is looked for in one after
    /// another.
    #[arg(long, value_name = "DIR")]
    images: Vec<PathBuf>,
    /// The split, where a file or a folder holds several: train, val, testA and so on.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// How many records that are broken, or whose pictures are missing, are skipped before that is
    /// too much.
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_LIMIT,
        value_parser = at_least_zero::<u64>,
        allow_negative_numbers = true
    )]
    limit_broken: u64,
    /// Copy the pictures into the new folder; otherwise they stay where they are.
    #[arg(long)]
    copy: bool,
    /// The data set's files, or its folder; docs/data.md says which.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Convert {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let options = ConvertOptions {
            source: self.from,
            files: self.files,
            images: self.images,
            split: self.split,
            limit_broken: self.limit_broken,
            on_skip: tell_skipped,
            copy: self.copy,
            out: self.out,
        };
        let Converted { pictures, problems } = convert(&options, &mut |count| {
            if count.is_multiple_of(STEP) {
                show_count(count, '\r');
            }
        })?;
        show_count(pictures, '\n');
        tell_left_out(&problems);
        let (out, source) = (options.out.display(), options.source);
        print(format!("{out}: {} of {source}", count_pictures(pictures)))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows a person how far it is; a file or a program hears nothing.
fn show_count(count: u64, end: char) {
    let mut error = io::stderr().lock();
    if error.is_terminal() {
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(error, "pictures: {count}{end}");
        let _ = error.flush();
    }
}
