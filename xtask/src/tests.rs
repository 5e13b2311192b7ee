//! `cargo xtask test`: every test of the workspace against the built page and binary.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Runs `cargo test` over the workspace, passes its lines through, and ends with the counts.
pub(crate) fn run(workspace: &Workspace, chromium: &Path, arguments: &[String]) -> Result<()> {
    let mut cargo = workspace.cargo(["test", "--release", "--workspace", "--no-fail-fast"]);
    cargo
        .args(arguments)
        .env("FCLM_BIN", workspace.fclm())
        .env("FCLM_SITE", workspace.site())
        .env("FCLM_CHROMIUM", chromium)
        .stdout(Stdio::piped());
    let mut child = cargo.spawn().context("`cargo test` could not be started")?;
    let output = child.stdout.take().context("`cargo test` has no output")?;
    let mut counts = Counts::default();
    let mut screen = std::io::stderr().lock();
    for line in BufReader::new(output).lines() {
        let line = line.context("the output of `cargo test` could not be read")?;
        counts.add(&line);
        writeln!(screen, "{line}").context("the test output could not be written")?;
    }
    let status = child
        .wait()
        .context("`cargo test` could not be waited for")?;
    writeln!(screen, "\n{}", counts.sentence()).context("the counts could not be written")?;
    if !status.success() {
        bail!("the tests failed; `cargo test` ended with {status}");
    }
    if counts.passed == 0 {
        bail!("no test was run");
    }
    Ok(())
}

/// What the `test result:` lines of several test binaries add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    binaries: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
    filtered_out: u64,
}

impl Counts {
    /// Adds a line like `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ..`.
    fn add(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else {
            return;
        };
        self.binaries += 1;
        let (_verdict, numbers) = rest.split_once(". ").unwrap_or(("", rest));
        for part in numbers.split("; ") {
            let Some((number, name)) = part.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match name {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                "filtered out" => self.filtered_out += number,
                _ => {}
            }
        }
    }

    fn sentence(&self) -> String {
        let Self {
            binaries,
            passed,
            failed,
            ignored,
            filtered_out,
        } = self;
        format!(
            "In {binaries} test binaries: {passed} passed, {failed} failed, {ignored} ignored, \
             {filtered_out} filtered out."
        )
    }
}

#[cfg(test)]
mod unit_tests {
    use super::Counts;

    #[test]
    fn result_lines_add_up() {
        let mut counts = Counts::default();
        counts.add("running 4 tests");
        counts.add(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; \
             finished in 0.01s",
        );
        counts.add(
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 1.00s",
        );
        assert_eq!(
            counts.sentence(),
            "In 2 test binaries: 4 passed, 2 failed, 1 ignored, 2 filtered out."
        );
    }
}
