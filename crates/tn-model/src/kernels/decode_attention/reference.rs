//! Each run on its own, over all keys it sees, by the reference attention.

use burn::tensor::Tensor;

use super::{LayerCache, Run};
use crate::kernels::attention::{self, AttentionShape};

pub(crate) fn forward(q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>, runs: &[Run], cache: &LayerCache, shape: AttentionShape) -> Tensor<2> {
    let mut first = 0;
    let attended = runs.iter().map(|run| {
        let rows = |tensor: &Tensor<2>| tensor.clone().narrow(0, first, run.tokens);
        let all = |prompt: &Tensor<2>, own: &Tensor<3>, new: &Tensor<2>| {
            let length = cache.lengths[run.continuation];
            let own = (length > 0).then(|| own.clone().narrow(0, run.continuation, 1).narrow(1, 0, length).squeeze_dim::<2>(0));
            Tensor::cat([prompt.clone()].into_iter().chain(own).chain([rows(new)]).collect(), 0)
        };
        let (keys, values) = (all(&cache.prompt.0, &cache.own.0, k), all(&cache.prompt.1, &cache.own.1, v));
        let output = attention::reference::forward(rows(q), keys, values, shape).output;
        first += run.tokens;
        output
    });
    Tensor::cat(attended.collect(), 0)
}
