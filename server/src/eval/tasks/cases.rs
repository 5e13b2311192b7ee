//! What one picture is asked: of a scene what the seed has chosen, of other pictures everything.

use std::slice;

use fclm_core::{mask::Mask, wire::BoxPx};

use crate::{
    data::{
        record::{DescriptionLength, ExpressionKind, ExpressionRecord, PictureRecord},
        scenes::{Attributes, RefRecord, ReferKind, SceneRecord},
    },
    eval::{
        iou::TrueRegion,
        protocol::{Task, find_cases, region_cases, related_case},
        source::{Content, Entry},
    },
};

/// A region that a model is asked about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AskedRegion {
    /// Its place among all regions of the picture.
    pub(super) own: usize,
    /// Its pixels, of which there are some.
    pub(super) mask: Mask,
    pub(super) box_px: BoxPx,
    pub(super) category: Option<String>,
    pub(super) brief: Vec<String>,
    pub(super) detailed: Vec<String>,
    /// What it is, for objects of scenes.
    pub(super) attributes: Option<Attributes>,
}

/// An expression that a model is to find the targets of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AskedExpression {
    pub(super) text: String,
    /// What it is like, for scenes.
    pub(super) kind: Option<ReferKind>,
    /// Width and height of the picture.
    pub(super) size: (u32, u32),
    /// The mask of each target, with the name that it has.
    pub(super) targets: Vec<(Mask, Option<String>)>,
    /// Pixels that count on no side.
    pub(super) ignored: Option<Mask>,
    /// Whether a target is of a combination that is held out of training, for scenes.
    pub(super) is_held_out: Option<bool>,
    /// Whether it is a sentence rather than a phrase, for ReasonSeg.
    pub(super) is_sentence: Option<bool>,
}

impl AskedExpression {
    /// All targets as one.
    pub(super) fn region(&self) -> TrueRegion {
        let (width, height) = self.size;
        let mut union = Mask::new(width, height);
        for (target, _) in &self.targets {
            union.union_with(target);
        }
        match &self.ignored {
            None => TrueRegion::new(union),
            Some(ignored) => TrueRegion::with_ignored(union, ignored.clone()),
        }
    }
}

/// The masks of all regions of a picture, whether or not anything of them is seen.
pub(super) fn masks(entry: &Entry<'_>) -> Vec<Mask> {
    match &entry.content {
        Content::Scene(scene) => masks_of_scene(scene),
        Content::Picture(record) => (0..record.regions.len())
            .map(|place| mask_of(record, place))
            .collect(),
        Content::Bench(regions) => regions.iter().map(|region| region.mask.to_mask()).collect(),
    }
}

/// The regions of a picture that are asked about.
pub(super) fn regions(entry: &Entry<'_>, seed: u64) -> Vec<AskedRegion> {
    match &entry.content {
        Content::Scene(scene) => region_of_scene(scene, seed).into_iter().collect(),
        Content::Picture(record) => (0..record.regions.len())
            .filter_map(|place| region_of_picture(record, place))
            .collect(),
        Content::Bench(_) => Vec::new(),
    }
}

/// The expressions of a picture that a task asks.
pub(super) fn expressions(entry: &Entry<'_>, task: Task, seed: u64) -> Vec<AskedExpression> {
    match &entry.content {
        Content::Scene(scene) => {
            let chosen: Vec<&RefRecord> = match task {
                Task::ReasonSeg => related_case(scene, seed).into_iter().collect(),
                _ => find_cases(slice::from_ref(*scene), task.kinds(), seed)
                    .into_iter()
                    .map(|case| case.expression)
                    .collect(),
            };
            let masks = masks_of_scene(scene);
            chosen
                .into_iter()
                .map(|expression| expression_of_scene(scene, expression, &masks))
                .collect()
        }
        Content::Picture(record) => expressions_of_picture(record, task),
        Content::Bench(_) => Vec::new(),
    }
}

fn region_of_scene(scene: &SceneRecord, seed: u64) -> Option<AskedRegion> {
    let case = region_cases(slice::from_ref(scene), seed)
        .into_iter()
        .next()?;
    let own = case.object.id;
    let mask = masks_of_scene(scene).into_iter().nth(own)?;
    (!mask.is_empty()).then(|| AskedRegion {
        own,
        mask,
        box_px: case.object.box_px,
        category: Some(case.region.category.clone()),
        brief: vec![case.region.brief.clone()],
        detailed: vec![case.region.detailed.clone()],
        attributes: Some(case.object.attributes),
    })
}

