//! Every row on its own, over its gathered keys.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::plan::Plan;
use super::{NewRows, PAGE, PageCopy};
use crate::kernels::attention::{self, AttentionShape};

pub(super) fn copy(entries: &mut Tensor<4>, copies: &[PageCopy]) {
    for copy in copies {
        let page = entries.clone().narrow(0, copy.from as usize, 1);
        let [_, heads, tokens, features] = entries.dims();
        let to = copy.to as usize;
        *entries = entries.clone().slice_assign([to..to + 1, 0..heads, 0..tokens, 0..features], page);
    }
}

pub(super) fn write(entries: &mut Tensor<4>, rows: &Tensor<2>, plan: &Plan) {
    let [_, heads, _, d] = entries.dims();
    for (row, &place) in plan.places.iter().enumerate() {
        let (page, at) = (place as usize / PAGE, place as usize % PAGE);
        let new = rows.clone().narrow(0, row, 1).reshape([1, heads, 1, d]).cast(entries.dtype());
        *entries = entries.clone().slice_assign([page..page + 1, 0..heads, at..at + 1, 0..d], new);
    }
}

pub(super) fn forward(q: &Tensor<2>, keys: &Tensor<4>, values: &Tensor<4>, rows: &NewRows, shape: AttentionShape) -> Tensor<2> {
    let plan = &rows.plan;
    let attended = plan.seen.iter().enumerate().map(|(row, &seen)| {
        let pages = pages(plan, row);
        let all = |entries: &Tensor<4>| gathered(entries, &pages, seen).cast(q.dtype());
        attention::reference::forward(q.clone().narrow(0, row, 1), all(keys), all(values), shape).output
    });
    let empty = Tensor::zeros([rows.rows() - plan.seen.len(), q.dims()[1]], (&q.device(), q.dtype()));
    Tensor::cat(attended.chain([empty]).collect(), 0)
}

/// Returns the pages that a row sees, as its items have them.
fn pages(plan: &Plan, row: usize) -> Vec<u32> {
    let mut pages = vec![0; plan.seen[row].div_ceil(PAGE)];
    for item in plan.narrow.iter().chain(&plan.wide).filter(|item| item.rows.contains(&row)) {
        let last = item.keys.end.min(plan.seen[row]).div_ceil(PAGE);
        let seen = item.keys.start / PAGE..last.max(item.keys.start / PAGE);
        pages[seen.clone()].copy_from_slice(&plan.tables[item.table..][seen]);
    }
    pages
}

/// Returns the first entries of some pages, `[length, key_heads * head_dim]`.
fn gathered(entries: &Tensor<4>, pages: &[u32], length: usize) -> Tensor<2> {
    let [_, heads, _, d] = entries.dims();
    let of_text = entries.clone().select(0, indices(pages, &entries.device()));
    of_text.swap_dims(1, 2).reshape([pages.len() * PAGE, heads * d]).narrow(0, 0, length)
}

fn indices(pages: &[u32], device: &Device) -> Tensor<1, Int> {
    let pages: Vec<i64> = pages.iter().map(|&page| i64::from(page)).collect();
    let length = pages.len();
    Tensor::from_data(TensorData::new(pages, [length]), device)
}
