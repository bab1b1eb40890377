//! The products: tasks of some panels and some tiles, in parallel.

use std::ops::Range;

use rayon::prelude::*;

use super::activations::Activations;
use super::instructions::Kind;
use super::tile::{Destination, Product};
use super::{PackedMatrix, tile};

/// Bytes of weights, or as much work for a processor that has them at hand, of one task.
const TASK: usize = 256 << 10;

/// Rows for which the multiplications take as long as reading the weights from memory.
const BALANCED_ROWS: usize = 24;

/// Panels that are enough to be divided among threads without dividing the rows.
const MANY_PANELS: usize = 32;

/// Tiles of one task where there are few panels.
const TILES: usize = 8;

struct Task<'a> {
    product: &'a Product<'a>,
    panels: Range<usize>,
    tiles: Range<usize>,
}

/// Returns the product of all rows with each weight, `[rows, outputs]`.
pub(super) fn forward<const N: usize>(activations: &Activations, weights: [&PackedMatrix; N], kind: Kind) -> [Vec<f32>; N] {
    let mut products = weights.map(|weight| vec![0.0; activations.rows * weight.outputs()]);
    let jobs: Vec<Product<'_>> = weights.iter().zip(&mut products).map(|(weight, y)| Product::new(weight, Destination::new(y))).collect();
    let work: usize = weights.iter().map(|weight| work(weight.size_in_bytes(), activations.rows)).sum();
    if work <= 2 * TASK {
        for product in &jobs {
            // SAFETY: the kind is one of this processor's, and there is no other thread.
            unsafe { tile::run(kind, product, activations, 0..product.panels(), 0..activations.tiles.len()) };
        }
    } else {
        let tasks: Vec<Task<'_>> = jobs.iter().flat_map(|product| tasks(product, activations)).collect();
        // SAFETY: the kind is one of this processor's, and no two tasks share a panel and a tile.
        tasks.into_par_iter().for_each(|task| unsafe { tile::run(kind, task.product, activations, task.panels, task.tiles) });
    }
    products
}

fn work(bytes: usize, rows: usize) -> usize {
    bytes + bytes / BALANCED_ROWS * rows
}

fn tasks<'a>(product: &'a Product<'a>, activations: &Activations) -> Vec<Task<'a>> {
    let (panels, tiles) = (product.panels(), activations.tiles.len());
    let panels_of_task = (TASK / work(product.panel_bytes(), activations.rows).max(1)).max(1);
    let tiles_of_task = if panels >= MANY_PANELS { tiles } else { TILES };
    let ranges = |count: usize, step: usize| (0..count).step_by(step.max(1)).map(move |first| first..count.min(first + step));
    ranges(tiles, tiles_of_task)
        .flat_map(|tiles| ranges(panels, panels_of_task).map(move |panels| (panels, tiles.clone())))
        .map(|(panels, tiles)| Task { product, panels, tiles })
        .collect()
}
