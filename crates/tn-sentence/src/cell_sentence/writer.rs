//! Writing one cell.

use std::fmt::{self, Write};

use crate::{CellSentence, CoordinateFormat, GeneSymbol, Metadata, Position};

pub(crate) struct CellText<'a> {
    pub(crate) cell: &'a CellSentence,
    pub(crate) format: CoordinateFormat,
}

impl fmt::Display for CellText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cell(f, self.cell, self.format)
    }
}

pub(crate) fn write_cell(out: &mut impl Write, cell: &CellSentence, format: CoordinateFormat) -> fmt::Result {
    write_position(out, cell.position(), format)?;
    write_metadata(out, cell.metadata())?;
    write_genes(out, cell.ranking().genes())
}

pub(crate) fn write_position(out: &mut impl Write, position: Position, format: CoordinateFormat) -> fmt::Result {
    let (x, y) = (format.number(position.x()), format.number(position.y()));
    write!(out, "<pos> X: {x}, Y: {y}")
}

pub(crate) fn write_metadata(out: &mut impl Write, metadata: &Metadata) -> fmt::Result {
    if metadata.is_empty() {
        return Ok(());
    }
    write!(out, " <meta> {metadata}")
}

pub(crate) fn write_genes(out: &mut impl Write, genes: &[GeneSymbol]) -> fmt::Result {
    out.write_str(" <cs>")?;
    for gene in genes {
        out.write_char(' ')?;
        out.write_str(gene)?;
    }
    out.write_str(" </cs>")
}
