//! `cargo xtask`: everything that is done with this repository, in five verbs.
//!
//! `serve` builds all parts and starts the server, `build` stops before starting it, `test` builds
//! and runs every test, `check` runs the formatter, the lints and the documentation, `bench`
//! measures. Nothing but rustup's cargo and a C compiler is needed; what else is used is installed
//! by cargo, or named in the message that says it is missing.

mod chromium;
mod page_bytes;
mod parts;
mod process;
mod site;
mod tests;
mod toolchain;
mod workspace;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

const USAGE: &str = "\
Usage: cargo xtask VERB [ARGUMENTS]

  serve [ARGUMENTS]  build everything and run `fclm serve ARGUMENTS`
  build              build everything
  test  [ARGUMENTS]  build everything and run `cargo test --release --workspace ARGUMENTS`
  check              formatter, lints for the host, for GPUs and for wasm32, documentation
  bench [ARGUMENTS]  build everything, weigh the page and run `fclm bench ARGUMENTS`";

/// Features that no package of the workspace asks another one for.
const HOST_FEATURES: &str = "fclm-app/hydrate";
/// The same with the backend for GPUs, as far as there is code of ours for it, and the dashboard.
const GPU_FEATURES: &str = "fclm-app/hydrate,fclm-server/cuda,fclm-server/dashboard";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((verb, rest)) = arguments.split_first() else {
        bail!("a verb is missing\n\n{USAGE}");
    };
    match verb.as_str() {
        "serve" => {
            let workspace = Workspace::find()?;
            build(&workspace)?;
            become_fclm(&workspace, "serve", rest)
        }
        "build" => {
            expect_no_arguments(verb, rest)?;
            build(&Workspace::find()?)
        }
        "test" => {
            let workspace = Workspace::find()?;
            // Asked first: nobody should wait for a build to hear that a browser is missing.
            let chromium = chromium::find_or_install()?;
            build(&workspace)?;
            tests::run(&workspace, &chromium, rest)
        }
        "check" => {
            expect_no_arguments(verb, rest)?;
            check(&Workspace::find()?)
        }
        "bench" => {
            let workspace = Workspace::find()?;
            build(&workspace)?;
            eprintln!("{}", page_bytes::table(&workspace.site())?);
            become_fclm(&workspace, "bench", rest)
        }
        "help" | "--help" | "-h" => {
            eprintln!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no verb `{other}`\n\n{USAGE}"),
    }
}

fn expect_no_arguments(verb: &str, rest: &[String]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(first) => bail!("`cargo xtask {verb}` takes no arguments, but got `{first}`"),
    }
}

/// Builds the page and the `fclm` binary.
fn build(workspace: &Workspace) -> Result<()> {
    site::build(workspace)?;
    // The whole workspace is named so that dependencies get the features that the tests give
    // them; built for one package alone, several would be compiled a second time by `test`.
    let mut cargo = workspace.cargo(["build", "--release", "--workspace", "--bin", "fclm"]);
    process::run(&mut cargo, "building the server")
}

/// Replaces this process by `fclm VERB ARGUMENTS`, so that signals and the exit code are its own.
fn become_fclm(workspace: &Workspace, verb: &str, arguments: &[String]) -> Result<()> {
    let program = workspace.fclm();
    let mut command = Command::new(&program);
    command.arg(verb).args(arguments);
    process::replace_by(&mut command)
        .with_context(|| format!("{} could not be started", program.display()))
}

/// Formatter, lints and documentation, all of them without a single warning.
fn check(workspace: &Workspace) -> Result<()> {
    process::run(
        &mut workspace.cargo(["fmt", "--all", "--check"]),
        "checking the format (`cargo fmt --all` mends it)",
    )?;
    // The whole workspace both times and in one target directory: our own crates and what depends
    // on the backend are checked once for each, everything else once. Without the backend for GPUs
    // its dependencies are those of the documentation below.
    for (features, what) in [
        (HOST_FEATURES, "the lints on the host"),
        (GPU_FEATURES, "the lints with the backend for GPUs"),
    ] {
        let mut cargo = workspace.cargo(["clippy", "--release", "--workspace", "--all-targets"]);
        cargo.args(["--features", features, "--", "-D", "warnings"]);
        process::run(&mut cargo, what)?;
    }
    toolchain::ensure_wasm_target()?;
    for (package, features) in [
        ("fclm-core", None),
        ("fclm-app", Some("hydrate")),
        ("fclm-hydrate", None),
        ("fclm-extractor", None),
        ("fclm-heic", None),
    ] {
        let mut cargo = workspace.cargo(["clippy", "--release", "--package", package]);
        cargo.args(["--target", toolchain::WASM_TARGET]);
        if let Some(features) = features {
            cargo.args(["--features", features]);
        }
        cargo.args(["--", "-D", "warnings"]);
        process::run(&mut cargo, &format!("the lints of {package} on wasm32"))?;
    }
    let mut doc = workspace.cargo(["doc", "--release", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    process::run(&mut doc, "the documentation")
}

#[cfg(test)]
mod unit_tests {
    use super::run;

    fn refused(arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.into()).collect();
        format!("{:#}", run(&arguments).unwrap_err())
    }

    #[test]
    fn unknown_verbs_and_stray_arguments_are_named() {
        assert!(refused(&[]).contains("a verb is missing"));
        assert!(refused(&["sevre"]).contains("no verb `sevre`"));
        assert!(refused(&["check", "--fast"]).contains("takes no arguments, but got `--fast`"));
    }
}
