//! Which variants are compared, beside the figures of the paper.

use super::variant::PAPER;

/// A figure that is measured of every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// The task of `fclm eval`.
    pub task: &'static str,
    /// Its name among the task's figures.
    pub metric: &'static str,
    /// What tables call it.
    pub title: &'static str,
}

/// The figures of every table.
pub static FIGURES: [Figure; 8] = [
    figure("roc", "siou", "ROC sIoU"),
    figure("roc", "category_accuracy", "Category phrase"),
    figure("dlc", "attribute_precision", "Description without a fault"),
    figure("res", "giou", "RES gIoU"),
    figure("dl-res", "giou", "DL-RES gIoU"),
    figure("dl-res", "ciou", "DL-RES cIoU"),
    figure("consistency", "giou", "`<pos>` back, gIoU"),
    figure("consistency", "cosine_margin", "Cosine margin"),
];

const fn figure(task: &'static str, metric: &'static str, title: &'static str) -> Figure {
    Figure {
        task,
        metric,
        title,
    }
}

/// A table of the paper's, or one that it argues for.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The name that the command line uses.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What the paper's columns are called; nothing where it has no figures.
    pub paper: &'static [&'static str],
    /// The one of [`FIGURES`] by which rows are judged: the one that is nearest to the paper's.
    pub judged: usize,
    /// Its rows, of which one is the paper's choice.
    pub rows: &'static [Row],
}

/// A row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What it says.
    pub label: &'static str,
    /// The variant.
    pub variant: &'static str,
    /// The paper's figures; nothing where it does not report the row.
    pub paper: &'static [f64],
}

const ROC: &[&str] = &["ROC SS", "ROC sIoU"];
const DESCRIBED: &[&str] = &["DLC-Bench", "DL-RES cIoU"];
const ROC_SIOU: usize = 0;
const DL_RES_CIOU: usize = 5;

const fn row(label: &'static str, variant: &'static str, paper: &'static [f64]) -> Row {
    Row {
        label,
        variant,
        paper,
    }
}

/// Every table. In each of them the paper finds its own choice to be the best.
pub static TABLES: [Table; 5] = [
    Table {
        name: "extractor",
        title: "Steps of the region extractor (the paper's table 6a)",
        paper: ROC,
        judged: ROC_SIOU,
        rows: &[
            row("vision tower's features only", "steps-0", &[87.1, 75.7]),
            row("+ local aggregation", "steps-1", &[]),
            row("+ pixel enhancement", "steps-2", &[88.7, 77.1]),
            row("+ semantic guidance", PAPER, &[89.3, 78.9]),
        ],
    },
    Table {
        name: "self-reconstruction",
        title: "What draws its own mask back (the paper's table 6b)",
        paper: ROC,
        judged: ROC_SIOU,
        rows: &[
            row("nothing", "reconstruct-none", &[]),
            row("`<mask>`", "reconstruct-mask", &[87.6, 76.9]),
            row("both", "reconstruct-both", &[88.8, 78.5]),
            row("`<pos>`", PAPER, &[89.3, 78.9]),
        ],
    },
    Table {
        name: "latent",
        title: "Latent loss of stage 2 (the paper's table 6c)",
        paper: DESCRIBED,
        judged: DL_RES_CIOU,
        rows: &[
            row("none", "latent-none", &[]),
            row("KL", "latent-kl", &[67.4, 79.3]),
            row("MSE", "latent-mse", &[67.1, 77.9]),
            row("cosine", PAPER, &[67.8, 80.3]),
        ],
    },
    Table {
        name: "tuning",
        title: "What stage 2 tunes (the paper's table 6d)",
        paper: DESCRIBED,
        judged: DL_RES_CIOU,
        rows: &[
            row("everything", "tune-all", &[]),
            row("the LLM only", PAPER, &[67.8, 80.3]),
        ],
    },
    Table {
        name: "consistency",
        title: "With and without consistency learning at equal compute",
        paper: &[],
        judged: DL_RES_CIOU,
        rows: &[
            row("without", "no-consistency", &[]),
            row("with", PAPER, &[]),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::super::variant::{VARIANTS, Variant};
    use super::*;

    #[test]
    fn every_row_is_a_variant_and_every_variant_has_a_row() {
        for table in TABLES {
            let judged = FIGURES[table.judged].title;
            match table.paper {
                [] => assert_eq!(judged, "DL-RES cIoU"),
                columns => assert!(columns.contains(&judged), "{} by {judged}", table.name),
            }
            for row in table.rows {
                assert!(Variant::named(row.variant).is_some(), "{}", row.variant);
                let columns = row.paper.len();
                assert!(
                    columns == 0 || columns == table.paper.len(),
                    "{}",
                    row.label
                );
            }
            let own = table.rows.iter().filter(|row| row.variant == PAPER);
            assert_eq!(own.count(), 1, "{}", table.name);
        }
        for variant in VARIANTS {
            let rows = TABLES.iter().flat_map(|table| table.rows);
            let mut of_variant = rows.filter(|row| row.variant == variant.name);
            assert!(of_variant.next().is_some(), "{}", variant.name);
        }
    }
}
