//! A page of pictures with their masks and texts, so that a person sees what a folder holds. What
//! training makes of it is shown by a page of the same kind ([`preview`]).
//!
//! [`preview`]: crate::train::preview
//!
//! The page is one file: pictures stand in it as data URIs, and it needs no script.

mod data_uri;
pub(crate) mod figure;
pub(crate) mod overlay;
pub(crate) mod picture;
pub(crate) mod template;
pub(crate) mod texts;

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use self::{
    picture::{Section, section},
    template::Html,
};
use super::{
    folder::{FolderError, PictureFolder},
    record::PictureRecord,
};

/// Most pictures of a page; more than these no browser shows with ease.
pub const MAX_LOOK: usize = 1000;

/// A page, with what was found on the way.
#[derive(Debug)]
pub struct Look {
    /// The whole page.
    pub html: String,
    /// Pictures in it.
    pub shown: usize,
    /// Those of them that cannot be opened, or have another size than their records say.
    pub unsound: usize,
    /// What is wrong with the lines that could not be shown.
    pub broken: Vec<String>,
}

/// Shows `count` pictures, at most [`MAX_LOOK`], from all over a folder; `progress` hears how many
/// are done.
///
/// # Errors
/// Where the folder's file cannot be read. A broken line or picture is told in the page.
pub fn look(
    folder: &PictureFolder,
    count: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Look, FolderError> {
    let show = |_: usize, record: &PictureRecord| section(folder, record);
    look_by(folder, count, "", &show, progress)
}

/// Shows a picture by its place in the folder and its record.
pub(crate) type Show<'a> = &'a (dyn Fn(usize, &PictureRecord) -> Section + Sync);

/// As [`look`], each picture being shown by `show`; `note` says of all of them what is shown.
///
/// # Errors
/// As [`look`].
pub(crate) fn look_by(
    folder: &PictureFolder,
    count: usize,
    note: &str,
    show: Show<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Look, FolderError> {
    let finished = AtomicUsize::new(0);
    let looked: Vec<Looked> = spread(folder.len(), count.min(MAX_LOOK))
        .into_par_iter()
        .map(|place| {
            let looked = match folder.record(place) {
                Ok(record) => Looked::Section(show(place, &record)),
                Err(error @ FolderError::Line { .. }) => Looked::Broken(error.to_string()),
                Err(error) => return Err(error),
            };
            progress(finished.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(looked)
        })
        .collect::<Result<_, FolderError>>()?;

    let (mut pictures, mut broken) = (Html::default(), Vec::new());
    let (mut shown, mut unsound) = (0, 0);
    for one in looked {
        match one {
            Looked::Section(Section { html, is_sound }) => {
                pictures.push(&html);
                shown += 1;
                unsound += usize::from(!is_sound);
            }
            Looked::Broken(reason) => broken.push(reason),
        }
    }
    let name = folder.dir().display();
    let mut summary = format!("{shown} of {} pictures.", folder.len());
    if !note.is_empty() {
        summary.push(' ');
        summary.push_str(note);
    }
    let problems = broken
        .iter()
        .map(|reason| Html::piece("warning", &[("text", Html::text(reason))]))
        .collect();
    let page = Html::piece(
        "page",
        &[
            ("style", Html::piece("style", &[])),
            ("title", Html::text(name)),
            ("summary", Html::text(summary)),
            ("problems", problems),
            ("pictures", pictures),
        ],
    );
    Ok(Look {
        html: page.into_string(),
        shown,
        unsound,
        broken,
    })
}

/// What came of a line.
enum Looked {
    Section(Section),
    Broken(String),
}

/// `count` places from all over a list of `all`, in order.
fn spread(all: usize, count: usize) -> Vec<usize> {
    let count = count.min(all);
    (0..count).map(|place| place * all / count).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::RgbImage;

    use super::*;

    fn line(id: &str, image: &str, size: (u32, u32), category: &str) -> String {
        let (width, height) = size;
        let pixels = width * height;
        format!(
            r#"{{"id": "{id}", "image": "{image}", "width": {width}, "height": {height},
                "regions": [{{"id": "1", "mask": {{"size": [{height}, {width}],
                "counts": [0, {height}, {}]}}, "category": "{category}"}}]}}"#,
            pixels - height
        )
        .replace('\n', " ")
    }

    #[test]
    fn places_are_spread_over_the_whole() {
        assert_eq!(spread(10, 3), [0, 3, 6]);
        assert_eq!(spread(2, 9), [0, 1]);
        assert!(spread(0, 9).is_empty());
    }

    #[test]
    fn the_page_holds_pictures_and_names_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        for (name, side) in [("large.png", 1500), ("small.png", 20)] {
            let picture = RgbImage::from_pixel(side, side / 2, image::Rgb([90, 160, 200]));
            picture.save(folder.path().join(name)).unwrap();
        }
        let lines = [
            line("a", "large.png", (1500, 750), "<script>alert(1)</script>"),
            line("b", "small.png", (30, 20), "cup"),
            line("c", "missing.png", (30, 20), "cup"),
            "{".to_owned(),
        ];
        fs::write(folder.path().join("pictures.jsonl"), lines.join("\n")).unwrap();
        let pictures = PictureFolder::open(folder.path()).unwrap();
        let seen = AtomicUsize::new(0);
        let progress = |_: usize| {
            seen.fetch_add(1, Ordering::Relaxed);
        };
        let look = look(&pictures, 9, &progress).unwrap();
        assert_eq!(seen.into_inner(), 4);
        assert_eq!((look.shown, look.unsound, look.broken.len()), (3, 2, 1));
        assert!(
            look.broken[0].contains("pictures.jsonl:4"),
            "{}",
            look.broken[0]
        );
        for part in [
            "data:image/jpeg;base64,",
            "data:image/png;base64,",
            "max-width:640px;aspect-ratio:640/320",
            "&lt;script&gt;alert(1)",
            "The picture has 20 x 10 pixels, but its record says 30 x 20.",
            "missing.png",
            "pictures.jsonl:4",
        ] {
            assert!(look.html.contains(part), "{part} is not in the page");
        }
        assert!(!look.html.contains("<script"));
        assert!(!look.html.contains("{{"));
        assert!(!look.html.contains("://"), "the page needs nothing else");
    }
}
