#![no_main]

use tissuenarrator_fuzz::{cell_sentence, seeds};

libfuzzer_sys::fuzz_target!(init: seeds::cell_sentence(), |input: &[u8]| cell_sentence::check(&String::from_utf8_lossy(input)));
