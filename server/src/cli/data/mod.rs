mod convert;
mod dl_res;
mod look;
mod scenes;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fclm_server::data::published::{Problem, Problems};

/// Options of `fclm data`.
#[derive(Debug, Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Render table-top scenes with masks, descriptions, expressions and questions.
    Scenes(scenes::Scenes),
    /// Convert a published data set into the format that training and evaluation read.
    Convert(convert::Convert),
    /// Write a page of pictures with their masks and texts, or of what training makes of them.
    Look(look::Look),
    /// Turn detailed descriptions around into expressions (DL-RES).
    DlRes(dl_res::DlRes),
}

impl Data {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.kind {
            Kind::Scenes(command) => command.run(),
            Kind::Convert(command) => command.run(),
            Kind::Look(command) => command.run(),
            Kind::DlRes(command) => command.run(),
        }
    }
}

/// Says what is broken.
pub(super) fn tell_skipped(problem: &Problem) {
    eprintln!("fclm: skipped: {problem}");
}

/// Says what is in good order and not used.
fn tell_left_out(problems: &Problems) {
    for (what, count) in problems.left_out() {
        eprintln!("fclm: left out: {what}, {count} times");
    }
}

/// A number of pictures in words.
fn count_pictures(count: u64) -> String {
    match count {
        1 => "one picture".to_owned(),
        more => format!("{more} pictures"),
    }
}
