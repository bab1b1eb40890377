//! The optimiser step over slices.

use pulp::Arch;
use rayon::prelude::*;

use super::AdamWStep;

/// Elements that one task handles.
const BLOCK: usize = 64 * 1024;

pub(super) fn first_moment(m: &mut [f32], gradient: &[f32], scale: f32, step: &AdamWStep) {
    let (keep, take) = (step.beta1 as f32, (1.0 - step.beta1) as f32 * scale);
    each(m, gradient, |m, g| keep * m + take * g);
}

pub(super) fn second_moment(v: &mut [f32], gradient: &[f32], scale: f32, step: &AdamWStep) {
    let (keep, take) = (step.beta2 as f32, (1.0 - step.beta2) as f32 * scale * scale);
    each(v, gradient, |v, g| keep * v + take * g * g);
}

pub(super) fn parameter(p: &mut [f32], m: &[f32], v: &[f32], step: &AdamWStep) {
    let (correction1, correction2) = step.bias_corrections();
    let decay = (1.0 - step.learning_rate * step.weight_decay) as f32;
    let (rate, root, epsilon) = ((step.learning_rate / correction1) as f32, (1.0 / correction2) as f32, step.epsilon as f32);
    p.par_chunks_mut(BLOCK).zip(m.par_chunks(BLOCK).zip(v.par_chunks(BLOCK))).for_each(|(p, (m, v))| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((p, &m), &v) in p.iter_mut().zip(m).zip(v) {
                    *p = *p * decay - rate * m / (v.sqrt() * root + epsilon);
                }
            },
        );
    });
}

fn each(values: &mut [f32], gradient: &[f32], update: impl Fn(f32, f32) -> f32 + Sync) {
    values.par_chunks_mut(BLOCK).zip(gradient.par_chunks(BLOCK)).for_each(|(values, gradient)| {
        Arch::new().dispatch(
            #[inline(always)]
            || values.iter_mut().zip(gradient).for_each(|(value, &g)| *value = update(*value, g)),
        );
    });
}
