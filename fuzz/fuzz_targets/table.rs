#![no_main]

use tissuenarrator_fuzz::{panics, seeds, table};

libfuzzer_sys::fuzz_target!(
    init: {
        seeds::table();
        panics::let_unwind();
    },
    |input: &[u8]| panics::report(|| table::check(input))
);
