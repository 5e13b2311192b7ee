use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData, Transaction};

/// One parameter's place in the flat vector of all parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Module path, for example `model.qwen.model.layers.0.mlp.up_proj.weight`.
    pub path: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where it begins.
    pub offset: usize,
}

impl Parameter {
    /// Numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All float parameters of a module in the order in which it visits them.
///
/// Optimiser, workers and checkpoints speak of one flat `f32` vector, so that averaging gradients,
/// clipping their global norm and saving them need no walk over the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterTable {
    /// The parameters.
    pub parameters: Vec<Parameter>,
}

impl ParameterTable {
    /// Lists a module's parameters.
    pub fn of<M: Module>(module: &M) -> Self {
        let mut lister = Lister {
            path: Vec::new(),
            parameters: Vec::new(),
            offset: 0,
        };
        module.visit(&mut lister);
        Self {
            parameters: lister.parameters,
        }
    }

    /// Numbers in all.
    pub fn len(&self) -> usize {
        self.parameters
            .last()
            .map_or(0, |last| last.offset + last.len())
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// Copies the parameters out.
    pub fn values<M: Module>(&self, module: &M) -> Vec<f32> {
        let mut reader = Reader {
            out: Vec::with_capacity(self.len()),
        };
        module.visit(&mut reader);
        reader.out
    }

    /// Copies the gradients out; parameters without one get zeros.
    pub fn gradients<M: Module>(&self, module: &M, gradients: &Gradients) -> Vec<f32> {
        let mut reader = GradientReader {
            gradients,
            read: Transaction::default(),
            parameters: Vec::with_capacity(self.parameters.len()),
        };
        module.visit(&mut reader);
        let mut out = Vec::with_capacity(self.len());
        let mut read = reader.read.execute().into_iter();
        for parameter in reader.parameters {
            match parameter {
                Gradient::Read => read.next().iter().for_each(|data| extend(&mut out, data)),
                Gradient::None(numbers) => out.resize(out.len() + numbers, 0.0),
            }
        }
        out
    }

    /// A module with these parameters on `device`: new leaves of the autodiff graph where `trained`
    /// is true, constants elsewhere, through which no gradient is computed.
    ///
    /// # Panics
    /// Panics where `values` or `trained` has another length than the table.
    pub fn with_values<M: Module>(
        &self,
        module: M,
        values: &[f32],
        trained: &[bool],
        device: &Device,
    ) -> M {
        assert_eq!(values.len(), self.len(), "one value for each number");
        assert_eq!(
            trained.len(),
            self.parameters.len(),
            "one flag for each parameter"
        );
        module.map(&mut Writer {
            values,
            trained,
            offset: 0,
            device,
        })
    }
}

struct Lister {
    path: Vec<String>,
    parameters: Vec<Parameter>,
    offset: usize,
}

impl ModuleVisitor for Lister {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.lazy_shape().as_slice().to_vec();
        let parameter = Parameter {
            path: self.path.join("."),
            shape,
            offset: self.offset,
        };
        self.offset += parameter.len();
        self.parameters.push(parameter);
    }
}

struct Reader {
    out: Vec<f32>,
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        extend(&mut self.out, &param.val().into_data());
    }
}

struct GradientReader<'a> {
    gradients: &'a Gradients,
    /// All gradients, so that a GPU is waited for once and not for each of them.
    read: Transaction,
    parameters: Vec<Gradient>,
}

/// Where a parameter's gradient is to be found.
enum Gradient {
    /// The next that is read.
    Read,
    /// There is none for so many numbers.
    None(usize),
}

impl ModuleVisitor for GradientReader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = match param.val().grad(self.gradients) {
            Some(gradient) => {
                self.read = std::mem::take(&mut self.read).register(gradient);
                Gradient::Read
            }
            None => Gradient::None(param.lazy_shape().num_elements()),
        };
        self.parameters.push(gradient);
    }
}

fn extend(out: &mut Vec<f32>, data: &TensorData) {
    match data.as_slice::<f32>() {
        Ok(values) => out.extend_from_slice(values),
        Err(_) => out.extend(data.iter::<f32>()),
    }
}

struct Writer<'a> {
    values: &'a [f32],
    /// Of the parameters that are still to come.
    trained: &'a [bool],
    offset: usize,
    device: &'a Device,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let count = shape.num_elements();
        let values = self.values[self.offset..self.offset + count].to_vec();
        self.offset += count;
        let mut tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
        if let Some((&is_trained, rest)) = self.trained.split_first() {
            self.trained = rest;
            tensor = tensor.set_require_grad(is_trained);
        }
        let (id, _, mapper) = param.consume();
        Param::from_mapped_value(id, tensor, mapper)
    }
}
