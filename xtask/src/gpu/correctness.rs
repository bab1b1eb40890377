//! The part `tests`: kernels against their bodies for processors, and the gates that need no peer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Result;
use tissuenarrator::model::Precision;
use tn_model::suite::{self, Check, Difference, Place};

use super::line::{Asked, Line};
use super::session::Session;
use super::{attempt, gates, text_of};

pub(super) fn measure(session: &Session, lines: &mut Vec<Line>) -> Result<()> {
    // Before anything has run here, so that a start is that of a program that finds nothing prepared by this one.
    match session.quick() {
        true => lines.push(Line::absent("G6, time of a start", "a process of its own", "left out with --quick")),
        false => gates::starts(session, lines),
    }
    for (precision, name) in [(Precision::F32, "f32"), (Precision::Bf16, "bf16")] {
        if let Err(reason) = precision.check(session.device()) {
            lines.push(Line::absent(format!("kernels, {name}"), "all checks", reason.to_string()));
            continue;
        }
        let place = Place::new(session.device().clone(), precision);
        for check in suite::checks() {
            lines.push(if session.time_left().is_zero() {
                Line::absent(check.name, name, "the time of this part is used up")
            } else {
                checked(check, name, &place)
            });
        }
    }
    attempt(lines, "G3, flat memory", "steps of mixed lengths", |lines| gates::memory(session, lines));
    attempt(lines, "G4, host overhead", "a decoding step", |lines| gates::host_overhead(session, lines));
    Ok(())
}

/// Runs a check. A device that fails panics, and that is a failure of this check.
fn checked(check: Check, precision: &str, place: &Place) -> Line {
    match catch_unwind(AssertUnwindSafe(|| check.run(place))) {
        Ok(differences) => line(check.name, precision, &differences),
        Err(panic) => Line::failed(check.name, precision, text_of(&panic)),
    }
}

/// Returns a line with the difference that is the largest for what is allowed.
fn line(name: &str, precision: &str, differences: &[Difference]) -> Line {
    let excess = |difference: &Difference| if difference.is_small() { difference.found } else { 1.0 + difference.found };
    let Some(worst) = differences.iter().max_by(|a, b| excess(a).total_cmp(&excess(b))) else {
        return Line::failed(name, precision, "nothing was compared");
    };
    let beyond = differences.iter().filter(|difference| !difference.is_small()).count();
    let note = format!("largest of {}: {}", differences.len(), worst.what);
    let note = if beyond == 0 { note } else { format!("{note}; {beyond} beyond what is allowed") };
    Line::new(name, precision, "relative difference", vec![worst.found], Vec::new())
        .asking(Some(Asked::at_most(worst.allowed)))
        .noting(note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::line::Verdict;

    fn difference(what: &str, found: f64, allowed: f64) -> Difference {
        Difference { what: what.to_owned(), found, allowed }
    }

    #[test]
    fn one_difference_beyond_what_is_allowed_is_a_miss() {
        let small = difference("large but allowed", 0.01, 0.1);
        let line_of = |differences: &[Difference]| line("op", "f32", differences);
        assert_eq!(line_of(std::slice::from_ref(&small)).verdict(), Verdict::Met);
        let missed = line_of(&[small.clone(), difference("beyond", 1e-3, 1e-5), small]);
        assert_eq!(missed.verdict(), Verdict::Missed);
        assert!(missed.note.contains("beyond; 1 beyond"), "{}", missed.note);
        assert_eq!(line_of(&[difference("undefined", f64::INFINITY, 1.0)]).verdict(), Verdict::Missed);
        assert_eq!(line_of(&[]).verdict(), Verdict::Failed);
    }
}
