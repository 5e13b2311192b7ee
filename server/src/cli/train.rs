use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use fclm_server::{
    device::DeviceChoice,
    train::{
        AnyRecipe, Display, LargeOptions, Recipe, TrainError, TrainOptions, train, train_large,
    },
};

use super::{at_least_one, interrupt::Interrupt, print};

/// Options of `fclm train`.
#[derive(Debug, Args)]
pub(crate) struct Train {
    /// A built-in recipe, or a file: nano and micro make a small model from scratch, 3b and 7b tune
    /// the model of --from.
    #[arg(long, value_name = "nano|micro|3b|7b|FILE.toml")]
    recipe: String,
    /// Folder of checkpoints and log; in the user's cache where it is not given.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// The model directory to write: a new one, or that of the run which is gone on with; `model` in
    /// the run's folder where it is not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on from the newest checkpoint of the run; there must be one.
    #[arg(long)]
    resume: bool,
    /// Go on although the recipe is not the one that the checkpoint was made by.
    #[arg(long, requires = "resume")]
    changed_recipe: bool,
    /// Start from this model's weights instead of random ones; a recipe that tunes a model needs it.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Where a data set of the recipe is; may be repeated.
    #[arg(long, value_name = "NAME=DIR", value_parser = named_folder)]
    data: Vec<(String, PathBuf)>,
    /// Stop, with a checkpoint and a model, after this long, as ctrl-c and SIGTERM do.
    #[arg(
        long,
        value_name = "N",
        value_parser = at_least_one::<u32>,
        allow_negative_numbers = true
    )]
    minutes: Option<u32>,
    /// Print lines also where a dashboard could be shown.
    #[arg(long)]
    plain: bool,
    /// What to run on: cpu, cuda:N for the NVIDIA GPU of that number, or auto, as where it is not
    /// given: the first of them that there is, else the CPU. A recipe that tunes a model takes
    /// several, with commas between, and puts a copy of the model on each.
    #[arg(long, value_name = "NAME[,NAME..]", value_delimiter = ',')]
    device: Vec<DeviceChoice>,
}

impl Train {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (name, recipe) = read_any(&self.recipe)?;
        let run = match self.run {
            Some(run) => run,
            None => default_run("train", &name)?,
        };
        let out = self.out.unwrap_or_else(|| run.join("model"));
        let limit = self
            .minutes
            .map(|minutes| Duration::from_secs(60 * u64::from(minutes)));
        let choices: &[DeviceChoice] = match self.device.as_slice() {
            [] => &[DeviceChoice::Auto],
            named => named,
        };
        let mut devices = choices
            .iter()
            .map(|choice| choice.open())
            .collect::<Result<Vec<_>, _>>()?;
        let display = Display::for_terminal(self.plain);
        let interrupt = Interrupt::listen()?;
        let trained = match recipe {
            AnyRecipe::FromScratch(recipe) => {
                ensure!(
                    self.data.is_empty(),
                    "the recipe renders its own scenes; --data is for recipes that tune a model"
                );
                ensure!(
                    devices.len() == 1,
                    "the recipe makes a small model, for which one device is enough; several are \
                     for recipes that tune a model"
                );
                train(&TrainOptions {
                    recipe: *recipe,
                    run: run.clone(),
                    out: out.clone(),
                    resume: self.resume,
                    accept_changes: self.changed_recipe,
                    from: self.from,
                    limit,
                    stop: interrupt.stop(),
                    device: devices.swap_remove(0),
                    display,
                })?
            }
            AnyRecipe::Large(recipe) => {
                let mut recipe = *recipe;
                for (name, dir) in &self.data {
                    recipe = recipe.with_data(name, dir)?;
                }
                train_large(&LargeOptions {
                    recipe,
                    run: run.clone(),
                    out: out.clone(),
                    from: self.from,
                    resume: self.resume,
                    accept_changes: self.changed_recipe,
                    limit,
                    stop: interrupt.stop(),
                    devices,
                    display,
                })?
            }
        };
        if !trained.is_finished() {
            eprintln!(
                "fclm: stopped after step {} of {}, with a checkpoint in {}; this goes on: {}",
                trained.step,
                trained.total_steps,
                run.display(),
                resuming(env::args_os())
            );
        }
        print(out.display())?;
        Ok(interrupt.exit_code(trained.is_finished()))
    }
}

