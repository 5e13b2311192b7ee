//! One chart: some lines under one title.

use super::axis::Axis;
use crate::markup::escaped;

/// Colours that are told apart on white and on black; further lines repeat them dashed.
const COLOURS: usize = 6;
/// Most points of a drawn line; where there are more, neighbours are averaged.
const MOST_POINTS: usize = 500;
/// Ticks of an axis at most.
const MOST_TICKS: usize = 5;
/// Width of a letter of a legend, about.
const LETTER: f64 = 6.1;
/// What a legend's entry has beside its letters.
const SAMPLE: f64 = 26.0;
/// Height of a line of text.
const LINE: f64 = 15.0;

/// Room around a chart's lines.
const LEFT: f64 = 50.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 24.0;

/// A line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// x and y of its points, in the order of x; the line is broken where y is no number.
    pub points: Vec<[f64; 2]>,
}

/// Lines over one range of x.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// Its lines.
    pub series: Vec<Series>,
}

/// Where a chart is drawn, and what all charts of a figure share.
#[derive(Debug, Clone)]
pub(super) struct Frame<'a> {
    /// Left, top, width and height.
    pub(super) place: [f64; 4],
    pub(super) x: &'a Axis,
    /// Places on x where something changes.
    pub(super) marks: &'a [(f64, String)],
}

impl Series {
    /// A line.
    pub fn new(name: impl Into<String>, points: Vec<[f64; 2]>) -> Self {
        Self {
            name: name.into(),
            points,
        }
    }

    /// Its last number.
    fn last(&self) -> Option<f64> {
        let mut values = self.points.iter().rev().map(|[_, y]| *y);
        values.find(|y| y.is_finite())
    }

    /// Runs of points without a gap, few enough to be drawn.
    fn runs(&self) -> Vec<Vec<[f64; 2]>> {
        let points = thinned(&self.points, MOST_POINTS);
        let runs = points.split(|[_, y]| !y.is_finite());
        runs.filter(|run| !run.is_empty())
            .map(<[[f64; 2]]>::to_vec)
            .collect()
    }
}

impl Chart {
    /// Some lines under a title.
    pub fn new(title: impl Into<String>, series: Vec<Series>) -> Self {
        Self {
            title: title.into(),
            series,
        }
    }

    /// Whether there is a number to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.last().is_none())
    }

    /// The chart as a group of SVG; nothing where it has no number.
    pub(super) fn draw(&self, frame: &Frame<'_>) -> String {
        let values = self.series.iter().flat_map(|series| &series.points);
        let Some(y) = Axis::covering(values.map(|[_, y]| *y), MOST_TICKS) else {
            return String::new();
        };
        let [left, top, width, height] = frame.place;
        let (legend, legend_lines) = self.legend(width);
        let lines = Lines {
            left: left + LEFT,
            right: left + width - RIGHT,
            top: top + TOP + legend_lines as f64 * LINE,
            bottom: top + height - BOTTOM,
            x: frame.x,
            y: &y,
        };
        let mut svg = format!(
            "<g><title>{}</title><text class=\"title\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            escaped(&self.title),
            lines.left,
            top + LINE,
            escaped(self.heading()),
        );
        for [x, row, index] in legend {
            let name = &self.series[index as usize];
            svg.push_str(&format!(
                "<path class=\"{}\" d=\"M{:.1} {:.1}h14\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                class(index as usize),
                lines.left + x,
                top + TOP + row * LINE + 6.0,
                lines.left + x + 18.0,
                top + TOP + row * LINE + 10.0,
                escaped(labelled(name)),
            ));
        }
        svg.push_str(&lines.grid(frame.marks));
        for (index, series) in self.series.iter().enumerate() {
            let path = lines.path(series);
            if !path.is_empty() {
                svg.push_str(&format!(
                    "<path class=\"{}\" d=\"{path}\"/>\n",
                    class(index)
                ));
            }
        }
        svg.push_str("</g>\n");
        svg
    }

    /// The title; beside it, where there is one line only, its last number.
    fn heading(&self) -> String {
        match self.series.as_slice() {
            [only] => match only.last() {
                Some(last) => format!("{}: {}", self.title, short(last)),
                None => self.title.clone(),
            },
            _ => self.title.clone(),
        }
    }

    /// Where the names of several lines stand: x, row and index of each; and how many rows there are.
    fn legend(&self, width: f64) -> (Vec<[f64; 3]>, usize) {
        if self.series.len() < 2 {
            return (Vec::new(), 0);
        }
        let room = width - LEFT - RIGHT;
        let (mut x, mut row, mut places) = (0.0, 0, Vec::new());
        for (index, series) in self.series.iter().enumerate() {
            let taken = labelled(series).chars().count() as f64 * LETTER + SAMPLE;
            if x > 0.0 && x + taken > room {
                (x, row) = (0.0, row + 1);
            }
            places.push([x, row as f64, index as f64]);
            x += taken;
        }
        (places, row + 1)
    }
}

/// Where the lines of a chart lie.
struct Lines<'a> {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: &'a Axis,
    y: &'a Axis,
}

