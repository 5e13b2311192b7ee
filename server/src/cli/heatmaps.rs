use std::{path::Path, process::ExitCode};

use fclm_server::{
    data::folder::PictureFolder,
    eval::heatmaps::{DEFAULT_REGIONS, Heatmaps, heatmaps},
    predict::Predictor,
};

use super::{print, show_progress};

/// Draws where `<pos>` and `[SEG]` look for regions of a data set, and says how alike that is.
pub(super) fn draw_heatmaps(
    predictor: &Predictor,
    data: &Path,
    limit: Option<usize>,
    out: &Path,
) -> anyhow::Result<ExitCode> {
    let pictures = PictureFolder::open(data)?;
    let most = limit.unwrap_or(DEFAULT_REGIONS).min(pictures.len());
    let drawn = heatmaps(predictor, &pictures, most, out, &|finished| {
        show_progress("heat maps", finished, most);
    })?;
    let Heatmaps {
        regions,
        pos_inside,
        seg_inside,
        area,
        common,
        common_other,
    } = drawn;
    let other = common_other.map_or_else(String::new, |other| {
        format!(" ({:.0} % with other regions)", 100.0 * other)
    });
    print(format!(
        "{}: {regions} regions; inside the region {:.0} % of <pos> and {:.0} % of [SEG] (its area: \
         {:.0} %), {:.0} % in common{other}",
        out.join("index.html").display(),
        100.0 * pos_inside,
        100.0 * seg_inside,
        100.0 * area,
        100.0 * common,
    ))?;
    Ok(ExitCode::SUCCESS)
}
