use fclm_core::{
    sam::{DecoderConfig, EncoderConfig, PromptConfig, SamConfig, TinyVitConfig, VitConfig},
    weights::Weights,
};

/// Side of the input of every published SAM; TinyViT's tensors do not say it.
const IMAGE_SIZE: usize = 1024;
/// Pixels per side of one cell of TinyViT's embedding.
const TINY_VIT_PATCH: usize = 16;
/// Heads of every published mask decoder; its tensors do not say it.
const DECODER_HEADS: usize = 8;
/// By how much the decoder narrows attention between tokens and image.
const CROSS_ATTENTION_DOWNSAMPLING: usize = 2;
/// Width of one head of the published TinyViTs and of ViTs without relative positions.
const DEFAULT_HEAD: usize = 64;
/// Window of the published ViT encoders, for those without relative positions.
const DEFAULT_WINDOW: usize = 14;

/// Reads the sizes of a SAM off the shapes of its tensors, which carry their original names.
///
/// The number of the decoder's heads is not in the shapes. Where `heads` is none, it is that of the
/// published models, or the largest below it that the width can be shared among.
///
/// # Errors
///
/// Says which tensor is missing, or which size none is expected to have.
pub fn sam_config_of(weights: &Weights, heads: Option<usize>) -> Result<SamConfig, String> {
    let shapes = Shapes { weights };
    let (image_size, patch_size, encoder) = if weights
        .get("image_encoder.patch_embed.proj.weight")
        .is_some()
    {
        vit(&shapes)?
    } else {
        (IMAGE_SIZE, TINY_VIT_PATCH, tiny_vit(&shapes)?)
    };
    let [masks, embedding_dim] = shapes.of("mask_decoder.mask_tokens.weight")?;
    let [mlp_dim, _] = shapes.of("mask_decoder.transformer.layers.0.mlp.lin1.weight")?;
    let [iou_head_hidden_dim, _] = shapes.of("mask_decoder.iou_prediction_head.layers.0.weight")?;
    let [_, half] = shapes.of("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix")?;
    let [mask_in_chans, ..]: [usize; 4] = shapes.of("prompt_encoder.mask_downscaling.3.weight")?;
    let config = SamConfig {
        image_size,
        patch_size,
        encoder,
        prompt: PromptConfig {
            embed_dim: 2 * half,
            mask_in_chans,
        },
        decoder: DecoderConfig {
            transformer_depth: shapes
                .count("mask_decoder.transformer.layers", "self_attn.q_proj.weight"),
            embedding_dim,
            mlp_dim,
            num_heads: heads.unwrap_or_else(|| decoder_heads(embedding_dim)),
            num_multimask_outputs: masks.saturating_sub(1),
            iou_head_depth: shapes.count("mask_decoder.iou_prediction_head.layers", "weight"),
            iou_head_hidden_dim,
        },
    };
    config.validate().map_err(|error| error.to_string())?;
    Ok(config)
}

fn decoder_heads(embedding_dim: usize) -> usize {
    let inner = embedding_dim / CROSS_ATTENTION_DOWNSAMPLING;
    let divides = |heads: &usize| inner.is_multiple_of(*heads);
    (1..=DECODER_HEADS).rev().find(divides).unwrap_or(1)
}

