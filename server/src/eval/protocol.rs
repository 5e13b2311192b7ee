//! What a model is measured at, and what a data set's scenes are asked for it: one region and one
//! expression of each kind a scene, fixed by the seed and by each scene's own content, so that a
//! part of a data set asks the same as the whole.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::data::scenes::{
    Caption, ObjectRecord, RefRecord, ReferKind, RegionRecord, Relation, SceneRecord,
};

/// The name that stands for every task.
const ALL_TASKS: &str = "all";
/// Stream that an expression with a relation is chosen from, behind those of the kinds.
const RELATED_STREAM: u64 = 5;
/// Stream that a caption is chosen from.
const CAPTION_STREAM: u64 = 6;

/// What a model is measured at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Short expression to mask.
    Res,
    /// Short expression, of one object, of several or of none, to mask or to "not there".
    Gres,
    /// Question or sentence that has to be reasoned about, to mask.
    #[serde(rename = "reasonseg")]
    ReasonSeg,
    /// Question for several things to a mask of each.
    Muse,
    /// Detailed expression to mask.
    DlRes,
    /// Region to category phrase.
    Roc,
    /// Region to detailed description, judged by what it says.
    Dlc,
    /// Region to brief and to detailed description, beside what people wrote.
    RegionCaption,
    /// Picture to caption with a mask for each phrase.
    Gcg,
    /// Region to detailed description, and from that text alone back to the mask.
    CaptionFind,
    /// Box to mask.
    BoxMask,
    /// Region through `<pos>` back to its mask, and how near `[SEG]` and `<pos>` are.
    Consistency,
}

impl Task {
    /// Every task, in the order of the reports: those of the paper, then our own.
    pub const ALL: [Self; 12] = [
        Self::Res,
        Self::Gres,
        Self::ReasonSeg,
        Self::Muse,
        Self::DlRes,
        Self::Roc,
        Self::Dlc,
        Self::RegionCaption,
        Self::Gcg,
        Self::CaptionFind,
        Self::BoxMask,
        Self::Consistency,
    ];

    /// The name that the command line and the reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Res => "res",
            Self::Gres => "gres",
            Self::ReasonSeg => "reasonseg",
            Self::Muse => "muse",
            Self::DlRes => "dl-res",
            Self::Roc => "roc",
            Self::Dlc => "dlc",
            Self::RegionCaption => "region-caption",
            Self::Gcg => "gcg",
            Self::CaptionFind => "caption-find",
            Self::BoxMask => "box-mask",
            Self::Consistency => "consistency",
        }
    }

    /// The kinds of expression of scenes that the task asks; none for a task about regions.
    pub const fn kinds(self) -> &'static [ReferKind] {
        match self {
            Self::Res | Self::Gres => &[ReferKind::Short, ReferKind::Several, ReferKind::None],
            Self::ReasonSeg => &[ReferKind::Short],
            Self::Muse => &[ReferKind::Several],
            Self::DlRes => &[ReferKind::Detailed],
            Self::Roc
            | Self::Dlc
            | Self::RegionCaption
            | Self::Gcg
            | Self::CaptionFind
            | Self::BoxMask
            | Self::Consistency => &[],
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = UnknownTask;

    fn from_str(name: &str) -> Result<Self, UnknownTask> {
        Self::ALL
            .into_iter()
            .find(|task| task.name() == name)
            .ok_or_else(|| UnknownTask(name.to_owned()))
    }
}

/// A name that is no task's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no task; there are {known}", known = Task::ALL.map(Task::name).join(", "))]
pub struct UnknownTask(String);

/// What somebody wants to be measured: one task, or whatever a data set has something to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskChoice {
    /// Every task.
    All,
    /// One of them.
    One(Task),
}

impl TaskChoice {
    /// The tasks, in the order of the reports.
    pub fn tasks(self) -> Vec<Task> {
        match self {
            Self::All => Task::ALL.to_vec(),
            Self::One(task) => vec![task],
        }
    }
}

impl FromStr for TaskChoice {
    type Err = UnknownTask;

    fn from_str(name: &str) -> Result<Self, UnknownTask> {
        match name {
            ALL_TASKS => Ok(Self::All),
            one => one.parse().map(Self::One),
        }
    }
}

/// A region that the model is asked about.
#[derive(Debug, Clone, Copy)]
pub struct RegionCase<'a> {
    /// The scene.
    pub scene: &'a SceneRecord,
    /// The object, with mask, box and attributes.
    pub object: &'a ObjectRecord,
    /// Texts about it.
    pub region: &'a RegionRecord,
}

/// An expression that the model is to find.
#[derive(Debug, Clone, Copy)]
pub struct FindCase<'a> {
    /// The scene.
    pub scene: &'a SceneRecord,
    /// The expression with its targets.
    pub expression: &'a RefRecord,
}

/// One region of each scene that has any.
pub fn region_cases(scenes: &[SceneRecord], seed: u64) -> Vec<RegionCase<'_>> {
    scenes
        .iter()
        .filter_map(|scene| {
            let region = choose(&scene.regions, scene, seed, 0)?;
            let object = scene.objects.get(region.object)?;
            Some(RegionCase {
                scene,
                object,
                region,
            })
        })
        .collect()
}

