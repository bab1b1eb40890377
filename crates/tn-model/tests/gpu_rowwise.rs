//! The kernels for GPUs that work on rows, against the bodies for processors, on odd sizes.

#[path = "support/devices.rs"]
mod devices;

use burn::tensor::{DType, Device, Tensor, TensorData};
use devices::{Case, Source, cases, check, values};
use tn_model::kernels::adamw::flat::{self, Clip, FlatEightBitMoments};
use tn_model::kernels::adamw::{AdamWStep, EightBitMoments, Moments};
use tn_model::kernels::head_loss::{self, HeadGradient};
use tn_model::kernels::qk_norm_rope::{self, RotaryTable};
use tn_model::kernels::rms_norm::WeightGradient;
use tn_model::kernels::{Numbers, embedding, rms_norm, swiglu};

const EPS: f32 = 1e-6;
const ROWS: [usize; 4] = [1, 3, 65, 257];
const FEATURES: [usize; 4] = [32, 96, 160, 1000];

/// Runs a test for every case and every shape.
fn on_shapes(test: impl Fn(&Case, &str, [usize; 2])) {
    for case in cases() {
        for rows in ROWS {
            for features in FEATURES {
                test(&case, &format!("{}, {rows} x {features}", case.name), [rows, features]);
            }
        }
    }
}

#[test]
fn rms_norm_equals_the_processor() {
    on_shapes(|case, at, [rows, features]| {
        let mut source = Source::new();
        let (x, w, dy) = (source.tensor([rows, features]) * 3.0, source.tensor([features]), source.tensor([rows, features]));
        let (hx, hdy) = (case.rounded(&x), case.rounded(&dy));
        let (dx, dw, ddy) = (case.activations(&x), case.floats(&w), case.activations(&dy));
        check(&format!("{at}: y"), case.tolerance(), &rms_norm::forward(&dx, &dw, EPS), &rms_norm::forward(&hx, &w, EPS));
        let (found, expected) = (rms_norm::backward(&dx, &dw, EPS, &ddy), rms_norm::backward(&hx, &w, EPS, &hdy));
        check(&format!("{at}: dx"), case.tolerance(), &found.x, &expected.x);
        check(&format!("{at}: dw"), 1e-5, &found.weight, &expected.weight);
        let again = rms_norm::backward(&dx, &dw, EPS, &ddy);
        assert_eq!((values(&again.x), values(&again.weight)), (values(&found.x), values(&found.weight)), "{at}");
    });
}

#[test]
fn more_rows_than_a_launch_has_cubes_in_one_dimension() {
    for case in cases() {
        let mut source = Source::new();
        let (x, w) = (source.tensor([70_001, 8]), source.tensor([8]));
        let found = rms_norm::backward(&case.activations(&x), &case.floats(&w), EPS, &case.activations(&x));
        let expected = rms_norm::backward(&case.rounded(&x), &w, EPS, &case.rounded(&x));
        check(&format!("{}: dx", case.name), case.tolerance(), &found.x, &expected.x);
        check(&format!("{}: dw", case.name), 1e-4, &found.weight, &expected.weight);
    }
}

#[test]
fn no_rows_give_no_rows() {
    for case in cases() {
        let (x, w) = (case.activations(&Tensor::<2>::zeros([0, 32], &Device::flex())), case.floats(&Source::new().tensor([32])));
        assert_eq!(rms_norm::forward(&x, &w, EPS).dims(), [0, 32]);
        assert_eq!(values(&rms_norm::backward(&x, &w, EPS, &x).weight), vec![0.0; 32]);
        assert_eq!(swiglu::forward(&x, &x).dims(), [0, 32]);
        let table = RotaryTable::new(32, 1e6, 4);
        assert_eq!(qk_norm_rope::forward(&x, &w, EPS, &table, &Numbers::default()).dims(), [0, 32]);
        assert_eq!(embedding::forward(&case.activations(&Source::new().tensor([5, 32])), &Numbers::default()).dims(), [0, 32]);
    }
}

