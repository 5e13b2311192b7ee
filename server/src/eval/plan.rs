//! What is measured by one command: tasks, each on a data set.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    data_set::{name_of_folder, slug},
    protocol::{Task, TaskChoice},
};

/// What is to be measured, one after another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// No task is there twice on data sets of one name.
    pub measures: Vec<Measure>,
}

/// A task on a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// What is measured.
    pub task: Task,
    /// The data set's folder.
    pub data: PathBuf,
    /// What the data set is called.
    pub name: String,
    /// Whether it is no failure that the data set holds nothing that the task asks about, because
    /// all tasks are wanted that it has something for.
    pub may_be_empty: bool,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.task, self.name)
    }
}

/// Why a file is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not TOML, or of another layout.
    #[error("{} is no plan: {reason}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// It is empty.
    #[error("{} names nothing to measure; it wants [[measure]] with a task and data", .0.display())]
    Empty(PathBuf),
    /// A measurement cannot be made.
    #[error("measurement {number} of {} {reason}", path.display())]
    Measure {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// A plan as its file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    measure: Vec<WrittenMeasure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMeasure {
    task: String,
    data: PathBuf,
    name: Option<String>,
}

impl Plan {
    /// Tasks on one data set, each once.
    pub fn of(choices: &[TaskChoice], data: &Path) -> Self {
        let mut plan = Self::default();
        for &choice in choices {
            for measure in measures(choice, data, &name_of_folder(data)) {
                if !plan.holds(&measure) {
                    plan.measures.push(measure);
                }
            }
        }
        plan
    }

    /// Reads a file of TOML, each `[[measure]]` with `task`, `data` and, where the data set is not
    /// called as its folder, `name`. Paths are relative to the file.
    ///
    /// # Errors
    /// Where it cannot be read, is of another layout, names an unknown task, or measures a task
    /// twice on data sets of one name.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = fs::read_to_string(path).map_err(|source| PlanError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::from_toml(&text, path)
    }

    fn from_toml(text: &str, path: &Path) -> Result<Self, PlanError> {
        let written: Written = toml::from_str(text).map_err(|error| PlanError::Layout {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut plan = Self::default();
        for (number, WrittenMeasure { task, data, name }) in (1..).zip(written.measure) {
            let wrong = |reason: String| PlanError::Measure {
                path: path.to_owned(),
                number,
                reason,
            };
            let choice = task
                .parse::<TaskChoice>()
                .map_err(|unknown| wrong(format!("cannot be made: {unknown}; or \"all\"")))?;
            let data = folder.join(data);
            let name = name.unwrap_or_else(|| name_of_folder(&data));
            if !name.chars().any(char::is_alphanumeric) {
                return Err(wrong(format!(
                    "is called {name:?}; give it a name in letters"
                )));
            }
            for measure in measures(choice, &data, &name) {
                if plan.holds(&measure) {
                    return Err(wrong(format!(
                        "is {measure}, which is there already; give its data another name"
                    )));
                }
                plan.measures.push(measure);
            }
        }
        match plan.measures.is_empty() {
            true => Err(PlanError::Empty(path.to_owned())),
            false => Ok(plan),
        }
    }

    /// Whether a task is there already on a data set of that name.
    fn holds(&self, measure: &Measure) -> bool {
        let mut those = self.measures.iter();
        those.any(|other| other.task == measure.task && slug(&other.name) == slug(&measure.name))
    }
}

fn measures(choice: TaskChoice, data: &Path, name: &str) -> Vec<Measure> {
    choice
        .tasks()
        .into_iter()
        .map(|task| Measure {
            task,
            data: data.to_owned(),
            name: name.to_owned(),
            may_be_empty: choice == TaskChoice::All,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Plan, PlanError> {
        Plan::from_toml(text, Path::new("/sets/paper.toml"))
    }

    fn shown(plan: &Plan) -> Vec<String> {
        plan.measures.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn measurements_are_read_with_paths_relative_to_the_file() {
        let plan = read(
            r#"
            [[measure]]
            task = "res"
            data = "refcoco-val"
            name = "RefCOCO val"

            [[measure]]
            task = "res"
            data = "/other/refcoco-testa"

            [[measure]]
            task = "all"
            data = "../scenes"
            "#,
        )
        .unwrap();
        assert_eq!(plan.measures.len(), 2 + Task::ALL.len());
        assert_eq!(
            plan.measures[0],
            Measure {
                task: Task::Res,
                data: PathBuf::from("/sets/refcoco-val"),
                name: "RefCOCO val".to_owned(),
                may_be_empty: false,
            }
        );
        assert_eq!(plan.measures[1].to_string(), "res on refcoco-testa");
        let last = &plan.measures[13];
        assert_eq!(last.to_string(), "consistency on scenes");
        assert_eq!(last.data, Path::new("/sets/../scenes"));
        assert!(last.may_be_empty);
    }

    #[test]
    fn what_is_no_plan_is_told_in_a_sentence() {
        let of = |lines: &str| read(lines).unwrap_err().to_string();
        let empty = of("");
        assert!(empty.contains("names nothing to measure"), "{empty}");
        let unknown = of("[[measure]]\ntask = \"rec\"\ndata = \"d\"");
        assert!(unknown.starts_with("measurement 1 of /sets/paper.toml cannot"));
        assert!(unknown.contains("\"rec\" is no task"), "{unknown}");
        let misspelt = of("[[measure]]\ntask = \"res\"\ndata = \"d\"\ncalled = \"x\"");
        assert!(misspelt.contains("called"), "{misspelt}");
        let one = "[[measure]]\ntask = \"res\"\ndata = \"val\"\nname = \"Val 1\"\n";
        let twice = of(&format!("{one}{}", one.replace("Val 1", "val-1")));
        assert!(twice.contains("measurement 2"), "{twice}");
        assert!(twice.contains("res on val-1, which is there"), "{twice}");
        let nameless = of(&one.replace("Val 1", "--"));
        assert!(nameless.contains("a name in letters"), "{nameless}");
        let missing = Plan::read(Path::new("/no/such.toml")).unwrap_err();
        assert!(missing.to_string().contains("/no/such.toml"), "{missing}");
    }

    #[test]
    fn tasks_on_one_data_set_are_there_once() {
        let choices = [TaskChoice::One(Task::Gcg), TaskChoice::One(Task::Res)];
        let plan = Plan::of(&choices, Path::new("/sets/scenes"));
        assert_eq!(shown(&plan), ["gcg on scenes", "res on scenes"]);
        let choices = [TaskChoice::One(Task::Gcg), TaskChoice::All];
        let plan = Plan::of(&choices, Path::new("/sets/scenes"));
        assert_eq!(plan.measures.len(), Task::ALL.len());
        assert!(!plan.measures[0].may_be_empty, "it was asked for by name");
        assert!(plan.measures[1].may_be_empty);
    }
}
