//! Small kernels, one for each thing that larger ones are made of.

// The macro writes functions that nobody documents.
#![allow(missing_docs)]

use burn::tensor::bf16;
use cubecl::cmma;
use cubecl::prelude::*;

/// Reverses the values of each cube, through shared memory.
#[cube(launch)]
pub(crate) fn reverse_in_cube<F: Float>(x: &[F], out: &mut [F], #[comptime] units: usize) {
    let mut shared = Shared::new_slice(units);
    let unit = UNIT_POS as usize;
    shared[unit] = x[ABSOLUTE_POS];
    sync_cube();
    out[ABSOLUTE_POS] = shared[units - 1 - unit];
}

#[cube(launch)]
pub(crate) fn transpose(x: &[f32], out: &mut [f32], rows: usize, cols: usize) {
    let (col, row) = (ABSOLUTE_POS_X as usize, ABSOLUTE_POS_Y as usize);
    if row < rows && col < cols {
        out[col * rows + row] = x[row * cols + col];
    }
}

#[cube(launch)]
pub(crate) fn add_and_multiply<F: Float>(x: &[F], out: &mut [F]) {
    if ABSOLUTE_POS < x.len() {
        out[ABSOLUTE_POS] = (x[ABSOLUTE_POS] + F::new(0.3)) * x[ABSOLUTE_POS];
    }
}

#[cube(launch)]
pub(crate) fn sum_plane(x: &[f32], out: &mut [f32]) {
    out[ABSOLUTE_POS] = plane_sum(x[ABSOLUTE_POS]);
}

/// Adds each value to one of few sums.
#[cube(launch)]
pub(crate) fn add_modulo(x: &[f32], sums: &mut [Atomic<f32>]) {
    if ABSOLUTE_POS < x.len() {
        sums[ABSOLUTE_POS % sums.len()].fetch_add(x[ABSOLUTE_POS]);
    }
}

/// `out = a b` of 16 x 16 matrices by rows, by one plane.
#[cube(launch)]
pub(crate) fn multiply_fragments(a: &[bf16], b: &[bf16], out: &mut [f32]) {
    let a = cmma::Matrix::<bf16>::from_slice(cmma::MatrixIdent::A, 16usize, 16usize, 16usize, cmma::MatrixLayout::RowMajor, a, 16);
    let b = cmma::Matrix::<bf16>::from_slice(cmma::MatrixIdent::B, 16usize, 16usize, 16usize, cmma::MatrixLayout::RowMajor, b, 16);
    let sum =
        cmma::Matrix::<f32>::from_value(cmma::MatrixIdent::Accumulator, 16usize, 16usize, 16usize, cmma::MatrixLayout::Undefined, 0.0);
    cmma::execute(&a, &b, &sum, &sum);
    cmma::store(out, &sum, 16, cmma::MatrixLayout::RowMajor);
}

/// `out = a b` of a 16 x 16 and a 16 x 8 matrix by rows, by one plane that loads its registers itself.
#[cube(launch)]
pub(crate) fn multiply_registers(a: &[bf16], b: &[bf16], out: &mut [f32]) {
    let mma = cmma::MmaDefinition::<bf16, bf16, f32>::new(16usize, 8usize, 16usize);
    let lane = UNIT_POS_PLANE;
    let mut registers_a = Array::<Vector<bf16, Const<2>>>::new(4usize);
    let mut registers_b = Array::<Vector<bf16, Const<2>>>::new(2usize);
    let mut registers_c = Array::<Vector<f32, Const<2>>>::new(2usize);
    #[unroll]
    for i in 0..4 {
        let mut register = Vector::empty();
        #[unroll]
        for j in 0..2 {
            let (row, col) = mma.position_of_nth(lane, (2 * i + j) as u32, cmma::MatrixIdent::A);
            register.insert(j, a[(row * 16 + col) as usize]);
        }
        registers_a[i] = register;
    }
    #[unroll]
    for i in 0..2 {
        let mut register = Vector::empty();
        #[unroll]
        for j in 0..2 {
            let (row, col) = mma.position_of_nth(lane, (2 * i + j) as u32, cmma::MatrixIdent::B);
            register.insert(j, b[(row * 8 + col) as usize]);
        }
        registers_b[i] = register;
        registers_c[i] = Vector::new(0.0);
    }
    let registers_d = mma.execute(&registers_a, &registers_b, &registers_c);
    #[unroll]
    for i in 0..2 {
        #[unroll]
        for j in 0..2 {
            let (row, col) = mma.position_of_nth(lane, (2 * i + j) as u32, cmma::MatrixIdent::Accumulator);
            out[(row * 8 + col) as usize] = registers_d[i].extract(j);
        }
    }
}

/// A mistake: the last units write after the last element.
#[cube(launch_unchecked)]
pub(crate) fn write_past_end(out: &mut [f32], by: usize) {
    out[ABSOLUTE_POS + by] = 1.0;
}

/// A mistake: some lanes go elsewhere while the others multiply.
#[cube(launch)]
pub(crate) fn part_before_product(out: &mut [f32]) {
    let mut shared = Shared::new_slice(256usize);
    if UNIT_POS_PLANE < 8u32 {
        let sum =
            cmma::Matrix::<f32>::from_value(cmma::MatrixIdent::Accumulator, 16usize, 16usize, 16usize, cmma::MatrixLayout::Undefined, 0.0);
        cmma::store(&mut shared, &sum, 16, cmma::MatrixLayout::RowMajor);
    }
    sync_cube();
    out[ABSOLUTE_POS] = shared[UNIT_POS as usize];
}

/// A mistake: nobody wrote what is read.
#[cube(launch)]
pub(crate) fn read_shared_unwritten(out: &mut [f32]) {
    let shared = Shared::<[f32]>::new_slice(64usize);
    out[ABSOLUTE_POS] = shared[UNIT_POS as usize];
}
