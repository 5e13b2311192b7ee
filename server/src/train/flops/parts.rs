//! The products of each part of the model, in its forward pass.

use fclm_core::qwen::{GridThw, TextConfig, VisionConfig};
use fclm_core::region::RegionConfig;
use fclm_core::sam::{DecoderConfig, SamConfig, VitConfig};

use super::{Product, StageSize};

/// The products of one part, as they are listed.
struct Listed {
    part: &'static str,
    products: Vec<Product>,
}

impl Listed {
    fn of(part: &'static str) -> Self {
        Self {
            part,
            products: Vec::new(),
        }
    }

    fn product(&self, name: &'static str, batch: usize, [m, k, n]: [usize; 3]) -> Product {
        Product {
            part: self.part,
            name,
            times: 1,
            batch,
            m,
            k,
            n,
            has_data: false,
        }
    }

    fn list(&mut self, product: Product) {
        if product.trained_flops() > 0 {
            self.products.push(product);
        }
    }

    fn push(&mut self, name: &'static str, times: usize, batch: usize, shape: [usize; 3]) {
        let product = self.product(name, batch, shape);
        self.list(Product { times, ..product });
    }

    /// A product one of whose factors is data.
    fn push_data(&mut self, name: &'static str, batch: usize, shape: [usize; 3]) {
        let product = self.product(name, batch, shape);
        self.list(Product {
            has_data: true,
            ..product
        });
    }

    /// Rows through a linear map.
    fn map(&mut self, name: &'static str, times: usize, rows: usize, [from, to]: [usize; 2]) {
        self.push(name, times, 1, [rows, from, to]);
    }

    /// Scores of queries and keys, and the values that they mix.
    fn attend(
        &mut self,
        times: usize,
        batch: usize,
        [queries, keys]: [usize; 2],
        [key_dim, value_dim]: [usize; 2],
    ) {
        self.push("scores", times, batch, [queries, key_dim, keys]);
        self.push("mixed values", times, batch, [queries, keys, value_dim]);
    }
}

pub(super) fn vision(config: &VisionConfig, pictures: usize, grid: GridThw) -> Vec<Product> {
    let mut listed = Listed::of("vision tower");
    let (width, inner, depth) = (config.hidden_size, config.intermediate_size, config.depth);
    let (heads, head) = (config.num_heads, config.head_dim());
    let frames = pictures * grid.t;
    let frame = grid.h * grid.w;
    let rows = frames * frame;
    listed.push_data("patches", 1, [rows, config.patch_dim(), width]);
    listed.map("queries, keys, values", 3 * depth, rows, [width, width]);
    let is_whole = |block: &usize| config.fullatt_block_indexes.contains(block);
    let whole = (0..depth).filter(is_whole).count();
    listed.attend(whole, frames * heads, [frame; 2], [head; 2]);
    for [count, patches] in windows(config, grid) {
        let batch = frames * count * heads;
        listed.attend(depth - whole, batch, [patches; 2], [head; 2]);
    }
    listed.map("output of attention", depth, rows, [width, width]);
    listed.map("MLP, gate and up", 2 * depth, rows, [width, inner]);
    listed.map("MLP, down", depth, rows, [inner, width]);
    let square = config.spatial_merge_size.pow(2);
    let (tokens, merged) = (rows / square, width * square);
    listed.map("merger", 1, tokens, [merged, merged]);
    listed.map(
        "merger, output",
        1,
        tokens,
        [merged, config.out_hidden_size],
    );
    listed.products
}

/// How many windows of how many patches a frame is cut into.
fn windows(config: &VisionConfig, grid: GridThw) -> Vec<[usize; 2]> {
    let merge = config.spatial_merge_size;
    let side = (config.window_size / config.token_side()).max(1);
    let along = |patches: usize| {
        let tokens = patches / merge;
        [[tokens / side, side], [1, tokens % side]]
    };
    let columns = along(grid.w);
    along(grid.h)
        .into_iter()
        .flat_map(|[down, rows]| {
            columns.map(|[across, columns]| [down * across, rows * columns * merge * merge])
        })
        .filter(|&[count, patches]| count * patches > 0)
        .collect()
}