/// One expression of each kind, of each scene that has such.
pub fn find_cases<'a>(
    scenes: &'a [SceneRecord],
    kinds: &[ReferKind],
    seed: u64,
) -> Vec<FindCase<'a>> {
    let mut cases = Vec::new();
    for scene in scenes {
        for &kind in kinds {
            let of_kind: Vec<_> = scene
                .refs
                .iter()
                .filter(|expression| expression.kind == kind)
                .collect();
            let stream = 1 + kind as u64;
            if let Some(&expression) = choose(&of_kind, scene, seed, stream) {
                cases.push(FindCase { scene, expression });
            }
        }
    }
    cases
}

/// A short expression of a scene that means one object by its relation to another.
///
/// The grammar names a relation only where the rest would fit other objects too, so such an
/// expression cannot be found without looking at both.
pub fn related_case(scene: &SceneRecord, seed: u64) -> Option<&RefRecord> {
    let names_relation = |text: &str| {
        Relation::ALL
            .into_iter()
            .any(|relation| text.contains(relation.words()))
    };
    let related: Vec<&RefRecord> = scene
        .refs
        .iter()
        .filter(|expression| {
            expression.kind == ReferKind::Short && names_relation(&expression.text)
        })
        .collect();
    choose(&related, scene, seed, RELATED_STREAM).copied()
}

/// One caption of a scene.
pub fn caption_case(scene: &SceneRecord, seed: u64) -> Option<&Caption> {
    choose(&scene.captions, scene, seed, CAPTION_STREAM)
}

fn choose<'a, T>(from: &'a [T], scene: &SceneRecord, seed: u64, stream: u64) -> Option<&'a T> {
    if from.is_empty() {
        return None;
    }
    let scene = scene.id.number().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ scene);
    rng.set_stream(stream);
    from.get(rng.random_range(0..from.len() as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scenes::{RecordId, Seeds, sample_sized};

    fn scenes(count: u64) -> Vec<SceneRecord> {
        (0..count)
            .map(|index| SceneRecord::new(index, &sample_sized(Seeds::public(5), index, 64, 64)))
            .collect()
    }

    #[test]
    fn names_are_read_back() {
        for task in Task::ALL {
            assert_eq!(task.name().parse(), Ok(task));
            assert_eq!(serde_json::to_value(task).unwrap(), task.name());
        }
        let unknown = "rec".parse::<Task>().unwrap_err().to_string();
        assert!(unknown.contains("res, gres, reasonseg, muse"), "{unknown}");
        assert!(Task::ALL.is_sorted(), "lists of tasks are sorted by them");
        let chosen = |name: &str| name.parse::<TaskChoice>().map(TaskChoice::tasks);
        assert_eq!(chosen("all"), Ok(Task::ALL.to_vec()));
        assert_eq!(chosen("roc"), Ok(vec![Task::Roc]));
        assert!(chosen("rec").is_err());
    }

    #[test]
    fn one_case_a_scene_and_kind_whatever_the_others_are() {
        let scenes = scenes(6);
        let regions = region_cases(&scenes, 1);
        assert!(regions.len() <= scenes.len());
        for case in &regions {
            assert_eq!(case.object.id, case.region.object);
        }
        let found = find_cases(&scenes, Task::Res.kinds(), 1);
        for case in &found {
            let same = found.iter().filter(|other| {
                other.scene.id == case.scene.id && other.expression.kind == case.expression.kind
            });
            assert_eq!(same.count(), 1);
        }
        let of_last = find_cases(&scenes[5..], Task::Res.kinds(), 1);
        let texts = |cases: &[FindCase<'_>]| {
            cases
                .iter()
                .filter(|case| case.scene.id == RecordId::Number(5))
                .map(|case| case.expression.text.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(&of_last), texts(&found));

        let mut spelt = scenes.clone();
        for (place, scene) in spelt.iter_mut().enumerate() {
            scene.id = RecordId::Word(format!("{place:06}"));
        }
        let of_spelt = find_cases(&spelt, Task::Res.kinds(), 1);
        assert!(
            of_spelt
                .iter()
                .map(|case| &case.expression.text)
                .eq(found.iter().map(|case| &case.expression.text))
        );
    }

    #[test]
    fn expressions_that_need_a_relation_name_one() {
        let scenes: Vec<SceneRecord> = (0..8)
            .map(|index| SceneRecord::new(index, &sample_sized(Seeds::public(5), index, 128, 128)))
            .collect();
        let related: Vec<&RefRecord> = scenes
            .iter()
            .filter_map(|scene| related_case(scene, 1))
            .collect();
        assert!(!related.is_empty());
        for expression in related {
            let text = &expression.text;
            assert_eq!(
                (expression.kind, expression.targets.len()),
                (ReferKind::Short, 1)
            );
            let words = ["left of", "right of", "behind", "in front of"];
            assert!(words.iter().any(|word| text.contains(word)), "{text}");
        }
        let mut bare = scenes[0].clone();
        bare.refs
            .retain(|expression| expression.kind != ReferKind::Short);
        assert_eq!(related_case(&bare, 1), None);
        assert_eq!(caption_case(&scenes[0], 3), scenes[0].captions.first());
    }
}
