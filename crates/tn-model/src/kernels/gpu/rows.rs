//! Rows of a matrix by number: picked out, and put back.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::UNITS;

#[cube(launch, address_type = "dynamic")]
fn gather_rows<F: Float, N: Size>(
    from: &[Vector<F, N>],
    numbers: &[u32],
    to: &mut [Vector<F, N>],
    #[comptime] vectors: usize,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < to.len() {
        let row = numbers[ABSOLUTE_POS / vectors] as usize;
        to[ABSOLUTE_POS] = from[row * vectors + ABSOLUTE_POS % vectors];
    }
}

#[cube(launch, address_type = "dynamic")]
fn scatter_rows<F: Float, N: Size>(
    from: &[Vector<F, N>],
    numbers: &[u32],
    to: &mut [Vector<F, N>],
    #[comptime] vectors: usize,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < from.len() {
        let row = numbers[ABSOLUTE_POS / vectors] as usize;
        to[row * vectors + ABSOLUTE_POS % vectors] = from[ABSOLUTE_POS];
    }
}

/// Returns the rows of `from` with the given numbers, one below the other.
///
/// # Shapes
/// `from`: `[rows, features]`; the result: `[numbers, features]`. The caller has checked that each number is below `rows`.
pub(crate) fn gather(from: &CubeTensor, numbers: &CubeTensor) -> CubeTensor {
    let (count, features) = (numbers.meta.shape()[0], from.meta.shape()[1]);
    let to = super::empty(from, [count, features], from.dtype);
    if count == 0 || features == 0 {
        return to;
    }
    let size = super::vector_size(&[from], features);
    gather_rows::launch(
        &from.client,
        super::one_unit_each(count * features / size),
        CubeDim::new_1d(UNITS),
        super::addresses(&[from, &to]),
        size,
        from.clone().into_buffer_arg(),
        numbers.clone().into_buffer_arg(),
        to.clone().into_buffer_arg(),
        features / size,
        super::elem(from),
    );
    to
}

/// Writes the rows of `from` over the rows of `to` with the given numbers, which are all different.
///
/// # Shapes
/// `from`: `[numbers, features]`; `to`: `[rows, features]`, of the same type, and nobody shares it. The caller has checked that each
/// number is below `rows`.
pub(crate) fn scatter(from: &CubeTensor, numbers: &CubeTensor, to: &CubeTensor) {
    let (count, features) = (numbers.meta.shape()[0], from.meta.shape()[1]);
    if count == 0 || features == 0 {
        return;
    }
    let size = super::vector_size(&[from, to], features);
    scatter_rows::launch(
        &from.client,
        super::one_unit_each(count * features / size),
        CubeDim::new_1d(UNITS),
        super::addresses(&[from, to]),
        size,
        from.clone().into_buffer_arg(),
        numbers.clone().into_buffer_arg(),
        to.clone().into_buffer_arg(),
        features / size,
        super::elem(from),
    );
}
