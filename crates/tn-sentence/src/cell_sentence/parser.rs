//! Reading one cell.
//!
//! One reader serves all: the strict parsers refuse the first defect, the lenient ones note it and read on, and the
//! published rules refuse some and ignore others. What to do with a defect is a [`Defects`].

use std::{collections::HashSet, ops::Range};

use crate::{
    Axis, CellHeader, CellSentence, GeneRanking, GeneSymbol, Metadata, ParseError, Position, Skipped,
    gene::is_plain_list,
    metadata::{NO_VALUE, unescape},
    parse_error::Tag,
};

/// What a reader does about a part of the text that it cannot use but could leave out.
pub(crate) trait Defects {
    /// Notes the defect; an error ends the reading.
    fn note(&mut self, range: Range<usize>, reason: ParseError) -> Result<(), ParseError>;
}

/// Refuses every defect.
pub(crate) struct Refuse;

impl Defects for Refuse {
    fn note(&mut self, _: Range<usize>, reason: ParseError) -> Result<(), ParseError> {
        Err(reason)
    }
}

/// Notes every defect and reads on.
#[derive(Default)]
pub(crate) struct Collect(Vec<Skipped>);

impl Collect {
    pub(crate) fn into_skipped(self) -> Vec<Skipped> {
        self.0
    }
}

impl Defects for Collect {
    fn note(&mut self, range: Range<usize>, reason: ParseError) -> Result<(), ParseError> {
        self.0.push(Skipped { range, reason });
        Ok(())
    }
}

/// A part of the whole text that knows where it begins.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) text: &'a str,
    pub(crate) offset: usize,
}

impl<'a> Part<'a> {
    pub(crate) fn whole(text: &'a str) -> Self {
        Self { text, offset: 0 }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.offset..self.end()
    }

    pub(crate) fn end(self) -> usize {
        self.offset + self.text.len()
    }

    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        let (head, tail) = self.text.split_at(at);
        let tail = Self { text: tail, offset: self.offset + at };
        (Self { text: head, ..self }, tail)
    }

    fn trim_start(self) -> Self {
        let at = self.text.len() - self.text.trim_start().len();
        self.split_at(at).1
    }

    pub(crate) fn trim(self) -> Self {
        let part = self.trim_start();
        let len = part.text.trim_end().len();
        part.split_at(len).0
    }

    /// Splits at the first occurrence of a tag: what is before it, and what is after it.
    pub(crate) fn split_at_tag(self, tag: Tag) -> Option<(Self, Self)> {
        let (head, tail) = self.split_at(find_tag(self.text, tag)?);
        Some((head, tail.split_at(tag.as_str().len()).1))
    }

    /// Splits at every occurrence of a separator.
    pub(crate) fn split(self, separator: char) -> impl Iterator<Item = Part<'a>> {
        let mut offset = self.offset;
        self.text.split(separator).map(move |text| {
            let part = Part { text, offset };
            offset = part.end() + separator.len_utf8();
            part
        })
    }

    fn words(self) -> impl Iterator<Item = Part<'a>> {
        let start = self.text.as_ptr() as usize;
        self.text.split_whitespace().map(move |text| Part { text, offset: self.offset + (text.as_ptr() as usize - start) })
    }

    pub(crate) fn unexpected(self) -> ParseError {
        ParseError::UnexpectedText { offset: self.offset, found: self.text.chars().take(40).collect() }
    }
}

/// Returns where a tag begins, in any case.
pub(crate) fn find_tag(text: &str, tag: Tag) -> Option<usize> {
    let (text, tag) = (text.as_bytes(), tag.as_str().as_bytes());
    memchr::memchr_iter(b'<', text).find(|&at| text[at..].get(..tag.len()).is_some_and(|found| found.eq_ignore_ascii_case(tag)))
}

/// Parses a text that is one cell.
pub(crate) fn parse_cell(text: &str, defects: &mut impl Defects) -> Result<CellSentence, ParseError> {
    let part = Part::whole(text);
    let at = find_tag(text, Tag::Position).ok_or(ParseError::MissingTag { tag: Tag::Position, offset: part.trim_start().offset })?;
    let (before, block) = part.split_at(at);
    if !before.text.trim().is_empty() {
        let before = before.trim();
        defects.note(before.range(), before.unexpected())?;
    }
    parse_block(block, defects)
}

