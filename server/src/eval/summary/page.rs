//! The page that shows a summary: tables beside the paper's figures, and answers with their masks.
//!
//! It is one file: pictures stand in it as data URIs, and it needs no script.

use std::{collections::BTreeSet, path::Path};

use image::RgbImage;
use rayon::prelude::*;

use super::{
    Measured, Summary,
    cases::Case,
    paper::{PAPER, PaperFigure},
};
use crate::{
    data::look::{
        figure::{Figure, number},
        template::Html,
    },
    eval::{
        metrics::Estimate,
        report::Metric,
        samples::{Exchange, MarkedMask, StoredMask},
        source::DataKind,
    },
    predict::read_picture,
};

const TEMPLATE: &str = include_str!("report.html");
/// Longest side of a picture in the page, in pixels.
const LONGEST: u32 = 384;
/// How papers tell figures.
const HUNDRED: f64 = 100.0;

/// The whole page.
pub(super) fn page(summary: &Summary) -> String {
    let tasks: Vec<Html> = summary.tasks.par_iter().map(task).collect();
    let models: BTreeSet<&str> = summary
        .tasks
        .iter()
        .map(|measured| measured.model.as_str())
        .collect();
    let models: Vec<&str> = models.into_iter().collect();
    let count = summary.tasks.len();
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
                    "{count} {}. All figures are a hundred times what they are in report.json. \
                     Beside each stands its 95 % bootstrap interval, for which whole pictures are \
                     drawn, and the same figure of answers that are given without seeing the \
                     picture. Point at a picture to see it without its masks.",
                    if count == 1 { "task" } else { "tasks" }
                )),
            ),
            ("difference", Html::text(difference(summary))),
            (
                "paper",
                PAPER.iter().map(|row| paper_row(summary, row)).collect(),
            ),
            ("tasks", tasks.into_iter().collect()),
        ],
    )
    .into_string()
}

/// What keeps our figures and the paper's from being compared.
fn difference(summary: &Summary) -> String {
    let mut text = "The paper measured models of 3 and 7 billion parameters on photographs: \
                    RefCOCO, its own DL-RES, LVIS, DLC-Bench and GranD-f."
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

fn paper_row(summary: &Summary, row: &PaperFigure) -> Html {
    let measured = summary
        .tasks
        .iter()
        .find(|measured| measured.report.task == row.task);
    let metric = measured.and_then(|measured| measured.report.metrics.get(row.metric));
    let here = match (measured, metric) {
        (None, _) => "not measured".to_owned(),
        (Some(measured), Some(metric)) if metric.estimate.is_some() => {
            let samples = counted(measured.report.n);
            format!("{} on {}, {samples}", row.metric, measured.on.name())
        }
        (Some(measured), _) => format!("not computed on {}", measured.on.name()),
    };
    let (value, interval, blind) = shown(metric);
    let (before, its_figure) = row.before;
    piece(
        "paper-row",
        &[
            ("on", Html::text(row.on)),
            ("called", Html::text(row.called)),
            ("here", Html::text(here)),
            ("value", value),
            ("interval", interval),
            ("blind", blind),
            ("fclm_3b", Html::text(format_args!("{:.1}", row.fclm_3b))),
            ("fclm_7b", one_decimal(row.fclm_7b)),
            (
                "before",
                Html::text(format_args!("{before} {its_figure:.1}")),
            ),
        ],
    )
}

fn task(measured: &Measured) -> Html {
    let report = &measured.report;
    let notes = measured
        .notes
        .iter()
        .map(|note| piece("note", &[("text", Html::text(note))]));
    let rows = report.metrics.iter().map(|(name, metric)| {
        let (value, interval, blind) = shown(Some(metric));
        let value = match metric.estimate {
            Some(_) => value,
            None => Html::text("not computed"),
        };
        piece(
            "row",
            &[
                ("name", Html::text(name)),
                ("value", value),
                ("interval", interval),
                ("blind", blind),
            ],
        )
    });
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
                    ("cases", cases.iter().map(case).collect()),
                ],
            )
        });
    piece(
        "task",
        &[
            ("task", Html::text(report.task)),
            (
                "setting",
                Html::text(format_args!(
                    "{}, {} in {}, seed {}, model {} ({})",
                    counted(report.n),
                    measured.on.name(),
                    measured.data,
                    report.seed,
                    measured.model,
                    report.model_sha256
                )),
            ),
            ("notes", notes.collect()),
            ("rows", rows.collect()),
            ("cases", cases.collect()),
        ],
    )
}

/// An answer: what is true and what was drawn beside each other, and what was said.
fn case(case: &Case) -> Html {
    let exchange = &case.exchange;
    let photo = read_picture(Path::new(&case.image));
    let mut facts = Html::default();
    let mut fact = |name: &str, text: Html| {
        facts.push(&piece(
            "fact",
            &[("name", Html::text(name)), ("text", text)],
        ));
    };
    fact("Asked", Html::text(&exchange.asked));
    fact("Answered", Html::text(&exchange.answer));
    if let Some(refusal) = &exchange.refusal {
        fact("Refused", Html::text(refusal));
    }
    for expected in &exchange.expected {
        fact("True", Html::text(expected));
    }
    for (name, masks) in [("True masks", &exchange.truths), ("Drawn", &exchange.drawn)] {
        let phrases = phrases(masks);
        if !phrases.is_empty() {
            fact(name, phrases);
        }
    }
    fact(
        "Quality",
        Html::text(format_args!("{:.1}", HUNDRED * case.quality)),
    );
    fact("Picture", Html::text(&case.id));
    let photo = match photo {
        Ok(photo) => Some(photo),
        Err(error) => {
            fact("Not shown", Html::text(error));
            None
        }
    };
    piece(
        "case",
        &[
            ("figures", figures(exchange, photo.as_ref(), &case.id)),
            ("facts", facts),
        ],
    )
}

