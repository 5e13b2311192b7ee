use burn::tensor::{Device, Int, Tensor, TensorData};

use fclm_core::attention::Branches;
use fclm_core::fclm::FclmConfig;
use fclm_core::qwen::GridThw;
use fclm_core::region::{PreparedRegion, RegionBatch};

use super::attributes::{BatchLabels, DeviceLabels, Labelled};
use super::grounding::{DeviceGrounding, GroundingTarget};
use super::layout::{Packed, Slot, Target};
use super::marks::CLICKS;
use super::rows::RowPlan;

/// A mask to be drawn: which scene of the batch, what shape, and what it should look like at the
/// decoder's resolution.
#[derive(Debug, Clone)]
pub(super) struct MaskTarget {
    pub(super) scene: usize,
    /// Input of the position branch.
    pub(super) shape: Vec<f32>,
    /// Coverage in `[0, 1]` of each low-resolution pixel, `side * side`.
    pub(super) coverage: Vec<f32>,
}

/// One prompt of SAM's own task.
#[derive(Debug, Clone)]
pub(super) struct PromptTarget {
    pub(super) scene: usize,
    /// A box or one point, in SAM input pixels.
    pub(super) prompt: Prompt,
    pub(super) coverage: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Prompt {
    Box([f32; 4]),
    Point([f32; 2]),
}

/// Clicks that go on from a prompt of the same scene.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refinement {
    /// Index of that prompt among the scene's.
    pub(super) first: usize,
    /// Places in SAM input pixels with SAM's labels.
    pub(super) clicks: [([f32; 2], i32); CLICKS],
    /// Whether the mask that the prompt gave is part of the new prompt.
    pub(super) is_from_mask: bool,
}

/// A scene ready for the device.
#[derive(Debug, Clone)]
pub(super) struct HostScene {
    pub(super) qwen_pixels: Vec<f32>,
    pub(super) sam_pixels: Vec<f32>,
    pub(super) packed: Packed,
    pub(super) regions: Vec<PreparedRegion>,
    /// Targets of the described regions, in their order.
    pub(super) described: Vec<MaskTarget>,
    /// Further `<pos>` targets.
    pub(super) extra: Vec<MaskTarget>,
    /// What each `[SEG]` of the packed turns must draw, and where that is.
    pub(super) grounds: Vec<(MaskTarget, GroundingTarget)>,
    /// What is to be known where the packed turns lead up to it.
    pub(super) leads: Vec<GroundingTarget>,
    pub(super) prompts: Vec<PromptTarget>,
    pub(super) refinements: Vec<Refinement>,
    pub(super) labels: HostLabels,
}

/// What is to be labelled in a scene.
#[derive(Debug, Clone)]
pub(super) struct HostLabels {
    /// Cells of SAM's map of the picture.
    pub(super) sam: Vec<Labelled>,
    /// Merged tokens of the vision tower.
    pub(super) vision: Vec<Labelled>,
    /// Cells of SAM's maps of the crops, for each region.
    pub(super) crops: Vec<Vec<Labelled>>,
    /// The described regions; their cell is their number.
    pub(super) regions: Vec<Labelled>,
}

/// Masks with their scenes on the device.
#[derive(Debug, Clone)]
pub(super) struct DeviceMasks {
    /// `[masks]`
    pub(super) scene: Tensor<1, Int>,
    /// `[masks, shape_len]`
    pub(super) shape: Tensor<2>,
    /// `[masks, side, side]`
    pub(super) coverage: Tensor<3>,
}

/// A worker's share of one step, on its device.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) grid: GridThw,
    pub(super) merged: [usize; 2],
    pub(super) qwen_pixels: Tensor<3>,
    /// Scenes first, then the crops of the described regions.
    pub(super) sam_pixels: Tensor<4>,
    pub(super) ids: Tensor<2, Int>,
    /// Row of the table [embedded ids; picture tokens; masks; poses] for each place.
    pub(super) rows: Tensor<1, Int>,
    pub(super) positions: Tensor<3, Int>,
    pub(super) branches: Branches,
    pub(super) target_rows: Tensor<1, Int>,
    pub(super) target_ids: Tensor<1, Int>,
    /// What each target counts in the mean; they sum up to one.
    pub(super) target_weights: Tensor<1>,
    /// The share of each target in the accuracy of categories; none where none is a category.
    pub(super) category_shares: Option<Tensor<1>>,
    pub(super) regions: RegionBatch,
    pub(super) region_scene: Tensor<1, Int>,
    /// Described regions, then the extra ones: what `<pos>` must draw.
    pub(super) reconstructions: DeviceMasks,
    /// What `[SEG]` must draw, and where that is; none where no turn asks for a mask.
    pub(super) grounds: Option<(DeviceMasks, DeviceGrounding)>,
    pub(super) prompts: DevicePrompts,
    pub(super) labels: BatchLabels,
}

