//! The optimiser step over all trained values in one buffer, with what belongs to it: the check that gradients are finite, and clipping.
//!
//! [`measure`] leaves the sum of squares and the number of values that are not finite on the device; [`step`] and [`step_eight_bit`] read
//! them there, so that no step waits for the host. With the norm `n` the gradient is multiplied by `min(1, clip / (n + epsilon))`. A step
//! whose gradient is not finite changes nothing.

use burn::tensor::{DType, Int, Tensor, TensorData};

use super::eight_bit::EightBitMoments;
use super::{AdamWStep, CodedBlocks, Moments};
#[cfg(feature = "gpu")]
use crate::kernels::gpu;
use crate::kernels::host;

/// The largest norm of a gradient, and what is added to the norm before it divides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// Gradients with a larger norm are scaled down to it.
    pub norm: f64,
    /// Added to the norm.
    pub epsilon: f64,
}

impl Clip {
    /// Returns what a gradient of some norm is multiplied with.
    #[must_use]
    pub fn scale(self, norm: f64) -> f32 {
        (self.norm / (norm + self.epsilon)).min(1.0) as f32
    }
}

/// Parameters after a step.
#[derive(Clone, Debug)]
pub struct Stepped<M> {
    /// The parameters, `[values]`.
    pub parameters: Tensor<1>,
    /// The moments of the next step.
    pub moments: M,
    /// The parameters in the type that was asked for.
    pub copy: Option<Tensor<1>>,
}

/// Returns the sum of squares of the finite values and the number of the others.
///
/// # Shapes
/// `gradient`: `[values]`; the result: `[2]`.
#[must_use]
pub fn measure(gradient: &Tensor<1>) -> Tensor<1> {
    #[cfg(feature = "gpu")]
    if let Some(values) = of_f32(gradient) {
        return gpu::tensor(super::gpu::measure(&values));
    }
    let values = host::values(gradient);
    let squares: f64 = values.iter().filter(|g| g.is_finite()).map(|g| f64::from(*g) * f64::from(*g)).sum();
    let others = values.iter().filter(|g| !g.is_finite()).count();
    host::upload(vec![squares as f32, others as f32], [2], &gradient.device())
}

/// Returns the Euclidean norm of a measured gradient; not a number where not all of it is finite.
///
/// # Shapes
/// `measured`: `[2]`, from [`measure`].
#[must_use]
pub fn norm(measured: &Tensor<1>) -> f64 {
    let measured = host::values(measured);
    if measured[1] == 0.0 { f64::from(measured[0]).sqrt() } else { f64::NAN }
}

/// Moves all parameters and their moments by one step, in place where nobody shares them, and writes a copy of the parameters in another
/// type on request.
///
/// # Shapes
/// `parameters`, `gradient` and the moments: `[values]`; `measured`: `[2]`, from [`measure`].
///
/// # Panics
/// Panics when the shapes do not fit together.
#[must_use]
pub fn step(
    parameters: Tensor<1>,
    gradient: &Tensor<1>,
    moments: Moments<1>,
    measured: &Tensor<1>,
    step: &AdamWStep,
    clip: Clip,
    copy: Option<DType>,
) -> Stepped<Moments<1>> {
    let values = parameters.dims();
    assert!([gradient, &moments.first, &moments.second].iter().all(|t| t.dims() == values), "each of {values:?} parameters has its state");
    assert_eq!(measured.dims(), [2], "the sum of squares, and the number of values that are not finite");
    #[cfg(feature = "gpu")]
    if let (Some(gradient), Some(measured)) = (of_f32(gradient), of_f32(measured))
        && [&parameters, &moments.first, &moments.second].iter().all(|tensor| of_f32(tensor).is_some())
    {
        let parameters = gpu::take(parameters);
        let (first, second) = (gpu::take(moments.first), gpu::take(moments.second));
        let copy = super::gpu::step(&parameters, &gradient, [&first, &second], &measured, step, clip, copy);
        return Stepped {
            parameters: gpu::tensor(parameters),
            moments: Moments { first: gpu::tensor(first), second: gpu::tensor(second) },
            copy: copy.map(gpu::tensor),
        };
    }
    let (parameters, moments) = match scale(measured, clip) {
        Some(scale) => super::step(parameters, gradient, scale, moments, step),
        None => (parameters, moments),
    };
    let copy = copy.map(|dtype| parameters.clone().cast(dtype));
    Stepped { parameters, moments, copy }
}

/// Moments in eight bits on a device, in the order of their flat buffer: what [`EightBitMoments`] are in host memory.
#[derive(Clone, Debug)]
pub struct FlatEightBitMoments {
    first: FlatCodes,
    second: FlatCodes,
    values: usize,
    /// What kernels look codes up in.
    #[cfg(feature = "gpu")]
    tables: Option<burn_cubecl::tensor::CubeTensor>,
}

