//! What must hold for any input, one module for each fuzz target, and the inputs to start from. See `README.md`.

pub mod cell_sentence;
#[cfg(feature = "files")]
pub mod h5ad;
pub mod panics;
pub mod prompt_and_cleanup;
pub mod seeds;
#[cfg(feature = "files")]
pub mod table;

use tn_sentence::Skipped;

/// Checks that a report names parts of the text, in its order and each once.
fn check_skipped(text: &str, skipped: &[Skipped]) {
    let mut end = 0;
    for part in skipped {
        assert!(part.range.start >= end, "{part} overlaps what was reported before it");
        assert!(text.get(part.range.clone()).is_some_and(|part| !part.trim().is_empty()), "{part} is no part of the text");
        assert!(part.reason.offset() <= text.len(), "{part} has its reason behind the text");
        end = part.range.end;
    }
}
