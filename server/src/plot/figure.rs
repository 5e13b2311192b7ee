//! Charts beside each other over one range of x.

use super::axis::Axis;
use super::chart::{Chart, Frame};
use crate::markup::escaped;

/// Width and height of a chart.
const CHART: [f64; 2] = [330.0, 200.0];
const COLUMNS: usize = 3;
/// Room for the figure's title.
const HEAD: f64 = 40.0;
const MARGIN: f64 = 12.0;
/// Ticks of x at most.
const MOST_TICKS: usize = 5;

/// The colours are those of a palette for colour-blind readers, darker on white, lighter on black.
const STYLE: &str = "
svg { font: 11px system-ui, sans-serif; background: #fff; fill: #24292f; }
.title { font-weight: 600; font-size: 12px; }
.head { font-weight: 600; font-size: 15px; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.grid { stroke: #d8dee4; }
.mark { stroke: #6e7781; stroke-dasharray: 3 3; }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round; }
.dashed { stroke-dasharray: 5 4; }
.c0 { stroke: #0b62c4; } .c1 { stroke: #b8500b; } .c2 { stroke: #0a7d55; }
.c3 { stroke: #a13d86; } .c4 { stroke: #8a6d00; } .c5 { stroke: #5b5fc7; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; fill: #c9d1d9; }
.grid { stroke: #30363d; }
.mark { stroke: #8b949e; }
.c0 { stroke: #58a6ff; } .c1 { stroke: #f0883e; } .c2 { stroke: #3fb98a; }
.c3 { stroke: #e084c6; } .c4 { stroke: #d7b928; } .c5 { stroke: #a5a8ff; }
}
";

/// Charts that share their range of x.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    title: String,
    x_name: String,
    marks: Vec<(f64, String)>,
    charts: Vec<Chart>,
}

impl Figure {
    /// A figure without charts; `x_name` says what x counts.
    pub fn new(title: impl Into<String>, x_name: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x_name: x_name.into(),
            marks: Vec::new(),
            charts: Vec::new(),
        }
    }

    /// Adds a chart; one without a number is left out.
    #[must_use]
    pub fn with(mut self, chart: Chart) -> Self {
        if !chart.is_empty() {
            self.charts.push(chart);
        }
        self
    }

    /// Adds a line across every chart where something changes.
    #[must_use]
    pub fn with_mark(mut self, x: f64, name: impl Into<String>) -> Self {
        self.marks.push((x, name.into()));
        self
    }

    /// Its charts.
    pub fn charts(&self) -> &[Chart] {
        &self.charts
    }

    /// The whole file.
    pub fn to_svg(&self) -> String {
        let [width, height] = CHART;
        let rows = self.charts.len().div_ceil(COLUMNS);
        let whole_width = COLUMNS as f64 * width + 2.0 * MARGIN;
        let whole_height = HEAD + rows as f64 * height + MARGIN;
        let title = escaped(&self.title);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{whole_width}\" \
             height=\"{whole_height}\" viewBox=\"0 0 {whole_width} {whole_height}\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <text class=\"head\" x=\"{MARGIN}\" y=\"24\">{title}, over {}</text>\n",
            escaped(&self.x_name),
        );
        let points = self.charts.iter().flat_map(|chart| &chart.series);
        let places = points.flat_map(|series| series.points.iter().map(|[x, _]| *x));
        if let Some(x) = Axis::covering(places, MOST_TICKS) {
            for (index, chart) in self.charts.iter().enumerate() {
                let (column, row) = (index % COLUMNS, index / COLUMNS);
                svg.push_str(&chart.draw(&Frame {
                    place: [
                        MARGIN + column as f64 * width,
                        HEAD + row as f64 * height,
                        width,
                        height,
                    ],
                    x: &x,
                    marks: &self.marks,
                }));
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Series, assert_well_formed};
    use super::*;

    fn figure() -> Figure {
        let line = |name: &str, slope: f64| {
            let points = (0..30).map(|x| [f64::from(x), slope * f64::from(x)]);
            Series::new(name, points.collect())
        };
        Figure::new("Run <1> & \"two\"", "step")
            .with_mark(10.0, "stage 2 <begins>")
            .with(Chart::new("Loss", vec![line("loss", -0.5)]))
            .with(Chart::new(
                "Terms",
                vec![line("a<b", 1.0), line("b&c", 2.0)],
            ))
            .with(Chart::new(
                "Nothing",
                vec![Series::new("none", vec![[0.0, f64::NAN]])],
            ))
    }

    #[test]
    fn the_file_is_well_formed_whatever_the_names_are() {
        let svg = figure().to_svg();
        assert_well_formed(&svg);
        assert!(svg.contains("a&lt;b") && svg.contains("b&amp;c"), "{svg}");
        assert!(svg.contains("prefers-color-scheme: dark"));
        assert_well_formed(&Figure::new("Empty", "step").to_svg());
    }

    #[test]
    fn every_chart_with_numbers_has_lines_ticks_a_legend_and_the_marks() {
        let figure = figure();
        let titles: Vec<&str> = figure
            .charts()
            .iter()
            .map(|chart| chart.title.as_str())
            .collect();
        assert_eq!(titles, ["Loss", "Terms"]);
        let svg = figure.to_svg();
        assert_eq!(svg.matches("<g>").count(), 2);
        assert_eq!(svg.matches("class=\"mark\"").count(), 2);
        // One line of the first chart, two lines and their samples in the legend of the second.
        assert_eq!(svg.matches("class=\"line c0\"").count(), 3);
        assert_eq!(svg.matches("class=\"line c1\"").count(), 2);
        assert!(svg.contains(">Loss: -14.5</text>"), "{svg}");
        assert!(svg.contains(">b&amp;c 58.0</text>"), "{svg}");
        // Both charts share x, 0 to 30.
        assert_eq!(svg.matches(">30</text>").count(), 2);
    }
}
