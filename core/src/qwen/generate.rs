//! Plain greedy decoding.

use burn::tensor::{DType, Int, Tensor, TensorData};

use super::{KvCache, Qwen, TextConfig, mrope_continue, positions_tensor};

/// Decodes one prompt by always taking the likeliest token, until one of `stop` (which is
/// returned too) or `max_tokens`.
///
/// Reads back one id per token, and so blocks: not for a browser.
///
/// # Shapes
///
/// - `embeds`: `[1, L, hidden]`
///
/// # Panics
///
/// Panics if `positions` does not have `L` entries.
pub fn generate_greedy(
    qwen: &Qwen,
    config: &TextConfig,
    embeds: Tensor<3>,
    positions: &[[i32; 3]],
    rope_delta: i32,
    max_tokens: usize,
    stop: &[u32],
) -> Vec<u32> {
    let device = embeds.device();
    let [_, prompt, _] = embeds.dims();
    let mut cache = KvCache::new(config, 1, prompt + max_tokens, &device);
    let mut embeds = embeds;
    let mut positions = positions.to_vec();
    let mut ids = Vec::with_capacity(max_tokens);
    while ids.len() < max_tokens {
        let [_, len, _] = embeds.dims();
        let hidden = qwen.forward(
            embeds,
            positions_tensor(&[&positions], &device),
            None,
            Some(&mut cache),
        );
        let logits = qwen.logits(hidden.slice_dim(1, len - 1..len));
        let id = logits.argmax(2).into_scalar::<i64>() as u32;
        ids.push(id);
        if stop.contains(&id) {
            break;
        }
        let next: Tensor<2, Int> = Tensor::from_data(
            TensorData::new(vec![id as i32], [1, 1]),
            (&device, DType::I32),
        );
        embeds = qwen.embed(next);
        positions = mrope_continue(cache.len(), rope_delta, 1);
    }
    ids
}