fn region_of_picture(record: &PictureRecord, place: usize) -> Option<AskedRegion> {
    let region = &record.regions[place];
    let mask = mask_of(record, place);
    let box_px = mask.bounds()?;
    let of_length = |length: DescriptionLength| -> Vec<String> {
        let descriptions = region.descriptions.iter();
        descriptions
            .filter(|description| description.length == length)
            .map(|description| description.text.clone())
            .collect()
    };
    Some(AskedRegion {
        own: place,
        mask,
        box_px,
        category: region.category.clone(),
        brief: of_length(DescriptionLength::Brief),
        detailed: of_length(DescriptionLength::Detailed),
        attributes: None,
    })
}

fn expression_of_scene(
    scene: &SceneRecord,
    expression: &RefRecord,
    masks: &[Mask],
) -> AskedExpression {
    let is_held_out = |&target: &usize| scene.objects[target].attributes.is_held_out();
    let targets = &expression.targets;
    AskedExpression {
        text: expression.text.clone(),
        kind: Some(expression.kind),
        size: (scene.width, scene.height),
        targets: targets
            .iter()
            .map(|&target| (masks[target].clone(), None))
            .collect(),
        ignored: None,
        is_held_out: (!targets.is_empty()).then(|| targets.iter().any(is_held_out)),
        is_sentence: None,
    }
}

fn expressions_of_picture(record: &PictureRecord, task: Task) -> Vec<AskedExpression> {
    let wanted = match task {
        Task::Res | Task::Gres => ExpressionKind::Short,
        Task::DlRes => ExpressionKind::Detailed,
        Task::ReasonSeg => ExpressionKind::Reasoning,
        Task::Muse => ExpressionKind::Multiple,
        _ => return Vec::new(),
    };
    // RefCOCO has a target for every expression; those without one are gRefCOCO's.
    let needs_target = task == Task::Res;
    let mut asked: Vec<&ExpressionRecord> = Vec::new();
    for expression in &record.expressions {
        let is_wanted =
            expression.kind == wanted && !(needs_target && expression.targets.is_empty());
        // Of several texts for one mask, LISA asks the first of ReasonSeg's.
        let is_repeated = || {
            let mut earlier = asked.iter();
            task == Task::ReasonSeg && earlier.any(|other| other.targets == expression.targets)
        };
        if is_wanted && !is_repeated() {
            asked.push(expression);
        }
    }
    asked
        .into_iter()
        .map(|expression| {
            let targets = &expression.targets;
            let mut ignored: Option<Mask> = None;
            for mask in targets
                .iter()
                .filter_map(|&target| ignored_of(record, target))
            {
                match &mut ignored {
                    Some(union) => union.union_with(&mask),
                    None => ignored = Some(mask),
                }
            }
            AskedExpression {
                text: expression.text.clone(),
                kind: None,
                size: (record.width, record.height),
                targets: targets
                    .iter()
                    .map(|&target| {
                        (
                            mask_of(record, target),
                            record.regions[target].category.clone(),
                        )
                    })
                    .collect(),
                ignored,
                is_held_out: None,
                is_sentence: expression.is_sentence,
            }
        })
        .collect()
}

fn masks_of_scene(scene: &SceneRecord) -> Vec<Mask> {
    scene
        .masks()
        .expect("reading a data set has checked its masks")
}

fn mask_of(record: &PictureRecord, place: usize) -> Mask {
    record
        .mask(place)
        .expect("reading a picture has checked its masks")
}

