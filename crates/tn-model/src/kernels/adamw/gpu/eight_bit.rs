//! The optimiser step with moments in eight bits on a GPU: one cube a block of 256 values, four neighboring values a unit.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::{Factors, gradient_scale, moments, moved};
use crate::kernels::adamw::eight_bit::BLOCK;
use crate::kernels::adamw::flat::Clip;
use crate::kernels::adamw::{AdamWStep, dynamic_code};
use crate::kernels::gpu;
use crate::kernels::gpu::reduce::{Groups, group_max};

/// Codes in one word.
const CODES: usize = 4;

/// The values of the signed code, those of the unsigned one, and the borders between them in the same order.
const UNSIGNED: usize = 256;
const BORDERS: usize = 512;

#[cube(launch, address_type = "dynamic")]
fn step_blocks<C: Float>(
    parameters: &mut [f32],
    gradient: &[f32],
    first: &mut [u32],
    first_largest: &mut [f32],
    second: &mut [u32],
    second_largest: &mut [f32],
    measured: &[f32],
    tables: &[f32],
    mut copy: ComptimeOption<&mut [C]>,
    factors: &Factors,
    #[comptime] groups: Groups,
    #[define(C)] _copy: ElemType,
) {
    if CUBE_POS >= first_largest.len() {
        terminate!();
    }
    let scale = gradient_scale(measured, factors);
    let word = CUBE_POS * comptime![BLOCK / CODES] + UNIT_POS as usize;
    let mut m = Array::<f32>::new(CODES);
    let mut v = Array::<f32>::new(CODES);
    let mut largest_m = 0.0f32;
    let mut largest_v = 0.0f32;
    let mut first_codes = 0u32;
    let mut second_codes = 0u32;
    if word < first.len() {
        first_codes = first[word];
        second_codes = second[word];
    }
    #[unroll]
    for i in 0..CODES {
        let at = word * CODES + i;
        let shift = comptime![8 * i as u32];
        m[i] = 0.0;
        v[i] = 0.0;
        if at < parameters.len() {
            let mut p = parameters[at];
            if scale > 0.0 {
                let old_m = tables[((first_codes >> shift) & 255u32) as usize] * first_largest[CUBE_POS];
                let old_v = tables[((second_codes >> shift) & 255u32) as usize + UNSIGNED] * second_largest[CUBE_POS];
                let (new_m, new_v) = moments(old_m, old_v, gradient[at], scale, factors);
                p = moved(p, new_m, new_v, factors);
                parameters[at] = p;
                m[i] = new_m;
                v[i] = new_v;
                largest_m = max(largest_m, new_m.abs());
                largest_v = max(largest_v, new_v);
            }
            #[comptime]
            if let ComptimeOption::Some(copy) = &mut copy {
                copy[at] = C::cast_from(p);
            }
        }
    }
    largest_m = group_max(largest_m, groups);
    largest_v = group_max(largest_v, groups);
    if scale > 0.0 {
        first_codes = 0u32;
        second_codes = 0u32;
        #[unroll]
        for i in 0..CODES {
            let shift = comptime![8 * i as u32];
            // What lies beyond the last value has codes too, which nobody reads.
            first_codes |= encode(tables, relative(m[i], largest_m), BORDERS) << shift;
            let code = encode(tables, relative(v[i], largest_v), comptime![BORDERS + 255]);
            second_codes |= max(code, u32::cast_from(v[i] > 0.0)) << shift;
        }
        if word < first.len() {
            first[word] = first_codes;
            second[word] = second_codes;
        }
        if UNIT_POS == 0 {
            first_largest[CUBE_POS] = largest_m;
            second_largest[CUBE_POS] = largest_v;
        }
    }
}

/// The number of borders below `value`, of the 255 that start at `first`.
#[cube]
fn encode(tables: &[f32], value: f32, #[comptime] first: usize) -> u32 {
    let mut code = 0u32;
    #[unroll]
    for step in 0..8u32 {
        let stride = comptime![128u32 >> step];
        if tables[first + (code + stride) as usize - 1] < value {
            code += stride;
        }
    }
    code
}

#[cube]
fn relative(value: f32, largest: f32) -> f32 {
    let mut share = 0.0f32;
    if largest > 0.0 {
        share = value / largest;
    }
    share
}

/// Returns the tables of both codes on the device of a tensor.
pub(in crate::kernels::adamw) fn tables(beside: &CubeTensor) -> CubeTensor {
    let codes = [&*dynamic_code::SIGNED, &*dynamic_code::UNSIGNED];
    let mut values: Vec<f32> = codes.iter().flat_map(|code| code.values()).copied().collect();
    values.extend(codes.iter().flat_map(|code| code.borders()));
    let length = values.len();
    gpu::upload(beside, &values, [length])
}

/// The moments of a step: four codes in a word, and the largest size of each block.
pub(in crate::kernels::adamw) struct Codes<'a> {
    pub(in crate::kernels::adamw) first: &'a CubeTensor,
    pub(in crate::kernels::adamw) first_largest: &'a CubeTensor,
    pub(in crate::kernels::adamw) second: &'a CubeTensor,
    pub(in crate::kernels::adamw) second_largest: &'a CubeTensor,
    pub(in crate::kernels::adamw) tables: &'a CubeTensor,
}

/// Moves `parameters` and the moments, which nobody shares, in place. Returns the copy of the parameters, if one is wanted.
pub(in crate::kernels::adamw) fn step(
    parameters: &CubeTensor,
    gradient: &CubeTensor,
    codes: &Codes<'_>,
    measured: &CubeTensor,
    step: &AdamWStep,
    clip: Clip,
    copy: Option<DType>,
) -> Option<CubeTensor> {
    let values = parameters.meta.num_elements();
    let copy = copy.map(|dtype| gpu::empty(parameters, [values], dtype));
    let copied = gpu::elem(copy.as_ref().unwrap_or(parameters));
    if values > 0 {
        let groups = Groups { units: (BLOCK / CODES) as u32, ..Groups::of(&parameters.client, BLOCK / CODES) };
        step_blocks::launch(
            &parameters.client,
            gpu::cubes(values.div_ceil(BLOCK)),
            groups.dim(),
            gpu::addresses(&[parameters]),
            parameters.clone().into_buffer_arg(),
            gradient.clone().into_buffer_arg(),
            codes.first.clone().into_buffer_arg(),
            codes.first_largest.clone().into_buffer_arg(),
            codes.second.clone().into_buffer_arg(),
            codes.second_largest.clone().into_buffer_arg(),
            measured.clone().into_buffer_arg(),
            codes.tables.clone().into_buffer_arg(),
            copy.clone().map(CubeTensor::into_buffer_arg).into(),
            Factors::launch(step, clip),
            groups,
            copied,
        );
    }
    copy
}
