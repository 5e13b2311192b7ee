//! The page that shows the heat maps beside each other.

use super::Heatmaps;
use crate::markup::escaped;

const PAGE: &str = include_str!("page.html");

/// A region of the page.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The picture's id.
    pub(super) picture: String,
    /// The text that `[SEG]` was asked for.
    pub(super) text: String,
    /// The files of `<pos>` and of `[SEG]`.
    pub(super) files: [String; 2],
    /// Their width and height.
    pub(super) size: (u32, u32),
    /// Share of `<pos>`'s attention inside the region.
    pub(super) pos_inside: f64,
    /// Share of `[SEG]`'s.
    pub(super) seg_inside: f64,
    /// Share of the picture that the region takes.
    pub(super) area: f64,
    /// Share of their attention that both have in common.
    pub(super) common: f64,
    /// What `[SEG]` has in common with `<pos>` of each other region of the picture.
    pub(super) common_others: Vec<f64>,
}

/// The whole page.
pub(super) fn page(title: &str, summary: &Heatmaps, entries: &[Entry]) -> String {
    let Heatmaps {
        regions,
        pos_inside,
        seg_inside,
        area,
        common,
        common_other,
    } = *summary;
    let other = common_other.map_or_else(String::new, |other| {
        format!(
            ", and [SEG] shares {} with &lt;pos&gt; of the other regions of its picture",
            percent(other)
        )
    });
    let figures = format!(
        "{regions} regions. On average {} of the attention for &lt;pos&gt; and {} of that for [SEG] \
         lie inside the region, which takes {} of the picture; {} of their attention is at the same \
         places{other}.",
        percent(pos_inside),
        percent(seg_inside),
        percent(area),
        percent(common),
    );
    let rows: String = entries.iter().map(row).collect();
    // What comes from a data set goes in last, so that nothing in it is taken for a place to fill.
    let (head, rest) = PAGE.split_once("{{title}}").unwrap_or_default();
    let (middle, rest) = rest.split_once("{{figures}}").unwrap_or_default();
    let (before, end) = rest.split_once("{{rows}}").unwrap_or_default();
    [head, &escaped(title), middle, &figures, before, &rows, end].concat()
}

fn row(entry: &Entry) -> String {
    let (width, height) = entry.size;
    let figure = |file: &str, name: &str, inside: f64| {
        format!(
            "<figure><img src=\"{}\" width=\"{width}\" height=\"{height}\" alt=\"Where {name} looks\" \
             loading=\"lazy\"><figcaption>{name}: {} inside</figcaption></figure>\n",
            escaped(file),
            percent(inside),
        )
    };
    let [pos, seg] = &entry.files;
    format!(
        "<section>\n<p>{}</p>\n<div>\n{}{}</div>\n<small>Picture {}; the region takes {} of it; {} of \
         the attention in common.</small>\n</section>\n",
        escaped(&entry.text),
        figure(pos, "&lt;pos&gt;", entry.pos_inside),
        figure(seg, "[SEG]", entry.seg_inside),
        escaped(&entry.picture),
        percent(entry.area),
        percent(entry.common),
    )
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_both_maps_its_text_and_its_figures() {
        let entry = Entry {
            picture: "a<b".to_owned(),
            text: "{{figures}} <script>".to_owned(),
            files: ["0001-pos.png".to_owned(), "0001-seg.png".to_owned()],
            size: (64, 48),
            pos_inside: 0.8,
            seg_inside: 0.5,
            area: 0.13,
            common: 0.61,
            common_others: vec![0.2, 0.3],
        };
        let summary = Heatmaps {
            regions: 1,
            pos_inside: 0.8,
            seg_inside: 0.5,
            area: 0.13,
            common: 0.61,
            common_other: Some(0.25),
        };
        let html = page("data & more", &summary, &[entry]);
        for part in [
            "<title>Where &lt;pos&gt; and [SEG] look</title>",
            "data &amp; more",
            "1 regions. On average 80 %",
            "[SEG] shares 25 % with &lt;pos&gt; of the other regions",
            "{{figures}} &lt;script&gt;",
            "src=\"0001-pos.png\" width=\"64\" height=\"48\"",
            "[SEG]: 50 % inside",
            "Picture a&lt;b; the region takes 13 % of it; 61 %",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert!(!html.contains("{{title}}") && !html.contains("{{rows}}"));
        assert!(html.trim_end().ends_with("</html>"));
        assert!(!html.contains("<script"));
    }
}
