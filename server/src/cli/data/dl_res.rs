use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use fclm_server::{
    chat_client::{ApiKey, ChatClient, ChatOptions},
    data::{
        dl_res::{DlResOptions, build_dl_res},
        published::DEFAULT_LIMIT,
    },
};

use super::{count_pictures, tell_left_out, tell_skipped};
use crate::cli::{at_least_one, at_least_zero, print, show_progress, tell_retry};

/// Options of `fclm data dl-res`.
#[derive(Debug, Args)]
pub(super) struct DlRes {
    /// A folder of pictures whose regions are described in detail, as `fclm data convert` makes it
    /// of the Describe Anything dataset.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The folder to write; must be new or empty. Its pictures stay where they are.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// An OpenAI-compatible endpoint, with or without /chat/completions.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000/v1")]
    endpoint: String,
    /// The model, as the endpoint calls it.
    #[arg(long, value_name = "NAME")]
    model: String,
    /// The environment variable with the endpoint's key; where it is not set, no key is sent.
    #[arg(long, value_name = "NAME", default_value = "OPENAI_API_KEY")]
    key_variable: String,
    /// The folder in which answers are kept, so that the same command goes on where it was stopped
    /// [default: that of --out with .answers behind its name].
    #[arg(long, value_name = "DIR")]
    answers: Option<PathBuf>,
    /// How many requests are on their way at once.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = at_least_one::<u16>,
        allow_negative_numbers = true
    )]
    at_once: u16,
    /// Longest wait for an answer, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 120,
        value_parser = at_least_one::<u32>,
        allow_negative_numbers = true
    )]
    timeout: u32,
    /// Turn the descriptions of the first pictures only.
    #[arg(
        long,
        value_name = "N",
        value_parser = at_least_one::<u32>,
        allow_negative_numbers = true
    )]
    limit: Option<u32>,
    /// How many broken records and how many unusable answers are skipped.
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_LIMIT,
        value_parser = at_least_zero::<u64>,
        allow_negative_numbers = true
    )]
    limit_broken: u64,
}

impl DlRes {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let answers = self.answers.unwrap_or_else(|| answers_beside(&self.out));
        anyhow::ensure!(
            !answers.starts_with(&self.out),
            "--answers is in --out, which has to be new or empty; choose another folder"
        );
        let client = ChatClient::new(ChatOptions {
            key: ApiKey::from_variable(&self.key_variable)?,
            cache: Some(answers),
            timeout: Duration::from_secs(self.timeout.into()),
            on_retry: tell_retry,
            ..ChatOptions::new(self.endpoint, self.model)
        })?;
        let options = DlResOptions {
            data: self.data,
            out: self.out,
            at_once: self.at_once.into(),
            limit: self.limit.map(|limit| limit as usize),
            limit_broken: self.limit_broken,
            on_skip: tell_skipped,
        };
        let made = build_dl_res(&client, &options, &mut |done, all| {
            show_progress("pictures", done, all);
        })?;
        tell_left_out(&made.unusable);
        print(format!(
            "{}: {} expressions in {}",
            options.out.display(),
            made.expressions,
            count_pictures(made.pictures)
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where answers are kept for a new folder.
fn answers_beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".answers");
    out.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_lie_beside_the_new_folder() {
        for out in ["sets/dl-res", "sets/dl-res/"] {
            assert_eq!(
                answers_beside(Path::new(out)),
                Path::new("sets/dl-res.answers")
            );
        }
    }
}
