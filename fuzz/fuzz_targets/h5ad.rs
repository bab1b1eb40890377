#![no_main]

use tissuenarrator_fuzz::{h5ad, panics, seeds};

libfuzzer_sys::fuzz_target!(
    init: {
        seeds::h5ad();
        panics::let_unwind();
    },
    |input: &[u8]| panics::report(|| h5ad::check(input))
);
