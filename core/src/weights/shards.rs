use std::collections::BTreeMap;

use serde_json::{Value, json};

/// One file of a checkpoint that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The file's name.
    pub file: String,
    /// The names of its tensors, in the model's order.
    pub tensors: Vec<String>,
    /// The size of its tensors in bytes, header not counted.
    pub bytes: usize,
}

/// Splits a model, given as the names and sizes in bytes of its tensors, into files of at most
/// `limit` bytes of tensors each: `model-00001-of-0000N.safetensors` and so on.
///
/// Tensors keep their order; one that is larger than the limit gets a file of its own.
pub fn plan_shards(sizes: impl IntoIterator<Item = (String, usize)>, limit: usize) -> Vec<Shard> {
    let mut shards: Vec<Shard> = Vec::new();
    for (name, bytes) in sizes {
        match shards.last_mut() {
            Some(shard) if shard.bytes + bytes <= limit => {
                shard.tensors.push(name);
                shard.bytes += bytes;
            }
            _ => shards.push(Shard {
                file: String::new(),
                tensors: vec![name],
                bytes,
            }),
        }
    }
    let count = shards.len();
    for (index, shard) in shards.iter_mut().enumerate() {
        shard.file = format!("model-{:05}-of-{count:05}.safetensors", index + 1);
    }
    shards
}

/// The content of `model.safetensors.index.json`: which tensor is in which file.
pub fn shard_index(shards: &[Shard]) -> Value {
    let total: usize = shards.iter().map(|shard| shard.bytes).sum();
    let map: BTreeMap<&str, &str> = shards
        .iter()
        .flat_map(|shard| {
            shard
                .tensors
                .iter()
                .map(|name| (name.as_str(), shard.file.as_str()))
        })
        .collect();
    json!({ "metadata": { "total_size": total }, "weight_map": map })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_stay_below_the_limit_unless_one_tensor_alone_is_larger() {
        let tensors = || [8, 8, 60, 8, 16].iter().enumerate();
        let named = || tensors().map(|(index, bytes)| (format!("t{index}"), *bytes));
        let shards = plan_shards(named(), 20);
        let sizes: Vec<usize> = shards.iter().map(|shard| shard.bytes).collect();
        assert_eq!(sizes, [16, 60, 8, 16]);
        assert_eq!(shards[1].file, "model-00002-of-00004.safetensors");
        let index = shard_index(&shards);
        assert_eq!(index["metadata"]["total_size"], 100);
        assert_eq!(
            index["weight_map"]["t3"],
            "model-00003-of-00004.safetensors"
        );
        assert_eq!(
            plan_shards(named(), 100)[0].file,
            "model-00001-of-00001.safetensors"
        );
    }
}
