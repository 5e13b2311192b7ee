//! The command line: one module per command.
//!
//! Whatever goes wrong is one sentence on standard error and exit code 2. A command that ctrl-c or
//! SIGTERM has stopped in good order ends with exit code 130 or 143.

mod ablate;
mod bench;
mod caption;
mod data;
mod describe;
mod device;
mod eval;
mod eval_options;
mod heatmaps;
mod init;
mod inspect;
mod interrupt;
mod mask;
mod model;
mod segment;
mod serve;
mod train;

use std::{
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Write},
    process::ExitCode,
    str::FromStr,
};

use clap::{Parser, Subcommand, error::ErrorKind as UsageError};
use fclm_core::weights::WeightError;
use fclm_server::{chat_client::Retry, serve::ServeError};

/// Exit code for bad input.
const BAD_INPUT: u8 = 2;
/// Longest sentence that may repeat what the person typed.
const SENTENCE: usize = 380;

/// Region chat: describe regions of a picture, find what a text describes, and serve both.
#[derive(Debug, Parser)]
#[command(name = "fclm", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the page and the HTTP interface on this computer.
    Serve(serve::Serve),
    /// Answer a question about a region of a picture.
    Describe(describe::Describe),
    /// Find what a text describes in a picture, and write its mask.
    Segment(segment::Segment),
    /// Describe a whole picture, with a mask for each phrase.
    Caption(caption::Caption),
    /// Show what is in a model directory.
    Inspect(inspect::Inspect),
    /// Join a published Qwen2.5-VL folder and a SAM checkpoint into a model directory.
    Init(init::Init),
    /// Train a model.
    Train(train::Train),
    /// Measure a model on a folder of scenes or pictures.
    Eval(Box<eval::Eval>),
    /// Train and compare small models that each leave one of the paper's choices.
    Ablate(ablate::Ablate),
    /// Make, convert and look at data sets.
    Data(data::Data),
    /// Time what a person waits for.
    Bench(bench::Bench),
}

impl Cli {
    /// Runs the command.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(command) => command.run(),
            Command::Describe(command) => command.run(),
            Command::Segment(command) => command.run(),
            Command::Caption(command) => command.run(),
            Command::Inspect(command) => command.run(),
            Command::Init(command) => command.run(),
            Command::Train(command) => command.run(),
            Command::Eval(command) => command.run(),
            Command::Ablate(command) => command.run(),
            Command::Data(command) => command.run(),
            Command::Bench(command) => command.run(),
        }
    }
}

/// Says in one sentence what went wrong.
pub(crate) fn refuse(error: &anyhow::Error) -> ExitCode {
    let mut reason = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many messages hold that of their cause already.
        if !reason.contains(&cause) {
            reason = format!("{reason}: {cause}");
        }
    }
    match lists_tensors(error) {
        true => complain(&one_line(&reason)),
        false => complain(&sentence(&reason)),
    }
}

/// Whether a message names tensors: whoever mends a checkpoint needs all of them.
fn lists_tensors(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let boxed = cause.downcast_ref::<Box<WeightError>>();
        let weights = boxed.map(|weights| &**weights).or(cause.downcast_ref());
        let served = cause.downcast_ref::<ServeError>();
        matches!(weights, Some(WeightError::Mismatch(_)))
            || matches!(served, Some(ServeError::Model(_)))
    })
}

/// Says that the program has come to where it must not: what went wrong has been reported.
pub(crate) fn admit_defect() -> ExitCode {
    complain("this is a defect of the program, not of what was asked; above it says where")
}

/// Answers a command line that asks for help, or that cannot be understood.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    match error.kind() {
        UsageError::DisplayHelp | UsageError::DisplayVersion => {
            match error.print().and_then(|()| io::stdout().flush()) {
                // A reader that has left needs no answer.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    complain(&format!("cannot write to standard output: {error}"))
                }
                _ => ExitCode::SUCCESS,
            }
        }
        UsageError::DisplayHelpOnMissingArgumentOrSubcommand => {
            complain("there is no command; add --help to see which there are")
        }
        _ => {
            let text = error.to_string();
            let reason = text.split("\n\nUsage:").next().unwrap_or(&text);
            let reason = reason
                .split("\n\nFor more information")
                .next()
                .unwrap_or(reason);
            let reason = reason.trim_start_matches("error: ").replace("\n\n", "; ");
            complain(&sentence(&reason))
        }
    }
}

