//! Deformable attention and mask pooling against the reference values and gradients.

use burn::tensor::{Tensor, TensorData};

use super::{deformable_attention, pool_selected, select_cells};
use crate::fixtures::{assert_close, device, tensors};

const TOLERANCE: f64 = 1e-5;

#[test]
fn fixture_deformable_attention_and_its_gradients() {
    let device = device();
    let file = tensors("ops", "ops.safetensors");
    let five = |name: &str| file.tensor::<5>(name, &device).expect(name);
    let four = |name: &str| file.tensor::<4>(name, &device).expect(name);
    let value = five("deform.value").require_grad();
    let locations = five("deform.locations").require_grad();
    let weights = four("deform.weights").require_grad();
    let output = deformable_attention(value.clone(), locations.clone(), weights.clone());
    let expected: Tensor<3> = file
        .tensor("deform.output", &device)
        .expect("deform.output");
    assert_close("output", output.clone(), expected, TOLERANCE);

    let cotangent: Tensor<3> = file
        .tensor("deform.cotangent", &device)
        .expect("deform.cotangent");
    let gradients = (output * cotangent).sum().backward();
    let reference = |name: &str| five(name).without_autodiff();
    let found = value.grad(&gradients).expect("a gradient");
    assert_close("value", found, reference("deform.grad_value"), TOLERANCE);
    let found = locations.grad(&gradients).expect("a gradient");
    assert_close(
        "locations",
        found,
        reference("deform.grad_locations"),
        TOLERANCE,
    );
    let found = weights.grad(&gradients).expect("a gradient");
    assert_close(
        "weights",
        found,
        four("deform.grad_weights").without_autodiff(),
        TOLERANCE,
    );
}

#[test]
fn fixture_mask_pooling() {
    let device = device();
    let file = tensors("ops", "ops.safetensors");
    let read = |name: &str| file.tensor::<4>(name, &device).expect(name);
    let mask = read("pool.mask");
    let features = read("pool.features");
    let [_, _, height, width] = mask.dims();
    let [batch, channels, grid_h, grid_w] = features.dims();
    let values: Vec<f32> = mask.into_data().iter::<f32>().collect();
    assert_eq!(values.len(), batch * height * width, "a mask per map");
    let selected: Vec<bool> = values
        .chunks_exact(height * width)
        .flat_map(|mask| select_cells(mask, [height, width], [grid_h, grid_w]))
        .collect();
    let wanted: Vec<bool> = read("pool.selected")
        .into_data()
        .iter::<f32>()
        .map(|cell| cell > 0.0)
        .collect();
    assert!(wanted.contains(&true), "the fixture selects no cell");
    assert_eq!(selected, wanted);

    let selected: Vec<f32> = selected
        .into_iter()
        .map(|cell| f32::from(u8::from(cell)))
        .collect();
    let cells = grid_h * grid_w;
    let pooled = pool_selected(
        features.reshape([batch, channels, cells]).swap_dims(1, 2),
        Tensor::from_data(TensorData::new(selected, [batch, cells]), &device),
    );
    let expected: Tensor<2> = file.tensor("pool.output", &device).expect("pool.output");
    assert_close("pooled", pooled, expected, TOLERANCE);
}
