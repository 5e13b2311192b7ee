//! The page that shows a summary: tables beside the paper's figures, and answers with their masks.
//!
//! It is one file: pictures stand in it as data URIs, and it needs no script.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{
    Measured, Summary,
    answer::answer,
    paper::{PAPER, PaperFigure, PaperValues},
};
use crate::{
    data::look::template::Html,
    eval::{
        metrics::Estimate,
        report::{Metric, NOT_COMPUTED},
        source::DataKind,
    },
};

const TEMPLATE: &str = include_str!("report.html");
/// How papers tell figures.
pub(super) const HUNDRED: f64 = 100.0;

/// The whole page.
pub(super) fn page(summary: &Summary) -> String {
    let by_task: Vec<&[Measured]> = summary
        .tasks
        .chunk_by(|one, next| one.report.task == next.report.task)
        .collect();
    let tasks: Vec<Html> = by_task.par_iter().map(|those| task(those)).collect();
    let distinct = |text: fn(&Measured) -> &str| -> Vec<&str> {
        let all: BTreeSet<&str> = summary.tasks.iter().map(text).collect();
        all.into_iter().collect()
    };
    let models = distinct(|measured| measured.model.as_str());
    let data_sets = distinct(|measured| measured.report.data_set.as_str());
    piece(
        "page",
        &[
            ("style", Html::piece("style", &[])),
            (
                "title",
                Html::text(format_args!("Measured: {}", models.join(", "))),
            ),
            (
                "summary",
                Html::text(format_args!(
                    "{}, {}. All figures are a hundred times what they are in report.json. \
                     Beside each stands its 95 % bootstrap interval, for which whole pictures are \
                     drawn, and the same figure of answers that are given without seeing the \
                     picture. Point at a picture to see it without its masks.",
                    counted(tasks.len(), "task"),
                    counted(data_sets.len(), "data set")
                )),
            ),
            ("difference", Html::text(difference(summary))),
            (
                "paper",
                PAPER
                    .iter()
                    .map(|figure| paper_rows(summary, figure))
                    .collect(),
            ),
            ("tasks", tasks.into_iter().collect()),
        ],
    )
    .into_string()
}

/// What keeps our figures and the paper's from being compared.
fn difference(summary: &Summary) -> String {
    let mut text = "The paper measured models of 3 and 7 billion parameters on photographs: the \
                    RefCOCO series, of which one figure is known to us, MUSE, its own DL-RES, \
                    LVIS, DLC-Bench and GranD-f. A dash stands for figures of it that are not \
                    known to us."
        .to_owned();
    let on_scenes = summary
        .tasks
        .iter()
        .any(|measured| measured.on == DataKind::Scenes);
    if on_scenes {
        text.push_str(
            " What is measured here on rendered scenes is another data set, so the figures stand \
             beside each other and do not compare.",
        );
    }
    text
}

/// A figure of the paper beside what was measured on its data set, or on one that is none of the
/// paper's.
fn paper_rows(summary: &Summary, figure: &PaperFigure) -> Html {
    let is_of_paper = |measured: &Measured| PAPER.iter().any(|other| other.is_on(measured));
    let those: Vec<&Measured> = summary
        .tasks
        .iter()
        .filter(|measured| measured.report.task == figure.task)
        .filter(|measured| {
            figure.is_on(measured) || (figure.values.is_some() && !is_of_paper(measured))
        })
        .collect();
    if those.is_empty() {
        return paper_row(figure, "not measured", None);
    }
    those
        .into_iter()
        .map(|measured| {
            let metric = measured.report.metrics.get(figure.metric);
            let (name, kind) = (&measured.report.data_set, measured.on.name());
            let samples = counted(measured.report.n, "sample");
            let here = match metric.and_then(|metric| metric.estimate) {
                Some(_) => format!("{} on {name} ({kind}), {samples}", figure.metric),
                None => format!("{NOT_COMPUTED} on {name} ({kind})"),
            };
            paper_row(figure, &here, metric)
        })
        .collect()
}

fn paper_row(figure: &PaperFigure, here: &str, metric: Option<&Metric>) -> Html {
    piece(
        "paper-row",
        &[
            ("on", Html::text(figure.on)),
            ("called", Html::text(figure.called)),
            ("here", Html::text(here)),
            ("cells", cells(metric, "-", figure.values)),
        ],
    )
}