pub(super) fn vit(config: &VitConfig, sam: &SamConfig, pictures: usize) -> Vec<Product> {
    let mut listed = Listed::of("SAM's encoder");
    let (width, depth, heads) = (config.embed_dim, config.depth, config.num_heads);
    let head = width / heads;
    let grid = sam.grid();
    let cells = pictures * grid * grid;
    let patch = 3 * sam.patch_size.pow(2);
    listed.push_data("patches", 1, [cells, patch, width]);
    let is_global = |block: &usize| config.global_attn_indexes.contains(block);
    let global = (0..depth).filter(is_global).count();
    for (blocks, side) in [(global, grid), (depth - global, config.window_size.max(1))] {
        let windows = pictures * grid.div_ceil(side).pow(2);
        let window = side * side;
        let padded = windows * window;
        listed.map("queries, keys, values", 3 * blocks, padded, [width, width]);
        // Values for the key's row and column are appended to each query.
        let mut key_dim = head;
        if config.use_rel_pos {
            key_dim += 2 * side;
            let lines = windows * heads * side;
            listed.push("relative positions", 2 * blocks, lines, [side, head, side]);
        }
        listed.attend(blocks, windows * heads, [window; 2], [key_dim, head]);
    }
    listed.map("output of attention", depth, cells, [width, width]);
    let inner = config.mlp_ratio * width;
    listed.map("MLP, up", depth, cells, [width, inner]);
    listed.map("MLP, down", depth, cells, [inner, width]);
    let channels = config.out_chans;
    listed.map("neck, 1x1", 1, cells, [width, channels]);
    listed.map("neck, 3x3", 1, cells, [9 * channels, channels]);
    listed.products
}

pub(super) fn extractor(
    config: &RegionConfig,
    stage: &StageSize,
    cells: usize,
    tokens: usize,
) -> Vec<Product> {
    let mut listed = Listed::of("region extractor");
    let (width, hidden) = (config.width, config.hidden_size);
    let (regions, head) = (stage.regions, config.width / config.num_heads);
    let (pooled, dim) = match config.steps.local {
        true => (cells, config.sam_dim),
        false => (tokens, config.vision_dim),
    };
    listed.push_data("pooling", regions, [1, pooled, dim]);
    listed.map("pooled features", 1, regions, [dim, width]);
    if config.steps.pixel {
        listed.map("query and output", 2, regions, [width, width]);
        let rows = regions * cells;
        listed.map("keys and values", 2, rows, [config.sam_dim, width]);
        let batch = regions * config.num_heads;
        listed.attend(1, batch, [1, cells], [head, head]);
    }
    if config.steps.semantic {
        let rows = regions * tokens;
        listed.map("values", 1, rows, [config.vision_dim, width]);
        // Two coordinates and a weight.
        let numbers = 3 * config.num_heads * config.num_points;
        listed.map("places and weights", 1, regions, [width, numbers]);
        listed.map("sampled values", 1, regions, [width, width]);
    }
    listed.map("MLP", 1, regions, [width, hidden]);
    listed.map("MLP, output", 1, regions, [hidden, hidden]);
    let [first, second] = config.position_hidden;
    let shape = [stage.positions, config.shape_len(), first];
    listed.push_data("shapes", 1, shape);
    listed.map("positions", 1, stage.positions, [first, second]);
    listed.map("positions, output", 1, stage.positions, [second, hidden]);
    listed.products
}

pub(super) fn language(config: &TextConfig, stage: &StageSize) -> Vec<Product> {
    let mut listed = Listed::of("language model");
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let (layers, head) = (config.num_hidden_layers, config.head_dim());
    let kv_heads = config.num_key_value_heads;
    let groups = config.num_attention_heads / kv_heads;
    let &StageSize {
        scenes,
        prefix,
        rows,
        width: places,
        targets,
        ..
    } = stage;
    let all = scenes * (prefix + rows * places);
    listed.map("queries and output", 2 * layers, all, [width, width]);
    listed.map("keys and values", 2 * layers, all, [width, kv_heads * head]);
    // Query heads that share keys are rows of one product.
    let beginnings = scenes * kv_heads;
    listed.attend(layers, beginnings, [groups * prefix, prefix], [head; 2]);
    let behind = [groups * places, prefix + places];
    listed.attend(layers, beginnings * rows, behind, [head; 2]);
    listed.map("MLP, gate and up", 2 * layers, all, [width, inner]);
    listed.map("MLP, down", layers, all, [inner, width]);
    listed.map("logits", 1, targets, [width, config.vocab_size]);
    listed.products
}

pub(super) fn projection(width: usize, decoder: &DecoderConfig, tokens: usize) -> Vec<Product> {
    let mut listed = Listed::of("seg_projection");
    listed.map("first map", 1, tokens, [width, width]);
    listed.map("second map", 1, tokens, [width, decoder.embedding_dim]);
    listed.products
}

