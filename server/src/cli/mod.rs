//! The command line: one module per command.
//!
//! Whatever goes wrong is one sentence on standard error and exit code 2.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Region chat: describe regions of a picture, find what a text describes, and serve both.
#[derive(Debug, Parser)]
#[command(name = "fclm", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the page and the HTTP interface on this computer.
    Serve(serve::Serve),
}

impl Cli {
    /// Runs the command.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(command) => command.run(),
        }
    }
}
