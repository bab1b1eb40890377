//! A pass of the decoder over the tokens of many texts.

use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::block::{Places, QueryKeyValue};
use super::continuation::{Continuations, Step};
use super::packed::PackedQwen3;
use super::paged;
use crate::kernels::decode_attention::Run;
use crate::kernels::qk_norm_rope::RotaryTable;
use crate::kernels::{Numbers, embedding};

/// Products of a query and a key value from which the parts of a pass attend on several threads.
const PARALLEL: usize = 1 << 20;

/// One of the prompts of a pass.
pub struct Part<'a, 'm> {
    /// The prompt and its continuations.
    pub continuations: &'a mut Continuations<'m>,
    /// What is done for them.
    pub step: Step<'a>,
}

/// Takes the tokens of all parts through the decoder together, and returns the logits that belong to each part: of the token after the
/// prompt when it is read to its end, `[1, vocabulary]`, after each run, `[continuations, vocabulary]`, or after each branch,
/// `[branches, vocabulary]`; nothing while there is more of the prompt.
///
/// On the processor, what comes out for a part does not depend on the other parts, to the last bit.
///
/// # Panics
/// Panics when the parts belong to several models, or a step does not fit to what its part has: there are not as many tokens left of the
/// prompt, it is not read yet, there is not one run for each continuation, a run or branch is empty, or the capacity is used up.
pub fn pass(parts: &mut [Part<'_, '_>]) -> Vec<Option<Tensor<2>>> {
    let Some(model) = parts.first().map(|part| part.continuations.model) else { return Vec::new() };
    assert!(parts.iter().all(|part| std::ptr::eq(part.continuations.model, model)), "the parts of a pass belong to one model");
    let plans = plans(parts);
    let rows = Rows::of(parts, &plans);
    let logits = match model.store() {
        Some(store) => paged::run(model, store, parts, &plans, &rows),
        None => in_host_memory(model, parts, &plans, &rows),
    };
    parts.iter_mut().for_each(|part| part.continuations.note(part.step));
    let Some(logits) = logits else { return parts.iter().map(|_| None).collect() };
    let mut first = 0;
    let split = parts.iter_mut().zip(&plans).map(|(part, plan)| {
        let rows = first..first + plan.wanted.len();
        first = rows.end;
        let logits = (!rows.is_empty()).then(|| logits.clone().narrow(0, rows.start, rows.len()));
        part.continuations.keep_logits(part.step, logits.as_ref());
        logits
    });
    split.collect()
}

/// Takes the rows of all parts through the decoder, and returns the logits that are wanted.
fn in_host_memory(model: &PackedQwen3, parts: &mut [Part<'_, '_>], plans: &[Plan], all: &Rows) -> Option<Tensor<2>> {
    let places = Places { table: &all.table, positions: &all.positions };
    let seen: usize = all.positions.iter().map(|&position| position as usize + 1).sum();
    let attends_for_long = seen * model.config().num_attention_heads * model.config().head_dim >= PARALLEL;
    let mut x = model.embed(&all.ids);
    for (layer, block) in model.blocks.iter().enumerate() {
        let heads = block.query_key_value(&x, places);
        let attend = |(part, plan): (&mut Part<'_, '_>, &Plan)| {
            let heads = if plan.rows.len() == all.ids.len() { heads.clone() } else { rows_of(&heads, plan) };
            part.continuations.attend(layer, plan, &heads, matches!(part.step, Step::Peek(_)), block.shape)
        };
        let attended: Vec<Tensor<2>> = match plans.len() > 1 && attends_for_long {
            true => parts.par_iter_mut().zip(plans).map(attend).collect(),
            false => parts.iter_mut().zip(plans).map(attend).collect(),
        };
        x = block.after_attention(&x, &joined(attended));
    }
    let is_every_row = all.wanted.len() == all.ids.len();
    (!all.wanted.is_empty()).then(|| model.logits(&if is_every_row { x } else { rows(&x, &all.wanted) }))
}

/// The rows of all parts of a pass.
pub(super) struct Rows {
    pub(super) ids: Numbers,
    pub(super) positions: Numbers,
    /// The rows whose logits are wanted.
    pub(super) wanted: Vec<u32>,
    /// For all positions.
    pub(super) table: Arc<RotaryTable>,
}

impl Rows {
    fn of(parts: &[Part<'_, '_>], plans: &[Plan]) -> Self {
        let longest = parts.iter().map(|part| &part.continuations.rotations).max_by_key(|table| table.len());
        Self {
            ids: plans.iter().flat_map(|plan| &plan.tokens).copied().collect(),
            positions: plans.iter().flat_map(|plan| &plan.positions).copied().collect(),
            wanted: plans.iter().flat_map(|plan| &plan.wanted).map(|&row| row as u32).collect(),
            table: Arc::clone(longest.expect("there is a part")),
        }
    }
}

/// The rows of a part in a pass.
pub(super) struct Plan {
    pub(super) tokens: Vec<u32>,
    pub(super) positions: Vec<u32>,
    pub(super) runs: Vec<Run>,
    /// Among the rows of the pass.
    pub(super) rows: std::ops::Range<usize>,
    /// The rows of the pass whose logits are wanted.
    pub(super) wanted: Vec<usize>,
}

fn plans(parts: &[Part<'_, '_>]) -> Vec<Plan> {
    let mut first = 0;
    let plans = parts.iter().map(|part| {
        let plan = part.continuations.plan(part.step, first);
        first = plan.rows.end;
        plan
    });
    plans.collect()
}

fn rows_of(heads: &QueryKeyValue, plan: &Plan) -> QueryKeyValue {
    let rows = |tensor: &Tensor<2>| tensor.clone().narrow(0, plan.rows.start, plan.rows.len());
    QueryKeyValue { q: rows(&heads.q), k: rows(&heads.k), v: rows(&heads.v) }
}

fn joined(mut rows: Vec<Tensor<2>>) -> Tensor<2> {
    if rows.len() == 1 { rows.remove(0) } else { Tensor::cat(rows, 0) }
}

/// Returns some rows of a tensor; on a GPU, by one kernel for all of them.
pub(super) fn rows(x: &Tensor<2>, rows: &[u32]) -> Tensor<2> {
    embedding::forward(x, &rows.to_vec().into())
}
