use std::sync::Arc;

use fclm_core::{mask::Mask, region::RegionTokens, wire::Mode};

use super::{Found, Picture, Predictor};
use crate::{
    engine::{Backend, Prompt, PromptRegion},
    predict::PredictError,
};

/// A question with the regions that it is about.
type Asked<'a> = (&'a str, Vec<PromptRegion<Arc<RegionTokens>>>);

impl Predictor {
    /// As [`Predictor::describe`] for several regions and questions, which are answered together:
    /// each as it would be answered alone, up to the rounding of what the model computes.
    ///
    /// # Errors
    /// Where any of them is refused, or the device fails.
    pub(crate) fn describe_all(
        &self,
        picture: &mut Picture,
        asked: &[(&Mask, &str)],
    ) -> Result<Vec<String>, PredictError> {
        if let &[(mask, question)] = asked {
            return Ok(vec![self.describe(picture, mask, question)?]);
        }
        let mut questions = Vec::with_capacity(asked.len());
        for &(mask, question) in asked {
            let tokens = self
                .backend
                .encode_region(&picture.features, &picture.image, mask)?;
            questions.push((question, vec![picture.asked_about(tokens)]));
        }
        self.ask_all(picture, Mode::Ask, questions, &mut |_, _| {})?
            .into_iter()
            .map(|answer| Ok(answer?.text.trim().to_owned()))
            .collect()
    }

    /// As [`Predictor::find_measured`] for several texts, which are searched for together: each as
    /// it would be alone, up to the rounding of what the model computes, or refused by itself.
    /// `hear` gets the place of the text, too.
    ///
    /// # Errors
    /// Where the device fails.
    pub(crate) fn find_all_measured(
        &self,
        picture: &mut Picture,
        texts: &[&str],
        hear: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<Vec<Result<Found, PredictError>>, PredictError> {
        if let &[text] = texts {
            let mut hear = |logits: &[f32]| hear(0, logits);
            return Ok(vec![self.find_measured(picture, text, &mut hear)]);
        }
        let asked = texts.iter().map(|&text| (text, Vec::new()));
        self.ask_all(picture, Mode::Find, asked.collect(), hear)
    }

    fn ask_all(
        &self,
        picture: &mut Picture,
        mode: Mode,
        asked: Vec<Asked<'_>>,
        hear: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<Vec<Result<Found, PredictError>>, PredictError> {
        let session = picture.session.take();
        let prompts: Vec<_> = asked
            .into_iter()
            .map(|(text, regions)| Prompt {
                image_key: picture.key,
                features: &picture.features,
                mode,
                text,
                regions,
            })
            .collect();
        let written = self.backend.write_together(&prompts, session, hear)?;
        picture.session = written.session;
        let answers = written.answers.into_iter();
        Ok(answers.map(|answer| Ok(Found::of(answer?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::model_dir::fixtures::tiny_model;

    fn picture(predictor: &Predictor) -> Picture {
        let image = RgbImage::from_fn(96, 64, |x, y| image::Rgb([x as u8 * 2, y as u8 * 3, 90]));
        predictor.see(image).unwrap()
    }

    /// Two masks as one, or as near to it as rounding brings a pixel at an edge.
    fn assert_alike(together: &Found, alone: &Found, size: u64) {
        assert_eq!(together.text, alone.text);
        assert_eq!(together.regions.len(), alone.regions.len());
        for (a, b) in together.regions.iter().zip(&alone.regions) {
            assert_eq!((&a.phrase, a.start, a.end), (&b.phrase, b.start, b.end));
            assert!((a.score - b.score).abs() < 1e-3, "{} {}", a.score, b.score);
            let [a, b] = [&a.mask, &b.mask].map(|mask| Mask::from_wire(mask, size).unwrap());
            let differing = a.data().iter().zip(b.data()).filter(|(a, b)| a != b);
            assert!(differing.count() as u64 <= size / 500);
        }
    }

    #[test]
    fn fixture_model_finds_several_texts_as_each_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
        let too_long = "漢".repeat(
            predictor
                .backend
                .loaded()
                .config
                .qwen
                .text
                .max_position_embeddings,
        );
        let texts = [
            "the red cube",
            "the large green metal cylinder to the left of the small sphere",
            "[SEG]",
            "a cone",
            &too_long,
        ];
        let mut picture = picture(&predictor);
        let mut heard = [0; 5];
        let mut hear = |place: usize, logits: &[f32]| {
            assert_eq!(logits.len(), 96 * 64);
            heard[place] += 1;
        };
        let together = predictor
            .find_all_measured(&mut picture, &texts, &mut hear)
            .unwrap();
        assert_eq!(together.len(), texts.len());
        for (place, (together, text)) in together.iter().zip(texts).enumerate() {
            let alone = predictor.find_measured(&mut picture, text, &mut |_| {});
            match (together, alone) {
                (Ok(together), Ok(alone)) => {
                    assert_alike(together, &alone, 96 * 64);
                    assert_eq!(heard[place], together.regions.len());
                }
                (Err(together), Err(alone)) => {
                    assert!(together.is_refusal());
                    assert_eq!(together.to_string(), alone.to_string());
                }
                (together, alone) => panic!("{text}: {together:?}, {alone:?}"),
            }
        }
        assert!(together[2].is_err() && together[4].is_err());
        let none = predictor.find_all_measured(&mut picture, &[], &mut |_, _| {});
        assert!(none.unwrap().is_empty());
    }

    #[test]
    fn fixture_model_describes_several_regions_as_each_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
        let masks = [[10.0, 8.0, 60.0, 50.0], [70.0, 40.0, 90.0, 60.0]]
            .map(|corners| Mask::rect(96, 64, corners));
        let asked = [
            (&masks[0], "What is this?"),
            (
                &masks[1],
                "Is there anything in it that is smaller than a cup?",
            ),
            (&masks[1], ""),
        ];
        let mut picture = picture(&predictor);
        let together = predictor.describe_all(&mut picture, &asked).unwrap();
        for (together, (mask, question)) in together.iter().zip(asked) {
            let alone = predictor.describe(&mut picture, mask, question).unwrap();
            assert_eq!(together, &alone);
        }
        let empty = Mask::new(96, 64);
        let refused = predictor.describe_all(&mut picture, &[asked[0], (&empty, "What is this?")]);
        assert!(refused.unwrap_err().is_refusal());
    }
}
