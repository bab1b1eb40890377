//! Head normalisation and rotation in plain tensor operations.

use burn::tensor::{Device, Tensor};

use super::RotaryTable;
use crate::kernels::{host, rms_norm};

pub(crate) fn forward(x: Tensor<2>, weight: Tensor<1>, eps: f32, table: &RotaryTable, positions: &[u32]) -> Tensor<2> {
    let ([rows, features], [head_dim]) = (x.dims(), weight.dims());
    let heads = features / head_dim;
    let normed = rms_norm::reference::forward(x.reshape([rows * heads, head_dim]), weight, eps);
    rotate(normed.reshape([rows, heads, head_dim]), table, positions, 1.0).reshape([rows, features])
}

pub(crate) fn backward(
    x: Tensor<2>,
    weight: Tensor<1>,
    eps: f32,
    table: &RotaryTable,
    positions: &[u32],
    dy: Tensor<2>,
) -> (Tensor<2>, Tensor<1>) {
    let ([rows, features], [head_dim]) = (x.dims(), weight.dims());
    let heads = features / head_dim;
    let dnormed = rotate(dy.reshape([rows, heads, head_dim]), table, positions, -1.0).reshape([rows * heads, head_dim]);
    let (dx, dweight) = rms_norm::reference::backward(x.reshape([rows * heads, head_dim]), weight, eps, dnormed);
    (dx.reshape([rows, features]), dweight)
}

/// Rotates `[rows, heads, head_dim]` by the angles of each row's position, times `sign`.
fn rotate(x: Tensor<3>, table: &RotaryTable, positions: &[u32], sign: f32) -> Tensor<3> {
    let [rows, heads, head_dim] = x.dims();
    let half = head_dim / 2;
    let (cosines, sines) = angles(table, positions, &x.device());
    let (cosines, sines) = (cosines.reshape([rows, 1, half]), sines.reshape([rows, 1, half]) * sign);
    let first = x.clone().slice([0..rows, 0..heads, 0..half]);
    let second = x.slice([0..rows, 0..heads, half..head_dim]);
    Tensor::cat(vec![first.clone() * cosines.clone() - second.clone() * sines.clone(), second * cosines + first * sines], 2)
}

fn angles(table: &RotaryTable, positions: &[u32], device: &Device) -> (Tensor<2>, Tensor<2>) {
    let shape = [positions.len(), table.half];
    let cosines: Vec<f32> = positions.iter().flat_map(|&position| table.at(position).0).copied().collect();
    let sines: Vec<f32> = positions.iter().flat_map(|&position| table.at(position).1).copied().collect();
    (host::upload(cosines, shape, device), host::upload(sines, shape, device))
}
