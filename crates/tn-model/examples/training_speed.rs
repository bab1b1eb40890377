//! Tokens a second of one training step (forward and backward) at the small tier's shape.

use std::time::Instant;

use burn::tensor::Device;
use rayon::prelude::*;
use tn_model::qwen3::{Gradients, Keep, Qwen3, Trained};
use tn_model::Qwen3Config;

fn main() {
    let length: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1_100);
    let vocabulary: usize = std::env::args().nth(2).and_then(|a| a.parse().ok()).unwrap_or(168);
    let model = Qwen3::initialize(&Qwen3Config::tiny(vocabulary), 1, &Device::flex()).with_context(length);
    let sequences: Vec<Vec<u32>> =
        (0..8u32).map(|s| (0..length as u32).map(|i| (i * 7919 + s * 31 + i * i) % vocabulary as u32).collect()).collect();
    let mut best = f64::INFINITY;
    for _ in 0..6 {
        let start = Instant::now();
        let losses: Vec<_> = sequences
            .par_iter()
            .map(|ids| {
                let targets: Vec<Option<u32>> = ids.iter().skip(1).map(|&id| Some(id)).chain([None]).collect();
                model.loss_and_gradients(ids, &targets, 1e-4, Trained::Everything, Keep::Everything)
            })
            .collect();
        let mut all = Gradients::new();
        let mut sum = 0.0;
        for loss in losses {
            sum += loss.sum;
            all.merge(loss.gradients);
        }
        let seconds = start.elapsed().as_secs_f64();
        best = best.min(seconds);
        eprintln!("{:.0} tok/s, loss {:.4}, norm {:.6}", (8 * length) as f64 / seconds, sum / (8 * (length - 1)) as f64, all.norm());
    }
    eprintln!("best {:.0} tok/s", (8 * length) as f64 / best);
}
