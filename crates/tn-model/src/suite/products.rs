//! Matrix products and layers with adapters.

use burn::tensor::Tensor;

use super::place::{Place, Source};
use super::{Check, Difference};
use crate::kernels::linear;
use crate::kernels::lora_linear::{self, Adapted};

pub(super) const CHECKS: &[Check] = &[Check { name: "matrix products", run: products }, Check { name: "LoRA, grouped", run: adapters }];

fn products(place: &Place) -> Vec<Difference> {
    let sizes = [[1, 32, 17], [3, 160, 64], [65, 96, 200], [257, 1000, 130]];
    let of_size = |[rows, inputs, outputs]: [usize; 3]| {
        let mut source = Source::new();
        let tensors = [source.tensor([rows, inputs]), source.tensor([outputs, inputs]), source.tensor([rows, outputs])];
        let run = |[x, w, dy]: [Tensor<2>; 3]| [linear::forward(&x, &w), linear::input_gradient(&dy, &w), linear::weight_gradient(&dy, &x)];
        let found = run(tensors.each_ref().map(|tensor| place.activations(tensor)));
        let expected = run(tensors.each_ref().map(|tensor| place.rounded(tensor)));
        compare(place, &["y", "dx", "dw"], &format!("{rows} x {inputs} x {outputs}"), &found, &expected)
    };
    sizes.into_iter().flat_map(of_size).collect()
}

fn adapters(place: &Place) -> Vec<Difference> {
    let of_size = |[rows, inputs, rank]: [usize; 3]| {
        let outputs = [80, 48];
        let mut source = Source::new();
        let x = source.tensor([rows, inputs]);
        let weights = outputs.map(|outputs| source.tensor([outputs, inputs]));
        let factors = outputs.map(|outputs| [source.tensor([rank, inputs]), source.tensor([outputs, rank])]);
        let dy = outputs.map(|outputs| source.tensor([rows, outputs]));
        let run = |x: &Tensor<2>, weights: [Tensor<2>; 2], factors: [[Tensor<2>; 2]; 2], dy: [Tensor<2>; 2]| {
            let layer = |i: usize| Adapted { weight: &weights[i], a: &factors[i][0], b: &factors[i][1], scale: 0.5 };
            let y = lora_linear::forward(x, [layer(0), layer(1)]);
            let (dx, gradients) = lora_linear::backward(x.clone(), [layer(0), layer(1)], dy.each_ref());
            let of_adapters = gradients.into_iter().flat_map(|gradient| [gradient.a, gradient.b]);
            y.into_iter().chain([dx]).chain(of_adapters).collect::<Vec<_>>()
        };
        let activations = |tensor: &Tensor<2>| place.activations(tensor);
        let rounded = |tensor: &Tensor<2>| place.rounded(tensor);
        // Adapters are in 32 bits everywhere; so that both sides start from the same numbers, they are rounded too.
        let on_device = factors.each_ref().map(|pair| pair.each_ref().map(|factor| place.floats(&rounded(factor))));
        let on_host = factors.each_ref().map(|pair| pair.each_ref().map(rounded));
        let found = run(&activations(&x), weights.each_ref().map(activations), on_device, dy.each_ref().map(activations));
        let expected = run(&rounded(&x), weights.each_ref().map(rounded), on_host, dy.each_ref().map(rounded));
        let names =
            ["y of the first", "y of the second", "dx", "da of the first", "db of the first", "da of the second", "db of the second"];
        compare(place, &names, &format!("{rows} x {inputs}, rank {rank}"), &found, &expected)
    };
    [[1, 64, 4], [65, 96, 8], [257, 160, 32]].into_iter().flat_map(of_size).collect()
}

fn compare(place: &Place, names: &[&str], at: &str, found: &[Tensor<2>], expected: &[Tensor<2>]) -> Vec<Difference> {
    // What is rounded to bf16 on the way, as the hidden values of an adapter are, is rounded twice.
    let tolerance = 2.0 * place.tolerance();
    let tensors = found.iter().zip(expected);
    names.iter().zip(tensors).map(|(name, (found, expected))| Difference::of(format!("{name}, {at}"), tolerance, found, expected)).collect()
}
