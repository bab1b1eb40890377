//! Products with a weight matrix that is packed once and read many times: `y = x w^T` for generation.
//!
//! A panel is 32 outputs side by side: for each step along the inputs, one 32-bit word of every output. A word holds one `f32` weight, two
//! bf16 weights, or four 8-bit ones; see [`WeightFormat`] for what is computed from them. An element of the result is one running sum over
//! the inputs, from the first to the last, whatever else is computed beside it: it does not depend on the number of rows, on how rows are
//! cut into calls, or on the number of threads.
//!
//! The loops are compiled for AVX-512 (with its bf16 and 8-bit dot products), for AVX2, and for any processor, and chosen at run time.

mod activations;
mod cpu;
mod instructions;
mod lines;
mod matrix;
pub(crate) mod reference;
mod tile;
mod words;

pub use matrix::{PackedMatrix, WeightFormat};

use burn::tensor::Tensor;

use super::host::{self, HostFloats};
use activations::Activations;
use instructions::Kind;

/// Inputs that share a scale in [`WeightFormat::Int8`].
pub(crate) const BLOCK: usize = 32;

/// Words of a block.
const BLOCK_STEPS: usize = BLOCK / 4;

/// Returns `x w^T`.
///
/// # Shapes
/// `x`: `[rows, inputs]`; `weight`: `[outputs, inputs]`; the result: `[rows, outputs]`, in host memory.
///
/// # Panics
/// Panics when `x` has another number of columns than the weight has inputs.
#[must_use]
pub fn forward(x: &Tensor<2>, weight: &PackedMatrix) -> Tensor<2> {
    let [y] = forward_each(x, [weight]);
    y
}

/// Returns the product of `x` with each of some weights, in one pass: `x` is prepared once.
///
/// # Shapes
/// As in [`forward`].
///
/// # Panics
/// Panics when `x` has another number of columns than a weight has inputs, or the weights differ in their format.
#[must_use]
pub fn forward_each<const N: usize>(x: &Tensor<2>, weights: [&PackedMatrix; N]) -> [Tensor<2>; N] {
    let [rows, inputs] = x.dims();
    assert!(weights.iter().all(|weight| weight.inputs() == inputs), "the rows have {inputs} values, and the weights other inputs");
    let Some(format) = weights.first().map(|weight| weight.format()) else { return weights.map(|_| x.clone()) };
    assert!(weights.iter().all(|weight| weight.format() == format), "weights that are multiplied together have one format");
    let Some(values) = HostFloats::of(x) else { return weights.map(|weight| reference::forward(x, weight)) };
    let activations = Activations::prepare(&values, [rows, inputs], format);
    let mut outputs = weights.iter().map(|weight| weight.outputs());
    let products = cpu::forward(&activations, weights, Kind::best(format));
    products.map(|y| host::tensor(y, [rows, outputs.next().unwrap_or(0)]))
}