/// Masks of `prompts` prompts with `sparse` tokens each.
pub(super) fn decoder(
    config: &DecoderConfig,
    cells: usize,
    prompts: usize,
    sparse: usize,
) -> Vec<Product> {
    let mut listed = Listed::of("mask decoder");
    let (width, inner) = (config.embedding_dim, config.embedding_dim / 2);
    let (layers, heads) = (config.transformer_depth, config.num_heads);
    let masks = config.num_multimask_outputs + 1;
    let tokens = 1 + masks + sparse;
    let (rows, map) = (prompts * tokens, prompts * cells);
    let batch = prompts * heads;
    listed.map("tokens among themselves", 4 * layers, rows, [width, width]);
    listed.attend(layers, batch, [tokens; 2], [width / heads; 2]);
    // The tokens look at the image once more behind the last layer.
    let looks = layers + 1;
    let of_tokens = looks + 2 * layers;
    let of_cells = 2 * looks + layers;
    listed.map("tokens to inner width", of_tokens, rows, [width, inner]);
    listed.map("tokens, output", looks, rows, [inner, width]);
    listed.map("cells to inner width", of_cells, map, [width, inner]);
    listed.map("cells, output", layers, map, [inner, width]);
    listed.attend(looks, batch, [tokens, cells], [inner / heads; 2]);
    listed.attend(layers, batch, [cells, tokens], [inner / heads; 2]);
    listed.map("MLP, up", layers, rows, [width, config.mlp_dim]);
    listed.map("MLP, down", layers, rows, [config.mlp_dim, width]);
    // Four pixels of a quarter of the width, then four of an eighth.
    listed.map("upscaling, first", 1, map, [width, width]);
    listed.map("upscaling, second", 1, 4 * map, [width / 4, width / 2]);
    listed.map("weights of masks", 2 * masks, prompts, [width, width]);
    listed.map(
        "weights of masks, output",
        masks,
        prompts,
        [width, width / 8],
    );
    listed.push("masks", 1, prompts, [masks, width / 8, 16 * cells]);
    let hidden = config.iou_head_hidden_dim;
    for layer in 0..config.iou_head_depth {
        let from = if layer == 0 { width } else { hidden };
        let is_last = layer + 1 == config.iou_head_depth;
        let to = if is_last { masks } else { hidden };
        listed.map("scores of masks", 1, prompts, [from, to]);
    }
    listed.products
}

#[cfg(test)]
mod tests {
    use fclm_core::fclm::FclmConfig;

    use super::super::small_stage as stage;
    use super::*;

    fn forward(products: &[Product]) -> u64 {
        let each = products.iter();
        each.map(|product| product.times as u64 * product.flops())
            .sum()
    }

    fn trained(products: &[Product]) -> u64 {
        products.iter().map(Product::trained_flops).sum()
    }

    fn tower() -> VisionConfig {
        VisionConfig {
            depth: 2,
            hidden_size: 4,
            intermediate_size: 6,
            num_heads: 2,
            in_channels: 3,
            out_hidden_size: 8,
            patch_size: 1,
            spatial_merge_size: 2,
            temporal_patch_size: 2,
            window_size: 4,
            fullatt_block_indexes: vec![1],
            ..FclmConfig::tiny(64, 1).qwen.vision
        }
    }

    fn grid(h: usize, w: usize) -> GridThw {
        GridThw { t: 1, h, w }
    }

    /// Eight by twelve patches in six windows of sixteen.
    #[test]
    fn a_tower_of_two_blocks_is_counted() {
        let one = vision(&tower(), 1, grid(8, 12));
        let patches = 96 * 6 * 4;
        let blocks = 2 * 96 * (4 * 4 * 4 + 3 * 4 * 6);
        let scores = 96 * 96 * 4 + 6 * 16 * 16 * 4;
        let merger = 24 * 16 * 16 + 24 * 16 * 8;
        let expected = 2 * (patches + blocks + 2 * scores + merger);
        assert_eq!(expected, 247_296);
        assert_eq!(forward(&one), expected);
        // Pixels get no gradient.
        assert_eq!(trained(&one), 3 * expected - 2 * patches);
        let two = vision(&tower(), 2, grid(8, 12));
        assert_eq!(forward(&two), 2 * expected);
    }

    #[test]
    fn windows_at_the_edge_are_smaller() {
        assert_eq!(windows(&tower(), grid(8, 12)), [[6, 16]]);
        assert_eq!(
            windows(&tower(), grid(6, 10)),
            [[2, 16], [1, 8], [2, 8], [1, 4]]
        );
    }

