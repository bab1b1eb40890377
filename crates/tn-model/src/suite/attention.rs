//! Attention over packed sequences.

use burn::tensor::Tensor;

use super::place::{Place, Source};
use super::{Check, Difference};
use crate::kernels::attention::{self, Attended, AttentionShape, Determinism, Segments};

/// Lengths around the sizes of tiles.
const LENGTHS: [usize; 8] = [1, 2, 63, 64, 65, 127, 129, 200];

pub(super) const CHECKS: &[Check] = &[
    Check { name: "attention, exact sums", run: |place| check(place, Determinism::Exact) },
    Check { name: "attention, sums in any order", run: |place| check(place, Determinism::Relaxed) },
];

fn check(place: &Place, determinism: Determinism) -> Vec<Difference> {
    let shapes = [[4, 2, 64], [8, 2, 32], [3, 3, 128], [6, 2, 20], [4, 1, 128]];
    let segments = Segments::of_lengths(&LENGTHS).expect("no length is 0");
    let of_shape = |[heads, key_heads, head_dim]: [usize; 3]| {
        let shape = AttentionShape { heads, key_heads, head_dim };
        let mut source = Source::new();
        let inputs = [(heads, 2.0), (key_heads, 2.0), (key_heads, 1.0), (heads, 1.0)]
            .map(|(heads, size)| source.tensor([segments.rows(), heads * head_dim]) * size);
        let run = |[q, k, v, doutput]: [Tensor<2>; 4]| {
            let attended = attention::forward_segments(&q, &k, &v, &segments, shape);
            let gradients = attention::backward_segments(&q, &k, &v, &attended, &doutput, &segments, shape, determinism);
            let Attended { output, log_sum } = attended;
            [output, log_sum, gradients.q, gradients.k, gradients.v]
        };
        let found = run(inputs.each_ref().map(|tensor| place.activations(tensor)));
        let expected = run(inputs.each_ref().map(|tensor| place.rounded(tensor)));
        let named = ["output", "log sum", "dq", "dk", "dv"].into_iter().zip(found.into_iter().zip(expected));
        let compare = |(name, (found, expected)): (&str, (Tensor<2>, Tensor<2>))| {
            Difference::of(format!("{name}, {heads} and {key_heads} heads of {head_dim}"), place.tolerance(), &found, &expected)
        };
        named.map(compare).collect::<Vec<_>>()
    };
    shapes.into_iter().flat_map(of_shape).collect()
}
