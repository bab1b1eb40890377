//! Each continuation on its own, over all keys it sees, by the reference attention.

use burn::tensor::Tensor;

use super::LayerCache;
use crate::kernels::attention::{self, AttentionShape};

pub(crate) fn forward(q: Tensor<2>, cache: &LayerCache, shape: AttentionShape) -> Tensor<2> {
    let continuations = q.dims()[0];
    let rows = (0..continuations).map(|i| {
        let all = |prompt: &Tensor<2>, own: &Tensor<3>| {
            let own = own.clone().narrow(0, i, 1).narrow(1, 0, cache.length).squeeze_dim::<2>(0);
            Tensor::cat(vec![prompt.clone(), own], 0)
        };
        let (k, v) = (all(&cache.prompt.0, &cache.own.0), all(&cache.prompt.1, &cache.own.1));
        attention::reference::forward(q.clone().narrow(0, i, 1), k, v, shape).output
    });
    Tensor::cat(rows.collect(), 0)
}
