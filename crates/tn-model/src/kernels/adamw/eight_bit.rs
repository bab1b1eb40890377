//! The optimizer step with moments in eight bits.

use burn::tensor::{Device, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::dynamic_code::{DynamicCode, SIGNED, UNSIGNED};
use super::{AdamWStep, Moments, reference};
use crate::kernels::host::{self, HostFloats};

/// Values that share a scale.
pub(crate) const BLOCK: usize = 256;
/// Blocks that one task handles.
const BLOCKS_OF_A_TASK: usize = 256;

/// The running means of AdamW in eight bits a value and 32 for each block of 256: a quarter of the memory of [`Moments`].
///
/// Dettmers et al., "8-bit Optimizers via Block-wise Quantization", arXiv 2110.02861. Each value is divided by the largest size in its
/// block and stored as the nearest of 256 numbers, from -1 to 1 for the first moment, from 0 to 1 for the second. A second moment above
/// zero is never stored as zero, where the next step would divide by almost nothing: it becomes the smallest code above.
#[derive(Clone, Debug, PartialEq)]
pub struct EightBitMoments {
    /// Running mean of gradients.
    pub first: CodedBlocks,
    /// Running mean of squared gradients.
    pub second: CodedBlocks,
}

/// Values in eight bits, in the order of their tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct CodedBlocks {
    /// The code of every value.
    pub codes: Vec<u8>,
    /// The largest size of a value, for each block of 256 values; the last block may be shorter.
    pub largest: Vec<f32>,
}

impl EightBitMoments {
    /// Returns the state of `values` values before the first step.
    #[must_use]
    pub fn zeros(values: usize) -> Self {
        let zeros = |code: &DynamicCode| CodedBlocks { codes: vec![code.encode(0.0); values], largest: vec![0.0; values.div_ceil(BLOCK)] };
        Self { first: zeros(&SIGNED), second: zeros(&UNSIGNED) }
    }

    /// Returns the moments as 32-bit values.
    #[must_use]
    pub fn decode<const D: usize>(&self, shape: [usize; D], device: &Device) -> Moments<D> {
        let tensor = |blocks: &CodedBlocks, code: &DynamicCode| {
            let values = blocks.codes.chunks(BLOCK).zip(&blocks.largest);
            let values = values.flat_map(|(codes, &largest)| codes.iter().map(move |&c| code.decode(c) * largest)).collect();
            host::upload(values, shape, device)
        };
        Moments { first: tensor(&self.first, &SIGNED), second: tensor(&self.second, &UNSIGNED) }
    }

    /// Rounds 32-bit moments to eight bits.
    #[must_use]
    pub fn encode<const D: usize>(moments: &Moments<D>) -> Self {
        let blocks = |tensor: &Tensor<D>, encode: fn(&[f32], &mut [u8]) -> f32| {
            let values = host::to_vec(tensor);
            let mut codes = vec![0; values.len()];
            let largest = values.chunks(BLOCK).zip(codes.chunks_mut(BLOCK)).map(|(values, codes)| encode(values, codes)).collect();
            CodedBlocks { codes, largest }
        };
        Self { first: blocks(&moments.first, encode_first), second: blocks(&moments.second, encode_second) }
    }
}

/// As [`step`](super::step), with moments in eight bits. The step itself is made with the new moments in 32 bits, before they are rounded.
///
/// # Shapes
/// `gradient` has the parameter's shape, and `moments` as many values.
#[must_use]
pub fn step<const D: usize>(
    parameter: Tensor<D>,
    gradient: &Tensor<D>,
    scale: f32,
    mut moments: EightBitMoments,
    step: &AdamWStep,
) -> (Tensor<D>, EightBitMoments) {
    match (HostFloats::of(&parameter).is_some(), HostFloats::of(gradient)) {
        (true, Some(gradient)) => {
            let constants = Constants::new(scale, step);
            let parameter = host::update(parameter, |p| step_blocks(p, &gradient, &mut moments, &constants));
            (parameter, moments)
        }
        _ => {
            let decoded = moments.decode(parameter.dims(), &parameter.device());
            let (parameter, decoded) = reference::step(parameter, gradient.clone() * scale, decoded, step);
            (parameter, EightBitMoments::encode(&decoded))
        }
    }
}

/// What is the same for all values of a step, as in the step with 32-bit moments.
pub(super) struct Constants {
    pub(super) keep_first: f32,
    pub(super) take_first: f32,
    pub(super) keep_second: f32,
    pub(super) take_second: f32,
    pub(super) decay: f32,
    pub(super) rate: f32,
    pub(super) root: f32,
    pub(super) epsilon: f32,
}