/// Parses the first readable cell of a text; what comes after it is not looked at.
pub(crate) fn first_cell(text: &str, defects: &mut Collect) -> Option<CellSentence> {
    let part = Part::whole(text);
    let (before, blocks) = split_blocks(part);
    let before = before.trim();
    if !before.text.is_empty() {
        defects.0.push(Skipped { range: before.range(), reason: before.unexpected() });
    }
    for block in blocks {
        match parse_block(block, defects) {
            Ok(cell) => return Some(cell),
            Err(reason) => defects.0.push(Skipped { range: block.trim().range(), reason }),
        }
    }
    None
}

/// Splits a text before every `<pos>`: what is before the first, and the blocks that begin with one.
pub(crate) fn split_blocks(part: Part<'_>) -> (Part<'_>, impl Iterator<Item = Part<'_>>) {
    let at = find_tag(part.text, Tag::Position).unwrap_or(part.text.len());
    let (before, mut rest) = part.split_at(at);
    let blocks = std::iter::from_fn(move || {
        if rest.text.is_empty() {
            return None;
        }
        let after_tag = &rest.text[Tag::Position.as_str().len()..];
        let len = find_tag(after_tag, Tag::Position).map_or(rest.text.len(), |at| at + Tag::Position.as_str().len());
        let (block, tail) = rest.split_at(len);
        rest = tail;
        Some(block)
    });
    (before, blocks)
}

/// The parts of a block, of which only the position is read.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) position: Position,
    /// What stands after the coordinates.
    stray: Part<'a>,
    metadata: Option<Part<'a>>,
    /// Everything after `<cs>`.
    genes: Part<'a>,
}

impl<'a> Block<'a> {
    /// Splits a block, which begins with `<pos>`. An error means that it holds no cell.
    pub(crate) fn split(block: Part<'a>) -> Result<Self, ParseError> {
        let missing = |tag, offset| ParseError::MissingTag { tag, offset };
        let (_, block) = block.split_at_tag(Tag::Position).ok_or_else(|| missing(Tag::Position, block.offset))?;
        let (head, genes) = block.split_at_tag(Tag::Genes).ok_or_else(|| missing(Tag::Genes, block.trim().end()))?;
        let (coordinates, metadata) = match head.split_at_tag(Tag::Metadata) {
            Some((coordinates, metadata)) => (coordinates, Some(metadata)),
            None => (head, None),
        };
        let (position, stray) = parse_position(coordinates)?;
        Ok(Self { position, stray, metadata, genes })
    }

    pub(crate) fn metadata(&self, defects: &mut impl Defects) -> Result<Metadata, ParseError> {
        match self.metadata {
            Some(items) => parse_metadata(items, MissingColon::MeansTrue, defects),
            None => Ok(Metadata::new()),
        }
    }

    /// Returns the words of the gene list, if they are symbols as they are stored and nothing else. One may be there twice.
    pub(crate) fn plain_genes(&self) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
        let genes = self.genes.split_at_tag(Tag::End).map_or(self.genes, |(genes, _)| genes);
        is_plain_list(genes.text).then(|| genes.text.split_ascii_whitespace())
    }

    /// Reads the rest; what cannot be used goes to `defects`.
    pub(crate) fn read(&self, defects: &mut impl Defects) -> Result<CellSentence, ParseError> {
        let (genes, after) = match self.genes.split_at_tag(Tag::End) {
            Some((genes, after)) => (genes, Some(after)),
            None => (self.genes, None),
        };
        note_text(self.stray, defects)?;
        let metadata = self.metadata(defects)?;
        let ranking = parse_genes(genes, defects)?;
        if let Some(after) = after {
            note_text(after, defects)?;
        }
        let header = CellHeader::new(self.position).with_metadata(metadata);
        Ok(CellSentence::from_header(header, ranking))
    }
}

/// Parses one block, which begins with `<pos>`.
///
/// An error means that the block holds no cell; smaller defects go to `defects`.
pub(crate) fn parse_block(block: Part<'_>, defects: &mut impl Defects) -> Result<CellSentence, ParseError> {
    Block::split(block)?.read(defects)
}

fn note_text(part: Part<'_>, defects: &mut impl Defects) -> Result<(), ParseError> {
    let part = part.trim();
    if part.text.is_empty() {
        return Ok(());
    }
    defects.note(part.range(), part.unexpected())
}

/// Parses `X: 1, Y: 2` and returns what stands after it.
fn parse_position(part: Part<'_>) -> Result<(Position, Part<'_>), ParseError> {
    let (x, rest) = parse_coordinate(part, Axis::X, "X:")?;
    let rest = expect(rest, ",")?;
    let (y, rest) = parse_coordinate(rest, Axis::Y, "Y:")?;
    let position = Position::new(x, y).map_err(|_| ParseError::InvalidCoordinate {
        axis: if x.is_finite() { Axis::Y } else { Axis::X },
        offset: part.offset,
        found: part.text.trim().chars().take(40).collect(),
    })?;
    Ok((position, rest))
}

