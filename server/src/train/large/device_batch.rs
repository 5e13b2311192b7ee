use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use fclm_core::fclm::FclmConfig;
use fclm_core::loss::PointSampling;
use fclm_core::qwen::GridThw;
use fclm_core::region::{PreparedRegion, RegionBatch};

use super::mixture::mixed;
use super::recipe::LargeRecipe;
use super::sample::{HostMask, HostPicture};
use crate::train::batch::{DeviceMasks, DevicePrompts, MaskTarget, Sequence, indices};

/// Keeps the points of the mask loss apart from everything else that is drawn for a picture.
const POINTS_SEED: u64 = 0x0070_6F69_6E74_7300;

/// One picture with its conversations on a device.
#[derive(Debug, Clone)]
pub(super) struct LargeBatch {
    pub(super) grid: GridThw,
    /// Rows and columns of merged tokens.
    pub(super) merged: [usize; 2],
    pub(super) qwen_pixels: Tensor<3>,
    /// The picture first, then the crops of the described regions.
    pub(super) sam_pixels: Tensor<4>,
    pub(super) sequence: Sequence,
    /// The described regions, and for each of them the picture's number, which is 0.
    pub(super) regions: Option<(RegionBatch, Tensor<1, Int>)>,
    /// What `[SEG]` must draw, and the rows of the tokens that predict it.
    pub(super) grounds: Option<(DeviceMasks, Tensor<1, Int>)>,
    /// What `<pos>` must draw, the described regions first.
    pub(super) reconstructions: Option<DeviceMasks>,
    pub(super) prompts: DevicePrompts,
    /// Rows and columns that the picture takes of the decoder's map.
    pub(super) window: [usize; 2],
    /// Where masks are looked at, `[masks, draws, 2]`: those of `[SEG]`, then those that are drawn
    /// back; none where whole masks are compared.
    pub(super) draws: Option<Tensor<3>>,
}

impl LargeBatch {
    /// Moves a picture to the device.
    pub(super) fn new(
        picture: &HostPicture,
        recipe: &LargeRecipe,
        config: &FclmConfig,
        device: &Device,
    ) -> Self {
        let side = config.sam.image_size;
        let patches = picture.grid.h * picture.grid.w;
        let width = picture.qwen_pixels.len() / patches.max(1);
        let sequence = Sequence::new(
            &[&picture.packed],
            &[picture.regions.len()],
            picture.merged,
            device,
        );
        let regions: Vec<&PreparedRegion> = picture.regions.iter().collect();
        let regions = (!regions.is_empty()).then(|| {
            let zeros = indices(vec![0; regions.len()], device);
            (RegionBatch::new(&regions, side, device), zeros)
        });
        let whole: Tensor<4> = tensor(picture.sam_pixels.clone(), [1, 3, side, side], device);
        let sam_pixels = match &regions {
            Some((regions, _)) => Tensor::cat(vec![whole, regions.crop_pixels.clone()], 0),
            None => whole,
        };
        let grounds = masks(&picture.grounds, device)
            .map(|masks| (masks, indices(sequence.ground_rows.clone(), device)));
        let prompts = [(picture.prompts.as_slice(), picture.refinements.as_slice())];
        let draws = recipe
            .mask_points
            .as_ref()
            .filter(|_| picture.counts.drawn() > 0.0);
        let draws = draws.map(|sampling| draws_of(picture, sampling, recipe, config, device));
        Self {
            grid: picture.grid,
            merged: picture.merged,
            qwen_pixels: tensor(picture.qwen_pixels.clone(), [1, patches, width], device),
            sam_pixels,
            sequence,
            regions,
            grounds,
            reconstructions: masks(&picture.reconstructions, device),
            prompts: DevicePrompts::new(&prompts, device),
            window: picture.window,
            draws,
        }
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn masks(masks: &[HostMask], device: &Device) -> Option<DeviceMasks> {
    let targets: Vec<MaskTarget> = masks
        .iter()
        .map(|mask| MaskTarget {
            scene: 0,
            shape: mask.shape.clone(),
            coverage: mask
                .coverage
                .iter()
                .map(|&covered| f32::from(covered) / 255.0)
                .collect(),
        })
        .collect();
    let targets: Vec<&MaskTarget> = targets.iter().collect();
    (!targets.is_empty()).then(|| DeviceMasks::new(&targets, device))
}

/// Places over the part of the padded square that the picture takes; the same for the same picture of
/// a run.
fn draws_of(
    picture: &HostPicture,
    sampling: &PointSampling,
    recipe: &LargeRecipe,
    config: &FclmConfig,
    device: &Device,
) -> Tensor<3> {
    let masks = picture.counts.drawn() as usize;
    let mut rng = ChaCha8Rng::seed_from_u64(mixed(recipe.seed ^ POINTS_SEED));
    rng.set_stream(picture.index);
    let low = config.sam.low_res_size() as f32;
    let [rows, columns] = picture.window.map(|cells| cells as f32 / low);
    let places = masks * sampling.draws();
    let draws: Vec<f32> = (0..places)
        .flat_map(|_| [rng.random::<f32>() * columns, rng.random::<f32>() * rows])
        .collect();
    tensor(draws, [masks, sampling.draws(), 2], device)
}

#[cfg(test)]
mod tests {
    use super::super::tiny;
    use super::*;

    #[test]
    fn points_lie_in_the_picture_and_are_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let sampler = setting.sampler();
        let mut picture = sampler.picture(0, 0).unwrap();
        picture.window = [4, 8];
        let device = Device::flex();
        let sampling = setting.recipe.mask_points.unwrap();
        let draws = |picture: &HostPicture| -> Vec<f32> {
            let draws = draws_of(
                picture,
                &sampling,
                &setting.recipe,
                &setting.config,
                &device,
            );
            draws.into_data().iter::<f32>().collect()
        };
        let first = draws(&picture);
        let masks = picture.counts.drawn() as usize;
        assert_eq!(first.len(), 2 * masks * sampling.draws());
        assert_eq!(first, draws(&picture));
        // The map of the tiny decoder has 16 cells along a side.
        let (across, down): (Vec<f32>, Vec<f32>) = first
            .chunks_exact(2)
            .map(|place| (place[0], place[1]))
            .unzip();
        let largest = |places: &[f32]| places.iter().copied().fold(0.0, f32::max);
        assert!((0.45..0.5).contains(&largest(&across)));
        assert!((0.2..0.25).contains(&largest(&down)));
        picture.index += 1;
        assert_ne!(first, draws(&picture));
    }

    #[test]
    fn pictures_without_regions_or_masks_are_batches_too() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let sampler = setting.sampler();
        let mut picture = sampler.picture(0, 0).unwrap();
        let device = Device::flex();
        let batch = |picture: &HostPicture| {
            LargeBatch::new(picture, &setting.recipe, &setting.config, &device)
        };
        let full = batch(&picture);
        let [images, ..] = full.sam_pixels.dims();
        assert_eq!(images, 1 + picture.regions.len());
        picture.regions.clear();
        picture.reconstructions.clear();
        picture.grounds.clear();
        picture.counts.grounds = 0.0;
        picture.counts.redrawn = 0.0;
        let bare = batch(&picture);
        assert_eq!(bare.sam_pixels.dims()[0], 1);
        assert!(bare.regions.is_none() && bare.grounds.is_none());
        assert!(bare.reconstructions.is_none() && bare.draws.is_none());
    }
}