#[test]
fn added_rows_are_normalised_as_on_the_processor() {
    on_shapes(|case, at, shape| {
        let mut source = Source::new();
        let (x, delta, w) = (source.tensor(shape), source.tensor(shape), source.tensor([shape[1]]));
        let (dy, dsum) = (source.tensor(shape), source.tensor(shape));
        let (sum, normed) = rms_norm::add_forward(&case.activations(&x), &case.activations(&delta), &case.floats(&w), EPS);
        let (host_sum, host_normed) = rms_norm::add_forward(&case.rounded(&x), &case.rounded(&delta), &w, EPS);
        check(&format!("{at}: sum"), case.tolerance(), &sum, &host_sum);
        check(&format!("{at}: normed"), case.tolerance(), &normed, &host_normed);
        for trained in [WeightGradient::Trained, WeightGradient::Frozen] {
            let gradients = [&dy, &dsum].map(|tensor| case.activations(tensor));
            let found = rms_norm::add_backward(&case.activations(&x), &case.floats(&w), EPS, &gradients[0], &gradients[1], trained);
            let expected = rms_norm::add_backward(&case.rounded(&x), &w, EPS, &case.rounded(&dy), &case.rounded(&dsum), trained);
            check(&format!("{at}: dsum"), case.tolerance(), &found.sum, &expected.sum);
            assert_eq!(found.weight.is_some(), trained == WeightGradient::Trained);
            if let (Some(found), Some(expected)) = (found.weight, expected.weight) {
                check(&format!("{at}: dw"), 1e-5, &found, &expected);
            }
        }
    });
}

#[test]
fn swiglu_equals_the_processor() {
    on_shapes(|case, at, shape| {
        let mut source = Source::new();
        let inputs = [source.tensor(shape) * 20.0, source.tensor(shape), source.tensor(shape)];
        let on_device = || [0, 1, 2].map(|i| case.activations(&inputs[i]));
        let [gate, up, da] = [0, 1, 2].map(|i| case.rounded(&inputs[i]));
        let [dgate, dup, dda] = on_device();
        let a = swiglu::forward(&dgate, &dup);
        check(&format!("{at}: a"), case.tolerance(), &a, &swiglu::forward(&gate, &up));
        // The first time the inputs are shared, the second time they are overwritten.
        let shared = swiglu::backward(dgate.clone(), dup.clone(), dda.clone());
        assert_eq!(values(&dgate), values(&gate), "{at}: who shares the gate sees it unchanged");
        let (found, again) = swiglu::backward_and_forward(dgate, dup, dda);
        assert_eq!((values(&shared.gate), values(&shared.up)), (values(&found.gate), values(&found.up)), "{at}");
        assert_eq!(values(&again), values(&a), "{at}");
        let expected = swiglu::backward(gate, up, da);
        check(&format!("{at}: dgate"), case.tolerance(), &found.gate, &expected.gate);
        check(&format!("{at}: dup"), case.tolerance(), &found.up, &expected.up);
    });
}

#[test]
fn extreme_gates_stay_finite() {
    for case in cases() {
        let gate = Tensor::<2>::from_data([[-3e38f32, -200.0, -88.0, 0.0, 88.0, 200.0]], &Device::flex());
        let ones = Tensor::<2>::ones([1, 6], &Device::flex());
        let found = swiglu::backward(case.activations(&gate), case.activations(&ones), case.activations(&ones));
        assert!(values(&found.up).iter().chain(&values(&found.gate)).all(|value| value.is_finite()), "{}", case.name);
    }
}

#[test]
fn rotated_heads_equal_the_processor() {
    for case in cases() {
        for (head_dim, queries, keys) in [(32, 3, 1), (64, 4, 2), (96, 2, 1), (128, 8, 2), (256, 2, 2)] {
            for rows in ROWS {
                let at = format!("{}, {rows} rows of {queries} and {keys} heads of {head_dim}", case.name);
                rotated_heads_of(&case, &at, rows, [queries, keys], head_dim);
            }
        }
    }
}

