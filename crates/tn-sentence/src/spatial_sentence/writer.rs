//! Writing several cells.

use std::fmt::{self, Write};

use crate::{CoordinateFormat, SpatialSentence, cell_sentence::writer::write_cell};

pub(super) struct SentenceText<'a> {
    pub(super) sentence: &'a SpatialSentence,
    pub(super) format: CoordinateFormat,
}

impl fmt::Display for SentenceText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_sentence(f, self.sentence, self.format)
    }
}

pub(super) fn write_sentence(out: &mut impl Write, sentence: &SpatialSentence, format: CoordinateFormat) -> fmt::Result {
    write!(out, "{}", sentence.metadata())?;
    let mut needs_blank = !sentence.metadata().is_empty();
    for cell in sentence.cells() {
        if needs_blank {
            out.write_char(' ')?;
        }
        write_cell(out, cell, format)?;
        needs_blank = true;
    }
    Ok(())
}
