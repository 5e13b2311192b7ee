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

/// Whether [`load`] would succeed, without loading or allocating anything.
///
/// # Errors
///
/// As [`load`].
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

fn load_with<M: Module>(
    module: M,
    weights: &Weights,
    names: &NameMap,
    ignore: &[&str],
    precision: Option<Precision>,
) -> Result<M, WeightError> {
    check(&module, weights, names, ignore)?;
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

#[cfg(test)]
mod tests {
    use burn::{
        module::ParamId,
        nn::{
            BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig,
            Linear, LinearConfig, RmsNorm, RmsNormConfig,
        },
        tensor::{DType, Device, Distribution},
    };

    use super::*;
    use crate::weights::{WeightFile, export, plan_shards, to_safetensors};

    #[derive(Module, Debug)]
    struct Layer {
        first: Linear,
        norm: RmsNorm,
        scale: Param<Tensor<2>>,
    }

    #[derive(Module, Debug)]
    #[allow(clippy::large_enum_variant)]
    enum Encoder {
        Dense(Linear),
        Table(Embedding),
    }

    #[derive(Module, Debug)]
    struct Model {
        layers: Vec<Layer>,
        encoder: Encoder,
        head: Option<Linear>,
        extra: Option<Linear>,
        norm: LayerNorm,
        batch_norm: BatchNorm,
    }

    fn model(device: &Device) -> Model {
        let layer = |_| Layer {
            first: LinearConfig::new(3, 5).init(device),
            norm: RmsNormConfig::new(5).init(device),
            scale: Param::from_tensor(Tensor::random([2, 3], Distribution::Default, device)),
        };
        Model {
            layers: (0..2).map(layer).collect(),
            encoder: Encoder::Dense(LinearConfig::new(2, 4).with_bias(false).init(device)),
            head: Some(LinearConfig::new(40, 35).init(device)),
            extra: None,
            norm: LayerNormConfig::new(4).init(device),
            batch_norm: BatchNormConfig::new(2).init(device),
        }
    }

    fn names() -> NameMap {
        NameMap::with_rewrites(&[("first", "mlp.0")])
    }

    fn checkpoint(model: &Model, precision: Precision) -> Weights {
        let tensors = export(model, &names(), precision).unwrap();
        Weights::from_files([WeightFile::parse(to_safetensors(tensors).unwrap()).unwrap()]).unwrap()
    }

    fn values(model: &Model) -> Vec<(String, Vec<f32>)> {
        let tensors = export(model, &names(), Precision::F32).unwrap();
        tensors
            .into_iter()
            .map(|(name, data)| (name, data.try_into_vec().unwrap()))
            .collect()
    }

    fn mismatch(result: Result<Model, WeightError>) -> Mismatch {
        match result {
            Err(WeightError::Mismatch(mismatch)) => *mismatch,
            other => panic!("expected a mismatch, got {other:?}"),
        }
    }

    #[test]
    fn names_skip_variants_and_shapes_are_the_checkpoints() {
        let specs = tensor_specs(&model(&Device::flex()), &names());
        let spec = |name: &str| {
            let spec = specs.iter().find(|(candidate, _)| candidate == name);
            spec.unwrap_or_else(|| panic!("no {name} in {specs:?}"))
                .1
                .clone()
        };
        assert_eq!(spec("layers.1.mlp.0.weight"), [5, 3]);
        assert_eq!(spec("layers.0.scale"), [2, 3]);
        assert_eq!(spec("layers.0.norm.weight"), [5]);
        assert_eq!(spec("encoder.weight"), [4, 2]);
        assert_eq!(spec("head.weight"), [35, 40]);
        assert_eq!(spec("norm.bias"), [4]);
        assert_eq!(spec("batch_norm.running_var"), [2]);
        assert_eq!(specs.len(), 2 * 4 + 1 + 2 + 2 + 4);
        let table = Encoder::Table(EmbeddingConfig::new(7, 3).init(&Device::flex()));
        assert_eq!(
            tensor_specs(&table, &NameMap::new()),
            [("weight".to_owned(), vec![7, 3])]
        );
    }

    #[test]
    fn what_is_exported_loads_as_the_same_values() {
        let device = Device::flex();
        let trained = model(&device);
        let loaded = load(
            model(&device),
            &checkpoint(&trained, Precision::F32),
            &names(),
            &[],
        )
        .unwrap();
        assert_eq!(values(&loaded), values(&trained));
        let input = Tensor::<2>::random([2, 40], Distribution::Default, &device);
        let forward = |model: &Model| model.head.as_ref().unwrap().forward(input.clone());
        forward(&loaded)
            .into_data()
            .assert_eq(&forward(&trained).into_data(), true);
    }

    #[test]
    fn shards_and_one_file_are_the_same_checkpoint() {
        let device = Device::flex();
        let trained = model(&device);
        let specs = tensor_specs(&trained, &names());
        let sizes = specs.iter().map(|(name, shape)| {
            (
                name.clone(),
                shape.iter().product::<usize>() * Precision::F16.size(),
            )
        });
        let shards = plan_shards(sizes, 200);
        assert!(shards.len() > 2);
        let files = shards.iter().map(|shard| {
            let keep = |name: &str| shard.tensors.iter().any(|tensor| tensor == name);
            let tensors =
                super::super::export_where(&trained, &names(), Precision::F16, keep).unwrap();
            let bytes = to_safetensors(tensors).unwrap();
            assert!(bytes.len() >= shard.bytes);
            WeightFile::parse(bytes).unwrap()
        });
        let sharded = Weights::from_files(files).unwrap();
        let whole = checkpoint(&trained, Precision::F16);
        let from = |weights| values(&load(model(&device), weights, &names(), &[]).unwrap());
        assert_eq!(from(&sharded), from(&whole));
    }

    #[test]
    fn every_tensor_that_does_not_fit_is_named_at_once() {
        let device = Device::flex();
        let mut tensors = export(&model(&device), &names(), Precision::F32).unwrap();
        tensors.retain(|(name, _)| name != "norm.bias" && name != "layers.0.scale");
        for (name, data) in &mut tensors {
            if name == "head.weight" {
                *data = burn::tensor::TensorData::zeros::<f32, _>([40, 35]);
            }
            if name == "head.bias" {
                *data = burn::tensor::TensorData::zeros::<i64, _>([35]);
            }
        }
        tensors.push((
            "stray".to_owned(),
            burn::tensor::TensorData::zeros::<f32, _>([1]),
        ));
        tensors.push((
            "a.batches".to_owned(),
            burn::tensor::TensorData::zeros::<i64, _>([1]),
        ));
        let bytes = to_safetensors(tensors).unwrap();
        let weights = Weights::from_files([WeightFile::parse(bytes).unwrap()]).unwrap();
        let error = load(model(&device), &weights, &names(), &["*.batches"]).unwrap_err();
        let text = error.to_string();
        for name in [
            "norm.bias",
            "layers.0.scale",
            "head.weight",
            "head.bias",
            "stray",
        ] {
            assert!(text.contains(name), "{name} is not in: {text}");
        }
        assert!(!text.contains("a.batches"), "{text}");
        let mismatch = mismatch(Err(error));
        assert_eq!(mismatch.missing.len(), 2);
        assert_eq!(mismatch.unknown, [("stray".to_owned(), vec![1])]);
        assert_eq!(mismatch.misshapen[0].expected, [35, 40]);
        assert_eq!(
            mismatch.mistyped,
            [("head.bias".to_owned(), "I64".to_owned())]
        );
    }

    #[test]
    fn a_tensor_in_two_files_is_an_error() {
        let bytes = || {
            let tensor = burn::tensor::TensorData::zeros::<f32, _>([1]);
            to_safetensors(vec![("twice".to_owned(), tensor)]).unwrap()
        };
        let files = [bytes(), bytes()].map(|bytes| WeightFile::parse(bytes).unwrap());
        let error = Weights::from_files(files).unwrap_err();
        assert!(matches!(error, WeightError::Duplicate { name } if name == "twice"));
    }

    #[test]
    fn loading_keeps_identities_and_gradient_settings() {
        struct Flags(Vec<(ParamId, bool)>);
        impl ModuleVisitor for Flags {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.push((param.id, param.is_require_grad()));
            }
        }
        let flags = |layers: &Vec<Layer>| {
            let mut flags = Flags(Vec::new());
            layers.visit(&mut flags);
            flags.0
        };
        let device = Device::flex().autodiff();
        let weights = checkpoint(&model(&Device::flex()), Precision::Bf16);
        let mut fresh = model(&device);
        fresh.layers[1] = fresh.layers[1].clone().no_grad();
        let expected = flags(&fresh.clone().layers);
        let loaded = load(fresh, &weights, &names(), &[]).unwrap();
        assert_eq!(flags(&loaded.layers), expected);
        assert!(expected.iter().any(|(_, grad)| *grad) && expected.iter().any(|(_, grad)| !grad));
        assert_eq!(loaded.norm.gamma.val().dtype(), DType::F32);

        let input = Tensor::<2>::random([2, 3], Distribution::Default, &device);
        let gradients = loaded.layers[0].first.forward(input).sum().backward();
        assert!(loaded.layers[0].first.weight.grad(&gradients).is_some());
    }

    #[test]
    fn the_caller_can_choose_the_type() {
        let weights = checkpoint(&model(&Device::flex()), Precision::F32);
        let half = load_as(
            model(&Device::flex()),
            &weights,
            &names(),
            &[],
            Precision::F16,
        )
        .unwrap();
        assert_eq!(half.layers[0].first.weight.val().dtype(), DType::F16);
    }

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