/// A task on all data sets that it was measured on.
fn task(those: &[Measured]) -> Html {
    let Some(first) = those.first() else {
        return Html::default();
    };
    let names: BTreeSet<&String> = those
        .iter()
        .flat_map(|measured| measured.report.metrics.keys())
        .collect();
    let mut rows = Html::default();
    for name in names {
        for measured in those {
            if let Some(metric) = measured.report.metrics.get(name) {
                rows.push(&row(measured, name, metric));
            }
        }
    }
    let data_sets: Vec<Html> = those.par_iter().map(data_set).collect();
    piece(
        "task",
        &[
            ("task", Html::text(first.report.task)),
            ("rows", rows),
            ("data_sets", data_sets.into_iter().collect()),
        ],
    )
}

/// A figure of a data set, beside the paper's of that data set where it is known.
fn row(measured: &Measured, name: &str, metric: &Metric) -> Html {
    let beside = PAPER
        .iter()
        .find(|figure| figure.metric == name && figure.is_on(measured));
    let paper = beside.and_then(|figure| figure.values);
    piece(
        "row",
        &[
            ("name", Html::text(name)),
            ("data_set", Html::text(&measured.report.data_set)),
            ("cells", cells(Some(metric), NOT_COMPUTED, paper)),
        ],
    )
}

/// What has to be known of a data set's figures, and some of its answers.
fn data_set(measured: &Measured) -> Html {
    let report = &measured.report;
    let notes = report
        .notes
        .iter()
        .map(|note| piece("note", &[("text", Html::text(note))]));
    let sides = [
        ("Best", &measured.cases.best),
        ("Worst", &measured.cases.worst),
    ];
    let cases = sides
        .into_iter()
        .filter(|(_, cases)| !cases.is_empty())
        .map(|(title, cases)| {
            piece(
                "cases",
                &[
                    ("title", Html::text(title)),
                    ("cases", cases.iter().map(answer).collect()),
                ],
            )
        });
    piece(
        "data-set",
        &[
            ("name", Html::text(&report.data_set)),
            (
                "setting",
                Html::text(format_args!(
                    "{}, {} in {}, seed {}, model {} ({})",
                    counted(report.n, "sample"),
                    measured.on.name(),
                    measured.data,
                    report.seed,
                    measured.model,
                    report.model_sha256
                )),
            ),
            ("notes", notes.collect()),
            ("cases", cases.collect()),
        ],
    )
}

/// The cells of a figure: its value (`missing` where there is none), interval and blind value, a
/// hundred times, and the paper's values of both models and of the best before.
fn cells(metric: Option<&Metric>, missing: &str, paper: Option<PaperValues>) -> Html {
    let estimate = metric.and_then(|metric| metric.estimate);
    let (value, interval) = match estimate {
        Some(Estimate { value, low, high }) => {
            let (low, high) = (HUNDRED * low, HUNDRED * high);
            let interval = Html::text(format_args!("{low:.1} to {high:.1}"));
            (one_decimal(Some(HUNDRED * value)), interval)
        }
        None => (Html::text(missing), Html::text("-")),
    };
    let blind = metric.and_then(|metric| metric.blind);
    let before = match paper {
        Some(PaperValues {
            before: (name, value),
            ..
        }) => Html::text(format_args!("{name} {value:.1}")),
        None => Html::text("-"),
    };
    let fclm_7b = paper.and_then(|values| values.fclm_7b);
    piece(
        "cells",
        &[
            ("value", value),
            ("interval", interval),
            (
                "blind",
                one_decimal(blind.map(|blind| HUNDRED * blind.value)),
            ),
            ("fclm_3b", one_decimal(paper.map(|values| values.fclm_3b))),
            ("fclm_7b", one_decimal(fclm_7b)),
            ("before", before),
        ],
    )
}

/// A number of things in words.
fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("one {thing}"),
        more => format!("{more} {thing}s"),
    }
}

fn one_decimal(value: Option<f64>) -> Html {
    match value {
        Some(value) => Html::text(format_args!("{value:.1}")),
        None => Html::text("-"),
    }
}