/// Prompts of SAM's own task on the device.
#[derive(Debug, Clone)]
pub(super) struct DevicePrompts {
    /// `[boxes, 4]`, and what each must give; none where there is no box.
    pub(super) boxes: Option<(Tensor<2>, DeviceMasks)>,
    /// `[points, 1, 2]` with their labels, `[points, 1]`, likewise.
    pub(super) points: Option<(Tensor<3>, Tensor<2, Int>, DeviceMasks)>,
    pub(super) refinements: Option<DeviceRefinements>,
}

/// Refining prompts on the device.
#[derive(Debug, Clone)]
pub(super) struct DeviceRefinements {
    /// Which prompt each goes on from: the boxes in their order, then the points.
    pub(super) first: Tensor<1, Int>,
    /// `[refinements, clicks, 2]`
    pub(super) clicks: Tensor<3>,
    /// `[refinements, clicks]`
    pub(super) labels: Tensor<2, Int>,
    /// `[refinements, 1, 1, 1]`, 1 where the first prompt's mask is part of the prompt.
    pub(super) is_from_mask: Tensor<4>,
}

impl Batch {
    /// Moves scenes to the device.
    ///
    /// # Panics
    /// Panics where there is no scene, or a scene describes no region.
    pub(super) fn new(
        scenes: &[HostScene],
        grid: GridThw,
        config: &FclmConfig,
        device: &Device,
    ) -> Self {
        let count = scenes.len();
        let merge = config.qwen.vision.spatial_merge_size;
        let merged = [grid.h / merge, grid.w / merge];
        let side = config.sam.image_size;
        let patches = grid.h * grid.w;
        let patch_len = scenes[0].qwen_pixels.len() / patches;
        let qwen_pixels: Vec<f32> = scenes
            .iter()
            .flat_map(|s| s.qwen_pixels.iter().copied())
            .collect();

        let regions: Vec<&PreparedRegion> = scenes.iter().flat_map(|s| &s.regions).collect();
        let mut sam_pixels: Vec<f32> = scenes
            .iter()
            .flat_map(|s| s.sam_pixels.iter().copied())
            .collect();
        regions
            .iter()
            .for_each(|region| sam_pixels.extend_from_slice(&region.crop_pixels));
        let sam_count = count + regions.len();

        let packed: Vec<&Packed> = scenes.iter().map(|scene| &scene.packed).collect();
        let region_counts: Vec<usize> = scenes.iter().map(|scene| scene.regions.len()).collect();
        let sequence = Sequence::new(&packed, &region_counts, merged, device);
        let region_scene = scenes
            .iter()
            .enumerate()
            .flat_map(|(i, s)| s.regions.iter().map(move |_| i as i32));
        let region_scene: Vec<i32> = region_scene.collect();
        let reconstructions: Vec<&MaskTarget> = scenes
            .iter()
            .flat_map(|s| &s.described)
            .chain(scenes.iter().flat_map(|s| &s.extra))
            .collect();
        let masks: Vec<&MaskTarget> = scenes
            .iter()
            .flat_map(|scene| scene.grounds.iter().map(|(mask, _)| mask))
            .collect();
        let hosts = || scenes.iter().enumerate();
        let segs = hosts().flat_map(|(scene, host)| {
            let targets = host.grounds.iter().map(|(_, target)| target);
            targets.map(move |target| (scene, target))
        });
        let leads =
            hosts().flat_map(|(scene, host)| host.leads.iter().map(move |target| (scene, target)));
        let segs = placed(sequence.ground_rows, segs);
        let leads = placed(sequence.lead_rows, leads);
        let grounding = DeviceGrounding::new(&segs, &leads, sequence.image_rows, merged, device);
        let grounds = grounding.map(|grounding| (DeviceMasks::new(&masks, device), grounding));

        Self {
            grid,
            merged,
            qwen_pixels: Tensor::from_data(
                TensorData::new(qwen_pixels, [count, patches, patch_len]),
                device,
            ),
            sam_pixels: Tensor::from_data(
                TensorData::new(sam_pixels, [sam_count, 3, side, side]),
                device,
            ),
            ids: sequence.ids,
            rows: sequence.rows,
            positions: sequence.positions,
            branches: sequence.branches,
            target_rows: sequence.target_rows,
            target_ids: sequence.target_ids,
            target_weights: sequence.target_weights,
            category_shares: sequence.category_shares,
            regions: RegionBatch::new(&regions, side, device),
            region_scene: indices(region_scene, device),
            reconstructions: DeviceMasks::new(&reconstructions, device),
            grounds,
            prompts: DevicePrompts::new(
                &scenes
                    .iter()
                    .map(|scene| (scene.prompts.as_slice(), scene.refinements.as_slice()))
                    .collect::<Vec<_>>(),
                device,
            ),
            labels: labels(scenes, config.sam.grid().pow(2), merged, device),
        }
    }
}

