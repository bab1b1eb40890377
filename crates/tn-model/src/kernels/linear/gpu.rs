//! The product whose result is wider than what goes in.

use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};

use crate::kernels::gpu;

/// Returns `dy^T x` in 32 bits, or `None` when the tensors are not on a GPU.
///
/// It is a sum over all rows, of which there may be tens of thousands: rounded to 16 bits, small steps would be lost.
pub(super) fn weight_gradient(dy: &Tensor<2>, x: &Tensor<2>) -> Option<Tensor<2>> {
    let x = gpu::of(x)?;
    // A view: the product reads it as it lies.
    let transposed = dy.clone().transpose().try_into_primitive::<CubeBackend>().ok()?;
    let product = matmul(transposed, x, None, MatmulStrategy::default(), DType::F32);
    Some(gpu::tensor(product.expect("the shapes of a product fit, which its callers check")))
}
