//! The normalisation and its gradient in plain tensor operations.

use burn::tensor::Tensor;

pub(crate) fn forward(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    let scale = reciprocal_rms(x.clone(), eps);
    x * scale * weight.unsqueeze()
}

pub(crate) fn add_forward(x: Tensor<2>, delta: Tensor<2>, weight: Tensor<1>, eps: f32) -> (Tensor<2>, Tensor<2>) {
    let sum = x + delta;
    (sum.clone(), forward(sum, weight, eps))
}

pub(crate) fn backward(x: Tensor<2>, weight: Tensor<1>, eps: f32, dy: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
    let scale = reciprocal_rms(x.clone(), eps);
    let normed = x * scale.clone();
    let dweight = (normed.clone() * dy.clone()).sum_dim(0).squeeze_dim(0);
    let g = dy * weight.unsqueeze();
    let projection = (normed.clone() * g.clone()).mean_dim(1);
    ((g - normed * projection) * scale, dweight)
}

fn reciprocal_rms(x: Tensor<2>, eps: f32) -> Tensor<2> {
    (x.powi_scalar(2).mean_dim(1) + eps).sqrt().recip()
}