impl Constants {
    pub(super) fn new(scale: f32, step: &AdamWStep) -> Self {
        let (correction1, correction2) = step.bias_corrections();
        Self {
            keep_first: step.beta1 as f32,
            take_first: (1.0 - step.beta1) as f32 * scale,
            keep_second: step.beta2 as f32,
            take_second: (1.0 - step.beta2) as f32 * scale * scale,
            decay: (1.0 - step.learning_rate * step.weight_decay) as f32,
            rate: (step.learning_rate / correction1) as f32,
            root: (1.0 / correction2) as f32,
            epsilon: step.epsilon as f32,
        }
    }
}

fn step_blocks(p: &mut [f32], gradient: &[f32], moments: &mut EightBitMoments, constants: &Constants) {
    let values = BLOCK * BLOCKS_OF_A_TASK;
    let EightBitMoments { first, second } = moments;
    let first = first.codes.par_chunks_mut(values).zip(first.largest.par_chunks_mut(BLOCKS_OF_A_TASK));
    let second = second.codes.par_chunks_mut(values).zip(second.largest.par_chunks_mut(BLOCKS_OF_A_TASK));
    let tasks = p.par_chunks_mut(values).zip(gradient.par_chunks(values)).zip(first.zip(second));
    tasks.for_each(|((p, g), ((m, m_largest), (v, v_largest)))| {
        let codes = m.chunks_mut(BLOCK).zip(m_largest).zip(v.chunks_mut(BLOCK).zip(v_largest));
        for ((p, g), (first, second)) in p.chunks_mut(BLOCK).zip(g.chunks(BLOCK)).zip(codes) {
            step_block(p, g, first, second, constants);
        }
    });
}

fn step_block(p: &mut [f32], g: &[f32], first: (&mut [u8], &mut f32), second: (&mut [u8], &mut f32), c: &Constants) {
    let (mut m, mut v) = ([0.0; BLOCK], [0.0; BLOCK]);
    let (m, v) = (&mut m[..p.len()], &mut v[..p.len()]);
    m.iter_mut().zip(&*first.0).for_each(|(m, &code)| *m = SIGNED.decode(code) * *first.1);
    v.iter_mut().zip(&*second.0).for_each(|(v, &code)| *v = UNSIGNED.decode(code) * *second.1);
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((p, &g), (m, v)) in p.iter_mut().zip(g).zip(m.iter_mut().zip(v.iter_mut())) {
                *m = c.keep_first * *m + c.take_first * g;
                *v = c.keep_second * *v + c.take_second * g * g;
                *p = *p * c.decay - c.rate * *m / (v.sqrt() * c.root + c.epsilon);
            }
        },
    );
    *first.1 = encode_first(m, first.0);
    *second.1 = encode_second(v, second.0);
}

/// Writes the codes of a block of first moments and returns its largest size.
fn encode_first(values: &[f32], codes: &mut [u8]) -> f32 {
    let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    codes.iter_mut().zip(values).for_each(|(code, &value)| *code = SIGNED.encode(relative(value, largest)));
    largest
}

/// Writes the codes of a block of second moments and returns its largest value.
fn encode_second(values: &[f32], codes: &mut [u8]) -> f32 {
    let largest = values.iter().fold(0.0f32, |largest, &value| largest.max(value));
    let encode = |value: f32| UNSIGNED.encode(relative(value, largest)).max(u8::from(value > 0.0));
    codes.iter_mut().zip(values).for_each(|(code, &value)| *code = encode(value));
    largest
}

