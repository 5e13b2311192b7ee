//! The binary `fclm`. Each command is a module of `cli`; what they do is in the library.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Training and serving make and drop large tensors all the time, which this allocator keeps at
/// hand where the system's gives them back and clears them anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::Cli::try_parse() {
        Ok(cli) => cli.run().unwrap_or_else(|error| cli::refuse(&error)),
        Err(error) => cli::explain(&error),
    }
}
