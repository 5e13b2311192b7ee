//! What is asked of a data set's scenes: one region and one expression of each kind a scene,
//! fixed by the seed and by each scene's own content, so that a part of a data set asks the same
//! as the whole.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::data::scenes::{ObjectRecord, RefRecord, ReferKind, RegionRecord, SceneRecord};

/// What a model is measured at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Region to category phrase.
    Roc,
    /// Short expression, of one object, of several or of none, to mask.
    Res,
    /// Detailed expression to mask.
    DlRes,
    /// Region to detailed description, and from that text alone back to the mask.
    CaptionFind,
    /// Box to mask.
    BoxMask,
    /// Region through `<pos>` back to its mask, and how near `[SEG]` and `<pos>` are.
    Consistency,
}

impl Task {
    /// Every task, in the order of the reports.
    pub const ALL: [Self; 6] = [
        Self::Roc,
        Self::Res,
        Self::DlRes,
        Self::CaptionFind,
        Self::BoxMask,
        Self::Consistency,
    ];

    /// The name that the command line and the reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Roc => "roc",
            Self::Res => "res",
            Self::DlRes => "dl-res",
            Self::CaptionFind => "caption-find",
            Self::BoxMask => "box-mask",
            Self::Consistency => "consistency",
        }
    }

    /// The kinds of expression that the task asks; none for a task about regions.
    pub const fn kinds(self) -> &'static [ReferKind] {
        match self {
            Self::Res => &[ReferKind::Short, ReferKind::Several, ReferKind::None],
            Self::DlRes => &[ReferKind::Detailed],
            Self::Roc | Self::CaptionFind | Self::BoxMask | Self::Consistency => &[],
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
#[error("{0:?} is no task; there are roc, res, dl-res, caption-find, box-mask and consistency")]
pub struct UnknownTask(String);

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
        assert!("rec".parse::<Task>().is_err());
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
}
