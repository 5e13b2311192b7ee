//! The binary `fclm`. Each command is a module of `cli`; what they do is in the library.

mod allocator;
mod cli;

use std::{panic, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    allocator::keep_memory_at_hand();
    // By the time that a panic arrives here it has been reported on standard error.
    panic::catch_unwind(run).unwrap_or_else(|_| cli::admit_defect())
}

fn run() -> ExitCode {
    match cli::Cli::try_parse() {
        Ok(cli) => cli.run().unwrap_or_else(|error| cli::refuse(&error)),
        Err(error) => cli::explain(&error),
    }
}
