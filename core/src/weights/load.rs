use std::collections::{BTreeMap, BTreeSet};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Bool, Int, Tensor},
};

use super::{
    convert::{self, Precision},
    error::{Misfit, Mismatch, WeightError},
    file::Weights,
    names::NameMap,
};

/// Fills a module from a checkpoint, in the float type that the parameters' device computes in.
///
/// Every parameter keeps its identity, its device and whether it requires gradients; parameters
/// not initialised yet are filled without ever being initialised. Each tensor is copied once, on
/// the way from the checkpoint's bytes to the device. Tensors whose name matches one of `ignore`
/// (`*` stands for any run of characters) may be in the checkpoint without being in the module.
///
/// # Errors
///
/// [`WeightError::Mismatch`] names every tensor that is missing, unknown, misshapen or of a type
/// that cannot be converted. Nothing is loaded in that case.
pub fn load<M: Module>(
    module: M,
    weights: &Weights,
    names: &NameMap,
    ignore: &[&str],
) -> Result<M, WeightError> {
    load_with(module, weights, names, ignore, None)
}

/// As [`load`], in a float type of the caller's choice.
///
/// # Errors
///
/// As [`load`].
pub fn load_as<M: Module>(
    module: M,
    weights: &Weights,
    names: &NameMap,
    ignore: &[&str],
    precision: Precision,
) -> Result<M, WeightError> {
    load_with(module, weights, names, ignore, Some(precision))
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

fn load_with<M: Module>(
    module: M,
    weights: &Weights,
    names: &NameMap,
    ignore: &[&str],
    precision: Option<Precision>,
) -> Result<M, WeightError> {
    let mismatch = compare(&slots(&module, names), weights, ignore);
    if !mismatch.is_empty() {
        return Err(WeightError::Mismatch(Box::new(mismatch)));
    }
    let mut loader = Loader {
        walk: Walk::default(),
        weights,
        names,
        precision,
        failure: None,
    };
    let module = module.map(&mut loader);
    match loader.failure {
        Some(failure) => Err(failure),
        None => Ok(module),
    }
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

/// Where a traversal stands: the path without enum variants, and the types that hold it.
#[derive(Debug, Default)]
pub(super) struct Walk {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Walk {
    pub(super) fn enter(&mut self, name: &str, container: &str) {
        self.containers.push(container.to_owned());
        // Which variant of an enum is in use is the configuration's affair; checkpoints do not
        // name it.
        if !container.starts_with("Enum:") {
            self.path.push(name.to_owned());
        }
    }

    pub(super) fn exit(&mut self, container: &str) {
        self.containers.pop();
        if !container.starts_with("Enum:") {
            self.path.pop();
        }
    }

    /// The name of the innermost user-defined type.
    fn owner(&self) -> &str {
        let owner = self.containers.iter().rev().find_map(|container| {
            container
                .strip_prefix("Struct:")
                .or_else(|| container.strip_prefix("Enum:"))
        });
        owner.unwrap_or_default()
    }

    /// The checkpoint name of the parameter the traversal stands at.
    pub(super) fn name(&self, names: &NameMap) -> String {
        let mut path = self.path.join(".");
        if self.owner().contains("Norm") {
            for (ours, theirs) in [(".gamma", ".weight"), (".beta", ".bias")] {
                if let Some(head) = path.strip_suffix(ours) {
                    path = format!("{head}{theirs}");
                }
            }
            path = match path.as_str() {
                "gamma" => "weight".to_owned(),
                "beta" => "bias".to_owned(),
                _ => path,
            };
        }
        names.checkpoint_name(&path)
    }

    /// Whether checkpoints hold the parameter with its two axes swapped: burn's linear layers keep
    /// `[inputs, outputs]`, every published file `[outputs, inputs]`.
    pub(super) fn is_transposed(&self, rank: usize) -> bool {
        rank == 2
            && self.owner().ends_with("Linear")
            && self.path.last().is_some_and(|field| field == "weight")
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Float,
    Int,
    Bool,
}

impl Kind {
    fn accepts(self, dtype: super::StoredDtype) -> bool {
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

struct Loader<'a> {
    walk: Walk,
    weights: &'a Weights,
    names: &'a NameMap,
    precision: Option<Precision>,
    failure: Option<WeightError>,
}

impl Loader<'_> {
    /// Keeps the first failure: a traversal cannot be stopped half way.
    fn keep<T>(&mut self, result: Result<T, WeightError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.failure.get_or_insert(error);
                None
            }
        }
    }

    fn stored(&self) -> Result<super::StoredTensor<'_>, WeightError> {
        let name = self.walk.name(self.names);
        self.weights.get(&name).ok_or(WeightError::Absent { name })
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.walk.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.walk.exit(container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let device = param.lazy_device();
        let precision = self.precision.unwrap_or_else(|| Precision::of(&device));
        let transposed = self.walk.is_transposed(D);
        let data = self
            .stored()
            .and_then(|stored| convert::float_data(&stored, precision, transposed));
        let Some(data) = self.keep(data) else {
            return param;
        };
        // Weights live as long as the model, so they stay out of the pools that the device reuses
        // for intermediate results.
        let tensor = device.memory_persistent_allocations(data, |data| {
            Tensor::from_data(data, (&device, precision.dtype()))
        });
        let id = param.id;
        param.transform_for_load(tensor, id)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        let device = param.lazy_device();
        let data = self.stored().and_then(|stored| convert::int_data(&stored));
        let Some(data) = self.keep(data) else {
            return param;
        };
        let id = param.id;
        param.transform_for_load(Tensor::from_data(data, &device), id)
    }
}