    /// Three by three cells, in one window and in four of two by two.
    #[test]
    fn sam_s_encoder_is_counted_with_its_padding() {
        let config = VitConfig {
            depth: 2,
            embed_dim: 4,
            num_heads: 2,
            global_attn_indexes: vec![1],
            window_size: 2,
            out_chans: 3,
            mlp_ratio: 2,
            use_rel_pos: true,
        };
        let sam = SamConfig {
            image_size: 6,
            patch_size: 2,
            ..SamConfig::vit_b()
        };
        let whole = 3 * 9 * 16 + 2 * 6 * (3 * 2 * 3) + 2 * (9 * 8 * 9) + 2 * (9 * 9 * 2);
        let in_windows = 3 * 16 * 16 + 2 * 16 * (2 * 2 * 2) + 8 * (4 * 6 * 4) + 8 * (4 * 4 * 2);
        let rest = 9 * 12 * 4 + 2 * 9 * 16 + 4 * (9 * 4 * 8) + 9 * 4 * 3 + 9 * 27 * 3;
        assert_eq!(2 * (whole + in_windows + rest), 14_050);
        assert_eq!(forward(&vit(&config, &sam, 1)), 14_050);
        assert_eq!(forward(&vit(&config, &sam, 3)), 3 * 14_050);
    }

    #[test]
    fn an_extractor_is_counted_without_the_steps_that_are_off() {
        let mut config = RegionConfig {
            sam_dim: 3,
            vision_dim: 5,
            hidden_size: 6,
            width: 4,
            num_heads: 2,
            num_points: 2,
            mask_side: 2,
            close_side: 0,
            position_hidden: [3, 2],
            ..RegionConfig::published(6)
        };
        // Four numbers of the box beside those of the mask.
        assert_eq!(config.shape_len(), 8);
        let local = 2 * 9 * 3 + 2 * 3 * 4;
        let pixel = 2 * 2 * 16 + 2 * 18 * 3 * 4 + 2 * 4 * (9 * 2);
        let semantic = 8 * 5 * 4 + 2 * 4 * 12 + 2 * 16;
        let rest = 2 * 4 * 6 + 2 * 6 * 6 + 3 * (8 * 3 + 3 * 2 + 2 * 6);
        let count = |config: &RegionConfig| forward(&extractor(config, &stage(), 9, 4));
        assert_eq!(count(&config), 2 * (local + pixel + semantic + rest));
        config.steps.semantic = false;
        assert_eq!(count(&config), 2 * (local + pixel + rest));
        config.steps.pixel = false;
        assert_eq!(count(&config), 2 * (local + rest));
        config.steps.local = false;
        let pooled = 2 * 4 * 5 + 2 * 5 * 4;
        assert_eq!(count(&config), 2 * (pooled + rest));
    }

    /// Eleven places: three of the beginning, and two rows of four, which see it and themselves.
    #[test]
    fn a_language_model_of_two_layers_is_counted() {
        let config = TextConfig {
            vocab_size: 10,
            hidden_size: 4,
            intermediate_size: 6,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            ..FclmConfig::tiny(64, 1).qwen.text
        };
        let maps = 11 * (2 * 4 * 4 + 2 * 4 * 2 + 3 * 4 * 6);
        let scores = 6 * 2 * 3 + 2 * (8 * 2 * 7);
        let logits = 5 * 4 * 10;
        let expected = 2 * (2 * (maps + 2 * scores) + logits);
        assert_eq!(expected, 7_760);
        assert_eq!(forward(&language(&config, &stage())), expected);
    }

    #[test]
    fn a_decoder_of_one_layer_is_counted() {
        let config = DecoderConfig {
            transformer_depth: 1,
            embedding_dim: 8,
            mlp_dim: 6,
            num_heads: 2,
            num_multimask_outputs: 3,
            iou_head_depth: 2,
            iou_head_hidden_dim: 5,
        };
        // A prompt of one token beside the five of the decoder, and four cells.
        let themselves = 4 * 6 * 8 * 8 + 2 * (6 * 8 * 6);
        let looks = 2 * (2 * 6 * 8 * 4 + 2 * 4 * 8 * 4 + 2 * (6 * 4 * 4));
        let back = 2 * 6 * 8 * 4 + 2 * 4 * 8 * 4 + 2 * (4 * 4 * 6);
        let mlp = 2 * 6 * 8 * 6;
        let upscaling = 4 * 8 * 8 + 16 * 2 * 4;
        let masks = 4 * (2 * 8 * 8 + 8) + 4 * 64 + 8 * 5 + 5 * 4;
        let expected = 2 * (themselves + looks + back + mlp + upscaling + masks);
        assert_eq!(expected, 12_856);
        assert_eq!(forward(&decoder(&config, 4, 1, 1)), expected);
        assert_eq!(forward(&decoder(&config, 4, 0, 1)), 0);
    }
}
