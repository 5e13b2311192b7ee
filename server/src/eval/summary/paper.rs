//! The figures of the paper that are known to us, a hundred times as papers tell them.

use crate::eval::protocol::Task;

/// A figure of the paper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PaperFigure {
    pub(super) task: Task,
    /// What the task is called there, and on what it was measured.
    pub(super) on: &'static str,
    /// Our name of the figure.
    pub(super) metric: &'static str,
    /// What the figure is called there.
    pub(super) called: &'static str,
    pub(super) fclm_3b: f64,
    pub(super) fclm_7b: Option<f64>,
    /// The best before, and its figure.
    pub(super) before: (&'static str, f64),
}

/// The paper's main results, as its summary has them. It calls the figure of RES gIoU, where others
/// tell cIoU of RefCOCO, so both of ours stand beside it.
pub(super) const PAPER: [PaperFigure; 9] = [
    PaperFigure {
        task: Task::Res,
        on: "RES, RefCOCO",
        metric: "giou",
        called: "gIoU",
        fclm_3b: 81.5,
        fclm_7b: Some(82.6),
        before: ("UniPixel-7B", 80.8),
    },
    PaperFigure {
        task: Task::Res,
        on: "RES, RefCOCO",
        metric: "ciou",
        called: "gIoU (perhaps cIoU)",
        fclm_3b: 81.5,
        fclm_7b: Some(82.6),
        before: ("UniPixel-7B", 80.8),
    },
    PaperFigure {
        task: Task::DlRes,
        on: "DL-RES",
        metric: "giou",
        called: "gIoU",
        fclm_3b: 66.1,
        fclm_7b: Some(68.0),
        before: ("UniPixel-7B", 58.5),
    },
    PaperFigure {
        task: Task::DlRes,
        on: "DL-RES",
        metric: "ciou",
        called: "cIoU",
        fclm_3b: 80.3,
        fclm_7b: Some(82.1),
        before: ("UniPixel-7B", 72.2),
    },
    PaperFigure {
        task: Task::Roc,
        on: "ROC, LVIS",
        metric: "ss",
        called: "SS",
        fclm_3b: 89.3,
        fclm_7b: Some(90.3),
        before: ("DAM-3B", 89.0),
    },
    PaperFigure {
        task: Task::Roc,
        on: "ROC, LVIS",
        metric: "siou",
        called: "sIoU",
        fclm_3b: 78.9,
        fclm_7b: Some(80.1),
        before: ("DAM-3B", 77.7),
    },
    PaperFigure {
        task: Task::Dlc,
        on: "DLC-Bench",
        metric: "average",
        called: "Avg",
        fclm_3b: 67.8,
        fclm_7b: None,
        before: ("DAM-3B", 67.3),
    },
    PaperFigure {
        task: Task::Gcg,
        on: "GCG, validation",
        metric: "cider",
        called: "CIDEr",
        fclm_3b: 56.2,
        fclm_7b: None,
        before: ("GLaMM-4B", 47.2),
    },
    PaperFigure {
        task: Task::Gcg,
        on: "GCG, validation",
        metric: "miou",
        called: "mIoU",
        fclm_3b: 67.6,
        fclm_7b: None,
        before: ("GLaMM-4B", 66.3),
    },
];
