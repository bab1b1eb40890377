//! Chunking and masking as the published program does it, for comparison.

use std::ops::Range;

use super::chunker::{ChunkError, Chunker, Chunks};
use super::{TokenSequence, published_coordinate_spans};

pub(super) fn chunk(chunker: &Chunker<'_>, number: usize, text: &str) -> Result<Chunks, ChunkError> {
    let cells = blocks(text);
    let lengths: Vec<usize> = cells.iter().map(|cell| chunker.tokenizer.encode_ids(cell).len()).collect();
    let mut chunks = Chunks::of_sentence(cells.len());
    let mut start = 0;
    while start < cells.len() {
        let end = packed(&lengths, start, chunker.max_tokens);
        let mut sequence = encode(chunker, &cells[start..end].join(" "));
        sequence.truncate(chunker.max_tokens);
        chunks.keep(sequence, chunker.min_tokens);
        if end == cells.len() {
            break;
        }
        let next = (end + 1).saturating_sub(2 * chunker.overlap);
        if next <= start {
            let (cells, overlap) = (end - start, chunker.overlap);
            return Err(ChunkError::NeverEnds { sentence: number, cell: start, cells, overlap });
        }
        start = next;
    }
    Ok(chunks)
}

/// Everything from a `<pos>` to the next `</cs>`.
fn blocks(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("<pos>") {
        rest = &rest[start..];
        let Some(end) = rest.find("</cs>") else { break };
        let (block, after) = rest.split_at(end + "</cs>".len());
        blocks.push(block);
        rest = after;
    }
    blocks
}

fn packed(lengths: &[usize], start: usize, max_tokens: usize) -> usize {
    let mut total = 0;
    let too_long = |&length: &usize| {
        total += length;
        total > max_tokens
    };
    lengths[start..].iter().position(too_long).map_or(lengths.len(), |cells| start + cells)
}

fn encode(chunker: &Chunker<'_>, text: &str) -> TokenSequence {
    let inside = |token: &Range<usize>, span: &Range<usize>| span.start <= token.start && token.end <= span.end;
    TokenSequence::masked(chunker.tokenizer.encode(text), &published_coordinate_spans(text), inside)
}
