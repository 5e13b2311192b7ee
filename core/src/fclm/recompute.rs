//! Blocks whose insides are computed again in the backward pass instead of being kept.
//!
//! burn's own gradient checkpointing is decided operation by operation: what elementwise operations
//! make is computed again, every product's operands are kept. A transformer's block keeps some
//! twenty arrays of its activations' size that way. Here a block is one operation of the graph, which
//! keeps what came in and runs the block a second time, with a graph of its own, when the gradient
//! arrives.

use burn::module::Module;
use burn::tensor::Tensor;

#[cfg(not(target_family = "wasm"))]
pub(crate) use recorded::recomputed;

/// `run(module, x)`: nothing is recorded where nothing is trained.
#[cfg(target_family = "wasm")]
pub(crate) fn recomputed<M, F, const D: usize>(module: &M, x: Tensor<D>, run: F) -> Tensor<D>
where
    M: Module + 'static,
    F: Fn(&M, Tensor<D>) -> Tensor<D> + Clone + Send + 'static,
{
    run(module, x)
}

#[cfg(not(target_family = "wasm"))]
mod recorded {
    use std::fmt;
    use std::marker::PhantomData;

    #[cfg(feature = "cuda")]
    use burn::backend::Cube;
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::{
        BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
    };
    use burn::backend::autodiff::grads::Gradients as Recorded;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{
        Autodiff, Backend, DispatchKindConversion, DispatchTensor, DispatchTensorKind, Flex,
    };
    use burn::module::{ModuleMapper, ModuleVisitor, Param};
    use burn::tensor::{GradientCheckpointingStrategy, Gradients};

    use super::{Module, Tensor};

    /// `run(module, x)`, with gradients for `x` and the trained parameters of `module`, of which
    /// nothing but `x` is kept until the backward pass.
    ///
    /// `run` is called a second time in the backward pass, on parameters of the same values. It must
    /// give the same again, and may capture constants only: no gradient reaches anything else that
    /// is recorded. The gradients are those of the plain call.
    ///
    /// Backends are named here, because burn dispatches no operation that its users make; on one
    /// that is not named the call is recorded as it is.
    ///
    /// # Shapes
    /// - x and output: any, of one rank
    pub(crate) fn recomputed<M, F, const D: usize>(module: &M, x: Tensor<D>, run: F) -> Tensor<D>
    where
        M: Module + 'static,
        F: Fn(&M, Tensor<D>) -> Tensor<D> + Clone + Send + 'static,
    {
        if !x.is_autodiff() || !(x.is_tracked() || is_trained(module)) {
            return run(module, x);
        }
        let balanced =
            x.gradient_checkpointing_strategy() == Some(GradientCheckpointingStrategy::Balanced);
        let DispatchTensorKind::Autodiff(kind) = x.clone().into_dispatch().kind else {
            return run(module, x);
        };
        match (*kind, balanced) {
            (DispatchTensorKind::Flex(_), false) => {
                record::<Flex, NoCheckpointing, M, F, D>(module, x, run)
            }
            (DispatchTensorKind::Flex(_), true) => {
                record::<Flex, BalancedCheckpointing, M, F, D>(module, x, run)
            }
            #[cfg(feature = "cuda")]
            (DispatchTensorKind::Cube(_), false) => {
                record::<Cube, NoCheckpointing, M, F, D>(module, x, run)
            }
            #[cfg(feature = "cuda")]
            (DispatchTensorKind::Cube(_), true) => {
                record::<Cube, BalancedCheckpointing, M, F, D>(module, x, run)
            }
            _ => run(module, x),
        }
    }