/// Targets with the rows of the sequence that they belong to, and their scenes.
fn placed<'a>(
    rows: Vec<i32>,
    targets: impl Iterator<Item = (usize, &'a GroundingTarget)>,
) -> Vec<(i32, usize, &'a GroundingTarget)> {
    rows.into_iter()
        .zip(targets)
        .map(|(row, (scene, target))| (row, scene, target))
        .collect()
}

impl DeviceMasks {
    pub(super) fn new(masks: &[&MaskTarget], device: &Device) -> Self {
        let count = masks.len();
        let shape_len = masks.first().map_or(0, |mask| mask.shape.len());
        let shape: Vec<f32> = masks
            .iter()
            .flat_map(|mask| mask.shape.iter().copied())
            .collect();
        Self {
            scene: indices(masks.iter().map(|mask| mask.scene as i32).collect(), device),
            shape: Tensor::from_data(TensorData::new(shape, [count, shape_len]), device),
            coverage: coverage(masks.iter().map(|mask| mask.coverage.as_slice()), device),
        }
    }
}

/// Conversations on the device.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) ids: Tensor<2, Int>,
    /// Row of the table [embedded ids; picture tokens; masks; poses] for each place.
    pub(super) rows: Tensor<1, Int>,
    pub(super) positions: Tensor<3, Int>,
    pub(super) branches: Branches,
    pub(super) target_rows: Tensor<1, Int>,
    pub(super) target_ids: Tensor<1, Int>,
    /// What each target counts in the mean; they sum up to one.
    pub(super) target_weights: Tensor<1>,
    /// The share of each target in the accuracy of categories; none where none is a category.
    pub(super) category_shares: Option<Tensor<1>>,
    /// Rows of `[SEG]`.
    pub(super) ground_rows: Vec<i32>,
    /// Rows that lead up to it.
    pub(super) lead_rows: Vec<i32>,
    /// Rows of the pictures' tokens.
    pub(super) image_rows: Vec<i32>,
}

