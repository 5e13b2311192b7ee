use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Int, Tensor},
};

use super::{
    convert::{self, Precision},
    error::WeightError,
    file::{StoredTensor, Weights},
    fit::check,
    names::NameMap,
    walk::Walk,
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

    fn stored(&self) -> Result<StoredTensor<'_>, WeightError> {
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
        module::{ModuleVisitor, ParamId},
        nn::{
            BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig,
            Linear, LinearConfig, RmsNorm, RmsNormConfig,
        },
        tensor::{DType, Device, Distribution},
    };

    use super::*;
    use crate::weights::{Mismatch, WeightFile, export, plan_shards, tensor_specs, to_safetensors};

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
}