fn relative(value: f32, largest: f32) -> f32 {
    if largest > 0.0 { value / largest } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/checkpoints/adamw-8bit");

    fn expected(key: &str) -> Vec<f32> {
        let bytes = std::fs::read(format!("{FOLDER}/expected.safetensors")).unwrap();
        let data = SafeTensors::deserialize(&bytes).unwrap().tensor(key).unwrap().data().to_vec();
        data.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    }

    /// The gradient of the script that made the fixture.
    fn gradient(step: i64, length: i64) -> Vec<f32> {
        let value = |i: i64| {
            let mixed = i * 7919 + step * 104_729;
            let whole = (200 + mixed % 801) * (1 - 2 * (mixed / 801 % 2));
            whole as f32 / [1e3, 1e4, 1e5, 1e6, 1e7][(i / 256 % 5) as usize]
        };
        (0..length).map(value).collect()
    }

    fn vector(values: Vec<f32>) -> Tensor<1> {
        let length = values.len();
        host::tensor(values, [length])
    }

    fn constants(step: u64) -> AdamWStep {
        AdamWStep { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, step }
    }

    fn differences(a: &[f32], b: &[f32]) -> Vec<f32> {
        let mut differences: Vec<f32> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
        differences.sort_by(f32::total_cmp);
        differences
    }

    #[test]
    fn the_codes_are_those_of_bitsandbytes() {
        for (code, key) in [(&*SIGNED, "code.signed"), (&*UNSIGNED, "code.unsigned")] {
            let difference = differences(code.values(), &expected(key))[255];
            assert!(difference <= f32::EPSILON / 2.0, "{key}: {difference}");
        }
    }

    #[test]
    fn twenty_steps_follow_bitsandbytes() {
        let (wanted, exact) = (expected("parameter"), expected("parameter.f32"));
        let length = wanted.len() as i64;
        let mut p = vector(gradient(99, length).iter().map(|g| g * 10.0).collect());
        let mut moments = EightBitMoments::zeros(wanted.len());
        for number in 0..20 {
            (p, moments) = step(p, &vector(gradient(number, length)), 1.0, moments, &constants(number as u64 + 1));
        }
        // A moment close to the border between two codes may get the other one there: bitsandbytes rounds before it looks codes up.
        let found = differences(&host::to_vec(&p), &wanted);
        let at = |share: f32| found[(share * (found.len() - 1) as f32) as usize];
        assert!(at(0.5) < 1e-7 && at(0.95) < 2e-5 && at(1.0) < 1.1e-4, "{} {} {}", at(0.5), at(0.95), at(1.0));
        // Both are equally far from 32-bit moments, a hundredth of the way that the values have moved.
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let (ours, theirs) = (mean(&differences(&host::to_vec(&p), &exact)), mean(&differences(&wanted, &exact)));
        assert!((ours / theirs - 1.0).abs() < 0.02 && ours < 3e-5, "{ours} {theirs}");
    }

    #[test]
    fn the_fast_body_equals_the_reference() {
        let length = 1_000;
        let start = || vector(gradient(99, length));
        let mut fast = (start(), EightBitMoments::zeros(1_000));
        let mut slow = fast.clone();
        for number in 0..4 {
            let g = vector(gradient(number, length));
            fast = step(fast.0, &g, 0.5, fast.1, &constants(number as u64 + 1));
            let tracked = |t: &Tensor<1>| Tensor::<1>::from_data(t.to_data(), &Device::flex().autodiff());
            let (p, moments) = step(tracked(&slow.0), &tracked(&g), 0.5, slow.1, &constants(number as u64 + 1));
            slow = (vector(host::to_vec(&p)), moments);
        }
        let found = differences(&host::to_vec(&fast.0), &host::to_vec(&slow.0));
        assert!(found[989] < 1e-6 && found[999] < 1e-4, "{} {}", found[989], found[999]);
    }

    #[test]
    fn rounding_loses_at_most_half_a_step_of_its_block() {
        let first: Vec<f32> = (0..700).map(|i| (i as f32 * 0.37).sin() * 10f32.powi(i / 256 - 2)).collect();
        let second: Vec<f32> = first.iter().map(|m| m * m).collect();
        let moments = Moments { first: vector(first.clone()), second: vector(second.clone()) };
        let decoded = EightBitMoments::encode(&moments).decode([700], &Device::flex());
        for (block, (found, exact)) in host::to_vec(&decoded.first).chunks(256).zip(first.chunks(256)).enumerate() {
            let largest = exact.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            // Half of the widest step of the signed code: 0.9 / 64 / 2.
            assert!(found.iter().zip(exact).all(|(f, e)| (f - e).abs() <= 0.00704 * largest), "block {block}");
        }
        for (found, exact) in host::to_vec(&decoded.second).iter().zip(&second) {
            assert!((*found > 0.0) == (*exact > 0.0), "{exact} became {found}");
        }
    }

    #[test]
    fn an_all_zero_block_stays_zero() {
        let (p, moments) = step(vector(vec![1.0; 3]), &vector(vec![0.0; 3]), 1.0, EightBitMoments::zeros(3), &constants(1));
        assert_eq!(moments, EightBitMoments::zeros(3));
        assert_eq!(host::to_vec(&p), vec![1.0 - 1e-5; 3]);
    }
}