/// The phrases of masks, each behind the number of its mask; nothing where no mask has one.
fn phrases(masks: &[MarkedMask]) -> Html {
    let named: Vec<(usize, &str)> = masks
        .iter()
        .enumerate()
        .filter_map(|(place, marked)| Some((place, marked.phrase.as_deref()?)))
        .filter(|(_, phrase)| !phrase.is_empty())
        .collect();
    let last = named.len().saturating_sub(1);
    named
        .into_iter()
        .enumerate()
        .map(|(index, (place, phrase))| {
            piece(
                "phrase",
                &[
                    ("number", number(place)),
                    ("text", Html::text(phrase)),
                    ("end", Html::text(if index == last { "" } else { "; " })),
                ],
            )
        })
        .collect()
}

fn figures(exchange: &Exchange, photo: Option<&RgbImage>, id: &str) -> Html {
    let masks = exchange.truths.iter().chain(&exchange.drawn);
    let size = masks
        .map(|marked| &marked.mask)
        .chain(&exchange.region)
        .map(StoredMask::size)
        .next()
        .or_else(|| photo.map(RgbImage::dimensions));
    let Some(size) = size else {
        return Html::default();
    };
    let over = |masks: &[&StoredMask], caption: &str| {
        let mut figure = Figure::new(size, LONGEST);
        if let Some(ignored) = &exchange.ignored {
            figure.ignore(&ignored.mask());
        }
        for (place, mask) in masks.iter().enumerate() {
            figure.mark(place, &mask.mask());
        }
        let alt = format!("Picture {id}: {caption}");
        piece(
            "figure",
            &[
                ("figure", figure.html(photo, alt)),
                ("caption", Html::text(caption)),
            ],
        )
    };
    let has_masks = !exchange.truths.is_empty() || !exchange.drawn.is_empty();
    match &exchange.region {
        // Nothing was to be drawn: the region that was asked about is all there is to see.
        Some(region) if !has_masks => over(&[region], "the region"),
        _ => {
            let mut both = over(&masks_of(&exchange.truths), "what is true");
            both.push(&over(&masks_of(&exchange.drawn), "what was drawn"));
            both
        }
    }
}

fn masks_of(marked: &[MarkedMask]) -> Vec<&StoredMask> {
    marked.iter().map(|marked| &marked.mask).collect()
}

/// Value, interval and blind value of a figure, a hundred times.
fn shown(metric: Option<&Metric>) -> (Html, Html, Html) {
    let estimate = metric.and_then(|metric| metric.estimate);
    let blind = metric.and_then(|metric| metric.blind);
    let value = |figure: Option<Estimate>| one_decimal(figure.map(|f| HUNDRED * f.value));
    let interval = match estimate {
        Some(Estimate { low, high, .. }) => Html::text(format_args!(
            "{:.1} to {:.1}",
            HUNDRED * low,
            HUNDRED * high
        )),
        None => Html::text("-"),
    };
    (value(estimate), interval, value(blind))
}

/// A number of samples in words.
fn counted(samples: usize) -> String {
    match samples {
        1 => "one sample".to_owned(),
        more => format!("{more} samples"),
    }
}

fn one_decimal(value: Option<f64>) -> Html {
    match value {
        Some(value) => Html::text(format_args!("{value:.1}")),
        None => Html::text("-"),
    }
}

fn piece(name: &str, values: &[(&str, Html)]) -> Html {
    Html::fill(TEMPLATE, name, values)
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::{
        super::{
            cases::Cases,
            tests::{figure, measured},
        },
        *,
    };
    use crate::eval::protocol::Task;

    #[test]
    fn figures_stand_beside_the_paper_s_and_texts_are_escaped() {
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
        res.notes.push("Scenes <stand> in.".to_owned());
        res.cases = Cases {
            best: vec![case(image.to_str().unwrap())],
            worst: vec![case("/no/such.png")],
        };
        let mut roc = measured(Task::Roc);
        roc.report = roc.report.with("siou", figure(0.5), None);
        let html = page(&Summary {
            tasks: vec![res, roc],
        });
        for part in [
            "<td>62.0</td><td>59.0 to 64.0</td><td>11.0</td>",
            "<td>RES, RefCOCO</td><td class=\"name\">gIoU</td><td class=\"name\">giou on rendered \
             scenes, 20 samples</td><td>62.0</td>",
            "<td>81.5</td><td>82.6</td><td class=\"name\">UniPixel-7B 80.8</td>",
            "20 samples, rendered scenes in /sets/scenes",
            "not computed on rendered scenes",
            "<td>DL-RES</td><td class=\"name\">gIoU</td><td class=\"name\">not measured</td>",
            "<td>50.0</td>",
            "<td>ciou</td><td>not computed</td><td>-</td><td>-</td>",
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
        ] {
            assert!(html.contains(part), "{part} is not in the page");
        }
        assert!(!html.contains("<script"));
        assert!(!html.contains("://"), "the page needs nothing else");
        assert_eq!(html.matches("<section").count(), 3);
    }

    #[test]
    fn a_region_without_masks_is_shown_once() {
        let exchange = Exchange {
            region: Some(StoredMask::of(&Mask::rect(8, 8, [0.0, 0.0, 4.0, 4.0]))),
            ..Exchange::default()
        };
        let html = figures(&exchange, None, "7").into_string();
        assert_eq!(html.matches("<figure>").count(), 1);
        assert!(html.contains("the region"));
        assert!(figures(&Exchange::default(), None, "7").is_empty());
    }
}
