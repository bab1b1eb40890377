#![no_main]

use tissuenarrator_fuzz::{prompt_and_cleanup, seeds};

libfuzzer_sys::fuzz_target!(init: seeds::prompt_and_cleanup(), |input: &[u8]| prompt_and_cleanup::check(&String::from_utf8_lossy(input)));
