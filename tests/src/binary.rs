//! The `fclm` binary that `cargo xtask` has built.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

/// What one run of `fclm` left behind.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code().expect("fclm was ended by a signal"),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }

    /// The run, if it succeeded and had nothing to complain about.
    ///
    /// # Panics
    /// If the exit code is not 0, or something is on standard error.
    pub fn expect_clean(self) -> Self {
        assert_eq!(self.code, 0, "exit code; standard error: {}", self.stderr);
        assert_eq!(self.stderr, "", "standard error");
        self
    }

    /// The sentence with which bad input was refused.
    ///
    /// # Panics
    /// If the exit code is not 2, or there is anything but one sentence.
    pub fn expect_refusal(self) -> String {
        assert_eq!(self.code, 2, "exit code; standard error: {}", self.stderr);
        assert_eq!(self.stdout, "", "standard output of a refused command");
        let sentence = self.stderr.trim_end();
        // Only a list of tensors may be long: whoever mends a checkpoint needs all of them.
        let is_list = sentence.contains("the checkpoint does not fit the model: ");
        let is_short = sentence.chars().count() < 400;
        assert!(
            !sentence.is_empty() && !sentence.contains('\n') && (is_short || is_list),
            "not one sentence on standard error: {:?}",
            self.stderr
        );
        assert!(!sentence.contains("panicked"), "{sentence}");
        sentence.to_owned()
    }
}

/// Where the binary is: `FCLM_BIN`, or the directory above that of the running test.
///
/// # Panics
/// If it is not there.
pub fn path() -> PathBuf {
    let path = env::var_os("FCLM_BIN").map_or_else(beside_the_test, PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing; run the tests by `cargo xtask test`, or build it by `cargo xtask build`",
        path.display()
    );
    path
}

fn beside_the_test() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("tests are in the target directory");
    folder.join(format!("fclm{}", env::consts::EXE_SUFFIX))
}

/// A command that starts `fclm`, without what the caller's environment says about it.
pub fn command() -> Command {
    let mut command = Command::new(path());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("FCLM_") && text != "FCLM_SITE" {
            command.env_remove(&name);
        }
    }
    command.env_remove("RUST_LOG");
    command
}

/// Runs `fclm` to its end.
///
/// # Panics
/// If it cannot be started or is ended by a signal.
pub fn run(arguments: &[&str]) -> Ran {
    Ran::new(command().args(arguments).output().expect("fclm starts"))
}