/// The command that goes on with the run of a command.
fn resuming(arguments: impl Iterator<Item = OsString>) -> String {
    let mut arguments: Vec<String> = arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        // The checkpoint has the changed recipe.
        .filter(|argument| argument != "--changed-recipe")
        .collect();
    if !arguments.iter().any(|argument| argument == "--resume") {
        arguments.push("--resume".to_owned());
    }
    let quoted: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
    quoted.join(" ")
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "-_./=,:+@%".contains(sign);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}

/// Where the runs of a command are kept that no folder was named for.
pub(super) fn default_run(command: &str, name: &str) -> anyhow::Result<PathBuf> {
    let cache = cache_dir(|variable| env::var_os(variable).map(PathBuf::from))
        .context("there is no cache folder for checkpoints: give one by --run")?;
    Ok(cache.join("fclm").join(command).join(name))
}

/// A recipe that makes a model from scratch, with its name: a file where the argument names one, else
/// a built-in one.
pub(super) fn read_recipe(argument: &str) -> anyhow::Result<(String, Recipe)> {
    read(argument, Recipe::named, Recipe::from_toml)
}

/// A recipe of any kind, likewise.
pub(super) fn read_any(argument: &str) -> anyhow::Result<(String, AnyRecipe)> {
    read(argument, AnyRecipe::named, AnyRecipe::from_toml)
}

fn read<R>(
    argument: &str,
    named: fn(&str) -> Result<R, TrainError>,
    from_toml: fn(&str) -> Result<R, TrainError>,
) -> anyhow::Result<(String, R)> {
    let path = Path::new(argument);
    let is_file = path
        .extension()
        .is_some_and(|extension| extension == "toml")
        || path.is_file();
    if !is_file {
        return Ok((argument.to_owned(), named(argument)?));
    }
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the recipe {}", path.display()))?;
    let recipe = from_toml(&text).with_context(|| format!("{} is no recipe", path.display()))?;
    let name = path.file_stem().context("a file has a name")?;
    Ok((name.to_string_lossy().into_owned(), recipe))
}

/// Reads `NAME=DIR`.
fn named_folder(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, dir)) if !name.is_empty() && !dir.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(dir)))
        }
        _ => Err("write the data set's name, \"=\" and its folder".to_owned()),
    }
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
        assert!(read_any(path.to_str().unwrap()).is_err());
        let (name, recipe) = read_any("3b").unwrap();
        assert_eq!(name, "3b");
        assert!(matches!(recipe, AnyRecipe::Large(_)));
        assert!(matches!(
            read_any("nano").unwrap().1,
            AnyRecipe::FromScratch(_)
        ));
        assert!(read_recipe("3b").is_err());
    }

    #[test]
    fn a_run_goes_on_by_the_same_command_with_resume() {
        let resumed = |arguments: &[&str]| resuming(arguments.iter().map(OsString::from));
        let first = [
            "fclm",
            "train",
            "--recipe",
            "my recipe's.toml",
            "--minutes=5",
        ];
        let told = r"fclm train --recipe 'my recipe'\''s.toml' --minutes=5 --resume";
        assert_eq!(resumed(&first), told);
        let second = [
            "fclm",
            "train",
            "--resume",
            "--changed-recipe",
            "--data",
            "",
        ];
        assert_eq!(resumed(&second), "fclm train --resume --data ''");
    }

    #[test]
    fn folders_are_named() {
        let read = named_folder("dl-res=/data/a=b").unwrap();
        assert_eq!(read, ("dl-res".to_owned(), PathBuf::from("/data/a=b")));
        for wrong in ["dl-res", "=dir", "dl-res="] {
            assert!(named_folder(wrong).is_err(), "{wrong}");
        }
    }
}
