//! Products with frozen weights that carry low-rank adapters (Hu et al., arXiv 2106.09685), several at once where they read the same input.
//!
//! For a weight `W [outputs, inputs]` with the adapter `A [rank, inputs]`, `B [outputs, rank]` and `s = alpha / rank`:
//! `y = x W^T + s (x A^T) B^T`. Backward, given `dy`: `u = s dy B`, `dB = s dy^T (x A^T)`, `dA = u^T x`, `dx = dy W + u A`. The gradient of
//! the frozen weight is never formed, and neither is `W + s B A`.
//!
//! On a GPU, projections of the same input are grouped: one product for all `A`, whose rows lie one below the other, one for all `dA`, and
//! one for the adapters' share of `dx`. Adapters are kept in `f32`; products are formed in the type of the activations, their gradients
//! in `f32`.

use burn::tensor::Tensor;

use super::linear;
use crate::device::is_gpu;

/// A weight, `[outputs, inputs]`, with its adapter.
#[derive(Clone, Copy)]
pub struct Adapted<'a> {
    /// The frozen weight, `[outputs, inputs]`.
    pub weight: &'a Tensor<2>,
    /// Down projection, `[rank, inputs]`.
    pub a: &'a Tensor<2>,
    /// Up projection, `[outputs, rank]`.
    pub b: &'a Tensor<2>,
    /// `alpha / rank`.
    pub scale: f32,
}

/// The gradients of the adapter of one weight.
pub struct AdapterGradients {
    /// With respect to `A`.
    pub a: Tensor<2>,
    /// With respect to `B`.
    pub b: Tensor<2>,
}

/// Returns the product of `x` with each of some adapted weights.
///
/// # Shapes
/// `x`: `[rows, inputs]`; each result: `[rows, outputs]` of its weight.
#[must_use]
pub fn forward<const N: usize>(x: &Tensor<2>, layers: [Adapted<'_>; N]) -> [Tensor<2>; N] {
    if !is_gpu(&x.device()) {
        return layers.map(|layer| {
            let y = linear::forward(x, layer.weight);
            y + linear::forward(&linear::forward(x, layer.a), layer.b) * layer.scale
        });
    }
    let hidden = linear::forward(x, &stacked(&layers));
    let mut at = 0;
    layers.map(|layer| {
        let h = columns(&hidden, &mut at, layer.rank());
        linear::forward(x, layer.weight) + linear::forward(&(h * layer.scale), layer.b)
    })
}

/// Returns the gradient with respect to `x`, summed over some adapted weights, and those of the adapters, for the gradients of
/// the products. `x` is let go before its gradient is formed.
///
/// # Shapes
/// As in [`forward`]; each gradient has the shape of what it belongs to.
///
/// # Panics
/// Panics when there is no weight.
#[must_use]
pub fn backward<const N: usize>(x: Tensor<2>, layers: [Adapted<'_>; N], dy: [&Tensor<2>; N]) -> (Tensor<2>, [AdapterGradients; N]) {
    if is_gpu(&x.device()) { grouped_backward(x, layers, dy) } else { backward_of_each(&x, layers, dy) }
}

fn backward_of_each<const N: usize>(x: &Tensor<2>, layers: [Adapted<'_>; N], dy: [&Tensor<2>; N]) -> (Tensor<2>, [AdapterGradients; N]) {
    let mut dx: Option<Tensor<2>> = None;
    let gradients = std::array::from_fn(|i| {
        let (layer, dy) = (layers[i], dy[i]);
        let share = linear::input_gradient(dy, layer.weight);
        let hidden = linear::forward(x, layer.a) * layer.scale;
        let u = linear::input_gradient(dy, layer.b) * layer.scale;
        let gradients = AdapterGradients { a: linear::weight_gradient(&u, x), b: linear::weight_gradient(dy, &hidden) };
        let share = share + linear::input_gradient(&u, layer.a);
        dx = Some(match dx.take() {
            Some(dx) => dx + share,
            None => share,
        });
        gradients
    });
    (dx.expect("there is at least one weight"), gradients)
}

fn grouped_backward<const N: usize>(x: Tensor<2>, layers: [Adapted<'_>; N], dy: [&Tensor<2>; N]) -> (Tensor<2>, [AdapterGradients; N]) {
    let stacked = stacked(&layers);
    let hidden = linear::forward(&x, &stacked);
    let u: Vec<Tensor<2>> = layers.iter().zip(dy).map(|(layer, dy)| linear::input_gradient(dy, layer.b) * layer.scale).collect();
    let u = Tensor::cat(u, 1);
    let da = linear::weight_gradient(&u, &x);
    // Where nobody else has it, there is room for its gradient now.
    drop(x);
    let (mut row, mut column) = (0, 0);
    let gradients = std::array::from_fn(|i| {
        let (layer, rank) = (layers[i], layers[i].rank());
        let h = columns(&hidden, &mut column, rank) * layer.scale;
        let a = da.clone().narrow(0, row, rank);
        row += rank;
        AdapterGradients { a, b: linear::weight_gradient(dy[i], &h) }
    });
    let of_adapters = linear::input_gradient(&u, &stacked);
    let dx = layers.iter().zip(dy).fold(of_adapters, |dx, (layer, dy)| dx + linear::input_gradient(dy, layer.weight));
    (dx, gradients)
}

impl Adapted<'_> {
    fn rank(&self) -> usize {
        self.a.dims()[0]
    }
}

/// The down projections, one below the other.
fn stacked(layers: &[Adapted<'_>]) -> Tensor<2> {
    match layers {
        [layer] => layer.a.clone(),
        _ => Tensor::cat(layers.iter().map(|layer| layer.a.clone()).collect(), 0),
    }
}

fn columns(of: &Tensor<2>, at: &mut usize, count: usize) -> Tensor<2> {
    let found = of.clone().narrow(1, *at, count);
    *at += count;
    found
}