/// A piece of this page's template.
pub(super) fn piece(name: &str, values: &[(&str, Html)]) -> Html {
    Html::fill(TEMPLATE, name, values)
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;
    use image::RgbImage;

    use super::{
        super::{
            cases::{Case, Cases},
            tests::{figure, measured, measured_on},
        },
        *,
    };
    use crate::eval::{
        protocol::Task,
        samples::{Exchange, MarkedMask},
    };

    fn check(html: &str, parts: &[&str]) {
        for part in parts {
            assert!(html.contains(part), "{part} is not in the page");
        }
    }

    #[test]
    fn answers_are_shown_and_texts_are_escaped() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a.png");
        RgbImage::from_pixel(40, 30, image::Rgb([10, 200, 90]))
            .save(&image)
            .unwrap();
        let mask = Mask::rect(40, 30, [0.0, 0.0, 20.0, 30.0]);
        let exchange = Exchange {
            asked: "the <script>alert(1)</script> cup".to_owned(),
            answer: "a & b".to_owned(),
            truths: vec![MarkedMask::truth(&mask, Some("{{text}}".to_owned()))],
            ..Exchange::default()
        };
        let case = |image: &str| Case {
            id: "kitchen".to_owned(),
            image: image.to_owned(),
            quality: 0.123,
            exchange: exchange.clone(),
        };
        let mut res = measured(Task::Res);
        res.report = res.report.with("ciou", None, None);
        res.report.notes.push("Scenes <stand> in.".to_owned());
        res.cases = Cases {
            best: vec![case(image.to_str().unwrap())],
            worst: vec![case("/no/such.png")],
        };
        let mut roc = measured(Task::Roc);
        roc.report = roc.report.with("siou", figure(0.5), None);
        let html = page(&Summary {
            tasks: vec![res, roc],
        });
        let parts = [
            "2 tasks, one data set.",
            "<td>62.0</td><td>59.0 to 64.0</td><td>11.0</td>",
            "<td>RES, RefCOCO series</td><td class=\"name\">gIoU</td><td class=\"name\">giou on \
             scenes (rendered scenes), 20 samples</td><td>62.0</td>",
            "<td>81.5</td><td>82.6</td><td class=\"name\">UniPixel-7B 80.8</td>",
            "20 samples, rendered scenes in /sets/scenes",
            "not computed on scenes (rendered scenes)",
            "<td>DL-RES</td><td class=\"name\">gIoU</td><td class=\"name\">not measured</td>",
            "<td>50.0</td>",
            "<td>ciou</td><td class=\"name\">scenes</td><td>not computed</td><td>-</td><td>-</td>",
            "do not compare",
            "the &lt;script&gt;alert(1)",
            "a &amp; b",
            "Scenes &lt;stand&gt; in.",
            "> {{text}}</dd>",
            "<dd dir=\"auto\">12.3</dd>",
            "data:image/jpeg;base64,",
            "what was drawn",
            "no/such.png",
            "color-scheme: light dark",
        ];
        check(&html, &parts);
        assert!(!html.contains("<script"));
        assert!(!html.contains("://"), "the page needs nothing else");
        assert_eq!(html.matches("<section").count(), 3);
    }

    #[test]
    fn each_data_set_stands_beside_the_paper_s_figure_of_it() {
        let on = |task: Task, name: &str, siou: f64| {
            let mut measured = measured_on(task, name, DataKind::Pictures);
            measured.report = measured.report.with("siou", figure(siou), None);
            measured
        };
        let html = page(&Summary {
            tasks: vec![
                on(Task::Roc, "LVIS", 0.5),
                on(Task::Roc, "PACO", 0.4),
                on(Task::Roc, "Other", 0.3),
            ],
        });
        let known = "<td>78.9</td><td>80.1</td><td class=\"name\">DAM-3B 77.7</td>";
        let unknown = "<td>-</td><td>-</td><td class=\"name\">-</td>";
        let row = |name: &str, [value, low, high]: [&str; 3], beside: &str| {
            format!(
                "<td>siou</td><td class=\"name\">{name}</td><td>{value}</td><td>{low} to \
                 {high}</td><td>-</td>{beside}"
            )
        };
        let here = |on: &str, name: &str| {
            format!(
                "<td>ROC, {on}</td><td class=\"name\">sIoU</td><td class=\"name\">siou on {name} \
                 (pictures), 20 samples</td>"
            )
        };
        let parts = [
            row("LVIS", ["50.0", "47.0", "52.0"], known),
            row("PACO", ["40.0", "37.0", "42.0"], unknown),
            row("Other", ["30.0", "27.0", "32.0"], unknown),
            here("LVIS", "LVIS"),
            here("PACO", "PACO"),
            // What is none of the paper's data sets stands beside the figures that are known.
            here("LVIS", "Other"),
            "<h3>PACO</h3>".to_owned(),
            "one task, 3 data sets.".to_owned(),
        ];
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        check(&html, &parts);
        assert!(!html.contains(&here("LVIS", "PACO")));
        assert!(!html.contains(&here("PACO", "Other")));
        assert!(!html.contains("do not compare"), "nothing is of scenes");
        assert_eq!(html.matches("<section").count(), 2);
    }
}
