//! Cells of a text of which only the place is read.

use crate::{
    CellSentence, Metadata, Position,
    cell_sentence::parser::{Block, Collect, Part, split_blocks},
};

/// A readable cell of a text that has not been read yet, but for its position.
///
/// Who looks for one cell among a hundred, such as the nearest, reads that one only. Nothing is copied from the text.
///
/// # Examples
///
/// ```
/// use tn_sentence::UnreadCell;
///
/// let text = "<pos> X: 9, Y: 0 <cs> GFAP </cs> <pos> X: 3, Y: 4 <meta> class: OEC <cs> FRZB NPY </cs>";
/// let rightmost = UnreadCell::all_of(text).max_by(|a, b| a.position().x().total_cmp(&b.position().x())).unwrap();
/// assert_eq!(rightmost.read().ranking().to_string(), "GFAP");
/// ```
#[derive(Clone, Copy)]
pub struct UnreadCell<'t> {
    block: Block<'t>,
}

impl<'t> UnreadCell<'t> {
    /// Returns the cells that [`SpatialSentence::parse_lenient`](crate::SpatialSentence::parse_lenient) reads, in their order.
    pub fn all_of(text: &'t str) -> impl Iterator<Item = Self> {
        split_blocks(Part::whole(text)).1.filter_map(|block| Some(Self { block: Block::split(block).ok()? }))
    }

    /// Returns where the cell is.
    pub fn position(&self) -> Position {
        self.block.position
    }

    /// Reads what is known about the cell. Items that cannot be read are left out.
    pub fn metadata(&self) -> Metadata {
        self.block.metadata(&mut Collect::default()).unwrap_or_default()
    }

    /// Returns the words of the gene list without making symbols of them, if all are in upper case, as models are trained to write them, and
    /// separated by blanks. A word may be there twice: [`UnreadCell::read`] keeps the first, and reads what this does not.
    ///
    /// ```
    /// use tn_sentence::UnreadCell;
    ///
    /// let genes = |text| UnreadCell::all_of(text).next().and_then(|cell| cell.plain_genes()).map(Vec::from_iter);
    /// assert_eq!(genes("<pos> X: 9, Y: 0 <cs> GFAP AQP4 </cs>"), Some(vec!["GFAP", "AQP4"]));
    /// assert_eq!(genes("<pos> X: 9, Y: 0 <cs> Gfap </cs>"), None);
    /// ```
    pub fn plain_genes(&self) -> Option<impl Iterator<Item = &'t str> + use<'t>> {
        self.block.plain_genes()
    }

    /// Reads the cell. Words that are no gene, repeated genes and stray text are left out.
    #[expect(clippy::missing_panics_doc, reason = "only a missing tag or position makes a cell unreadable, and both are there")]
    pub fn read(&self) -> CellSentence {
        self.block.read(&mut Collect::default()).expect("a block with a position is a cell")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpatialSentence;

    #[test]
    fn the_cells_are_those_of_the_lenient_parser() {
        let texts = [
            "",
            "no cell",
            "<pos> <pos> X: 1, Y: 1 <cs> A </cs> <pos> X: 2, Y: 2",
            "section: S1 <POS> x: 1, Y: -1.5 oops <Meta> :, Class: b, flag <cs> A <B> A C </cs> bye <pos> X: 1e5, Y: 1 <cs> A",
            "<pos> X: 3, Y: 4 <meta> a: b <cs> A <meta> B <cs> C </cs> D </cs><pos> X: 3, Y: 4 <cs>",
        ];
        for text in texts {
            let read: Vec<CellSentence> = UnreadCell::all_of(text).map(|cell| cell.read()).collect();
            assert_eq!(read, SpatialSentence::parse_lenient(text).0.into_cells(), "{text}");
            for (unread, cell) in UnreadCell::all_of(text).zip(read) {
                assert_eq!((unread.position(), &unread.metadata()), (cell.position(), cell.metadata()), "{text}");
            }
        }
    }
}