impl Sequence {
    /// Lays the conversations of some scenes, which describe so many regions each, out in rows of
    /// one width. Padding sees only itself.
    pub(super) fn new(
        scenes: &[&Packed],
        regions: &[usize],
        merged: [usize; 2],
        device: &Device,
    ) -> Self {
        let count = scenes.len();
        let plan = RowPlan::new(scenes);
        let length = plan.length();
        let cells = merged[0] * merged[1];
        let region_count: usize = regions.iter().sum();
        let image_base = count * length;
        let mask_base = image_base + count * cells;
        let pos_base = mask_base + region_count;

        let mut ids = vec![0_i32; count * length];
        let mut rows: Vec<i32> = (0..(count * length) as i32).collect();
        let mut positions = vec![0_i32; 3 * count * length];
        let mut target_rows = Vec::new();
        let mut target_ids = Vec::new();
        let mut target_weights = Vec::new();
        let mut category_shares = Vec::new();
        let mut ground_rows = Vec::new();
        let mut lead_rows = Vec::new();
        let mut image_rows = Vec::new();
        let mut first_region = 0;
        for (scene, packed) in scenes.iter().enumerate() {
            let base = scene * length;
            let places = &plan.places[scene];
            for (slot, &place) in packed.slots.iter().zip(places) {
                match *slot {
                    Slot::Token(id) => ids[base + place] = id as i32,
                    Slot::Image(cell) => {
                        rows[base + place] = (image_base + scene * cells + cell) as i32;
                        image_rows.push((base + place) as i32);
                    }
                    Slot::Mask(region) => {
                        rows[base + place] = (mask_base + first_region + region) as i32;
                    }
                    Slot::Pos(region) => {
                        rows[base + place] = (pos_base + first_region + region) as i32;
                    }
                }
            }
            for (position, &place) in packed.positions.iter().zip(places) {
                for axis in 0..3 {
                    positions[axis * count * length + base + place] = position[axis];
                }
            }
            for target in &packed.targets {
                let &Target {
                    slot,
                    id,
                    weight,
                    is_category,
                } = target;
                target_rows.push((base + places[slot]) as i32);
                target_ids.push(id as i32);
                target_weights.push(weight);
                category_shares.push(f32::from(u8::from(is_category)));
            }
            let row_of = |&(slot, _): &(usize, Vec<usize>)| (base + places[slot]) as i32;
            ground_rows.extend(packed.grounds.iter().map(row_of));
            lead_rows.extend(packed.leads.iter().map(row_of));
            first_region += regions[scene];
        }
        let sum: f32 = target_weights.iter().sum();
        target_weights.iter_mut().for_each(|weight| *weight /= sum);
        let targets = target_weights.len();
        let categories: f32 = category_shares.iter().sum();
        let category_shares = (categories > 0.0).then(|| {
            let shares: Tensor<1> =
                Tensor::from_data(TensorData::new(category_shares, [targets]), device);
            shares.div_scalar(categories)
        });
        Self {
            ids: Tensor::from_data(TensorData::new(ids, [count, length]), device),
            rows: indices(rows, device),
            positions: Tensor::from_data(TensorData::new(positions, [3, count, length]), device),
            branches: branches(scenes, &plan, device),
            target_rows: indices(target_rows, device),
            target_ids: indices(target_ids, device),
            target_weights: Tensor::from_data(TensorData::new(target_weights, [targets]), device),
            category_shares,
            ground_rows,
            lead_rows,
            image_rows,
        }
    }
}

/// What each row must not see: later places, and other conversations of the same row.
fn branches(scenes: &[&Packed], plan: &RowPlan, device: &Device) -> Branches {
    let (prefix, width) = (plan.prefix, plan.width);
    let keys = prefix + width;
    let mut hidden = vec![true; scenes.len() * plan.rows * width * keys];
    let row_of = |scene: usize, place: usize| {
        let behind = place - prefix;
        let start = ((scene * plan.rows + behind / width) * width + behind % width) * keys;
        (start, behind % width)
    };
    for (scene, (packed, places)) in scenes.iter().zip(&plan.places).enumerate() {
        for place in prefix..plan.length() {
            let (start, column) = row_of(scene, place);
            hidden[start + prefix + column] = false;
        }
        for conversation in packed.conversations() {
            let (_, first) = row_of(scene, places[conversation.start]);
            for slot in conversation {
                let (start, column) = row_of(scene, places[slot]);
                hidden[start..start + prefix].fill(false);
                hidden[start + prefix + first..=start + prefix + column].fill(false);
            }
        }
    }
    let shape = [scenes.len(), plan.rows, width, keys];
    Branches {
        prefix,
        hidden: Tensor::from_data(TensorData::new(hidden, shape), device),
    }
}

/// The rows that are to be labelled, counted over the whole batch.
fn labels(
    scenes: &[HostScene],
    sam_cells: usize,
    merged: [usize; 2],
    device: &Device,
) -> BatchLabels {
    let in_map = |map: usize, cells: usize| {
        move |&labelled: &Labelled| Labelled {
            cell: map * cells + labelled.cell,
            ..labelled
        }
    };
    let all = |part: fn(&HostScene) -> &[Labelled], cells: usize| {
        let scenes = scenes.iter().enumerate();
        scenes.flat_map(move |(scene, host)| part(host).iter().map(in_map(scene, cells)))
    };
    let crops = scenes.iter().flat_map(|scene| &scene.labels.crops);
    let crops = crops
        .enumerate()
        .flat_map(|(crop, labelled)| labelled.iter().map(in_map(scenes.len() + crop, sam_cells)));
    let mut first = 0;
    let regions = scenes.iter().flat_map(|scene| {
        let labelled = scene.labels.regions.iter().map(in_map(first, 1));
        first += scene.regions.len();
        labelled
    });
    BatchLabels {
        sam: DeviceLabels::new(all(|host| &host.labels.sam, sam_cells).chain(crops), device),
        vision: DeviceLabels::new(
            all(|host| &host.labels.vision, merged[0] * merged[1]),
            device,
        ),
        regions: DeviceLabels::new(regions, device),
    }
}

