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
}

impl Predictor {
    /// Where the mask decoder looks, at `width` by `height` pixels over the picture. `[SEG]` is what
    /// would be decoded right after the text, whether or not the model would say it there.
    ///
    /// # Errors
    /// Where the mask is empty or has another size than the picture, or the text is too long.
    pub fn looks(
        &self,
        picture: &mut Picture,
        text: &str,
        mask: &Mask,
        (width, height): (u32, u32),
    ) -> Result<Looks, PredictError> {
        let answer = self.begin(picture, Mode::Find, text, Vec::new())?;
        let seg = answer.hidden();
        picture.session = Some(self.backend.end(answer));
        let pos = self.positions(picture, &[mask])?;
        let LoadedModel { model, config, .. } = self.backend.loaded();
        let looks = model.looks(Tensor::cat(vec![seg, pos], 0), &picture.features);
        let looks = upscale_logits(
            looks,
            picture.features.sam_input,
            config.sam.image_size,
            [height as usize, width as usize],
        );
        let mut seg = looks
            .try_into_vec_as::<f32>()
            .map_err(|error| BackendError::Failed(error.to_string().into()))?;
        let pos = seg.split_off(seg.len() / 2);
        Ok(Looks { seg, pos })
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
        let looks = predictor
            .looks(&mut picture, "the red cube", &mask, (48, 32))
            .unwrap();
        assert_eq!((looks.seg.len(), looks.pos.len()), (48 * 32, 48 * 32));
        assert_ne!(looks.seg, looks.pos);
        for values in [&looks.seg, &looks.pos] {
            assert!(values.iter().all(|value| *value >= 0.0));
            assert!(values.iter().any(|value| *value > 0.0));
        }
        let empty = predictor.looks(&mut picture, "the cube", &Mask::new(96, 64), (48, 32));
        assert!(empty.unwrap_err().is_refusal());
        // The picture may still be asked about.
        assert!(predictor.find(&mut picture, "the red cube").is_ok());
    }
}
