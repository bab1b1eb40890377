//! Head normalisation and rotation over slices, one block of rows a task.

use pulp::Arch;
use rayon::prelude::*;

use super::RotaryTable;
use crate::kernels::rms_norm::{differentiate, normalize};

const BLOCK: usize = 128;

pub(super) fn forward(x: &[f32], weight: &[f32], eps: f32, table: &RotaryTable, positions: &[u32]) -> Vec<f32> {
    let (head_dim, features) = (weight.len(), x.len() / positions.len().max(1));
    let mut y = vec![0.0; x.len()];
    let rows = x.par_chunks(BLOCK * features.max(1)).zip(positions.par_chunks(BLOCK));
    y.par_chunks_mut(BLOCK * features.max(1)).zip(rows).for_each(|(y, (x, positions))| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((y, x), &position) in y.chunks_exact_mut(features).zip(x.chunks_exact(features)).zip(positions) {
                    let (cosines, sines) = table.at(position);
                    for (y, x) in y.chunks_exact_mut(head_dim).zip(x.chunks_exact(head_dim)) {
                        normalize(x, weight, eps, y);
                        rotate(y, cosines, sines, 1.0);
                    }
                }
            },
        );
    });
    y
}

pub(super) fn backward(x: &[f32], weight: &[f32], eps: f32, table: &RotaryTable, positions: &[u32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (head_dim, features) = (weight.len(), x.len() / positions.len().max(1));
    let mut dx = vec![0.0; x.len()];
    let rows = x.par_chunks(BLOCK * features.max(1)).zip(dy.par_chunks(BLOCK * features.max(1))).zip(positions.par_chunks(BLOCK));
    let partial: Vec<Vec<f32>> = dx
        .par_chunks_mut(BLOCK * features.max(1))
        .zip(rows)
        .map(|(dx, ((x, dy), positions))| {
            let (mut dweight, mut unrotated) = (vec![0.0; head_dim], vec![0.0; head_dim]);
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    let rows = dx.chunks_exact_mut(features).zip(x.chunks_exact(features)).zip(dy.chunks_exact(features)).zip(positions);
                    for (((dx, x), dy), &position) in rows {
                        let (cosines, sines) = table.at(position);
                        let heads = dx.chunks_exact_mut(head_dim).zip(x.chunks_exact(head_dim)).zip(dy.chunks_exact(head_dim));
                        for ((dx, x), dy) in heads {
                            unrotated.copy_from_slice(dy);
                            rotate(&mut unrotated, cosines, sines, -1.0);
                            differentiate(x, weight, eps, &unrotated, dx, &mut dweight);
                        }
                    }
                },
            );
            dweight
        })
        .collect();
    let mut dweight = vec![0.0; head_dim];
    for block in partial {
        dweight.iter_mut().zip(block).for_each(|(total, part)| *total += part);
    }
    (dx, dweight)
}

#[inline(always)]
fn rotate(head: &mut [f32], cosines: &[f32], sines: &[f32], sign: f32) {
    let (first, second) = head.split_at_mut(cosines.len());
    for (((a, b), &c), &s) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
        let s = s * sign;
        (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
    }
}