/// The prompts of one scene, and the clicks that go on from some of them.
type ScenePrompts<'a> = (&'a [PromptTarget], &'a [Refinement]);

impl DevicePrompts {
    /// Moves the prompts of some scenes to the device.
    pub(super) fn new(scenes: &[ScenePrompts<'_>], device: &Device) -> Self {
        Self {
            boxes: boxes(scenes, device),
            points: points(scenes, device),
            refinements: refinements(scenes, device),
        }
    }
}

fn boxes(scenes: &[ScenePrompts<'_>], device: &Device) -> Option<(Tensor<2>, DeviceMasks)> {
    let mut corners = Vec::new();
    let mut targets = Vec::new();
    for target in scenes.iter().flat_map(|(prompts, _)| *prompts) {
        if let Prompt::Box(box_px) = target.prompt {
            corners.extend(box_px);
            targets.push(target);
        }
    }
    let count = targets.len();
    (count > 0).then(|| {
        (
            Tensor::from_data(TensorData::new(corners, [count, 4]), device),
            prompt_masks(&targets, device),
        )
    })
}

fn points(
    scenes: &[ScenePrompts<'_>],
    device: &Device,
) -> Option<(Tensor<3>, Tensor<2, Int>, DeviceMasks)> {
    let mut coordinates = Vec::new();
    let mut targets = Vec::new();
    for target in scenes.iter().flat_map(|(prompts, _)| *prompts) {
        if let Prompt::Point(point) = target.prompt {
            coordinates.extend(point);
            targets.push(target);
        }
    }
    let count = targets.len();
    (count > 0).then(|| {
        (
            Tensor::from_data(TensorData::new(coordinates, [count, 1, 2]), device),
            Tensor::from_data(TensorData::new(vec![1_i32; count], [count, 1]), device),
            prompt_masks(&targets, device),
        )
    })
}

fn refinements(scenes: &[ScenePrompts<'_>], device: &Device) -> Option<DeviceRefinements> {
    let is_box = |prompt: &PromptTarget| matches!(prompt.prompt, Prompt::Box(_));
    let all = || scenes.iter().flat_map(|(prompts, _)| *prompts);
    let boxes = all().filter(|&prompt| is_box(prompt)).count();
    let mut first = Vec::new();
    let mut places = Vec::new();
    let mut labels = Vec::new();
    let mut from_mask = Vec::new();
    let (mut box_base, mut point_base) = (0, boxes);
    for &(prompts, own_refinements) in scenes {
        for refinement in own_refinements {
            let prompt = &prompts[refinement.first];
            let before = prompts[..refinement.first].iter();
            let of_kind = before
                .filter(|&other| is_box(other) == is_box(prompt))
                .count();
            let base = if is_box(prompt) { box_base } else { point_base };
            first.push((base + of_kind) as i32);
            for (place, label) in refinement.clicks {
                places.extend(place);
                labels.push(label);
            }
            from_mask.push(f32::from(u8::from(refinement.is_from_mask)));
        }
        let own = prompts.iter().filter(|&prompt| is_box(prompt)).count();
        box_base += own;
        point_base += prompts.len() - own;
    }
    let count = first.len();
    (count > 0).then(|| DeviceRefinements {
        first: indices(first, device),
        clicks: Tensor::from_data(TensorData::new(places, [count, CLICKS, 2]), device),
        labels: Tensor::from_data(TensorData::new(labels, [count, CLICKS]), device),
        is_from_mask: Tensor::from_data(TensorData::new(from_mask, [count, 1, 1, 1]), device),
    })
}

fn prompt_masks(targets: &[&PromptTarget], device: &Device) -> DeviceMasks {
    let count = targets.len();
    DeviceMasks {
        scene: indices(
            targets.iter().map(|target| target.scene as i32).collect(),
            device,
        ),
        shape: Tensor::zeros([count, 1], device),
        coverage: coverage(
            targets.iter().map(|target| target.coverage.as_slice()),
            device,
        ),
    }
}

fn coverage<'a>(masks: impl Iterator<Item = &'a [f32]>, device: &Device) -> Tensor<3> {
    let mut values = Vec::new();
    let mut count = 0;
    for mask in masks {
        values.extend_from_slice(mask);
        count += 1;
    }
    let side = (values.len() / count.max(1)).isqrt();
    Tensor::from_data(TensorData::new(values, [count, side, side]), device)
}

pub(super) fn indices(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}
