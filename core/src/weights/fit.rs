//! What a module asks of a checkpoint, and whether a checkpoint has it.

use std::collections::{BTreeMap, BTreeSet};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Bool, Int, Tensor},
};

use super::{
    convert,
    error::{Misfit, Mismatch, WeightError},
    file::{StoredDtype, Weights},
    names::NameMap,
    walk::Walk,
};

/// Whether [`load`](super::load::load) would succeed, without loading or allocating anything.
///
/// # Errors
///
/// As [`load`](super::load::load).
pub fn check<M: Module>(
    module: &M,
    weights: &Weights,
    names: &NameMap,
    ignore: &[&str],
) -> Result<(), WeightError> {
    let mismatch = compare(&slots(module, names), weights, ignore);
    match mismatch.is_empty() {
        true => Ok(()),
        false => Err(WeightError::Mismatch(Box::new(mismatch))),
    }
}

/// The checkpoint name and the checkpoint shape of every parameter, in the module's order.
///
/// Reads the shapes of parameters that are not initialised yet, so a model of any size can be
/// described without allocating it.
pub fn tensor_specs<M: Module>(module: &M, names: &NameMap) -> Vec<(String, Vec<usize>)> {
    slots(module, names)
        .into_iter()
        .map(|slot| (slot.name, slot.shape))
        .collect()
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Float,
    Int,
    Bool,
}

impl Kind {
    fn accepts(self, dtype: StoredDtype) -> bool {
        match self {
            Self::Float => convert::is_float(dtype),
            Self::Int => convert::is_int(dtype),
            Self::Bool => false,
        }
    }
}

struct Slot {
    name: String,
    shape: Vec<usize>,
    kind: Kind,
}

fn slots<M: Module>(module: &M, names: &NameMap) -> Vec<Slot> {
    struct Collector<'a> {
        walk: Walk,
        names: &'a NameMap,
        slots: Vec<Slot>,
    }

    impl Collector<'_> {
        fn push(&mut self, mut shape: Vec<usize>, kind: Kind) {
            if self.walk.is_transposed(shape.len()) {
                shape.reverse();
            }
            self.slots.push(Slot {
                name: self.walk.name(self.names),
                shape,
                kind,
            });
        }
    }

    impl ModuleVisitor for Collector<'_> {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.walk.enter(name, container_type);
        }

        fn exit_module(&mut self, _name: &str, container_type: &str) {
            self.walk.exit(container_type);
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.push(param.lazy_shape().to_vec(), Kind::Float);
        }

        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
            self.push(param.lazy_shape().to_vec(), Kind::Int);
        }

        fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
            self.push(param.lazy_shape().to_vec(), Kind::Bool);
        }
    }

    let mut collector = Collector {
        walk: Walk::default(),
        names,
        slots: Vec::new(),
    };
    module.visit(&mut collector);
    collector.slots
}

fn compare(slots: &[Slot], weights: &Weights, ignore: &[&str]) -> Mismatch {
    let mut mismatch = Mismatch::default();
    let known: BTreeSet<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let unique: BTreeMap<&str, &Slot> = slots
        .iter()
        .map(|slot| (slot.name.as_str(), slot))
        .collect();
    for (name, slot) in unique {
        match weights.get(name) {
            None => mismatch.missing.push((name.to_owned(), slot.shape.clone())),
            Some(stored) if stored.shape != slot.shape => mismatch.misshapen.push(Misfit {
                name: name.to_owned(),
                expected: slot.shape.clone(),
                found: stored.shape.to_vec(),
            }),
            Some(stored) if !slot.kind.accepts(stored.dtype) => {
                mismatch
                    .mistyped
                    .push((name.to_owned(), stored.dtype.to_string()));
            }
            Some(_) => {}
        }
    }
    for stored in weights.iter() {
        let ignored = || {
            ignore
                .iter()
                .any(|pattern| glob_matches(pattern, stored.name))
        };
        if !known.contains(stored.name) && !ignored() {
            mismatch
                .unknown
                .push((stored.name.to_owned(), stored.shape.to_vec()));
        }
    }
    mismatch
}

/// Whether `name` matches `pattern`, in which `*` stands for any run of characters.
fn glob_matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    (0..=rest.len())
        .filter(|start| rest.is_char_boundary(*start))
        .any(|start| glob_matches(tail, &rest[start..]))
}

#[cfg(test)]
mod tests {
    use burn::{
        nn::{Linear, LinearConfig},
        tensor::Device,
    };

    use super::*;

    #[test]
    fn describing_a_model_allocates_nothing() {
        // 16 TiB of parameters: were one of them touched, the test could not go on.
        let giant: Vec<Linear> = (0..4)
            .map(|_| LinearConfig::new(1 << 20, 1 << 20).init(&Device::flex()))
            .collect();
        let specs = tensor_specs(&giant, &NameMap::new());
        assert_eq!(specs[0], ("0.weight".to_owned(), vec![1 << 20, 1 << 20]));
        assert_eq!(specs.len(), 8);
    }

    #[test]
    fn stars_stand_for_anything() {
        assert!(glob_matches(
            "*.num_batches_tracked",
            "a.b.num_batches_tracked"
        ));
        assert!(glob_matches(
            "image_encoder.head.*",
            "image_encoder.head.weight"
        ));
        assert!(glob_matches("a*c*e", "abcde"));
        assert!(!glob_matches(
            "image_encoder.head.*",
            "image_encoder.heads.weight"
        ));
        assert!(!glob_matches("head", "head.weight"));
    }
}
