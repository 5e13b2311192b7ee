//! A page of what training makes of the pictures of a folder: what is asked of them, how their regions
//! are marked and cropped, and which masks are asked for, drawn as for a step of a recipe.

mod figures;
mod texts;

use std::path::PathBuf;
use std::sync::Arc;

use image::RgbImage;
use rand_chacha::ChaCha8Rng;

use self::figures::Figures;
use super::draw::{Part, Wanted, draw};
use super::masks::RegionMasks;
use super::mixture::Mixture;
use super::questions::Asked;
use super::recipe::LargeRecipe;
use super::sample::Sampler;
use crate::data::folder::PictureFolder;
use crate::data::look::picture::{Section, open};
use crate::data::look::template::Html;
use crate::data::look::{Look, look_by};
use crate::data::record::PictureRecord;
use crate::model_dir::ModelDir;
use crate::train::error::TrainError;
use crate::train::layout::Packed;

/// What a page shows of a folder.
#[derive(Debug, Clone)]
pub struct PreviewOptions {
    /// The recipe by which is drawn; its own data sets are not read.
    pub recipe: LargeRecipe,
    /// The model directory that it is to tune, whose tokenizer and sizes say what fits.
    pub from: PathBuf,
    /// The stage, 1 or 2.
    pub stage: u8,
    /// How many pictures.
    pub count: usize,
}

