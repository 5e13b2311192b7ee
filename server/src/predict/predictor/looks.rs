use burn::tensor::Tensor;
use fclm_core::{mask::Mask, sam::upscale_logits, wire::Mode};

use super::{Picture, Predictor};
use crate::{
    engine::{Backend, BackendError, LoadedModel},
    predict::PredictError,
};

/// Where the mask decoder looks for `[SEG]` of a text and for `<pos>` of a region: the attention of
/// each one's token, in rows from the top left, over a picture of any size.
#[derive(Debug, Clone, PartialEq)]
pub struct Looks {
    /// For `[SEG]`.
    pub seg: Vec<f32>,
    /// For `<pos>`.
    pub pos: Vec<f32>,
    /// For `<pos>` of each of the other regions.
    pub others: Vec<Vec<f32>>,
}

impl Predictor {
    /// Where the mask decoder looks, at `width` by `height` pixels over the picture, for a text, for the
    /// region that it means and for other regions. `[SEG]` is what would be decoded right after the
    /// text, whether or not the model would say it there.
    ///
    /// # Errors
    /// Where a mask is empty or has another size than the picture, or the text is too long.
    pub fn looks(
        &self,
        picture: &mut Picture,
        text: &str,
        mask: &Mask,
        others: &[&Mask],
        (width, height): (u32, u32),
    ) -> Result<Looks, PredictError> {
        let answer = self.begin(picture, Mode::Find, text, Vec::new())?;
        let seg = answer.hidden();
        picture.session = Some(self.backend.end(answer));
        let masks: Vec<&Mask> = [mask].into_iter().chain(others.iter().copied()).collect();
        let pos = self.positions(picture, &masks)?;
        let LoadedModel { model, config, .. } = self.backend.loaded();
        let looks = model.looks(Tensor::cat(vec![seg, pos], 0), &picture.features);
        let looks = upscale_logits(
            looks,
            picture.features.sam_input,
            config.sam.image_size,
            [height as usize, width as usize],
        );
        let values = looks
            .try_into_vec_as::<f32>()
            .map_err(|error| BackendError::Failed(error.to_string().into()))?;
        let mut maps = values
            .chunks_exact((width as usize * height as usize).max(1))
            .map(<[f32]>::to_vec);
        let (Some(seg), Some(pos)) = (maps.next(), maps.next()) else {
            let message = "the decoder looked for fewer tokens than it was given";
            return Err(BackendError::Failed(message.into()).into());
        };
        Ok(Looks {
            seg,
            pos,
            others: maps.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::model_dir::fixtures::{test_device, tiny_model};

    #[test]
    fn fixture_model_looks_somewhere_at_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let predictor = Predictor::open_on(&tiny_model(folder.path()), &test_device()).unwrap();
        let image = RgbImage::from_fn(96, 64, |x, y| image::Rgb([x as u8 * 2, y as u8 * 3, 90]));
        let mut picture = predictor.see(image).unwrap();
        let mask = Mask::rect(96, 64, [10.0, 8.0, 60.0, 50.0]);
        let corner = Mask::rect(96, 64, [70.0, 40.0, 90.0, 60.0]);
        let looks = predictor
            .looks(
                &mut picture,
                "the red cube",
                &mask,
                &[&corner, &mask],
                (48, 32),
            )
            .unwrap();
        assert_eq!((looks.seg.len(), looks.pos.len()), (48 * 32, 48 * 32));
        assert_ne!(looks.seg, looks.pos);
        let [other, same] = looks.others.as_slice() else {
            panic!("{} others", looks.others.len());
        };
        assert_ne!(other, &looks.pos);
        let is_near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(same.iter().zip(&looks.pos).all(is_near));
        for values in [&looks.seg, &looks.pos] {
            assert!(values.iter().all(|value| *value >= 0.0));
            assert!(values.iter().any(|value| *value > 0.0));
        }
        let empty = predictor.looks(&mut picture, "the cube", &Mask::new(96, 64), &[], (48, 32));
        assert!(empty.unwrap_err().is_refusal());
        // The picture may still be asked about.
        assert!(predictor.find(&mut picture, "the red cube").is_ok());
    }
}
