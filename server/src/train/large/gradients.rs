use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor};

use super::trained::{Trained, Walk};

/// Numbers that are summed in one go; see [`square_sum`].
const ROW: usize = 1024;

/// The gradients of the trained parameters, summed over pictures; flat, in f32, and outside autodiff.
#[derive(Debug, Clone)]
pub(super) struct GradientBuffer {
    /// In the order of the trained parameters; none where there was no gradient yet.
    sums: Vec<Option<Tensor<1>>>,
}

impl GradientBuffer {
    /// Without any gradient yet.
    pub(super) fn new(trained: &Trained) -> Self {
        Self {
            sums: vec![None; trained.count()],
        }
    }

    /// Adds what one backward pass left.
    pub(super) fn add<M: Module>(&mut self, module: &M, trained: &Trained, gradients: Gradients) {
        module.visit(&mut Adder {
            walk: Walk::default(),
            trained,
            gradients,
            sums: &mut self.sums,
        });
    }

    /// One for each trained parameter; zeros where there was none.
    pub(super) fn into_tensors(self, trained: &Trained, device: &Device) -> Vec<Tensor<1>> {
        let sums = self.sums.into_iter().zip(&trained.parameters);
        sums.map(|(sum, parameter)| {
            sum.unwrap_or_else(|| Tensor::zeros([parameter.len()], (device, DType::F32)))
        })
        .collect()
    }
}

struct Adder<'a> {
    walk: Walk,
    trained: &'a Trained,
    gradients: Gradients,
    sums: &'a mut [Option<Tensor<1>>],
}

impl ModuleVisitor for Adder<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(place) = self.walk.place(self.trained) else {
            return;
        };
        let Some(gradient) = param.val().grad_remove(&mut self.gradients) else {
            return;
        };
        let count = self.trained.parameters[place].len();
        let gradient: Tensor<1> = gradient.reshape([count]).cast(DType::F32);
        let sum = &mut self.sums[place];
        *sum = Some(match sum.take() {
            Some(sum) => sum + gradient,
            None => gradient,
        });
    }
}

/// The sum of the squares of each tensor's numbers, `[tensors]`.
///
/// Summed in rows of 1024 and these again, because the sum over a whole tensor is made by atomic
/// additions on a GPU, whose order is another one each time.
///
/// # Panics
/// Panics where there is no tensor.
pub(super) fn square_sums(tensors: &[Tensor<1>]) -> Tensor<1> {
    let squares = tensors.iter().map(|tensor| square_sum(tensor.clone()));
    Tensor::cat(squares.collect(), 0)
}

fn square_sum(values: Tensor<1>) -> Tensor<1> {
    let [count] = values.dims();
    let squares = values.square();
    let rows = count / ROW;
    let mut sums = Vec::new();
    if rows > 0 {
        let whole: Tensor<2> = squares
            .clone()
            .narrow(0, 0, rows * ROW)
            .reshape([rows, ROW]);
        sums.push(whole.sum_dim(1).reshape([1, rows]).sum_dim(1));
    }
    let rest = count - rows * ROW;
    if rest > 0 {
        let rest: Tensor<2> = squares.narrow(0, rows * ROW, rest).reshape([1, rest]);
        sums.push(rest.sum_dim(1));
    }
    Tensor::cat(sums, 1).sum_dim(1).reshape([1])
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::TensorData;

    use super::*;

    #[derive(Module, Debug)]
    struct Pair {
        first: Linear,
        second: Linear,
    }

    #[test]
    fn gradients_of_several_passes_add_up() {
        let device = Device::flex().autodiff();
        let pair = Pair {
            first: LinearConfig::new(2, 2).init(&device),
            second: LinearConfig::new(2, 2).with_bias(false).init(&device),
        };
        let trained = Trained::chosen(&pair, |path| path != "first.weight");
        assert_eq!(trained.count(), 2);
        let mut buffer = GradientBuffer::new(&trained);
        for value in [1.0, 2.0, 4.0] {
            let x = Tensor::<2>::full([1, 2], value, &device);
            buffer.add(&pair, &trained, pair.first.forward(x).sum().backward());
        }
        let plain = Device::flex();
        let sums = buffer.into_tensors(&trained, &plain);
        let numbers: Vec<Vec<f32>> = sums
            .into_iter()
            .map(|sum| sum.into_data().iter::<f32>().collect())
            .collect();
        // The bias has the gradient one in each pass; the second layer was not used.
        assert_eq!(numbers, [vec![3.0, 3.0], vec![0.0; 4]]);
    }

    #[test]
    fn squares_are_summed_whatever_the_length() {
        let device = Device::flex();
        let tensor = |count: usize, value: f32| {
            let data = TensorData::new(vec![value; count], [count]);
            Tensor::<1>::from_data(data, &device)
        };
        let lengths = [1, 3, 1023, 1024, 1025, 2048, 5000];
        let tensors: Vec<Tensor<1>> = lengths.iter().map(|&count| tensor(count, -2.0)).collect();
        let sums: Vec<f32> = square_sums(&tensors).into_data().iter::<f32>().collect();
        assert_eq!(sums, lengths.map(|count| 4.0 * count as f32));
        // Over two parameters, 3-4-12 makes 13.
        let first = Tensor::<1>::from_data([3.0, -4.0], &device);
        let second = Tensor::<1>::from_data([12.0], &device);
        let total: f32 = square_sums(&[first, second])
            .into_data()
            .iter::<f32>()
            .sum();
        assert_eq!(total.sqrt(), 13.0);
    }
}
