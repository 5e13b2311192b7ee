use std::{borrow::Cow, collections::HashMap};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{DType, Int, Tensor, TensorData},
};
use safetensors::{View, tensor::Dtype};

use super::{
    convert::{self, Precision},
    error::WeightError,
    names::NameMap,
    walk::Walk,
};

/// Reads every parameter back to the host, under its checkpoint name and in its checkpoint layout.
///
/// Float parameters come as `precision`, integer ones as 64-bit integers. Parameters that were
/// never initialised are initialised by this. It waits for the device, so it is not for browsers.
///
/// # Errors
///
/// If the device cannot hand a value back.
pub fn export<M: Module>(
    module: &M,
    names: &NameMap,
    precision: Precision,
) -> Result<Vec<(String, TensorData)>, WeightError> {
    export_where(module, names, precision, |_| true)
}

/// As [`export`], for the tensors whose checkpoint name `keep` accepts, so that a model can be
/// written shard by shard without holding all of it on the host.
///
/// # Errors
///
/// As [`export`].
pub fn export_where<M: Module>(
    module: &M,
    names: &NameMap,
    precision: Precision,
    keep: impl Fn(&str) -> bool,
) -> Result<Vec<(String, TensorData)>, WeightError> {
    let mut exporter = Exporter {
        walk: Walk::default(),
        names,
        precision,
        keep,
        tensors: Vec::new(),
        failure: None,
    };
    module.visit(&mut exporter);
    match exporter.failure {
        Some(failure) => Err(failure),
        None => Ok(exporter.tensors),
    }
}

/// Writes tensors as the bytes of one safetensors file.
///
/// # Errors
///
/// If a tensor is of a type that the format does not know.
pub fn to_safetensors(tensors: Vec<(String, TensorData)>) -> Result<Vec<u8>, WeightError> {
    let views = tensors
        .into_iter()
        .map(|(name, data)| {
            let dtype = match data.dtype() {
                DType::F32 => Dtype::F32,
                DType::F16 => Dtype::F16,
                DType::BF16 => Dtype::BF16,
                DType::I64 => Dtype::I64,
                other => {
                    let stored = format!("{other:?}");
                    return Err(WeightError::Type {
                        name,
                        stored,
                        wanted: "a stored type",
                    });
                }
            };
            Ok((
                name,
                Exported {
                    dtype,
                    shape: data.shape().to_vec(),
                    data,
                },
            ))
        })
        .collect::<Result<Vec<_>, _>>()?;
    // Python readers take files without this entry for foreign ones.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

struct Exported {
    dtype: Dtype,
    shape: Vec<usize>,
    data: TensorData,
}

impl View for Exported {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.data.as_bytes())
    }

    fn data_len(&self) -> usize {
        self.data.as_bytes().len()
    }
}

struct Exporter<'a, F> {
    walk: Walk,
    names: &'a NameMap,
    precision: Precision,
    keep: F,
    tensors: Vec<(String, TensorData)>,
    failure: Option<WeightError>,
}

impl<F: Fn(&str) -> bool> Exporter<'_, F> {
    fn push(
        &mut self,
        dtype: DType,
        read: impl FnOnce() -> Result<TensorData, String>,
        rank: usize,
    ) {
        let name = self.walk.name(self.names);
        if self.failure.is_some() || !(self.keep)(&name) {
            return;
        }
        let data = match read() {
            Ok(data) => data,
            Err(reason) => {
                self.failure = Some(WeightError::ReadBack { name, reason });
                return;
            }
        };
        match data.try_cast(dtype) {
            Ok(data) if self.walk.is_transposed(rank) => {
                self.tensors.push((name, convert::transpose(data)));
            }
            Ok(data) => self.tensors.push((name, data)),
            Err(source) => self.failure = Some(WeightError::Convert { name, source }),
        }
    }
}

impl<F: Fn(&str) -> bool> ModuleVisitor for Exporter<'_, F> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.walk.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.walk.exit(container_type);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let read = || {
            param
                .val()
                .try_into_data()
                .map_err(|error| error.to_string())
        };
        self.push(self.precision.dtype(), read, D);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        let read = || {
            param
                .val()
                .try_into_data()
                .map_err(|error| error.to_string())
        };
        self.push(DType::I64, read, D);
    }
}
