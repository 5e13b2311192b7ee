//! Running other programs, with errors that say in a sentence what failed.

use std::io;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs a program to its end with our own standard streams; `what` names the step in the error.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{what} failed: {} could not be started", program(command)))?;
    if status.success() {
        return Ok(());
    }
    bail!("{what} failed: `{}` ended with {status}", line(command));
}

/// Runs a program to its end and returns what it wrote to standard output, trimmed.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{} could not be started", program(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}: {}",
            line(command),
            output.status,
            complaint.trim()
        );
    }
    let text = String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` did not write text", line(command)))?;
    Ok(text.trim().to_owned())
}

/// Becomes another program; returns only where that failed.
#[cfg(unix)]
pub(crate) fn replace_by(command: &mut Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

/// Runs another program to its end, for systems where a process cannot become another one.
#[cfg(not(unix))]
pub(crate) fn replace_by(command: &mut Command) -> io::Result<()> {
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("it ended with {status}"))),
    }
}

fn program(command: &Command) -> String {
    format!("`{}`", command.get_program().to_string_lossy())
}

fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod unit_tests {
    use std::process::Command;

    use super::{read, run};

    #[test]
    fn failures_name_the_step_and_the_command() {
        let missing = run(&mut Command::new("/no/such/program"), "building").unwrap_err();
        assert!(format!("{missing:#}").starts_with("building failed: `/no/such/program`"));
        let failed = run(Command::new("sh").args(["-c", "exit 3"]), "testing").unwrap_err();
        assert!(
            failed
                .to_string()
                .contains("`sh -c exit 3` ended with exit status: 3")
        );
    }

    #[test]
    fn read_returns_trimmed_output_or_the_complaint() {
        let text = read(Command::new("sh").args(["-c", "echo ' yes '"])).unwrap();
        assert_eq!(text, "yes");
        let error = read(Command::new("sh").args(["-c", "echo no >&2; exit 1"])).unwrap_err();
        assert!(error.to_string().ends_with("no"));
    }
}