#[derive(Clone, Debug)]
struct FlatCodes {
    /// Four codes a word, the first one in its lowest bits.
    words: Tensor<1, Int>,
    /// One number for each block of 256 values.
    largest: Tensor<1>,
}

impl FlatEightBitMoments {
    /// Copies moments to the device of `like`.
    #[must_use]
    pub fn new(moments: &EightBitMoments, like: &Tensor<1>) -> Self {
        Self {
            first: FlatCodes::new(&moments.first, like),
            second: FlatCodes::new(&moments.second, like),
            values: moments.first.codes.len(),
            #[cfg(feature = "gpu")]
            tables: gpu::of(like).map(|like| super::gpu::eight_bit::tables(&like)),
        }
    }

    /// Copies the moments to host memory.
    #[must_use]
    pub fn to_host(&self) -> EightBitMoments {
        EightBitMoments { first: self.first.to_host(self.values), second: self.second.to_host(self.values) }
    }
}

impl FlatCodes {
    fn new(blocks: &CodedBlocks, like: &Tensor<1>) -> Self {
        let word = |codes: &[u8]| codes.iter().rev().fold(0, |word, &code| word << 8 | u32::from(code));
        let words: Vec<u32> = blocks.codes.chunks(4).map(word).collect();
        let length = words.len();
        let words = Tensor::from_data(TensorData::new(words, [length]), (&like.device(), DType::U32));
        Self { words, largest: host::upload(blocks.largest.clone(), [blocks.largest.len()], &like.device()) }
    }

    fn to_host(&self, values: usize) -> CodedBlocks {
        let words = self.words.to_data().convert::<u32>().try_into_vec::<u32>().expect("words were converted to u32");
        let mut codes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        codes.truncate(values);
        CodedBlocks { codes, largest: host::to_vec(&self.largest) }
    }
}

/// As [`step`], with moments in eight bits. The step itself is made with the new moments in 32 bits, before they are rounded.
///
/// # Shapes
/// As in [`step`]; there are as many moments as parameters.
///
/// # Panics
/// Panics when the shapes do not fit together.
#[must_use]
pub fn step_eight_bit(
    parameters: Tensor<1>,
    gradient: &Tensor<1>,
    moments: FlatEightBitMoments,
    measured: &Tensor<1>,
    step: &AdamWStep,
    clip: Clip,
    copy: Option<DType>,
) -> Stepped<FlatEightBitMoments> {
    let [values] = parameters.dims();
    assert!(gradient.dims() == [values] && moments.values == values, "each of {values} parameters has its state");
    assert_eq!(measured.dims(), [2], "the sum of squares, and the number of values that are not finite");
    #[cfg(feature = "gpu")]
    if let (Some(gradient), Some(measured), Some(_), Some(tables)) =
        (of_f32(gradient), of_f32(measured), of_f32(&parameters), moments.tables.clone())
    {
        let parameters = gpu::take(parameters);
        let (first, first_largest) = (gpu::take_words(moments.first.words), gpu::take(moments.first.largest));
        let (second, second_largest) = (gpu::take_words(moments.second.words), gpu::take(moments.second.largest));
        let codes = super::gpu::eight_bit::Codes {
            first: &first,
            first_largest: &first_largest,
            second: &second,
            second_largest: &second_largest,
            tables: &tables,
        };
        let copy = super::gpu::eight_bit::step(&parameters, &gradient, &codes, &measured, step, clip, copy);
        let coded = |words, largest| FlatCodes { words: gpu::words(words), largest: gpu::tensor(largest) };
        let (first, second) = (coded(first, first_largest), coded(second, second_largest));
        let moments = FlatEightBitMoments { first, second, values, tables: Some(tables) };
        return Stepped { parameters: gpu::tensor(parameters), moments, copy: copy.map(gpu::tensor) };
    }
    let (parameters, moments) = match scale(measured, clip) {
        Some(scale) => {
            let (parameters, stepped) = super::step_eight_bit(parameters, gradient, scale, moments.to_host(), step);
            let moments = FlatEightBitMoments::new(&stepped, &parameters);
            (parameters, moments)
        }
        None => (parameters, moments),
    };
    let copy = copy.map(|dtype| parameters.clone().cast(dtype));
    Stepped { parameters, moments, copy }
}

/// The factor of the gradient, or `None` when the step is left out.
fn scale(measured: &Tensor<1>, clip: Clip) -> Option<f32> {
    let norm = norm(measured);
    norm.is_finite().then(|| clip.scale(norm))
}

#[cfg(feature = "gpu")]
fn of_f32(tensor: &Tensor<1>) -> Option<burn_cubecl::tensor::CubeTensor> {
    gpu::of(tensor).filter(|values| values.dtype == DType::F32)
}