    /// The block as one operation of the graph.
    fn record<B, C, M, F, const D: usize>(module: &M, x: Tensor<D>, run: F) -> Tensor<D>
    where
        B: Backend,
        C: CheckpointStrategy,
        M: Module + 'static,
        F: Fn(&M, Tensor<D>) -> Tensor<D> + Clone + Send + 'static,
        DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
    {
        let input = x.clone().set_require_grad(false);
        let output = run(&module.clone().map(&mut Constants), input.clone());
        let output = primitive::<B, D>(output.without_autodiff());
        // An operation without a recorded input would never be asked for the gradients of its
        // parameters.
        let x = match x.is_tracked() {
            true => x,
            false => x.detach().require_grad(),
        };
        let x = x
            .try_into_primitive::<Autodiff<B, C>>()
            .expect("the backend and the strategy are those that the input was matched by");
        let saved = Saved {
            input,
            module: module.clone(),
            run,
        };
        let operation = Recompute::<C, M, F, D>(PhantomData);
        let operation = Backward::<B, 1>::prepare::<C>(operation, [x.node()]);
        let output = match operation.compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish(saved, output),
            OpsKind::UnTracked(operation) => operation.finish(output),
        };
        Tensor::from_primitive::<Autodiff<B, C>>(output)
    }

    /// What a block is run again from.
    #[derive(Clone)]
    struct Saved<M, F, const D: usize> {
        input: Tensor<D>,
        module: M,
        run: F,
    }

    impl<M, F, const D: usize> fmt::Debug for Saved<M, F, D> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Saved").finish_non_exhaustive()
        }
    }

    /// A block's backward step.
    struct Recompute<C, M, F, const D: usize>(Marker<C, M, F>);

    type Marker<C, M, F> = PhantomData<fn() -> (C, M, F)>;

    impl<C, M, F, const D: usize> fmt::Debug for Recompute<C, M, F, D> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Recompute")
        }
    }

    impl<B, C, M, F, const D: usize> Backward<B, 1> for Recompute<C, M, F, D>
    where
        B: Backend,
        C: CheckpointStrategy,
        M: Module + 'static,
        F: Fn(&M, Tensor<D>) -> Tensor<D> + Clone + Send + 'static,
        DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
    {
        type State = Saved<M, F, D>;

        fn backward(
            self,
            ops: Ops<Self::State, 1>,
            grads: &mut Recorded,
            _checkpointer: &mut Checkpointer,
        ) {
            let cotangent = Tensor::<D>::from_primitive::<B>(grads.consume::<B>(&ops.node));
            let Saved { input, module, run } = ops.state;
            let [parent] = ops.parents;

            let mut leaves = Leaves::<B, C> {
                ids: Vec::new(),
                backend: PhantomData,
            };
            module.visit(&mut leaves);
            // The second pass has leaves of its own: the outer graph is locked while this step of it
            // runs, and an operation on one of its nodes would wait for ever.
            let module = module.map(&mut Renewed);
            let input = input.require_grad();
            let output = run(&module, input.clone());
            // The gradient of this sum with respect to the output is the cotangent.
            let mut inner = (output * cotangent).sum().backward();

            let gradient = input.grad_remove(&mut inner);
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, primitive::<B, D>(gradient));
            }
            module.visit(&mut Handover {
                ids: leaves.ids.into_iter(),
                inner: &mut inner,
                outer: grads,
                backend: PhantomData::<B>,
            });
        }
    }

    fn primitive<B, const D: usize>(tensor: Tensor<D>) -> FloatTensor<B>
    where
        B: Backend,
        DispatchTensor: DispatchKindConversion<B>,
    {
        tensor
            .try_into_primitive::<B>()
            .expect("what a block computes stays on the backend of its input")
    }

    /// Whether any parameter of a module is trained.
    fn is_trained<M: Module>(module: &M) -> bool {
        struct Search(bool);

        impl ModuleVisitor for Search {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 |= param.val().is_require_grad();
            }
        }

        let mut search = Search(false);
        module.visit(&mut search);
        search.0
    }

    /// The nodes of a module's parameters in the outer graph, in the order of its visit; none for
    /// those that are not trained.
    struct Leaves<B, C> {
        ids: Vec<Option<NodeId>>,
        backend: PhantomData<(B, C)>,
    }

    impl<B, C> ModuleVisitor for Leaves<B, C>
    where
        B: Backend,
        C: CheckpointStrategy,
        DispatchTensor: DispatchKindConversion<Autodiff<B, C>>,
    {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            let id = value.is_require_grad().then(|| {
                value
                    .try_into_primitive::<Autodiff<B, C>>()
                    .expect("a block's parameters are recorded where its input is")
                    .id()
            });
            self.ids.push(id);
        }
    }

    /// Hands the gradients of the second pass to the nodes of the first.
    struct Handover<'a, B> {
        ids: std::vec::IntoIter<Option<NodeId>>,
        inner: &'a mut Gradients,
        outer: &'a mut Recorded,
        backend: PhantomData<B>,
    }

    impl<B> ModuleVisitor for Handover<'_, B>
    where
        B: Backend,
        DispatchTensor: DispatchKindConversion<B>,
    {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let id = self.ids.next().flatten();
            let gradient = param.val().grad_remove(self.inner);
            if let (Some(id), Some(gradient)) = (id, gradient) {
                self.outer.register::<B>(id, primitive::<B, D>(gradient));
            }
        }
    }

    /// Makes constants of all parameters.
    struct Constants;

    impl ModuleMapper for Constants {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| value.set_require_grad(false))
        }
    }

    /// Makes new leaves of the trained parameters.
    struct Renewed;

    impl ModuleMapper for Renewed {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| {
                let is_trained = value.is_require_grad();
                value.set_require_grad(false).set_require_grad(is_trained)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use burn::module::{ModuleVisitor, Param};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::activation::gelu;
    use burn::tensor::{Device, Distribution, Gradients, Tolerance};

    use super::*;
    use crate::fclm::FclmConfig;
    use crate::fixtures::{device, tolerance_on};
    use crate::qwen::{GridThw, LoraConfig, LoraTarget, TextModel, positions_tensor};

    #[derive(Module, Debug)]
    struct Block {
        first: Linear,
        second: Linear,
    }

    impl Block {
        fn new(device: &Device) -> Self {
            Self {
                first: LinearConfig::new(4, 6).init(device),
                second: LinearConfig::new(6, 4).init(device),
            }
        }

        fn forward(&self, x: Tensor<2>) -> Tensor<2> {
            x.clone() + self.second.forward(gelu(self.first.forward(x)))
        }
    }

    /// All gradients of a module, in the order of its visit; empty for what has none.
    struct All<'a> {
        gradients: &'a Gradients,
        values: Vec<Vec<f32>>,
    }

    impl ModuleVisitor for All<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad(self.gradients);
            let values = gradient.map(|gradient| gradient.into_data().iter::<f32>().collect());
            self.values.push(values.unwrap_or_default());
        }
    }

    fn all<M: Module>(module: &M, gradients: &Gradients) -> Vec<Vec<f32>> {
        let mut all = All {
            gradients,
            values: Vec::new(),
        };
        module.visit(&mut all);
        all.values
    }

    #[track_caller]
    fn assert_same(ours: &[Vec<f32>], theirs: &[Vec<f32>], device: &Device) {
        assert_eq!(ours.len(), theirs.len());
        let bound = tolerance_on(device, 1e-5) as f32;
        for (place, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            assert_eq!(ours.len(), theirs.len(), "parameter {place}");
            let largest = theirs.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
            for (a, b) in ours.iter().zip(theirs) {
                assert!(
                    (a - b).abs() <= bound * largest,
                    "parameter {place}: {a}, {b}"
                );
            }
        }
    }

    #[test]
    fn gradients_are_those_of_the_plain_call() {
        for device in [device(), device().gradient_checkpointing()] {
            let blocks = [Block::new(&device), Block::new(&device)];
            let x = Tensor::<2>::random([3, 4], Distribution::Default, &device).require_grad();
            let pass = |again: bool| {
                let y = blocks.iter().fold(x.clone(), |x, block| match again {
                    true => recomputed(block, x, |block: &Block, x| block.forward(x)),
                    false => block.forward(x),
                });
                let gradients = y.clone().powi_scalar(3).sum().backward();
                let own = x.grad(&gradients).expect("the input has a gradient");
                let parameters = blocks
                    .each_ref()
                    .map(|block| all(block, &gradients))
                    .concat();
                (y.into_data(), own.into_data(), parameters)
            };
            let (ours, theirs) = (pass(true), pass(false));
            let bound = || Tolerance::<f32>::absolute(tolerance_on(&device, 1e-5));
            ours.0.assert_approx_eq::<f32>(&theirs.0, bound());
            ours.1.assert_approx_eq::<f32>(&theirs.1, bound());
            assert!(ours.2.iter().all(|values| !values.is_empty()));
            assert_same(&ours.2, &theirs.2, &device);
        }
    }

    #[test]
    fn a_block_runs_twice_and_only_where_something_is_trained() {
        let device = device();
        let runs = Arc::new(AtomicUsize::new(0));
        let pass = |block: &Block, x: Tensor<2>| {
            let runs = Arc::clone(&runs);
            recomputed(block, x, move |block: &Block, x| {
                runs.fetch_add(1, Ordering::Relaxed);
                block.forward(x)
            })
        };
        let x = Tensor::<2>::ones([2, 4], &device);
        let frozen = Block::new(&device).no_grad();
        assert!(!pass(&frozen, x.clone()).is_tracked());
        assert_eq!(runs.swap(0, Ordering::Relaxed), 1);

        // Behind a frozen block its own parameters are all that is trained.
        let block = Block::new(&device);
        let output = pass(&block, x.clone());
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        let gradients = output.sum().backward();
        assert_eq!(runs.swap(0, Ordering::Relaxed), 2);
        assert!(
            all(&block, &gradients)
                .iter()
                .all(|values| !values.is_empty())
        );

        // A frozen block hands the gradient on.
        let x = x.require_grad();
        let gradients = pass(&frozen, x.clone()).sum().backward();
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        assert!(x.grad(&gradients).is_some());
        assert!(all(&frozen, &gradients).iter().all(Vec::is_empty));
    }

    /// What a parameter is used for outside its block is added to what comes from inside.
    #[test]
    fn gradients_of_several_uses_add_up() {
        let device = device();
        let block = Block::new(&device);
        let x = Tensor::<2>::ones([2, 4], &device);
        let pass = |again: bool| {
            let inside = match again {
                true => recomputed(&block, x.clone(), |block: &Block, x| block.forward(x)),
                false => block.forward(x.clone()),
            };
            let outside = block.first.weight.val().square().sum();
            all(&block, &(inside.sum() + outside).backward())
        };
        assert_same(&pass(true), &pass(false), &device);
    }

    fn language_gradients(model: &TextModel, embeds: &Tensor<3>) -> Vec<Vec<f32>> {
        let [_, length, _] = embeds.dims();
        let positions: Vec<[i32; 3]> = (0..length as i32).map(|place| [place; 3]).collect();
        let positions = positions_tensor(&[&positions], &embeds.device());
        let hidden = model.forward(embeds.clone(), positions, None, None);
        let gradients = hidden.powi_scalar(3).sum().backward();
        let mut found = all(model, &gradients);
        let own = embeds
            .grad(&gradients)
            .expect("the embeddings have a gradient");
        found.push(own.into_data().iter::<f32>().collect());
        found
    }

    #[test]
    fn a_language_model_learns_the_same() {
        let device = device();
        device.seed(5);
        let whole = FclmConfig::tiny(64, 1).qwen.text.init(&device);
        let embeds = Tensor::random([1, 5, 32], Distribution::Default, &device).require_grad();
        let lora = LoraConfig {
            rank: 2,
            alpha: 2.0,
            targets: LoraTarget::all(),
        };
        for model in [whole.clone(), whole.with_lora(&lora)] {
            let plain = language_gradients(&model, &embeds);
            let again = language_gradients(&model.recomputing(true), &embeds);
            assert_same(&again, &plain, &device);
        }
    }

    #[test]
    fn a_vision_tower_learns_the_same() {
        let device = device();
        device.seed(6);
        let config = FclmConfig::tiny(64, 1).qwen.vision;
        let tower = config.init(&device);
        let grid = GridThw { t: 1, h: 4, w: 6 };
        let patch = 3 * 2 * 8 * 8;
        let pixels = Tensor::random([1, 24, patch], Distribution::Default, &device);
        let pass = |recomputes: bool| {
            let tower = tower.clone().recomputing(recomputes);
            let tokens = tower.forward(pixels.clone(), grid);
            all(&tower, &tokens.powi_scalar(3).sum().backward())
        };
        assert_same(&pass(true), &pass(false), &device);
    }

    #[test]
    fn an_image_encoder_learns_the_same() {
        let device = device();
        device.seed(7);
        let encoder = FclmConfig::tiny(64, 1).sam.init(&device).image_encoder;
        let images = Tensor::random([2, 3, 64, 64], Distribution::Default, &device);
        let pass = |recomputes: bool| {
            let encoder = encoder.clone().recomputing(recomputes);
            let embedding = encoder.forward(images.clone());
            all(&encoder, &embedding.powi_scalar(3).sum().backward())
        };
        assert_same(&pass(true), &pass(false), &device);
    }
}