fn rotated_heads_of(case: &Case, at: &str, rows: usize, heads: [usize; 2], head_dim: usize) {
    let mut source = Source::new();
    let table = RotaryTable::new(head_dim, 1e6, 400);
    let positions: Numbers = (0..rows as u32).map(|row| row * 37 % 400).collect();
    let raw = heads.map(|heads| source.tensor([rows, heads * head_dim]));
    let gradients = heads.map(|heads| source.tensor([rows, heads * head_dim]));
    let weights = heads.map(|_| source.tensor([head_dim]));
    let host_raw = [&raw[0], &raw[1]].map(|tensor| case.rounded(tensor));
    let host_gradients = [&gradients[0], &gradients[1]].map(|tensor| case.rounded(tensor));
    let raw = [&raw[0], &raw[1]].map(|tensor| case.activations(tensor));
    let gradients = [&gradients[0], &gradients[1]].map(|tensor| case.activations(tensor));
    let on_device = [&weights[0], &weights[1]].map(|tensor| case.floats(tensor));

    let pair = qk_norm_rope::forward_pair([&raw[0], &raw[1]], [&on_device[0], &on_device[1]], EPS, &table, &positions);
    let frozen = WeightGradient::Frozen;
    let dpair = qk_norm_rope::backward_pair(
        [&raw[0], &raw[1]],
        [&on_device[0], &on_device[1]],
        EPS,
        &table,
        &positions,
        [&gradients[0], &gradients[1]],
        frozen,
    );
    for (i, (found, dfound)) in [(pair.0, dpair.q), (pair.1, dpair.k)].into_iter().enumerate() {
        let expected = qk_norm_rope::forward(&host_raw[i], &weights[i], EPS, &table, &positions);
        check(&format!("{at}: y {i}"), case.tolerance(), &found, &expected);
        let expected = qk_norm_rope::backward(&host_raw[i], &weights[i], EPS, &table, &positions, &host_gradients[i]);
        check(&format!("{at}: dx {i}"), case.tolerance(), &dfound, &expected.x);
        let alone = qk_norm_rope::forward(&raw[i], &on_device[i], EPS, &table, &positions);
        assert_eq!(values(&alone), values(&found), "{at}: alone");
        let alone = qk_norm_rope::backward(&raw[i], &on_device[i], EPS, &table, &positions, &gradients[i]);
        assert_eq!(values(&alone.x), values(&dfound), "{at}: alone");
        check(&format!("{at}: dw {i}"), 1e-5, &alone.weight, &expected.weight);
    }
}

#[test]
fn head_loss_equals_the_processor() {
    for case in cases() {
        for [rows, features, vocabulary, chunk] in [[1, 32, 2, 7], [3, 160, 517, 1], [65, 96, 517, 16], [257, 32, 4096, 100]] {
            let at = format!("{}, {rows} x {features}, vocabulary {vocabulary}", case.name);
            let mut source = Source::new();
            let (h, e) = (source.tensor([rows, features]), source.tensor([vocabulary, features]));
            let targets: Vec<Option<u32>> = (0..rows as u32).map(|row| (row % 4 != 1).then_some(row * 13 % vocabulary as u32)).collect();
            let weights: Vec<f32> = (0..rows).map(|row| 0.5 * (row % 3) as f32).collect();
            let (dh, de) = (case.activations(&h), case.activations(&e));
            let (h, e) = (case.rounded(&h), case.rounded(&e));
            let found = head_loss::loss_and_gradients_by(chunk, &dh, &de, &targets, &weights, HeadGradient::Trained);
            let expected = head_loss::loss_and_gradients(&h, &e, &targets, &weights, HeadGradient::Trained);
            let tolerance = case.tolerance();
            assert!((found.sum - expected.sum).abs() <= f64::from(tolerance) * expected.sum.abs(), "{at}: {} {}", found.sum, expected.sum);
            check(&format!("{at}: rows"), tolerance, &found.rows, &expected.rows);
            check(&format!("{at}: head"), tolerance, found.head.as_ref().unwrap(), &expected.head.unwrap());
            let again = head_loss::loss_and_gradients_by(chunk, &dh, &de, &targets, &weights, HeadGradient::Frozen);
            assert_eq!((again.sum, values(&again.rows)), (found.sum, values(&found.rows)), "{at}");
            assert!(again.head.is_none());
            let (found, expected) = (head_loss::loss(&dh, &de, &targets), head_loss::loss(&h, &e, &targets));
            assert!((found - expected).abs() <= f64::from(tolerance) * expected.abs(), "{at}: {found} {expected}");
        }
    }
}

#[test]
fn rows_without_targets_have_no_loss_and_no_gradient() {
    for case in cases() {
        let mut source = Source::new();
        let (h, e) = (case.activations(&source.tensor([4, 32])), case.activations(&source.tensor([5, 32])));
        let found = head_loss::loss_and_gradients(&h, &e, &[None; 4], &[1.0; 4], HeadGradient::Trained);
        assert_eq!(found.sum, 0.0);
        assert!(values(&found.rows).iter().chain(&values(&found.head.unwrap())).all(|g| *g == 0.0), "{}", case.name);
    }
}