impl Lines<'_> {
    fn across(&self, x: f64) -> f64 {
        self.left + self.x.share(x) * (self.right - self.left)
    }

    fn down(&self, y: f64) -> f64 {
        self.bottom - self.y.share(y) * (self.bottom - self.top)
    }

    /// Ticks with their labels, and the marks.
    fn grid(&self, marks: &[(f64, String)]) -> String {
        let Self {
            left,
            right,
            top,
            bottom,
            ..
        } = self;
        let mut svg = String::new();
        for tick in self.y.ticks() {
            let y = self.down(tick);
            svg.push_str(&format!(
                "<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>\
                 <text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                left - 5.0,
                y + 3.5,
                escaped(self.y.label(tick)),
            ));
        }
        for tick in self.x.ticks() {
            let x = self.across(tick);
            svg.push_str(&format!(
                "<path class=\"grid\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>\
                 <text class=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>\n",
                bottom + 14.0,
                escaped(self.x.label(tick)),
            ));
        }
        for (at, name) in marks {
            let x = self.across(*at);
            svg.push_str(&format!(
                "<path class=\"mark\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"><title>{}</title></path>\n",
                escaped(name),
            ));
        }
        svg
    }

    fn path(&self, series: &Series) -> String {
        let mut path = String::new();
        for run in series.runs() {
            let [first, rest @ ..] = run.as_slice() else {
                continue;
            };
            let [x, y] = *first;
            path.push_str(&format!("M{:.1} {:.1}", self.across(x), self.down(y)));
            if rest.is_empty() {
                // A line of no length has round ends, so that a single point can be seen.
                path.push_str("h0");
            }
            for [x, y] in rest {
                path.push_str(&format!("L{:.1} {:.1}", self.across(*x), self.down(*y)));
            }
        }
        path
    }
}

fn class(index: usize) -> String {
    let dashed = if index < COLOURS { "" } else { " dashed" };
    format!("line c{}{dashed}", index % COLOURS)
}

/// A line's name with its last number.
fn labelled(series: &Series) -> String {
    match series.last() {
        Some(last) => format!("{} {}", series.name, short(last)),
        None => series.name.clone(),
    }
}

/// A number with three digits.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        0.0 => "0".to_owned(),
        _ if !(1e-3..1e5).contains(&magnitude) => format!("{value:.1e}"),
        _ => {
            let decimals = (2 - magnitude.log10().floor() as i32).max(0) as usize;
            format!("{value:.decimals$}")
        }
    }
}

/// At most `most` points, each the mean of as many neighbours; where none of those has a number, a
/// gap stays.
fn thinned(points: &[[f64; 2]], most: usize) -> Vec<[f64; 2]> {
    let size = points.len().div_ceil(most).max(1);
    let mean = |group: &[[f64; 2]]| {
        let finite: Vec<&[f64; 2]> = group.iter().filter(|[_, y]| y.is_finite()).collect();
        let count = finite.len() as f64;
        let sum = |axis: usize| finite.iter().map(|point| point[axis]).sum::<f64>();
        match finite.is_empty() {
            true => [group[0][0], f64::NAN],
            false => [sum(0) / count, sum(1) / count],
        }
    };
    points.chunks(size).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(values: [f64; 2]) -> Axis {
        Axis::covering(values, MOST_TICKS).unwrap()
    }

    #[test]
    fn a_line_runs_from_corner_to_corner_and_breaks_at_gaps() {
        let (x, y) = (axis([0.0, 4.0]), axis([0.0, 2.0]));
        let lines = Lines {
            left: 10.0,
            right: 110.0,
            top: 20.0,
            bottom: 70.0,
            x: &x,
            y: &y,
        };
        let series = Series::new(
            "a",
            vec![[0.0, 0.0], [2.0, 1.0], [3.0, f64::NAN], [4.0, 2.0]],
        );
        assert_eq!(lines.path(&series), "M10.0 70.0L60.0 45.0M110.0 20.0h0");
    }

    #[test]
    fn many_points_are_averaged_and_gaps_stay() {
        let points: Vec<[f64; 2]> = (0..6).map(|x| [f64::from(x), f64::from(x * x)]).collect();
        assert_eq!(thinned(&points, 3), [[0.5, 0.5], [2.5, 6.5], [4.5, 20.5]]);
        let gaps = [
            [0.0, f64::NAN],
            [1.0, f64::NAN],
            [2.0, 5.0],
            [3.0, f64::NAN],
        ];
        let thin = thinned(&gaps, 2);
        assert!(thin[0][1].is_nan());
        assert_eq!(thin[1], [2.0, 5.0]);
        assert_eq!(thinned(&points, 500), points);
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(short(0.0), "0");
        assert_eq!(short(0.145_59), "0.146");
        assert_eq!(short(-12.345), "-12.3");
        assert_eq!(short(3920.0), "3920");
        assert_eq!(short(2.5e-5), "2.5e-5");
    }

    #[test]
    fn legends_wrap() {
        let names = ["a long name of a line", "another long name", "b"];
        let series = names.map(|name| Series::new(name, vec![[0.0, 1.0]]));
        let chart = Chart::new("Chart", series.to_vec());
        let (places, rows) = chart.legend(300.0);
        assert_eq!(rows, 2);
        assert_eq!(places[0], [0.0, 0.0, 0.0]);
        assert_eq!(places[1][..2], [0.0, 1.0]);
        assert_eq!(places[2][1], 1.0);
        assert_eq!(Chart::new("", vec![series[0].clone()]).legend(300.0).1, 0);
    }
}