/// Shows pictures from all over a folder as a step of training would get them, each drawn as if its
/// place in the folder were its number in the run; `progress` hears how many are done.
///
/// # Errors
/// Where the recipe makes no sense, the model directory cannot be opened, or the folder's file cannot
/// be read. A broken line or picture is told in the page.
pub fn preview(
    folder: &PictureFolder,
    options: &PreviewOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Look, TrainError> {
    let recipe = &options.recipe;
    recipe.validate()?;
    let base = ModelDir::open(&options.from)?;
    let tokenizer = base.tokenizer()?;
    base.check_template(&tokenizer)?;
    let sampler = Sampler::new(
        Arc::new(recipe.clone()),
        Arc::new(base.config().clone()),
        tokenizer,
        base.chat_template(),
        Mixture::open(recipe.seed, &[])?,
    )?;
    let note = format!(
        "Drawn as for stage {}, with seed {}: regions as they are marked, conversations, and the masks \
         that are asked for. Numbers are those of the file.",
        options.stage, recipe.seed
    );
    let show = |place: usize, record: &PictureRecord| {
        let mut rng = sampler.rng(place as u64, 0);
        section(&sampler, options.stage, folder, record, &mut rng)
    };
    look_by(folder, options.count, &note, &show, progress)
        .map_err(|error| TrainError::Folder(Box::new(error)))
}

fn section(
    sampler: &Sampler,
    stage: u8,
    folder: &PictureFolder,
    record: &PictureRecord,
    rng: &mut ChaCha8Rng,
) -> Section {
    let photo = match open(folder, record) {
        (Some(photo), None) => photo,
        (_, warning) => {
            let warning = warning.unwrap_or_default();
            let warning = format!("{warning} Training takes another picture.");
            return Section::new(record, Html::default(), Html::default(), Some(warning));
        }
    };
    match Drawn::new(sampler, stage, record, &photo, rng) {
        Ok(drawn) => {
            let lists = texts::lists(&drawn, sampler.recipe());
            Section::new(record, drawn.figures.html(&photo, record), lists, None)
        }
        Err(left_out) => {
            let figure = Figures::new(record).html(&photo, record);
            Section::new(record, figure, texts::left_out(&left_out), None)
        }
    }
}

/// What a step gets of a picture.
struct Drawn {
    asked: Asked,
    packed: Packed,
    /// Rows and columns of the picture's tokens.
    merged: [usize; 2],
    figures: Figures,
}

/// A picture in whose place training takes another one.
struct LeftOut {
    reason: String,
    asked: Asked,
}

impl Drawn {
    /// Goes the way of a training step, without what only a device needs.
    fn new(
        sampler: &Sampler,
        stage: u8,
        record: &PictureRecord,
        photo: &RgbImage,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self, LeftOut> {
        let mut masks = RegionMasks::new(record, sampler.config().sam.low_res_size());
        let asked = sampler.ask(stage, record, &mut masks, rng);
        if asked.turns.is_empty() {
            let reason = "nothing can be asked of it".to_owned();
            return Err(LeftOut { reason, asked });
        }
        let packed = sampler
            .patches(photo)
            .map_err(|error| error.to_string())
            .and_then(|(_, _, merged)| {
                let packed = sampler.pack(&asked.turns, merged);
                let packed = packed.map_err(|error| error.to_string())?;
                let most = sampler.recipe().max_length;
                let too_long = || format!("not one conversation fits max_length = {most}");
                Ok((packed.ok_or_else(too_long)?, merged))
            });
        let (packed, merged) = match packed {
            Ok(packed) => packed,
            Err(reason) => return Err(LeftOut { reason, asked }),
        };
        let wanted = Wanted {
            stage,
            described: &asked.described,
            grounds: &packed.grounds,
        };
        let mut figures = Figures::new(record);
        let mut conversations = packed.grounds.iter().map(|(slot, _)| {
            let segment = packed.segments.get(*slot).copied().unwrap_or_default();
            usize::from(segment).saturating_sub(1)
        });
        let mut take =
            |part: Part<'_>| figures.take(part, &mut conversations, photo, sampler.config());
        if draw(sampler.recipe(), wanted, &mut masks, rng, &mut take).is_none() {
            let reason = "a mask of it cannot be drawn".to_owned();
            return Err(LeftOut { reason, asked });
        }
        Ok(Self {
            asked,
            packed,
            merged,
            figures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiny;
    use super::*;
    use crate::predict::read_picture;

    fn folder(setting: &tiny::Setting) -> PictureFolder {
        PictureFolder::open(&setting.folder.join("scenes")).unwrap()
    }

    /// The page of all eight scenes.
    fn page(setting: &tiny::Setting, stage: u8) -> Look {
        let options = PreviewOptions {
            recipe: setting.recipe.clone(),
            from: setting.base.clone(),
            stage,
            count: 8,
        };
        preview(&folder(setting), &options, &|_| {}).unwrap()
    }

    #[test]
    fn a_picture_is_shown_as_a_step_gets_it() {
        let parent = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(parent.path());
        let sampler = setting.sampler();
        let mixture = Mixture::open(setting.recipe.seed, &setting.recipe.data).unwrap();
        let mut compared = 0;
        for slot in 0..6 {
            let picture = sampler.picture(0, slot).unwrap();
            if picture.is_replacement {
                continue;
            }
            let place = mixture.place(1, slot as u64, 0).unwrap();
            let (record, path) = mixture.read(place).unwrap();
            let photo = read_picture(&path).unwrap();
            let mut rng = sampler.rng(slot as u64, 0);
            let Ok(drawn) = Drawn::new(&sampler, 1, &record, &photo, &mut rng) else {
                panic!("{} is left out", record.id);
            };
            assert_eq!(drawn.packed.slots, picture.packed.slots);
            assert_eq!(drawn.merged, picture.merged);
            let prompts = drawn.figures.prompts().into_string();
            let boxes_and_points =
                ["box from ", "point "].map(|word| prompts.matches(word).count());
            assert_eq!(
                boxes_and_points.iter().sum::<usize>(),
                picture.prompts.len()
            );
            assert_eq!(prompts.matches("clicks").count(), picture.refinements.len());
            let figures = drawn.figures.html(&photo, &record).into_string();
            let crops = figures.matches("<small>Crop of region ").count();
            assert_eq!(crops, picture.regions.len());
            compared += 1;
        }
        assert!(compared > 2, "{compared}");
    }

    #[test]
    fn the_same_seed_gives_the_same_page() {
        let parent = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(parent.path());
        let first = page(&setting, 1);
        assert_eq!((first.shown, first.unsound, first.broken.len()), (8, 0, 0));
        for part in [
            "8 of 8 pictures. Drawn as for stage 1, with seed 1",
            "<h3>Conversations</h3>",
            "&lt;mask&gt;&lt;pos&gt; <span class=\"number\"",
            "[SEG] <span class=\"number\"",
            "Masks of conversation ",
            "<h3>Prompts for SAM</h3>",
        ] {
            assert!(first.html.contains(part), "{part} is not in the page");
        }
        assert!(!first.html.contains("{{"));
        assert_eq!(page(&setting, 1).html, first.html);
        let second = page(&setting, 2);
        assert!(!second.html.contains("Prompts for SAM"));
        setting.recipe.seed += 1;
        assert_ne!(page(&setting, 1).html, first.html);
    }

    #[test]
    fn marks_are_as_careless_as_the_recipe_says() {
        let parent = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(parent.path());
        for (chance, told, other) in [
            (0.0, "marked exactly", "marked carelessly"),
            (1.0, "marked carelessly", "marked exactly"),
        ] {
            setting.recipe.careless_chance = chance;
            let html = page(&setting, 1).html;
            assert!(html.contains(told) && !html.contains(other), "{chance}");
        }
    }

    #[test]
    fn what_does_not_fit_and_what_is_broken_is_told() {
        let parent = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(parent.path());
        assert!(!page(&setting, 1).html.contains("Longer than max_length"));
        let (folder, sampler) = (folder(&setting), setting.sampler());
        let drawn = (0..folder.len()).find_map(|place| {
            let record = folder.record(place).unwrap();
            let photo = read_picture(&folder.image_path(&record)).unwrap();
            let mut rng = sampler.rng(place as u64, 0);
            let drawn = Drawn::new(&sampler, 1, &record, &photo, &mut rng).ok()?;
            (drawn.packed.conversations().len() > 1).then_some(drawn)
        });
        setting.recipe.max_length = drawn.unwrap().packed.slots.len() - 1;
        assert!(page(&setting, 1).html.contains("Longer than max_length"));

        setting.recipe.max_length = 3;
        let images = setting.folder.join("scenes/images");
        let broken = std::fs::read_dir(images).unwrap().next().unwrap().unwrap();
        std::fs::write(broken.path(), "no picture").unwrap();
        let none = page(&setting, 1);
        assert_eq!((none.shown, none.unsound), (8, 1));
        assert!(
            none.html
                .contains("not one conversation fits max_length = 3")
        );
        assert!(none.html.contains("The picture cannot be shown"));
        assert_eq!(
            none.html.matches("Training takes another picture").count(),
            8
        );
    }
}
