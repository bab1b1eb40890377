//! Products with weights, packed in each format and dense.

use std::hint::black_box;

use burn::tensor::{Distribution, Tensor};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use tn_model::Device;
use tn_model::kernels::linear;
use tn_model::kernels::packed_linear::{self, PackedMatrix, WeightFormat};

/// The shape of a feed-forward projection of Qwen3-0.6B.
const SHAPE: [usize; 2] = [3_072, 1_024];

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    products(&mut criterion, "prefill_512", 512, 1);
    products(&mut criterion, "decode", 1, 16);
    criterion.final_summary();
}

/// Multiplies some rows with some weights, one after the other: with many, each is read from memory.
fn products(criterion: &mut Criterion, name: &str, rows: usize, weights: usize) {
    let random = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex());
    let x = random([rows, SHAPE[1]]);
    let dense: Vec<Tensor<2>> = (0..weights).map(|_| random(SHAPE)).collect();
    let mut group = criterion.benchmark_group(format!("linear/{name}"));
    group.throughput(Throughput::Elements((2 * rows * weights * SHAPE[0] * SHAPE[1]) as u64));
    let exact: Vec<Tensor<2>> = dense.iter().map(|weight| linear::forward(&x, weight)).collect();
    measure(&mut group, "dense", &dense, &exact, 0.0, |weight| linear::forward(black_box(&x), weight));
    for format in WeightFormat::ALL {
        let values = |weight: &Tensor<2>| weight.to_data().try_into_vec::<f32>().expect("the weights are 32-bit");
        let packed: Vec<PackedMatrix> = dense.iter().map(|weight| PackedMatrix::pack(&values(weight), SHAPE, format)).collect();
        let tolerance = match format {
            WeightFormat::F32 => 1e-3,
            WeightFormat::Bf16 => 0.3,
            WeightFormat::Int8 => 1.0,
        };
        measure(&mut group, format.name(), &packed, &exact, tolerance, |weight| packed_linear::forward(black_box(&x), weight));
    }
    group.finish();
}

fn measure<W>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    weights: &[W],
    exact: &[Tensor<2>],
    tolerance: f32,
    product: impl Fn(&W) -> Tensor<2>,
) {
    for (weight, exact) in weights.iter().zip(exact) {
        let difference = (product(weight) - exact.clone()).abs().max().into_scalar::<f32>();
        assert!(difference <= tolerance, "{name} differs by {difference}");
    }
    group.bench_function(name, |bencher| bencher.iter(|| weights.iter().map(&product).collect::<Vec<_>>()));
}
