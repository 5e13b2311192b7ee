//! The binary `fclm`. Each command is a module of `cli`; what they do is in the library.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Exit code for bad input.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fclm: {error:#}");
            ExitCode::from(BAD_INPUT)
        }
    }
}