fn vit(shapes: &Shapes<'_>) -> Result<(usize, usize, EncoderConfig), String> {
    let [embed_dim, _, patch, _] = shapes.of("image_encoder.patch_embed.proj.weight")?;
    let [_, grid, ..]: [usize; 4] = shapes.of("image_encoder.pos_embed")?;
    let [hidden, _] = shapes.of("image_encoder.blocks.0.mlp.lin1.weight")?;
    let [out_chans, ..]: [usize; 4] = shapes.of("image_encoder.neck.0.weight")?;
    let depth = shapes.count("image_encoder.blocks", "norm1.weight");
    let use_rel_pos = shapes
        .weights
        .get("image_encoder.blocks.0.attn.rel_pos_h")
        .is_some();
    let mut head_dim = DEFAULT_HEAD;
    // Where no table says otherwise, windows are as large as the map: a block with such a window
    // and one that is global are the same.
    let mut window_size = if use_rel_pos { grid } else { DEFAULT_WINDOW };
    let mut global_attn_indexes = Vec::new();
    for block in 0..depth {
        if !use_rel_pos {
            break;
        }
        let [length, width] = shapes.of(&format!("image_encoder.blocks.{block}.attn.rel_pos_h"))?;
        head_dim = width;
        // A table has an entry for each offset between two cells of the side it is made for.
        match length.div_ceil(2) {
            side if side == grid => global_attn_indexes.push(block),
            side => window_size = side,
        }
    }
    let config = VitConfig {
        depth,
        embed_dim,
        num_heads: divided(embed_dim, head_dim)?,
        global_attn_indexes,
        window_size,
        out_chans,
        mlp_ratio: divided(hidden, embed_dim)?,
        use_rel_pos,
    };
    Ok((grid * patch, patch, EncoderConfig::Vit(config)))
}

fn tiny_vit(shapes: &Shapes<'_>) -> Result<EncoderConfig, String> {
    let first = "image_encoder.layers.0.blocks.0";
    let [hidden, width, ..]: [usize; 4] = shapes.of(&format!("{first}.conv1.c.weight"))?;
    let mut config = TinyVitConfig {
        embed_dims: vec![width],
        depths: vec![shapes.count("image_encoder.layers.0.blocks", "conv1.c.weight")],
        num_heads: vec![1],
        window_sizes: vec![1],
        mlp_ratio: 0,
        mbconv_expand_ratio: divided(hidden, width)?,
        out_chans: shapes.of::<4>("image_encoder.neck.0.weight")?[0],
    };
    let mut stage = 1;
    while shapes.count(
        &format!("image_encoder.layers.{stage}.blocks"),
        "attn.qkv.weight",
    ) > 0
    {
        let blocks = format!("image_encoder.layers.{stage}.blocks");
        let [hidden, width] = shapes.of(&format!("{blocks}.0.mlp.fc1.weight"))?;
        let [heads, offsets] = shapes.of(&format!("{blocks}.0.attn.attention_biases"))?;
        config.embed_dims.push(width);
        config.depths.push(shapes.count(&blocks, "attn.qkv.weight"));
        config.num_heads.push(heads);
        // One bias for each absolute offset within the square window.
        config.window_sizes.push(offsets.isqrt());
        config.mlp_ratio = divided(hidden, width)?;
        stage += 1;
    }
    Ok(EncoderConfig::TinyVit(config))
}

fn divided(whole: usize, part: usize) -> Result<usize, String> {
    match part {
        0 => Err("a tensor of the SAM checkpoint has a side of 0".to_owned()),
        _ => Ok(whole / part),
    }
}

struct Shapes<'a> {
    weights: &'a Weights,
}