fn parse_coordinate<'a>(part: Part<'a>, axis: Axis, label: &'static str) -> Result<(f64, Part<'a>), ParseError> {
    let part = expect(part, label)?.trim_start();
    let len = number_len(part.text);
    let (number, rest) = part.split_at(len);
    // A letter or digit right after the number means that the number was read wrongly: `1e5`, `1.2.3`.
    let ends = !rest.text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '+' | '-' | '_'));
    match number.text.parse() {
        Ok(value) if ends => Ok((value, rest)),
        _ => {
            let found = part.text.split([' ', ',', '<']).next().unwrap_or_default();
            Err(ParseError::InvalidCoordinate { axis, offset: part.offset, found: found.chars().take(40).collect() })
        }
    }
}

/// Returns the length of `[+-]digits[.digits]` at the beginning of a text, 0 when there is none.
fn number_len(text: &str) -> usize {
    let digits = |from: usize| text.as_bytes()[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(text.starts_with(['+', '-']));
    let whole = digits(sign);
    if whole == 0 {
        return 0;
    }
    let end = sign + whole;
    if !text[end..].starts_with('.') {
        return end;
    }
    match digits(end + 1) {
        0 => end,
        fraction => end + 1 + fraction,
    }
}

fn expect<'a>(part: Part<'a>, expected: &'static str) -> Result<Part<'a>, ParseError> {
    let part = part.trim_start();
    let found = part.text.get(..expected.len());
    if found.is_some_and(|found| found.eq_ignore_ascii_case(expected)) {
        Ok(part.split_at(expected.len()).1)
    } else {
        Err(ParseError::MissingCoordinate { expected, offset: part.offset })
    }
}

/// What an item without a colon means.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum MissingColon {
    /// A flag: the value is `true`.
    MeansTrue,
    /// Text that does not belong there.
    IsUnexpected,
}

/// Parses `key: value, key: value`.
pub(crate) fn parse_metadata(part: Part<'_>, missing_colon: MissingColon, defects: &mut impl Defects) -> Result<Metadata, ParseError> {
    let mut metadata = Metadata::new();
    for item in part.split(',') {
        let item = item.trim();
        if item.text.is_empty() {
            continue;
        }
        let (key, value) = match item.text.split_once(':') {
            Some(pair) => pair,
            None if missing_colon == MissingColon::MeansTrue => (item.text, NO_VALUE),
            None => {
                defects.note(item.range(), item.unexpected())?;
                continue;
            }
        };
        if let Err(source) = metadata.insert(key, &unescape(value.trim())) {
            let offset = item.offset;
            defects.note(item.range(), ParseError::InvalidMetadata { offset, source })?;
        }
    }
    Ok(metadata)
}

fn parse_genes(part: Part<'_>, defects: &mut impl Defects) -> Result<GeneRanking, ParseError> {
    // A list without a defect, which is nearly every one, needs no offsets.
    if let Ok(ranking) = GeneRanking::parse(part.text) {
        return Ok(ranking);
    }
    let mut genes: Vec<GeneSymbol> = Vec::new();
    let mut seen = HashSet::new();
    for word in part.words() {
        let offset = word.offset;
        match GeneSymbol::new(word.text) {
            Ok(gene) if seen.insert(gene.clone()) => genes.push(gene),
            Ok(gene) => {
                defects.note(word.range(), ParseError::RepeatedGene { gene, offset })?;
            }
            Err(source) => defects.note(word.range(), ParseError::InvalidGene { offset, source })?,
        }
    }
    Ok(GeneRanking::from_distinct(genes))
}

