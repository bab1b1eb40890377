//! The products on a GPU, by CubeK.

use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use burn_cubecl::tensor::CubeTensor;

use crate::kernels::gpu;

/// Returns `x w^T` in the type of the activations, or `None` when the tensors are not on a GPU.
pub(super) fn forward(x: &Tensor<2>, weight: &Tensor<2>) -> Option<Tensor<2>> {
    let x = gpu::of(x)?;
    let dtype = x.dtype;
    Some(product(x, transposed(weight)?, dtype))
}

/// Returns `dy w` in the type of the activations, or `None` when the tensors are not on a GPU.
pub(super) fn input_gradient(dy: &Tensor<2>, weight: &Tensor<2>) -> Option<Tensor<2>> {
    let (dy, weight) = (gpu::of(dy)?, gpu::of(weight)?);
    let dtype = dy.dtype;
    Some(product(dy, weight, dtype))
}

/// Returns `dy^T x` in 32 bits, or `None` when the tensors are not on a GPU.
///
/// It is a sum over all rows, of which there may be tens of thousands: rounded to 16 bits, small steps would be lost.
pub(super) fn weight_gradient(dy: &Tensor<2>, x: &Tensor<2>) -> Option<Tensor<2>> {
    let x = gpu::of(x)?;
    Some(product(transposed(dy)?, x, DType::F32))
}

/// A view, which the product reads as it lies.
fn transposed(matrix: &Tensor<2>) -> Option<CubeTensor> {
    matrix.clone().transpose().try_into_primitive::<CubeBackend>().ok()
}

fn product(left: CubeTensor, right: CubeTensor, dtype: DType) -> Tensor<2> {
    let strategy = strategy(&left);
    gpu::tensor(matmul(left, right, None, strategy, dtype).expect("the shapes of a product fit, which its callers check"))
}

/// On CUDA, the kernel that is the fastest for a shape is looked for once. Elsewhere, compiling all candidates would take longer than it
/// pays.
#[cfg(feature = "cuda")]
fn strategy(operand: &CubeTensor) -> MatmulStrategy {
    match operand.device {
        burn_cubecl::CubeDevice::Cuda(_) => MatmulStrategy::Autotune,
        _ => MatmulStrategy::Cube,
    }
}

#[cfg(not(feature = "cuda"))]
fn strategy(_operand: &CubeTensor) -> MatmulStrategy {
    MatmulStrategy::default()
}