impl Shapes<'_> {
    fn of<const D: usize>(&self, name: &str) -> Result<[usize; D], String> {
        let tensor = self
            .weights
            .get(name)
            .ok_or_else(|| format!("is no SAM checkpoint: it has no tensor {name}"))?;
        tensor.shape().try_into().map_err(|_| {
            format!(
                "{name} has shape {:?}, expected {D} dimensions",
                tensor.shape()
            )
        })
    }

    /// How many entries of a list have a tensor of this name, counted from 0 without a gap.
    fn count(&self, list: &str, tensor: &str) -> usize {
        (0..)
            .take_while(|index| {
                self.weights
                    .get(&format!("{list}.{index}.{tensor}"))
                    .is_some()
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use fclm_core::weights::{SharedBytes, StoredDtype, WeightFile};

    use super::*;
    use crate::model_dir::{
        fixtures::{fixture, sam_heads},
        mapped::Window,
        open_checkpoint,
    };

    /// A checkpoint of shapes only: the bytes of no tensor are looked at, so all share one buffer.
    fn published(file: &str) -> Weights {
        let text = std::fs::read(fixture("checkpoint_shapes").join(file)).unwrap();
        let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_slice(&text).unwrap();
        let length = |shape: &Vec<usize>| -> usize { shape.iter().product() };
        let longest = shapes.values().map(length).max().unwrap();
        let zeros: SharedBytes = Arc::new(vec![0u8; longest]);
        let mut weights = WeightFile::default();
        for (name, shape) in shapes {
            let bytes = Window::new(Arc::clone(&zeros), 0..length(&shape)).unwrap();
            weights
                .insert(name, StoredDtype::U8, shape, Arc::new(bytes))
                .unwrap();
        }
        Weights::from_files([weights]).unwrap()
    }

    #[test]
    fn fixture_published_shapes_give_the_published_sizes() {
        for (file, expected) in [
            ("sam_vit_b.json", SamConfig::vit_b()),
            ("sam_vit_l.json", SamConfig::vit_l()),
            ("sam_vit_h.json", SamConfig::vit_h()),
        ] {
            let config = sam_config_of(&published(file), None).unwrap();
            assert_eq!(config, expected, "{file}");
        }
        let mobile = sam_config_of(&published("mobile_sam.json"), None).unwrap();
        let (EncoderConfig::TinyVit(found), EncoderConfig::TinyVit(expected)) =
            (&mobile.encoder, &SamConfig::mobile_sam().encoder)
        else {
            panic!("MobileSAM has a TinyViT encoder");
        };
        // The first stage is convolutional; its heads and window are read by nobody.
        assert_eq!(found.num_heads[1..], expected.num_heads[1..]);
        assert_eq!(found.window_sizes[1..], expected.window_sizes[1..]);
        let unread = |config: &TinyVitConfig| TinyVitConfig {
            num_heads: Vec::new(),
            window_sizes: Vec::new(),
            ..config.clone()
        };
        assert_eq!(unread(found), unread(expected));
        assert_eq!(mobile.decoder, SamConfig::mobile_sam().decoder);
        assert_eq!(mobile.prompt, SamConfig::mobile_sam().prompt);
    }

    #[test]
    fn fixture_sizes_are_those_of_its_case() {
        let weights = open_checkpoint(&fixture("sam/sam_vit.pth")).unwrap();
        let config = sam_config_of(&weights, Some(sam_heads())).unwrap();
        let text = std::fs::read(fixture("sam/case.json")).unwrap();
        let case: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(config.image_size, case["image_size"]);
        assert_eq!(config.patch_size, case["patch_size"]);
        let EncoderConfig::Vit(vit) = config.encoder else {
            panic!("the fixture has a ViT encoder");
        };
        assert_eq!(vit.depth, case["vit"]["depth"]);
        assert_eq!(vit.embed_dim, case["vit"]["embed_dim"]);
        assert_eq!(vit.num_heads, case["vit"]["num_heads"]);
        let global: Vec<usize> =
            serde_json::from_value(case["vit"]["global_attn_indexes"].clone()).unwrap();
        let grid = config.image_size / config.patch_size;
        if case["vit"]["window_size"] == grid || global.len() == vit.depth {
            // Every block sees the whole map, whatever it is called.
            let all: Vec<usize> = (0..vit.depth).collect();
            assert_eq!((vit.window_size, vit.global_attn_indexes), (grid, all));
        } else {
            assert_eq!(vit.window_size, case["vit"]["window_size"]);
            assert_eq!(vit.global_attn_indexes, global);
        }
        assert_eq!(config.decoder.num_heads, case["decoder"]["num_heads"]);
        assert_eq!(config.decoder.mlp_dim, case["decoder"]["mlp_dim"]);
        assert_eq!(
            config.decoder.iou_head_depth,
            case["decoder"]["iou_head_depth"]
        );
        assert_eq!(config.prompt.mask_in_chans, case["prompt"]["mask_in_chans"]);
    }

    #[test]
    fn decoders_have_as_many_heads_as_share_their_width() {
        let heads = [256, 128, 32, 24, 40, 8].map(decoder_heads);
        assert_eq!(heads, [8, 8, 8, 6, 5, 4]);
    }

    #[test]
    fn what_is_no_sam_is_said_so() {
        let error = sam_config_of(&Weights::default(), None).unwrap_err();
        assert!(error.contains("image_encoder"), "{error}");
    }
}