fn complain(sentence: &str) -> ExitCode {
    eprintln!("fclm: {sentence}");
    ExitCode::from(BAD_INPUT)
}

/// Brings a message of any shape onto one line.
fn one_line(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Brings a message of any shape onto one line of bounded length.
fn sentence(reason: &str) -> String {
    let line = one_line(reason);
    match line.char_indices().nth(SENTENCE) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// Reads a number of which less than one makes no sense.
fn at_least_one<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    at_least(1, text)
}

/// Reads a number that may be zero.
fn at_least_zero<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    at_least(0, text)
}

fn at_least<T: FromStr + PartialOrd + From<u8>>(least: u8, text: &str) -> Result<T, String> {
    let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<T>() {
        Ok(number) if number >= T::from(least) => Ok(number),
        Err(_) if is_whole => Err("it is too large".to_owned()),
        _ => Err(format!("it must be a whole number from {least} on")),
    }
}

/// Tells a person why nothing happens for a while.
fn tell_retry(retry: &Retry<'_>) {
    eprintln!("fclm: {retry}");
}

/// Writes a line to standard output.
fn print(text: impl Display) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        // A reader that has left has seen what it wanted to.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// Shows a person how far a long command is; a file or a program hears nothing.
fn show_progress(what: &str, finished: usize, all: usize) {
    let mut error = io::stderr().lock();
    if error.is_terminal() {
        let end = if finished == all { '\n' } else { '\r' };
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(error, "{what}: {finished}/{all}{end}");
        let _ = error.flush();
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use fclm_core::weights::Mismatch;
    use fclm_server::{model_dir::ModelDirError, predict::PredictError};

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn messages_become_one_line() {
        assert_eq!(sentence("a\n  b\n\nc "), "a b c");
        assert!(sentence(&"word ".repeat(200)).len() < 400);
    }

    #[test]
    fn numbers_that_make_no_sense_are_told_apart() {
        assert_eq!(at_least_one::<u16>("7"), Ok(7));
        assert_eq!(at_least_zero::<u64>("0"), Ok(0));
        for (wrong, reason) in [
            ("0", "from 1 on"),
            ("-3", "from 1 on"),
            ("2.5", "from 1 on"),
            ("", "from 1 on"),
            ("70000", "too large"),
        ] {
            let refused = at_least_one::<u16>(wrong).unwrap_err();
            assert!(refused.contains(reason), "{wrong}: {refused}");
        }
        let refused = at_least_zero::<u64>("-1").unwrap_err();
        assert!(refused.contains("from 0 on"), "{refused}");
    }

    #[test]
    fn negative_numbers_are_refused_as_values() {
        let cases: [(&[&str], &str); 8] = [
            (
                &["data", "scenes", "--out", "d", "--count", "-3"],
                "from 1 on",
            ),
            (
                &[
                    "data", "scenes", "--out", "d", "--count", "3", "--seed", "-1",
                ],
                "from 0 on",
            ),
            (
                &[
                    "data", "scenes", "--out", "d", "--count", "3", "--size", "-3x4",
                ],
                "width and height",
            ),
            (&["data", "look", "d", "--count", "-3"], "from 1 on"),
            (
                &[
                    "data",
                    "convert",
                    "--from",
                    "coco",
                    "--out",
                    "d",
                    "f",
                    "--limit-broken",
                    "-1",
                ],
                "from 0 on",
            ),
            (
                &["train", "--recipe", "nano", "--minutes", "-5"],
                "from 1 on",
            ),
            (&["ablate", "--seeds", "-2"], "from 1 on"),
            (
                &["eval", "--task", "res", "--data", "d", "--limit", "-1"],
                "from 1 on",
            ),
        ];
        for (arguments, reason) in cases {
            let all = [&["fclm"][..], arguments].concat();
            let refused = Cli::try_parse_from(all).unwrap_err().to_string();
            assert!(
                refused.contains("invalid value '-") && refused.contains(reason),
                "{arguments:?}: {refused}"
            );
        }
    }

    #[test]
    fn lists_of_tensors_are_told_from_other_messages() {
        let missing = (0..100).map(|index| (format!("layers.{index}.weight"), vec![4, 4]));
        let mismatch = WeightError::Mismatch(Box::new(Mismatch {
            missing: missing.collect(),
            ..Mismatch::default()
        }));
        let directory = ModelDirError::Weights {
            path: "model".into(),
            source: Box::new(mismatch),
        };
        let error = anyhow::Error::new(PredictError::Model(directory));
        assert!(lists_tensors(&error));
        assert!(error.to_string().contains("layers.99.weight [4, 4]"));
        let served = ServeError::Model(error.to_string());
        assert!(lists_tensors(&anyhow::Error::new(served)));
        let typed = format!("there is no recipe {:?}", "word ".repeat(200));
        assert!(!lists_tensors(&anyhow::anyhow!(typed)));
    }

    #[test]
    fn what_is_missing_or_unknown_is_an_error() {
        for wrong in [
            &["fclm", "descirbe"][..],
            &["fclm", "inspect"],
            &["fclm", "describe", "a.png"],
            &[
                "fclm", "describe", "a.png", "--box", "1,1,9,9", "--mask", "m.png",
            ],
            &["fclm", "describe", "a.png", "--box="],
            &["fclm", "describe", "a.png", "--box=1,1,20"],
            &["fclm", "describe", "a.png", "--box=1,1,20,20,30"],
            &["fclm", "describe", "a.png", "--box=a,b,c,d"],
            &["fclm", "segment", "a.png", "the cube"],
            &[
                "fclm", "data", "scenes", "--count", "3", "--out", "d", "--size", "12",
            ],
            &["fclm", "eval", "--task", "rec", "--data", "d"],
            &["fclm", "train"],
            &["fclm", "train", "--recipe", "nano", "--minutes", "-1"],
            &["fclm", "train", "--recipe", "nano", "--minutes", "0"],
            &["fclm", "train", "--recipe", "nano", "--device", "gpu"],
            &["fclm", "bench", "--device", "cuda:first"],
            &[
                "fclm", "eval", "--task", "res", "--data", "d", "--limit", "0",
            ],
            &["fclm", "data", "scenes", "--count", "0", "--out", "d"],
            &[
                "fclm", "data", "scenes", "--count", "3", "--out", "d", "--world", "soft",
            ],
            &["fclm", "data", "dl-res", "--data", "d", "--out", "o"],
            &["fclm", "caption"],
            &["fclm", "data", "convert", "--from", "coco", "--out", "d"],
            &[
                "fclm", "data", "convert", "--from", "voc", "--out", "d", "a.json",
            ],
            &["fclm", "data", "look"],
            &["fclm", "data", "look", "d", "--count", "0"],
            &["fclm", "eval", "--data", "d"],
            &[
                "fclm",
                "eval",
                "--task",
                "res",
                "--heatmaps",
                "o",
                "--data",
                "d",
            ],
            &["fclm", "eval", "--task", "res"],
            &["fclm", "eval", "--report", "d", "--task", "res"],
            &["fclm", "eval", "--task", "res,rec", "--data", "d"],
            &["fclm", "eval", "--task", "res,", "--data", "d"],
            &["fclm", "eval", "--plan", "p.toml", "--task", "res"],
            &["fclm", "eval", "--plan", "p.toml", "--data", "d"],
            &["fclm", "eval", "--plan", "p.toml", "--report", "d"],
            &["fclm", "eval", "--task", "res", "--data", "d", "--resume"],
            &[
                "fclm",
                "eval",
                "--task",
                "dlc",
                "--data",
                "d",
                "--judge-url",
                "http://127.0.0.1:8000/v1",
            ],
            &["fclm", "ablate", "--seeds", "0"],
            &["fclm", "ablate", "--scenes", "few"],
        ] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_the_manual_says_is_understood() {
        for right in [
            &["fclm", "describe", "a.png", "--box", "1,1.5,9,9"][..],
            &[
                "fclm",
                "describe",
                "a.png",
                "--box",
                "-3,-1,9,9",
                "--question",
                "What?",
            ],
            &[
                "fclm", "describe", "a.png", "--mask", "m.png", "--model", "dir",
            ],
            &[
                "fclm", "segment", "a.png", "the cube", "--out", "m.png", "--json",
            ],
            &["fclm", "inspect", "dir"],
            &[
                "fclm", "init", "--qwen", "q", "--sam", "s.pth", "--out", "o", "--seed", "3",
            ],
            &[
                "fclm", "data", "scenes", "--seed", "1", "--count", "3", "--out", "d",
            ],
            &[
                "fclm", "data", "scenes", "--count", "3", "--out", "d", "--size", "320x240",
            ],
            &[
                "fclm", "data", "scenes", "--count", "3", "--out", "d", "--world", "hard",
            ],
            &[
                "fclm", "data", "dl-res", "--data", "d", "--out", "o", "--model", "m",
            ],
            &["fclm", "caption", "a.png", "--json", "--out", "masks"],
            &[
                "fclm",
                "train",
                "--recipe",
                "nano",
                "--resume",
                "--minutes",
                "350",
            ],
            &[
                "fclm",
                "eval",
                "--task",
                "caption-find",
                "--data",
                "d",
                "--limit",
                "9",
                "--json",
            ],
            &[
                "fclm",
                "data",
                "convert",
                "--from",
                "lvis",
                "--out",
                "d",
                "--images",
                "train2017",
                "--images",
                "val2017",
                "--copy",
                "--limit-broken",
                "0",
                "a.json",
                "b.json",
            ],
            &[
                "fclm", "data", "convert", "--from", "refcoco+", "--out", "d", "--images", "i",
                "--split", "testA", "refcoco+",
            ],
            &[
                "fclm",
                "data",
                "look",
                "d",
                "--count",
                "3",
                "--out",
                "page.html",
            ],
            &["fclm", "serve", "--listen", "127.0.0.1:3000"],
            &["fclm", "serve", "--device", "cuda:1", "--model", "dir"],
            &["fclm", "train", "--recipe", "nano", "--device", "cpu"],
            &["fclm", "train", "--recipe", "micro", "--plain"],
            &[
                "fclm",
                "ablate",
                "--only",
                "latent",
                "--only",
                "steps-0",
                "--seeds",
                "3",
                "--minutes",
                "60",
            ],
            &["fclm", "ablate", "--run", "dir", "--report", "--json"],
            &["fclm", "eval", "--report", "out", "--bert", "bert"],
            &["fclm", "eval", "--task", "all", "--data", "d", "--json"],
            &[
                "fclm", "eval", "--task", "res,gcg", "--task", "roc", "--data", "d",
            ],
            &[
                "fclm",
                "eval",
                "--plan",
                "paper.toml",
                "--out",
                "out",
                "--resume",
                "--limit-broken",
                "0",
            ],
            &[
                "fclm",
                "eval",
                "--task",
                "gcg",
                "--data",
                "d",
                "--out",
                "out",
                "--resume",
                "--sentence-encoder",
                "minilm",
                "--bert",
                "bert",
                "--meteor-jar",
                "meteor-1.5.jar",
                "--judge-url",
                "http://127.0.0.1:8000/v1",
                "--judge-model",
                "judge",
                "--judge-key-variable",
                "KEY",
            ],
            &[
                "fclm",
                "eval",
                "--heatmaps",
                "out",
                "--data",
                "d",
                "--limit",
                "9",
            ],
        ] {
            if let Err(error) = Cli::try_parse_from(right) {
                panic!("{right:?}: {error}");
            }
        }
    }
}
