use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::convert::Precision;

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

/// Splits a model into files of at most `limit` bytes of tensors each, `model-00001-of-0000N`.
///
/// Tensors keep their order; one that is larger than the limit gets a file of its own. A model
/// that fits one file is called `model.safetensors`.
pub fn plan_shards(
    specs: &[(String, Vec<usize>)],
    precision: Precision,
    limit: usize,
) -> Vec<Shard> {
    let mut shards: Vec<Shard> = Vec::new();
    for (name, shape) in specs {
        let bytes = shape.iter().product::<usize>() * precision.size();
        match shards.last_mut() {
            Some(shard) if shard.bytes + bytes <= limit => {
                shard.tensors.push(name.clone());
                shard.bytes += bytes;
            }
            _ => shards.push(Shard {
                file: String::new(),
                tensors: vec![name.clone()],
                bytes,
            }),
        }
    }
    let count = shards.len();
    for (index, shard) in shards.iter_mut().enumerate() {
        shard.file = match count {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
        };
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
        let specs: Vec<(String, Vec<usize>)> = [4, 4, 30, 4, 8]
            .iter()
            .enumerate()
            .map(|(index, size)| (format!("t{index}"), vec![*size]))
            .collect();
        let shards = plan_shards(&specs, Precision::F16, 20);
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
            plan_shards(&specs, Precision::F16, 100)[0].file,
            "model.safetensors"
        );
    }
}
