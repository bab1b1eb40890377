//! The products on a GPU, by CubeK.

use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::{ElemType, FloatKind};
use cubek::matmul::definition::{MatmulElems, MatmulSetupError};
use cubek::matmul::launch::launch_ref;
use cubek::matmul::multi_level;
use cubek::matmul::routine::BlueprintStrategy;
use cubek::matmul::strategy::Strategy;
use cubek::std::InputBinding;

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
    let factors = [left.dtype, right.dtype];
    let product = match factors == [DType::F32; 2] {
        true => product_in_32_bits(left, right),
        false => {
            let strategy = strategy(&left);
            matmul(left, right, None, strategy, dtype)
        }
    };
    gpu::tensor(product.expect("the shapes of a product fit, which its callers check"))
}

/// Without tensor cores, for which CubeK would round the factors to ten bits of fraction (TF32).
fn product_in_32_bits(left: CubeTensor, right: CubeTensor) -> Result<CubeTensor, MatmulSetupError> {
    let out = gpu::empty(&left, [left.meta.shape()[0], right.meta.shape()[1]], DType::F32);
    let strategy = Strategy::MultiLevel(multi_level::Strategy::SimpleUnit(BlueprintStrategy::default()));
    let (f32, client) = (ElemType::Float(FloatKind::F32), left.client.clone());
    let [left, right] = [left, right].map(|factor| InputBinding::new(factor.binding(), f32));
    launch_ref(&strategy, &client, left, right, out.clone().binding(), &mut MatmulElems::from_single_dtype(f32))?;
    Ok(out)
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
