//! Head and cross-entropy over slices, chunk by chunk.

use pulp::Arch;
use rayon::prelude::*;

use super::HeadGradient;
use crate::kernels::exponential::exp;
use crate::kernels::lanes::{max, sum};
use crate::kernels::matmul::{View, Write, product};

/// Rows whose logits exist at one time.
const CHUNK: usize = 512;

/// Rows that one task handles.
const ROWS: usize = 64;

/// Rows of the head's gradient that one task handles.
const VOCABULARY: usize = 256;

pub(super) struct Result {
    pub(super) sum: f64,
    pub(super) rows: Vec<f32>,
    pub(super) head: Option<Vec<f32>>,
}

/// The rows of a chunk that count, one after the other.
struct Chunk {
    rows: Vec<usize>,
    targets: Vec<u32>,
    weights: Vec<f32>,
    values: Vec<f32>,
}

fn chunks(values: &[f32], targets: &[Option<u32>], weights: &[f32], features: usize) -> impl Iterator<Item = Chunk> {
    let counts = |row: &usize| weights[*row] != 0.0;
    let labelled: Vec<(usize, u32)> =
        (0..targets.len()).filter(counts).filter_map(|row| targets[row].map(|target| (row, target))).collect();
    let chunks: Vec<Chunk> = labelled
        .chunks(CHUNK)
        .map(|part| Chunk {
            rows: part.iter().map(|&(row, _)| row).collect(),
            targets: part.iter().map(|&(_, target)| target).collect(),
            weights: part.iter().map(|&(row, _)| weights[row]).collect(),
            values: part.iter().flat_map(|&(row, _)| &values[row * features..(row + 1) * features]).copied().collect(),
        })
        .collect();
    chunks.into_iter()
}

pub(super) fn loss_and_gradients(
    values: &[f32],
    head: &[f32],
    targets: &[Option<u32>],
    weights: &[f32],
    features: usize,
    trained: HeadGradient,
) -> Result {
    let vocabulary = head.len() / features;
    let mut total = 0.0;
    let mut drows = vec![0.0; values.len()];
    let mut dhead = (trained == HeadGradient::Trained).then(|| vec![0.0; head.len()]);
    for chunk in chunks(values, targets, weights, features) {
        let mut logits = logits(&chunk, head, features);
        total += logits
            .par_chunks_mut(ROWS * vocabulary)
            .zip(chunk.targets.par_chunks(ROWS).zip(chunk.weights.par_chunks(ROWS)))
            .map(|(logits, (targets, weights))| {
                let labels = targets.iter().zip(weights);
                logits.chunks_exact_mut(vocabulary).zip(labels).map(|(z, (&y, &weight))| differentiate(z, y as usize, weight)).sum::<f64>()
            })
            .collect::<Vec<f64>>()
            .iter()
            .sum::<f64>();
        let mut dchunk = vec![0.0; chunk.values.len()];
        dchunk.par_chunks_mut(ROWS * features).zip(logits.par_chunks(ROWS * vocabulary)).for_each(|(dchunk, dz)| {
            let shape = [dchunk.len() / features, features, vocabulary];
            product(shape, View::rows(dz, vocabulary), View::rows(head, features), 1.0, Write::Replace, dchunk, features);
        });
        for (&row, gradient) in chunk.rows.iter().zip(dchunk.chunks_exact(features)) {
            drows[row * features..(row + 1) * features].copy_from_slice(gradient);
        }
        if let Some(dhead) = &mut dhead {
            dhead.par_chunks_mut(VOCABULARY * features).enumerate().for_each(|(block, dhead)| {
                let shape = [dhead.len() / features, features, chunk.rows.len()];
                let dz = View::rows(&logits[block * VOCABULARY..], vocabulary).transposed();
                product(shape, dz, View::rows(&chunk.values, features), 1.0, Write::Add, dhead, features);
            });
        }
    }
    Result { sum: total, rows: drows, head: dhead }
}

pub(super) fn loss(values: &[f32], head: &[f32], targets: &[Option<u32>], features: usize) -> f64 {
    let vocabulary = head.len() / features;
    let sum_of = |chunk: Chunk| -> f64 {
        let logits = logits(&chunk, head, features);
        let losses: Vec<f64> = logits
            .par_chunks(vocabulary)
            .zip(&chunk.targets)
            .map(|(z, &target)| f64::from(log_sum(z)) - f64::from(z[target as usize]))
            .collect();
        losses.iter().sum()
    };
    chunks(values, targets, &vec![1.0; targets.len()], features).map(sum_of).sum()
}

fn logits(chunk: &Chunk, head: &[f32], features: usize) -> Vec<f32> {
    let vocabulary = head.len() / features;
    let mut logits = vec![0.0; chunk.rows.len() * vocabulary];
    logits.par_chunks_mut(ROWS * vocabulary).zip(chunk.values.par_chunks(ROWS * features)).for_each(|(z, h)| {
        let shape = [h.len() / features, vocabulary, features];
        product(shape, View::rows(h, features), View::rows(head, features).transposed(), 1.0, Write::Replace, z, vocabulary);
    });
    logits
}

/// Returns the weighted loss of one row and turns its logits into their gradient.
fn differentiate(z: &mut [f32], target: usize, weight: f32) -> f64 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let wanted = z[target];
            let largest = max(z);
            z.iter_mut().for_each(|z| *z = exp(*z - largest));
            let total = sum(z);
            let factor = weight / total;
            z.iter_mut().for_each(|z| *z *= factor);
            z[target] -= weight;
            f64::from(weight) * (f64::from(largest) + f64::from(total).ln() - f64::from(wanted))
        },
    )
}

fn log_sum(z: &[f32]) -> f32 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let largest = max(z);
            let total: f32 = z.iter().map(|&z| exp(z - largest)).sum();
            largest + total.ln()
        },
    )
}
