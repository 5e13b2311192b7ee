//! The paper's tables: what it measures on which data sets, and those of its figures that are known
//! to us, a hundred times as papers tell them.

use super::Measured;
use crate::eval::{protocol::Task, source::DataKind};

/// A figure of the paper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PaperFigure {
    pub(super) task: Task,
    /// What the task is called there, and on what it was measured.
    pub(super) on: &'static str,
    /// How a word begins in what we call its data set.
    data_set: &'static str,
    /// Our name of the figure.
    pub(super) metric: &'static str,
    /// What the figure is called there.
    pub(super) called: &'static str,
    /// Its values, where the summary of the paper tells them.
    pub(super) values: Option<PaperValues>,
}

/// The values of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PaperValues {
    pub(super) fclm_3b: f64,
    pub(super) fclm_7b: Option<f64>,
    /// The best before, and its figure.
    pub(super) before: (&'static str, f64),
}

impl PaperFigure {
    const fn new(
        (task, on, data_set): (Task, &'static str, &'static str),
        (metric, called): (&'static str, &'static str),
        values: Option<PaperValues>,
    ) -> Self {
        Self {
            task,
            on,
            data_set,
            metric,
            called,
            values,
        }
    }

    /// Whether something was measured on this figure's data set, as far as its name tells.
    pub(super) fn is_on(&self, measured: &Measured) -> bool {
        if measured.report.task != self.task || measured.on == DataKind::Scenes {
            return false;
        }
        let name = measured.report.data_set.to_lowercase();
        let mut words = name.split(|character: char| !character.is_alphanumeric());
        measured.on == DataKind::DlcBench || words.any(|word| word.starts_with(self.data_set))
    }
}

const fn values(
    fclm_3b: f64,
    fclm_7b: Option<f64>,
    before: (&'static str, f64),
) -> Option<PaperValues> {
    Some(PaperValues {
        fclm_3b,
        fclm_7b,
        before,
    })
}

const RES: (Task, &str, &str) = (Task::Res, "RES, RefCOCO series", "refcoco");
const MUSE: (Task, &str, &str) = (Task::Muse, "MUSE", "muse");
const DL_RES: (Task, &str, &str) = (Task::DlRes, "DL-RES", "dl");
const LVIS: (Task, &str, &str) = (Task::Roc, "ROC, LVIS", "lvis");
const PACO: (Task, &str, &str) = (Task::Roc, "ROC, PACO", "paco");
const DLC: (Task, &str, &str) = (Task::Dlc, "DLC-Bench", "dlc");
const GCG_VAL: (Task, &str, &str) = (Task::Gcg, "GCG, validation", "val");
const GCG_TEST: (Task, &str, &str) = (Task::Gcg, "GCG, test", "test");

/// The paper's tables, with the figures that its summary has. It gives one for the whole RefCOCO
/// series and calls it gIoU, where others tell cIoU of each split, so both of ours stand beside it.
pub(super) const PAPER: [PaperFigure; 15] = [
    PaperFigure::new(
        RES,
        ("giou", "gIoU"),
        values(81.5, Some(82.6), ("UniPixel-7B", 80.8)),
    ),
    PaperFigure::new(
        RES,
        ("ciou", "gIoU (perhaps cIoU)"),
        values(81.5, Some(82.6), ("UniPixel-7B", 80.8)),
    ),
    PaperFigure::new(MUSE, ("matched_giou", "gIoU"), None),
    PaperFigure::new(MUSE, ("matched_ciou", "cIoU"), None),
    PaperFigure::new(
        DL_RES,
        ("giou", "gIoU"),
        values(66.1, Some(68.0), ("UniPixel-7B", 58.5)),
    ),
    PaperFigure::new(
        DL_RES,
        ("ciou", "cIoU"),
        values(80.3, Some(82.1), ("UniPixel-7B", 72.2)),
    ),
    PaperFigure::new(
        LVIS,
        ("ss", "SS"),
        values(89.3, Some(90.3), ("DAM-3B", 89.0)),
    ),
    PaperFigure::new(
        LVIS,
        ("siou", "sIoU"),
        values(78.9, Some(80.1), ("DAM-3B", 77.7)),
    ),
    PaperFigure::new(PACO, ("ss", "SS"), None),
    PaperFigure::new(PACO, ("siou", "sIoU"), None),
    PaperFigure::new(
        DLC,
        ("average", "Avg"),
        values(67.8, None, ("DAM-3B", 67.3)),
    ),
    PaperFigure::new(
        GCG_VAL,
        ("cider", "CIDEr"),
        values(56.2, None, ("GLaMM-4B", 47.2)),
    ),
    PaperFigure::new(
        GCG_VAL,
        ("miou", "mIoU"),
        values(67.6, None, ("GLaMM-4B", 66.3)),
    ),
    PaperFigure::new(GCG_TEST, ("cider", "CIDEr"), None),
    PaperFigure::new(GCG_TEST, ("miou", "mIoU"), None),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::tests::measured_on, *};
    use crate::eval::plan::Plan;

    #[test]
    fn data_sets_are_told_by_their_names() {
        let on = |task: Task, name: &str, kind: DataKind| -> Vec<&'static str> {
            let measured = measured_on(task, name, kind);
            let those = PAPER.iter().filter(|figure| figure.is_on(&measured));
            let mut named: Vec<&'static str> = those.map(|figure| figure.on).collect();
            named.dedup();
            named
        };
        let pictures = DataKind::Pictures;
        for (task, name, expected) in [
            (Task::Res, "RefCOCO+ testA", "RES, RefCOCO series"),
            (Task::Res, "refcocog-umd-val", "RES, RefCOCO series"),
            (Task::Roc, "lvis-1k", "ROC, LVIS"),
            (Task::Roc, "PACO", "ROC, PACO"),
            (Task::Gcg, "grandf-val", "GCG, validation"),
            (Task::Gcg, "GranD-f test", "GCG, test"),
            (Task::DlRes, "dl-res", "DL-RES"),
            (Task::Muse, "MUSE val", "MUSE"),
        ] {
            assert_eq!(on(task, name, pictures), [expected], "{name}");
        }
        assert_eq!(on(Task::Dlc, "bench", DataKind::DlcBench), ["DLC-Bench"]);
        let nothing: [&str; 0] = [];
        assert_eq!(on(Task::Res, "grefcoco-val", pictures), nothing);
        assert_eq!(on(Task::Roc, "coco-val", pictures), nothing);
        assert_eq!(on(Task::Gcg, "val", DataKind::Scenes), nothing);
    }

    #[test]
    fn the_example_of_a_plan_measures_all_of_it() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/plans/paper.toml");
        let plan = Plan::read(&example).unwrap();
        for figure in &PAPER {
            let is_there = plan.measures.iter().any(|measure| {
                let kind = DataKind::Pictures;
                figure.is_on(&measured_on(measure.task, &measure.name, kind))
            });
            assert!(is_there, "{} is not in the example", figure.on);
        }
    }
}
