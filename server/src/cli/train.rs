use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use fclm_server::train::{Recipe, TrainOptions, train};

use super::print;

/// Options of `fclm train`.
#[derive(Debug, Args)]
pub(crate) struct Train {
    /// A built-in recipe (nano), or a file.
    #[arg(long, value_name = "nano|FILE.toml")]
    recipe: String,
    /// Folder of checkpoints and log; in the user's cache where it is not given.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// The model directory to write; `model` in the run's folder where it is not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on from the newest checkpoint of the run; there must be one.
    #[arg(long)]
    resume: bool,
    /// Go on although the recipe is not the one that the checkpoint was made by.
    #[arg(long, requires = "resume")]
    changed_recipe: bool,
    /// Start from this model's weights instead of random ones.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Stop, with a checkpoint, after this long.
    #[arg(long, value_name = "N")]
    minutes: Option<u32>,
}

impl Train {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (name, recipe) = read_recipe(&self.recipe)?;
        let run = match self.run {
            Some(run) => run,
            None => cache_dir(|variable| env::var_os(variable).map(PathBuf::from))
                .context("there is no cache folder for checkpoints: give one by --run")?
                .join("fclm/train")
                .join(name),
        };
        let out = self.out.unwrap_or_else(|| run.join("model"));
        train(&TrainOptions {
            recipe,
            run,
            out: out.clone(),
            resume: self.resume,
            accept_changes: self.changed_recipe,
            from: self.from,
            limit: self
                .minutes
                .map(|minutes| Duration::from_secs(60 * u64::from(minutes))),
        })?;
        print(out.display())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A recipe with its name: a file where the argument names one, else a built-in one.
fn read_recipe(argument: &str) -> anyhow::Result<(String, Recipe)> {
    let path = Path::new(argument);
    let is_file = path
        .extension()
        .is_some_and(|extension| extension == "toml")
        || path.is_file();
    if !is_file {
        return Ok((argument.to_owned(), Recipe::named(argument)?));
    }
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the recipe {}", path.display()))?;
    let recipe =
        Recipe::from_toml(&text).with_context(|| format!("{} is no recipe", path.display()))?;
    let name = path.file_stem().context("a file has a name")?;
    Ok((name.to_string_lossy().into_owned(), recipe))
}

fn cache_dir(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_go_where_the_system_keeps_caches() {
        let both = |name: &str| match name {
            "XDG_CACHE_HOME" => Some(PathBuf::from("/var/cache/me")),
            _ => Some(PathBuf::from("/home/me")),
        };
        assert_eq!(cache_dir(both), Some(PathBuf::from("/var/cache/me")));
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/me"));
        assert_eq!(cache_dir(home), Some(PathBuf::from("/home/me/.cache")));
        assert_eq!(cache_dir(|_| Some(PathBuf::from("relative"))), None);
    }

    #[test]
    fn recipes_are_named_or_files() {
        assert_eq!(read_recipe("nano").unwrap().0, "nano");
        assert!(read_recipe("giga").is_err());
        assert!(read_recipe("missing.toml").is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        fs::write(&path, "seed = \"one\"").unwrap();
        assert!(read_recipe(path.to_str().unwrap()).is_err());
    }
}