/// Returns the words between the first `<cs>` of a text and the `</cs>` or `<pos>` after it, as they are written.
///
/// A text without `<cs>` is taken as a bare list of genes, up to `</cs>`. Nothing is left out: repeated words and
/// words that are no gene are there too, for [`clean_generated_genes`](crate::clean_generated_genes).
///
/// # Examples
///
/// ```
/// use tn_sentence::gene_words;
///
/// assert_eq!(gene_words("<pos> X: 1, Y: 2 <cs> GAD1 the GAD1 </cs> more"), ["GAD1", "the", "GAD1"]);
/// assert_eq!(gene_words(" GAD1 AQP4"), ["GAD1", "AQP4"]);
/// ```
pub fn gene_words(text: &str) -> Vec<&str> {
    let part = Part::whole(text);
    let mut genes = part.split_at_tag(Tag::Genes).map_or(part, |(_, after)| after);
    for tag in [Tag::End, Tag::Position] {
        genes = genes.split_at_tag(tag).map_or(genes, |(before, _)| before);
    }
    genes.text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GeneSymbolError, MetadataError};

    fn check_error(text: &str, expected: ParseError) {
        assert_eq!(CellSentence::parse(text), Err(expected), "{text}");
    }

    fn check_text(text: &str, expected: &str) {
        assert_eq!(CellSentence::parse(text).unwrap().to_string(), expected);
    }

    #[test]
    fn tags_and_blanks_are_read_freely() {
        check_text("<pos>X:1,Y:2<cs>a B</cs>", "<pos> X: 1, Y: 2 <cs> A B </cs>");
        check_text(
            "<POS> x: +3 , y: 4.50 <Meta> Class: Mixed Case , Flag <CS> a\n b",
            "<pos> X: 3, Y: 4.5 <meta> class: Mixed Case, flag: true <cs> A B </cs>",
        );
    }

    #[test]
    fn an_item_keeps_its_further_colons() {
        check_text(
            "<pos> X: 1, Y: 2 <meta> class: A: B, time: 12:30, , k: <cs> A </cs>",
            "<pos> X: 1, Y: 2 <meta> class: A: B, time: 12:30, k:  <cs> A </cs>",
        );
    }

    #[test]
    fn a_missing_tag_is_an_error() {
        let missing = |tag, offset| ParseError::MissingTag { tag, offset };
        check_error("", missing(Tag::Position, 0));
        check_error("  X: 1", missing(Tag::Position, 2));
        check_error("<pos> X: 1, Y: 2 <meta> a: b ", missing(Tag::Genes, 28));
    }

    #[test]
    fn a_coordinate_must_be_a_plain_decimal() {
        for found in [".5", "1.", "1e5", "--1", "NaN", "1.2.3", "1_0", ""] {
            check_error(
                &format!("<pos> X: {found}, Y: 2 <cs> A </cs>"),
                ParseError::InvalidCoordinate { axis: Axis::X, offset: 9, found: found.to_owned() },
            );
        }
        let huge = "9".repeat(400);
        let error = CellSentence::parse(&format!("<pos> X: 1, Y: {huge} <cs> A </cs>"));
        assert!(matches!(error, Err(ParseError::InvalidCoordinate { axis: Axis::Y, .. })));
    }

    #[test]
    fn both_coordinates_are_needed() {
        check_error("<pos> Y: 2 <cs> A </cs>", ParseError::MissingCoordinate { expected: "X:", offset: 6 });
        check_error("<pos> X: 1 <cs> A </cs>", ParseError::MissingCoordinate { expected: ",", offset: 11 });
    }

    #[test]
    fn a_metadata_item_needs_a_key() {
        check_error(
            "<pos> X: 1, Y: 2 <meta> a: b, : c <cs> A </cs>",
            ParseError::InvalidMetadata { offset: 30, source: MetadataError::EmptyKey },
        );
    }

    #[test]
    fn a_tag_among_the_genes_is_an_error() {
        check_error(
            "<pos> X: 1, Y: 2 <cs> A <meta> B </cs>",
            ParseError::InvalidGene { offset: 24, source: GeneSymbolError::InvalidCharacter { symbol: "<meta>".into(), character: '<' } },
        );
    }

    #[test]
    fn a_repeated_gene_is_an_error() {
        check_error("<pos> X: 1, Y: 2 <cs> A B a </cs>", ParseError::RepeatedGene { gene: GeneSymbol::new("A").unwrap(), offset: 26 });
    }

    #[test]
    fn text_outside_the_cell_is_an_error() {
        let unexpected = |offset, found: &str| ParseError::UnexpectedText { offset, found: found.to_owned() };
        check_error("a <pos> X: 1, Y: 2 <cs> A </cs>", unexpected(0, "a"));
        check_error("<pos> X: 1, Y: 2 extra <cs> A </cs>", unexpected(17, "extra"));
        check_error("<pos> X: 7, Y: 8 <cs> A </cs> <cs> B </cs>", unexpected(30, "<cs> B </cs>"));
    }

    #[test]
    fn offsets_count_bytes() {
        check_error(
            "<pos> X: 1, Y: 2 <meta> é: è <cs> é\u{2003}B b </cs>",
            ParseError::RepeatedGene { gene: GeneSymbol::new("B").unwrap(), offset: 43 },
        );
    }
}
