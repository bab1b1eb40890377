//! The products as Burn's own matrix multiplication.

use burn::tensor::Tensor;

pub(crate) fn forward(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    x.matmul(weight.transpose())
}

pub(crate) fn input_gradient(dy: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    dy.matmul(weight)
}

pub(crate) fn weight_gradient(dy: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
    dy.transpose().matmul(x)
}
