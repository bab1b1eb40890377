//! The attention kernels of GPU devices against those of the CPU and against plain tensor operations.
//!
//! Runs on every device of the enabled features that this machine has; Mesa's lavapipe is one, so no GPU is needed.

#[path = "support/devices.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod devices;

use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use devices::devices;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tn_model::kernels::attention::{self, Attended, AttentionShape, Determinism, Gradients, Segments};

/// Lengths around the sizes of tiles, 651 rows in all.
const LENGTHS: [usize; 8] = [1, 2, 63, 64, 65, 127, 129, 200];

/// The operands of a forward and a backward pass.
struct Case {
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    doutput: Tensor<2>,
    segments: Segments,
    shape: AttentionShape,
}

impl Case {
    /// Reproducible values: queries and keys up to `size`, values and gradients up to 1.
    fn new(lengths: &[usize], [heads, key_heads, head_dim]: [usize; 3], size: f32) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let segments = Segments::of_lengths(lengths).unwrap();
        let mut tensor = |width: usize, size: f32| {
            let values: Vec<f32> = (0..segments.rows() * width).map(|_| random.random_range(-size..size)).collect();
            Tensor::from_data(TensorData::new(values, [segments.rows(), width]), &Device::flex())
        };
        let (q, k) = (tensor(heads * head_dim, size), tensor(key_heads * head_dim, size));
        let (v, doutput) = (tensor(key_heads * head_dim, 1.0), tensor(heads * head_dim, 1.0));
        Self { q, k, v, doutput, segments, shape: AttentionShape { heads, key_heads, head_dim } }
    }

    fn to(&self, device: &Device) -> Self {
        let tensor = |x: &Tensor<2>| Tensor::from_data(x.to_data(), device);
        let (q, k, v, doutput) = (tensor(&self.q), tensor(&self.k), tensor(&self.v), tensor(&self.doutput));
        Self { q, k, v, doutput, segments: self.segments.clone(), shape: self.shape }
    }

    fn in_type(&self, dtype: FloatDType) -> Self {
        let tensor = |x: &Tensor<2>| x.clone().cast(dtype);
        let (q, k, v, doutput) = (tensor(&self.q), tensor(&self.k), tensor(&self.v), tensor(&self.doutput));
        Self { q, k, v, doutput, segments: self.segments.clone(), shape: self.shape }
    }

    fn forward(&self) -> Attended {
        attention::forward_segments(&self.q, &self.k, &self.v, &self.segments, self.shape)
    }

    fn backward(&self, attended: &Attended, determinism: Determinism) -> Gradients {
        let Self { q, k, v, doutput, segments, shape } = self;
        attention::backward_segments(q, k, v, attended, doutput, segments, *shape, determinism)
    }

    /// Output, logarithm of the sum, and the gradients of queries, keys and values.
    fn run(&self, determinism: Determinism) -> [(&'static str, Tensor<2>); 5] {
        let attended = self.forward();
        let gradients = self.backward(&attended, determinism);
        let Attended { output, log_sum } = attended;
        [("output", output), ("log sum", log_sum), ("dq", gradients.q), ("dk", gradients.k), ("dv", gradients.v)]
    }
}

fn values(tensor: &Tensor<2>) -> Vec<f32> {
    tensor.to_data().convert::<f32>().try_into_vec().unwrap()
}

/// Compares with a tolerance relative to the largest expected value.
fn check(what: &str, found: &Tensor<2>, expected: &Tensor<2>, tolerance: f32) {
    let (found, expected) = (values(found), values(expected));
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |m, x| m.max(x.abs()));
    for (at, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!((a - b).abs() / scale <= tolerance, "{what}: {a} at {at} instead of {b} (largest {scale})");
    }
}

fn check_all(name: &str, found: &[(&'static str, Tensor<2>); 5], expected: &[(&'static str, Tensor<2>); 5], tolerance: f32) {
    for ((what, found), (_, expected)) in found.iter().zip(expected) {
        check(&format!("{name}, {what}"), found, expected, tolerance);
    }
}