#[test]
fn logits_of_any_size_have_a_finite_loss() {
    for case in cases() {
        let h = Tensor::<2>::ones([2, 32], &Device::flex());
        let e = Source::new().tensor([300, 32]) * 1e4;
        let targets = [Some(7), Some(299)];
        let found = head_loss::loss_and_gradients(&case.activations(&h), &case.activations(&e), &targets, &[1.0; 2], HeadGradient::Frozen);
        let (h, e) = (case.rounded(&h), case.rounded(&e));
        let expected = head_loss::loss_and_gradients(&h, &e, &targets, &[1.0; 2], HeadGradient::Frozen);
        assert!((found.sum / expected.sum - 1.0).abs() < f64::from(case.tolerance()), "{}: {} {}", case.name, found.sum, expected.sum);
        assert!(values(&found.rows).iter().all(|value| value.is_finite()), "{}", case.name);
    }
}

#[test]
fn embeddings_and_their_gradient_equal_the_processor() {
    for case in cases() {
        for features in FEATURES {
            let mut source = Source::new();
            let ids: Numbers = (0..257u32).map(|row| row * row % 37).collect();
            let (table, drows, gradient) = (source.tensor([41, features]), source.tensor([257, features]), source.tensor([41, features]));
            let found = embedding::forward(&case.activations(&table), &ids);
            assert_eq!(values(&found), values(&embedding::forward(&case.rounded(&table), &ids)), "{}", case.name);
            let before = case.floats(&gradient);
            let found = embedding::add_backward(before.clone(), &ids, &case.activations(&drows));
            let expected = embedding::add_backward(gradient.clone(), &ids, &case.rounded(&drows));
            assert_eq!(values(&found), values(&expected), "{}: sums are formed in the same order", case.name);
            assert_eq!(values(&before), values(&gradient), "{}: who shares the gradient sees it unchanged", case.name);
        }
    }
}

fn constants(step: u64) -> AdamWStep {
    AdamWStep { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, step }
}

const CLIP: Clip = Clip { norm: 1.0, epsilon: 1e-6 };

/// One case a device: the optimiser's values are in 32 bits everywhere.
fn devices_only() -> Vec<Case> {
    cases().filter(|case| case.dtype == DType::F32).collect()
}

