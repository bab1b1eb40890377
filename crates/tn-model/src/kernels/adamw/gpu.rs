//! The optimiser step over flat buffers on a GPU, one unit a value.

pub(super) mod eight_bit;

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::flat::Clip;
use super::{AdamWStep, eight_bit::Constants};
use crate::kernels::gpu::reduce::{Groups, group_sum};
use crate::kernels::gpu::{self, UNITS};

/// Values that one cube sums up.
const BLOCK: usize = 16 * 1024;

/// Sums of one cube each: squares, then values that are not finite.
#[cube(launch, address_type = "dynamic")]
fn measure_blocks(values: &[f32], sums: &mut [f32], blocks: u32, #[comptime] groups: Groups) {
    if CUBE_POS >= blocks as usize {
        terminate!();
    }
    let mut squares = 0.0f32;
    let mut others = 0.0f32;
    let first = CUBE_POS * BLOCK;
    for at in range_stepped(first + UNIT_POS as usize, min(first + BLOCK, values.len()), groups.units as usize) {
        let value = values[at];
        if is_finite(value) {
            squares += value * value;
        } else {
            others += 1.0;
        }
    }
    let squares = group_sum(squares, groups);
    let others = group_sum(others, groups);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = squares;
        sums[CUBE_POS + blocks as usize] = others;
    }
}

/// The sums of the two halves of `sums`, by one cube.
#[cube(launch)]
fn measure_all(sums: &[f32], totals: &mut [f32], blocks: u32, #[comptime] groups: Groups) {
    let mut squares = 0.0f32;
    let mut others = 0.0f32;
    for at in range_stepped(UNIT_POS as usize, blocks as usize, groups.units as usize) {
        squares += sums[at];
        others += sums[at + blocks as usize];
    }
    let squares = group_sum(squares, groups);
    let others = group_sum(others, groups);
    if UNIT_POS == 0 {
        totals[0] = squares;
        totals[1] = others;
    }
}

/// Compilers may assume that no value is infinite; the exponent's bits say it in any case.
#[cube]
fn is_finite(value: f32) -> bool {
    let exponent = comptime![0x7f80_0000u32];
    u32::reinterpret(value) & exponent != exponent
}

/// What is the same for all values of a step.
#[derive(CubeType, CubeLaunch)]
pub(super) struct Factors {
    keep_first: f32,
    take_first: f32,
    keep_second: f32,
    take_second: f32,
    decay: f32,
    rate: f32,
    root: f32,
    epsilon: f32,
    clip_norm: f32,
    clip_epsilon: f32,
}

impl Factors {
    pub(super) fn launch(step: &AdamWStep, clip: Clip) -> FactorsLaunch {
        let c = Constants::new(1.0, step);
        FactorsLaunch::new(
            c.keep_first,
            c.take_first,
            c.keep_second,
            c.take_second,
            c.decay,
            c.rate,
            c.root,
            c.epsilon,
            clip.norm as f32,
            clip.epsilon as f32,
        )
    }
}

/// The factor of the gradient, or 0 when the step is left out.
#[cube]
fn gradient_scale(measured: &[f32], factors: &Factors) -> f32 {
    let squares = measured[0];
    let mut scale = 0.0f32;
    if measured[1] == 0.0 && is_finite(squares) {
        scale = min(factors.clip_norm / (squares.sqrt() + factors.clip_epsilon), 1.0);
    }
    scale
}

/// The new first and second moment of a value.
#[cube]
fn moments(m: f32, v: f32, gradient: f32, scale: f32, factors: &Factors) -> (f32, f32) {
    let first = factors.keep_first * m + factors.take_first * scale * gradient;
    let second = factors.keep_second * v + factors.take_second * scale * scale * gradient * gradient;
    (first, second)
}

#[cube]
fn moved(p: f32, m: f32, v: f32, factors: &Factors) -> f32 {
    p * factors.decay - factors.rate * m / (v.sqrt() * factors.root + factors.epsilon)
}

#[cube(launch, address_type = "dynamic")]
fn step_values<C: Float>(
    parameters: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    measured: &[f32],
    copy: ComptimeOption<&mut [C]>,
    factors: &Factors,
    #[define(C)] _copy: ElemType,
) {
    if ABSOLUTE_POS < parameters.len() {
        let scale = gradient_scale(measured, factors);
        let mut p = parameters[ABSOLUTE_POS];
        if scale > 0.0 {
            let (m, v) = moments(first[ABSOLUTE_POS], second[ABSOLUTE_POS], gradient[ABSOLUTE_POS], scale, factors);
            p = moved(p, m, v, factors);
            first[ABSOLUTE_POS] = m;
            second[ABSOLUTE_POS] = v;
            parameters[ABSOLUTE_POS] = p;
        }
        #[comptime]
        if let ComptimeOption::Some(copy) = copy {
            copy[ABSOLUTE_POS] = C::cast_from(p);
        }
    }
}

pub(super) fn measure(gradient: &CubeTensor) -> CubeTensor {
    let values = gradient.meta.num_elements();
    let blocks = values.div_ceil(BLOCK).max(1);
    let groups = Groups::of(&gradient.client, UNITS as usize);
    let sums = gpu::empty(gradient, [2 * blocks], DType::F32);
    measure_blocks::launch(
        &gradient.client,
        gpu::cubes(blocks),
        groups.dim(),
        gpu::addresses(&[gradient]),
        gradient.clone().into_buffer_arg(),
        sums.clone().into_buffer_arg(),
        blocks as u32,
        groups,
    );
    let totals = gpu::empty(gradient, [2], DType::F32);
    measure_all::launch(
        &gradient.client,
        CubeCount::Static(1, 1, 1),
        groups.dim(),
        sums.into_buffer_arg(),
        totals.clone().into_buffer_arg(),
        blocks as u32,
        groups,
    );
    totals
}

/// Moves `parameters` and the moments, which nobody shares, in place. Returns the copy of the parameters, if one is wanted.
pub(super) fn step(
    parameters: &CubeTensor,
    gradient: &CubeTensor,
    [first, second]: [&CubeTensor; 2],
    measured: &CubeTensor,
    step: &AdamWStep,
    clip: Clip,
    copy: Option<DType>,
) -> Option<CubeTensor> {
    let values = parameters.meta.num_elements();
    let copy = copy.map(|dtype| gpu::empty(parameters, [values], dtype));
    let copied = gpu::elem(copy.as_ref().unwrap_or(parameters));
    if values > 0 {
        step_values::launch(
            &parameters.client,
            gpu::one_unit_each(values),
            CubeDim::new_1d(UNITS),
            gpu::addresses(&[parameters]),
            parameters.clone().into_buffer_arg(),
            gradient.clone().into_buffer_arg(),
            first.clone().into_buffer_arg(),
            second.clone().into_buffer_arg(),
            measured.clone().into_buffer_arg(),
            copy.clone().map(CubeTensor::into_buffer_arg).into(),
            Factors::launch(step, clip),
            copied,
        );
    }
    copy
}