fn bits(all: &[(&'static str, Tensor<2>); 5]) -> Vec<u32> {
    all.iter().flat_map(|(_, tensor)| values(tensor)).map(f32::to_bits).collect()
}

const SHAPES: [[usize; 3]; 5] = [[4, 2, 64], [8, 2, 32], [3, 3, 128], [6, 2, 20], [4, 1, 128]];

#[test]
fn packed_sequences_equal_the_cpu_kernel() {
    for (name, device) in devices() {
        for shape in SHAPES {
            let case = Case::new(&LENGTHS, shape, 2.0);
            let found = case.to(&device).run(Determinism::Exact);
            check_all(&format!("{name} {shape:?}"), &found, &case.run(Determinism::Exact), 1e-5);
        }
    }
}

#[test]
fn packed_sequences_equal_plain_tensor_operations() {
    // A tensor that is tracked for differentiation takes the reference, and Burn gives its gradients.
    let case = Case::new(&LENGTHS, [4, 2, 32], 2.0);
    let track = |x: &Tensor<2>| Tensor::<2>::from_data(x.to_data(), &Device::flex().autodiff()).require_grad();
    let (q, k, v) = (track(&case.q), track(&case.k), track(&case.v));
    let slow = attention::forward_segments(&q, &k, &v, &case.segments, case.shape);
    let weights = Tensor::from_data(case.doutput.to_data(), &Device::flex().autodiff());
    let tape = (slow.output.clone() * weights).sum().backward();
    let expected = [
        ("output", slow.output.inner()),
        ("log sum", slow.log_sum.inner()),
        ("dq", q.grad(&tape).unwrap()),
        ("dk", k.grad(&tape).unwrap()),
        ("dv", v.grad(&tape).unwrap()),
    ];
    check_all("cpu", &case.run(Determinism::Exact), &expected, 1e-5);
    for (name, device) in devices() {
        check_all(&name, &case.to(&device).run(Determinism::Exact), &expected, 1e-5);
    }
}

#[test]
fn each_packed_sequence_has_the_bits_of_that_sequence_alone() {
    let mut places: Vec<Device> = devices().map(|(_, device)| device).collect();
    places.push(Device::flex());
    for device in places {
        let case = Case::new(&LENGTHS, [4, 2, 32], 2.0).to(&device);
        let packed = case.run(Determinism::Exact);
        for rows in case.segments.ranges() {
            let part = |x: &Tensor<2>| x.clone().narrow(0, rows.start, rows.len());
            let (q, k, v, doutput) = (part(&case.q), part(&case.k), part(&case.v), part(&case.doutput));
            let alone = attention::forward(&q, &k, &v, case.shape);
            let gradients = attention::backward(&q, &k, &v, &alone, &doutput, case.shape);
            let alone = [alone.output, alone.log_sum, gradients.q, gradients.k, gradients.v];
            for ((what, packed), alone) in packed.iter().zip(&alone) {
                assert!(values(&part(packed)) == values(alone), "{what} of rows {rows:?}");
            }
        }
    }
}

#[test]
fn the_last_rows_attend_as_they_do_among_all() {
    for (name, device) in devices() {
        let case = Case::new(&[150], [4, 2, 32], 2.0).to(&device);
        let all = case.forward();
        for last in [1, 63, 64, 70] {
            let q = case.q.clone().narrow(0, 150 - last, last);
            let part = attention::forward(&q, &case.k, &case.v, case.shape);
            check(&name, &part.output, &all.output.clone().narrow(0, 150 - last, last), 1e-6);
            check(&name, &part.log_sum, &all.log_sum.clone().narrow(0, 150 - last, last), 1e-6);
        }
    }
}

#[test]
fn the_same_bits_come_twice() {
    for (name, device) in devices() {
        let case = Case::new(&LENGTHS, [4, 2, 64], 2.0).to(&device);
        assert_eq!(bits(&case.run(Determinism::Exact)), bits(&case.run(Determinism::Exact)), "{name}");
    }
}

#[test]
fn large_scores_do_not_overflow() {
    for (name, device) in devices() {
        // Scores of several thousands: each row sees little more than one key.
        let case = Case::new(&[130, 70], [4, 2, 32], 60.0);
        let found = case.to(&device).run(Determinism::Exact);
        assert!(found.iter().all(|(_, tensor)| values(tensor).iter().all(|x| x.is_finite())), "{name}");
        // Such scores are known to 1e-4, and so is the weight of a key.
        check_all(&name, &found, &case.run(Determinism::Exact), 1e-3);
    }
}

#[test]
fn a_score_that_is_not_a_number_stays_in_its_row() {
    for (name, device) in devices() {
        let mut case = Case::new(&[100], [2, 1, 32], 1.0);
        let expected = values(&case.forward().output);
        let mut q = values(&case.q);
        q[70 * 64] = f32::NAN;
        case.q = Tensor::from_data(TensorData::new(q, [100, 64]), &Device::flex());
        let output = values(&case.to(&device).forward().output);
        for (at, (found, expected)) in output.iter().zip(&expected).enumerate() {
            let (row, head) = (at / 64, at % 64 / 32);
            if (row, head) == (70, 0) {
                assert!(found.is_nan(), "{name}: {found} at {at}");
            } else {
                assert!((found - expected).abs() < 1e-5, "{name}: {found} at {at} instead of {expected}");
            }
        }
    }
}

#[test]
fn half_precision_rounds_once() {
    for (name, device) in devices() {
        if !device.supports_dtype(DType::BF16) {
            eprintln!("skipped: {name} has no bf16");
            continue;
        }
        for shape in SHAPES {
            for determinism in [Determinism::Exact, Determinism::Relaxed] {
                // The same rounded operands on both sides.
                let half = Case::new(&LENGTHS, shape, 2.0).to(&device).in_type(FloatDType::BF16);
                let exact = half.in_type(FloatDType::F32).to(&Device::flex());
                let found = half.run(determinism);
                assert_eq!(found[1].1.dtype(), DType::F32);
                check_all(&format!("{name} {shape:?} {determinism:?}"), &found, &exact.run(Determinism::Exact), 1.0 / 128.0);
            }
        }
    }
}

#[test]
fn no_rows_give_no_rows() {
    for (_, device) in devices() {
        let case = Case::new(&[], [4, 2, 32], 1.0).to(&device);
        assert!(case.run(Determinism::Exact).iter().all(|(_, tensor)| tensor.dims()[0] == 0));
    }
}