#[test]
fn the_flat_step_equals_the_processor() {
    for case in devices_only() {
        for length in [1, 255, 1000, 70_001] {
            let mut source = Source::new();
            let p = source.tensor([length]);
            let (mut host, mut device) = ((p.clone(), Moments::zeros(&p)), (case.floats(&p), Moments::zeros(&case.floats(&p))));
            for number in 1..=4 {
                let gradient = source.tensor([length]) * 0.01;
                let on_device = case.floats(&gradient);
                let (found, expected) = (flat::measure(&on_device), flat::measure(&gradient));
                check("measured", 1e-5, &found, &expected);
                assert_eq!(values(&flat::measure(&on_device)), values(&found), "the same sums in the same order");
                let stepped = flat::step(device.0, &on_device, device.1, &found, &constants(number), CLIP, Some(DType::F32));
                assert_eq!(values(&stepped.copy.unwrap()), values(&stepped.parameters));
                device = (stepped.parameters, stepped.moments);
                let stepped = flat::step(host.0, &gradient, host.1, &expected, &constants(number), CLIP, None);
                host = (stepped.parameters, stepped.moments);
            }
            let at = format!("{}, {length} values", case.name);
            check(&format!("{at}: parameters"), 1e-5, &device.0, &host.0);
            check(&format!("{at}: first moments"), 1e-5, &device.1.first, &host.1.first);
            check(&format!("{at}: second moments"), 1e-5, &device.1.second, &host.1.second);
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    let steps = devices_only();
    let host = Case { name: "cpu".to_owned(), device: Device::flex(), dtype: DType::F32 };
    for case in steps.iter().chain([&host]) {
        for (bad, what) in [(f32::NAN, 1.0), (f32::INFINITY, 1.0), (f32::NEG_INFINITY, 1.0), (3e38, 0.0)] {
            let mut source = Source::new();
            let p = case.floats(&source.tensor([600]));
            let mut gradient = values(&source.tensor([600]));
            gradient[421] = bad;
            let gradient = Tensor::<1>::from_data(TensorData::new(gradient, [600]), (&case.device, DType::F32));
            let measured = flat::measure(&gradient);
            assert_eq!(values(&measured)[1], what, "{}: {bad}", case.name);
            let moments = Moments { first: case.floats(&source.tensor([600])), second: case.floats(&source.tensor([600])) };
            let before = [values(&p), values(&moments.first), values(&moments.second)];
            let found = flat::step(p.clone(), &gradient, moments, &measured, &constants(1), CLIP, Some(DType::F32));
            assert_eq!([values(&found.parameters), values(&found.moments.first), values(&found.moments.second)], before, "{}", case.name);
            assert_eq!(values(&found.copy.unwrap()), before[0], "{}", case.name);
            let coded = FlatEightBitMoments::new(&EightBitMoments::zeros(600), &p);
            let found = flat::step_eight_bit(p, &gradient, coded, &measured, &constants(1), CLIP, None);
            assert_eq!(values(&found.parameters), before[0], "{}", case.name);
            assert_eq!(found.moments.to_host(), EightBitMoments::zeros(600), "{}", case.name);
        }
    }
}

#[test]
fn shared_parameters_are_not_overwritten() {
    for case in devices_only() {
        let mut source = Source::new();
        let p = source.tensor([300]);
        let (on_device, gradient) = (case.floats(&p), case.floats(&source.tensor([300])));
        let found =
            flat::step(on_device.clone(), &gradient, Moments::zeros(&on_device), &flat::measure(&gradient), &constants(1), CLIP, None);
        assert_eq!(values(&on_device), values(&p), "{}", case.name);
        assert_ne!(values(&found.parameters), values(&p), "{}", case.name);
    }
}

#[test]
fn eight_bit_steps_follow_the_processor() {
    for case in devices_only() {
        for length in [1, 6, 255, 256, 257, 10_001] {
            let mut source = Source::new();
            let p = source.tensor([length]);
            let zeros = EightBitMoments::zeros(length);
            let mut host = (p.clone(), FlatEightBitMoments::new(&zeros, &p));
            let mut device = (case.floats(&p), FlatEightBitMoments::new(&zeros, &case.floats(&p)));
            assert_eq!(device.1.to_host(), zeros);
            for number in 1..=4 {
                let gradient = source.tensor([length]).powi_scalar(3) * 0.01;
                let measured = flat::measure(&gradient);
                let on_device = (case.floats(&gradient), case.floats(&measured));
                let stepped = flat::step_eight_bit(host.0, &gradient, host.1, &measured, &constants(number), CLIP, None);
                host = (stepped.parameters, stepped.moments);
                let stepped = flat::step_eight_bit(device.0, &on_device.0, device.1, &on_device.1, &constants(number), CLIP, None);
                device = (stepped.parameters, stepped.moments);
            }
            let at = format!("{}, {length} values", case.name);
            let (found, expected) = (device.1.to_host(), host.1.to_host());
            for (found, expected) in [(&found.first, &expected.first), (&found.second, &expected.second)] {
                // A moment whose last bit differs may lie on the other side of a border.
                let differ = found.codes.iter().zip(&expected.codes).filter(|(a, b)| a != b).count();
                assert!(differ <= length / 1000, "{at}: {differ} codes differ");
                let largest = found.largest.iter().zip(&expected.largest).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f32::max);
                assert!(largest < 1e-6, "{at}: {largest}");
            }
            let worst = values(&device.0).iter().zip(values(&host.0)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "{at}: {worst}");
        }
    }
}

#[test]
fn exact_moments_get_the_codes_of_the_processor() {
    // Sums and products of these numbers are exact, so that nothing depends on how a device rounds them.
    let step = AdamWStep { learning_rate: 0.5, beta1: 0.5, beta2: 0.5, epsilon: 1.0, weight_decay: 0.0, step: 1 };
    let clip = Clip { norm: 1e30, epsilon: 0.0 };
    let length = 2_000;
    let gradient: Vec<f32> = (0..length).map(|i| ((i * 7919 % 2047) as f32 - 1023.0) / [1.0, 1024.0][i / 256 % 2]).collect();
    let gradient = Tensor::<1>::from_data(TensorData::new(gradient, [length]), &Device::flex());
    let p = Source::new().tensor([length]);
    let zeros = EightBitMoments::zeros(length);
    let measured = flat::measure(&gradient);
    let moments = FlatEightBitMoments::new(&zeros, &p);
    let expected = flat::step_eight_bit(p.clone(), &gradient, moments, &measured, &step, clip, None).moments.to_host();
    for case in devices_only() {
        let (p, gradient, measured) = (case.floats(&p), case.floats(&gradient), case.floats(&measured));
        let moments = FlatEightBitMoments::new(&zeros, &p);
        let found = flat::step_eight_bit(p, &gradient, moments, &measured, &step, clip, None).moments.to_host();
        assert_eq!(found, expected, "{}", case.name);
    }
}