fn ignored_of(record: &PictureRecord, place: usize) -> Option<Mask> {
    record
        .ignore(place)
        .expect("reading a picture has checked its masks")
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::data::scenes::{Seeds, sample_sized};

    /// A picture with two regions, a saucer that is ignored in part, and texts of every kind.
    pub(in crate::eval) const LINE: &str = r#"{"id": "7", "image": "7.png", "width": 64,
        "height": 64, "regions": [
        {"id": "0", "mask": {"size": [64, 64], "counts": [0, 1024, 3072]}, "category": "cup",
         "descriptions": [{"text": "A cup.", "length": "brief"},
            {"text": "A white cup without a handle.", "length": "detailed"},
            {"text": "A cup that is white.", "length": "detailed"}]},
        {"id": "1", "mask": {"size": [64, 64], "counts": [2048, 1024, 1024]},
         "ignore": {"size": [64, 64], "counts": [3008, 64, 1024]}, "category": "tea_saucer"},
        {"id": "2", "mask": {"size": [64, 64], "counts": [4096]}, "category": "spoon"}],
        "expressions": [{"text": "the cup", "kind": "short", "targets": [0]},
            {"text": "cup and saucer", "kind": "short", "targets": [0, 1]},
            {"text": "the plate", "kind": "short", "targets": []},
            {"text": "The white cup without a handle.", "kind": "detailed", "targets": [0]},
            {"text": "what to put a cup on", "kind": "reasoning", "targets": [1],
             "is_sentence": false},
            {"text": "where drops of tea go", "kind": "reasoning", "targets": [1],
             "is_sentence": false},
            {"text": "What is for tea?", "kind": "multiple", "targets": [0, 1]}],
        "grounded": [{"text": "A cup and a saucer.",
            "phrases": [{"start": 0, "end": 5, "targets": [0]},
                {"start": 10, "end": 18, "targets": [1]}]}]}"#;

    pub(in crate::eval) fn picture() -> PictureRecord {
        PictureRecord::from_line(LINE).unwrap()
    }

    fn entry(content: Content<'_>) -> Entry<'_> {
        Entry {
            id: "7".to_owned(),
            image: PathBuf::new(),
            size: (64, 64),
            content,
        }
    }

    #[test]
    fn every_expression_of_a_picture_is_asked() {
        let entry = entry(Content::Picture(picture()));
        let texts = |task: Task| -> Vec<String> {
            let asked = expressions(&entry, task, 3);
            asked.into_iter().map(|asked| asked.text).collect()
        };
        assert_eq!(texts(Task::Res), ["the cup", "cup and saucer"]);
        assert_eq!(texts(Task::Gres).len(), 3);
        assert_eq!(texts(Task::DlRes), ["The white cup without a handle."]);
        assert_eq!(texts(Task::ReasonSeg), ["what to put a cup on"]);
        assert_eq!(texts(Task::Muse), ["What is for tea?"]);
        assert!(texts(Task::Roc).is_empty());

        let saucer = expressions(&entry, Task::ReasonSeg, 3).remove(0);
        assert_eq!(saucer.is_sentence, Some(false));
        // The saucer's last column is not known.
        assert_eq!(saucer.region().target().area(), 1024 - 64);
        let both = expressions(&entry, Task::Muse, 3).remove(0);
        assert_eq!(both.targets.len(), 2);
        assert_eq!(both.targets[1].1.as_deref(), Some("tea_saucer"));
        let nothing = expressions(&entry, Task::Gres, 3).remove(2);
        assert!(nothing.region().target().is_empty());
        assert_eq!(nothing.is_held_out, None);
    }

    #[test]
    fn regions_without_a_pixel_are_not_asked_about() {
        let entry = entry(Content::Picture(picture()));
        let asked = regions(&entry, 3);
        assert_eq!(asked.len(), 2);
        assert_eq!(masks(&entry).len(), 3);
        assert_eq!(asked[0].detailed.len(), 2);
        assert_eq!(asked[0].brief, ["A cup."]);
        assert_eq!(asked[1].own, 1);
        assert_eq!(asked[1].box_px, [32.0, 0.0, 48.0, 64.0]);
    }

    #[test]
    fn a_scene_is_asked_what_the_seed_has_chosen() {
        let scene = SceneRecord::new(4, &sample_sized(Seeds::public(6), 4, 128, 128));
        let entry = entry(Content::Scene(&scene));
        let region = regions(&entry, 1).remove(0);
        let object = &scene.objects[region.own];
        assert_eq!(region.attributes, Some(object.attributes));
        assert_eq!(region.mask, scene.masks().unwrap()[region.own]);
        for task in [Task::Res, Task::Gres, Task::DlRes, Task::Muse] {
            let asked = expressions(&entry, task, 1);
            assert!(asked.len() <= task.kinds().len(), "{task}");
            for expression in asked {
                let record = scene
                    .refs
                    .iter()
                    .find(|refer| refer.text == expression.text);
                let record = record.unwrap();
                assert_eq!(expression.kind, Some(record.kind));
                assert_eq!(expression.targets.len(), record.targets.len());
                assert_eq!(expression.is_held_out.is_some(), !record.targets.is_empty());
            }
        }
    }
}