/// Returns `x w^T` for rows in host memory, `[rows, outputs]`.
pub(crate) fn product(x: &[f32], rows: usize, weight: &PackedMatrix) -> Vec<f32> {
    let activations = Activations::prepare(x, [rows, weight.inputs()], weight.format());
    let [y] = cpu::forward(&activations, [weight], Kind::best(weight.format()));
    y
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::kernels::bf16;

    struct Case {
        x: Vec<f32>,
        rows: usize,
        weight: PackedMatrix,
    }

    impl Case {
        fn new([rows, inputs, outputs]: [usize; 3], format: WeightFormat) -> Self {
            let mut source = ChaCha8Rng::seed_from_u64(3);
            let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| source.random_range(-1.0..1.0)).collect() };
            let x = values(rows * inputs);
            Self { x, rows, weight: PackedMatrix::pack(&values(outputs * inputs), [outputs, inputs], format) }
        }

        /// The product of the first rows by the instructions of a kind.
        fn product(&self, rows: usize, kind: Kind) -> Vec<f32> {
            let inputs = self.weight.inputs();
            let activations = Activations::prepare(&self.x[..rows * inputs], [rows, inputs], self.weight.format());
            let [y] = cpu::forward(&activations, [&self.weight], kind);
            y
        }

        fn reference(&self) -> Vec<f32> {
            let x = host::tensor(self.x.clone(), [self.rows, self.weight.inputs()]);
            host::to_vec(&reference::forward(&x, &self.weight))
        }
    }

    /// Every format on every kind of processor that this one can stand for.
    fn kinds() -> impl Iterator<Item = (WeightFormat, Kind)> {
        WeightFormat::ALL.into_iter().flat_map(|format| Kind::all(format).map(move |kind| (format, kind)))
    }

    #[test]
    fn every_format_on_every_processor_equals_its_reference() {
        let shapes = [[1, 1, 1], [2, 3, 31], [3, 32, 33], [5, 33, 129], [13, 65, 64], [67, 128, 200], [1, 1024, 300], [100, 257, 40]];
        for (format, kind) in kinds() {
            for shape in shapes {
                let case = Case::new(shape, format);
                let (found, expected) = (case.product(shape[0], kind), case.reference());
                let scale = expected.iter().fold(1.0f32, |largest, y| largest.max(y.abs()));
                let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / scale;
                assert!(found.len() == expected.len() && worst < 1e-5, "{format}, {kind:?}, {shape:?}: relative difference {worst}");
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        for (format, kind) in kinds() {
            let case = Case::new([67, 75, 141], format);
            let all = case.product(67, kind);
            for rows in 1..=67 {
                let some = case.product(rows, kind);
                assert!(some.iter().zip(&all).all(|(a, b)| a.to_bits() == b.to_bits()), "{format}, {kind:?}, {rows} rows");
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for (format, kind) in kinds() {
            for shape in [[1, 1024, 2100], [200, 512, 1100], [300, 256, 96]] {
                let case = Case::new(shape, format);
                let found = [1, 2, 3].map(|threads| pool(threads).install(|| case.product(shape[0], kind)));
                assert!(found[0] == found[1] && found[0] == found[2], "{format}, {kind:?}, {shape:?}");
            }
        }
    }

    #[test]
    fn weights_come_back_as_the_format_rounds_them() {
        let mut source = ChaCha8Rng::seed_from_u64(5);
        let (outputs, inputs) = (35, 77);
        let weight: Vec<f32> = (0..outputs * inputs).map(|_| source.random_range(-2.0..2.0)).collect();
        let mut row = vec![0.0; inputs];
        for format in WeightFormat::ALL {
            let packed = PackedMatrix::pack(&weight, [outputs, inputs], format);
            for (output, weight) in weight.chunks_exact(inputs).enumerate() {
                packed.row(output, &mut row);
                for (found, &weight) in row.chunks(BLOCK).zip(weight.chunks(BLOCK)).flat_map(|(f, w)| f.iter().zip(w)) {
                    match format {
                        WeightFormat::F32 => assert_eq!(*found, weight),
                        WeightFormat::Bf16 => assert_eq!(*found, bf16::widen(bf16::round(weight))),
                        // Half a step, which is at most 2 / 127, rounded up to bf16.
                        WeightFormat::Int8 => assert!((found - weight).abs() <= 1.01 * 0.5 * 2.0 / 127.0, "{found} for {weight}"),
                    }
                }
            }
        }
    }

    #[test]
    fn bf16_weights_of_a_file_are_taken_as_they_are() {
        for inputs in [1, 6, 33] {
            let bits: Vec<u16> = (0..40 * inputs as u16).map(|i| bf16::round(f32::from(i) * 0.37 - 3.0)).collect();
            let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
            let packed = PackedMatrix::from_bf16(&bytes, [40, inputs]);
            let mut row = vec![0.0; inputs];
            for (output, bits) in bits.chunks_exact(inputs).enumerate() {
                packed.row(output, &mut row);
                assert!(row.iter().zip(bits).all(|(&value, &bits)| value == bf16::widen(bits)), "output {output} of {inputs} inputs");
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for (format, kind) in kinds() {
            for value in [f32::NAN, f32::INFINITY] {
                let mut case = Case::new([2, 64, 40], format);
                case.x[70] = value;
                let y = case.product(2, kind);
                assert!(y[..40].iter().all(|y| y.is_finite()) && y[40..].iter().all(|y| !y.is_finite()), "{format}, {kind:?}, {value}");
            }
        }
    }

    #[test]
    fn tiny_and_zero_blocks_give_zero() {
        let x = host::tensor(vec![0.0, 1e-44], [2, 1]);
        let y = forward(&x, &PackedMatrix::pack(&[1.0, 0.0], [2, 1], WeightFormat::Int8));
        assert_eq!(host::to_vec(&y), [0.0; 4]);
    }

    #[test]
    fn several_weights_at_once_equal_each_alone() {
        let mut source = ChaCha8Rng::seed_from_u64(6);
        let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| source.random_range(-1.0..1.0)).collect() };
        let x = host::tensor(values(14 * 50), [14, 50]);
        for format in WeightFormat::ALL {
            let weights = [9, 64, 200].map(|outputs| PackedMatrix::pack(&values(outputs * 50), [outputs, 50], format));
            let together = forward_each(&x, [&weights[0], &weights[1], &weights[2]]);
            for (y, weight) in together.iter().zip(&weights) {
                assert_eq!(host::to_vec(y), host::to_vec(&forward(&x, weight)));
            }
        }
    }
}
