//! Each run on its own, over all keys it sees, by the reference attention.

use burn::tensor::Tensor;

use super::{Entries, Run};
use crate::kernels::attention::{self, AttentionShape};

pub(crate) fn forward(
    q: &Tensor<2>,
    k: &Tensor<2>,
    v: &Tensor<2>,
    runs: &[Run],
    prompt: (&Tensor<2>, &Tensor<2>),
    own: &Entries,
    shape: AttentionShape,
) -> Tensor<2> {
    let mut first = 0;
    let attended = runs.iter().map(|run| {
        let rows = |tensor: &Tensor<2>| tensor.clone().narrow(0, first, run.tokens);
        let own = (run.own > 0).then(|| own.of(run.slot, run.own)).unzip();
        let all = |prompt: &Tensor<2>, own: Option<Tensor<2>>, new: &Tensor<2>| {
            Tensor::cat([prompt.clone()].into_iter().chain(own).chain([rows(new)]).collect(), 0)
        };
        let (keys, values) = (all(prompt.0, own.0, k), all(prompt.1, own.1, v));
        let output = attention::reference::forward(rows(q), keys, values, shape).output;
        first += run.tokens;
        output
    });
    Tensor::cat(attended.collect(), 0)
}
