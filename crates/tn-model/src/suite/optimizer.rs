//! The optimizer step over one buffer.

use super::place::{Place, Source};
use super::{Check, Difference};
use crate::kernels::adamw::flat::{self, Clip, FlatEightBitMoments};
use crate::kernels::adamw::{AdamWStep, EightBitMoments, Moments};

const CLIP: Clip = Clip { norm: 1.0, epsilon: 1e-6 };

pub(super) const CHECKS: &[Check] =
    &[Check { name: "AdamW, 32 bits", run: full }, Check { name: "AdamW, moments in 8 bits", run: eight_bit }];

fn constants(step: u64) -> AdamWStep {
    AdamWStep { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, step }
}

fn full(place: &Place) -> Vec<Difference> {
    let of_length = |length: usize| {
        let mut source = Source::new();
        let p = source.tensor([length]);
        let (mut host, mut device) = ((p.clone(), Moments::zeros(&p)), (place.floats(&p), Moments::zeros(&place.floats(&p))));
        for number in 1..=4 {
            let gradient = source.tensor([length]) * 0.01;
            let on_device = place.floats(&gradient);
            let stepped = flat::step(device.0, &on_device, device.1, &flat::measure(&on_device), &constants(number), CLIP, None);
            device = (stepped.parameters, stepped.moments);
            let stepped = flat::step(host.0, &gradient, host.1, &flat::measure(&gradient), &constants(number), CLIP, None);
            host = (stepped.parameters, stepped.moments);
        }
        [
            Difference::of(format!("{length} parameters"), 1e-5, &device.0, &host.0),
            Difference::of(format!("{length} first moments"), 1e-5, &device.1.first, &host.1.first),
            Difference::of(format!("{length} second moments"), 1e-5, &device.1.second, &host.1.second),
        ]
    };
    [1, 255, 1000, 70_001].into_iter().flat_map(of_length).collect()
}

fn eight_bit(place: &Place) -> Vec<Difference> {
    let of_length = |length: usize| {
        let mut source = Source::new();
        let p = source.tensor([length]);
        let zeros = EightBitMoments::zeros(length);
        let mut host = (p.clone(), FlatEightBitMoments::new(&zeros, &p));
        let mut device = (place.floats(&p), FlatEightBitMoments::new(&zeros, &place.floats(&p)));
        for number in 1..=4 {
            let gradient = source.tensor([length]).powi_scalar(3) * 0.01;
            let measured = flat::measure(&gradient);
            let on_device = (place.floats(&gradient), place.floats(&measured));
            let stepped = flat::step_eight_bit(host.0, &gradient, host.1, &measured, &constants(number), CLIP, None);
            host = (stepped.parameters, stepped.moments);
            let stepped = flat::step_eight_bit(device.0, &on_device.0, device.1, &on_device.1, &constants(number), CLIP, None);
            device = (stepped.parameters, stepped.moments);
        }
        let (found, expected) = (device.1.to_host(), host.1.to_host());
        let differing = |found: &[u8], expected: &[u8]| found.iter().zip(expected).filter(|(a, b)| a != b).count() as f64;
        // A moment whose last bit differs may lie on the other side of a border.
        let codes = |name: &str, found: &[u8], expected: &[u8]| Difference {
            what: format!("share of {length} codes of the {name} moments"),
            found: differing(found, expected) / length as f64,
            allowed: 1e-3,
        };
        [
            codes("first", &found.first.codes, &expected.first.codes),
            codes("second", &found.second.codes, &expected.second.codes),
            Difference::of(format!("{length} parameters"), 1e-4, &device.0, &host.0),
        ]
    };
    [1, 6, 255, 256, 257, 10_001].into_iter().flat_map(of_length).collect()
}
