//! Packing whole cells into sequences that fit the context.

use std::cell::OnceCell;
use std::ops::Range;

use rayon::prelude::*;

use super::coordinates::cell_starts;
use super::{TokenSequence, published};
use crate::SentenceTokenizer;

/// Cuts spatial sentences into training sequences.
///
/// Whole cells are packed until the context is full; the next chunk repeats the last few of them, so that its first cells are not
/// without neighbors, and then goes on. Each chunk brings at least one new cell, so every sentence ends. The metadata at
/// the head of a sentence begins every chunk. Chunks below a minimum length are dropped and counted; a cell that is
/// longer than the context by itself is cut, alone in its chunk, and reported.
///
/// Head and cells are encoded one by one, each with the blank before it, and the tokens are joined. For tokenizers that never
/// join text across the blank before a tag (Qwen's, GPT-2's and those trained here) that is the encoding of the joined text.
///
/// ```
/// use tn_model::{Chunker, SentenceTokenizer, TokenizerOptions};
/// use tn_sentence::Vocabulary;
///
/// let cells: Vec<_> = (0..5).map(|x| format!("<pos> X: {x}, Y: 7 <cs> GFAP AQP4 </cs>")).collect();
/// let sentence = cells.join(" ");
/// let panel = Vocabulary::new(["GFAP", "AQP4"])?;
/// let tokenizer = SentenceTokenizer::train([&sentence], &panel, &TokenizerOptions::new())?;
///
/// // Ten tokens a cell: three cells to a chunk, of which the next one repeats the last.
/// let chunker = Chunker::new(&tokenizer, 30).with_overlap(1).with_min_tokens(0);
/// let chunks = chunker.chunk(&sentence)?;
/// assert_eq!(chunks.sequences.len(), 2);
/// assert_eq!(tokenizer.decode(&chunks.sequences[0].ids), cells[..3].join(" "));
/// assert_eq!(tokenizer.decode(&chunks.sequences[1].ids), cells[2..].join(" "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chunker<'t> {
    pub(super) tokenizer: &'t SentenceTokenizer,
    pub(super) max_tokens: usize,
    pub(super) overlap: usize,
    pub(super) min_tokens: usize,
    target_weight: f32,
    end: End,
    rules: Rules,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    Ours,
    Published,
}

/// Training sequences, in the order of the sentences, and what was lost on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunks {
    /// The sequences.
    pub sequences: Vec<TokenSequence>,
    /// What was lost.
    pub report: ChunkReport,
}

/// What chunking did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkReport {
    /// Sentences read.
    pub sentences: usize,
    /// Sentences without any cell; they give no sequence.
    pub without_cells: usize,
    /// Cells read.
    pub cells: usize,
    /// Tokens in all sequences.
    pub tokens: usize,
    /// Tokens that carry loss.
    pub labelled_tokens: usize,
    /// Chunks that were dropped because they were too short.
    pub dropped_chunks: usize,
    /// Cells that were cut because they alone were too long.
    pub cut_cells: Vec<CutCell>,
}

/// A cell that was cut to the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutCell {
    /// Sentence, from 0.
    pub sentence: usize,
    /// Cell in its sentence, from 0.
    pub cell: usize,
    /// Tokens of the whole cell.
    pub tokens: usize,
}

/// Why sentences cannot be cut into sequences.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Every chunk would be dropped.
    #[error("chunks of at most {max_tokens} tokens are all below the minimum of {min_tokens}")]
    NothingKept {
        /// The most tokens of a chunk.
        max_tokens: usize,
        /// The fewest tokens of a chunk.
        min_tokens: usize,
    },
    /// The metadata at the head of a sentence leaves no room for a cell.
    #[error("the head of sentence {sentence} has {tokens} tokens, a chunk at most {max_tokens}")]
    HeadTooLong {
        /// Sentence, from 0.
        sentence: usize,
        /// Tokens of its head.
        tokens: usize,
        /// The most tokens of a chunk.
        max_tokens: usize,
    },
    /// Under the published rules, the next chunk would not begin after this one.
    #[error("the published rules never end: sentence {sentence}, a chunk from cell {cell} with {cells} cells, overlap {overlap}")]
    NeverEnds {
        /// Sentence, from 0.
        sentence: usize,
        /// First cell of the chunk.
        cell: usize,
        /// Cells that fit.
        cells: usize,
        /// Cells to repeat.
        overlap: usize,
    },
}

impl<'t> Chunker<'t> {
    /// Prepares to cut sentences into chunks of at most `max_tokens` tokens and at least 100, of which each repeats the last 2 cells
    /// of the one before.
    pub fn new(tokenizer: &'t SentenceTokenizer, max_tokens: usize) -> Self {
        Self { tokenizer, max_tokens, overlap: 2, min_tokens: 100, target_weight: 1.0, end: End::Open, rules: Rules::Ours }
    }

    /// Sets how many cells a chunk repeats. Fewer are repeated where they would leave no room for a new one.
    pub fn with_overlap(mut self, cells: usize) -> Self {
        self.overlap = cells;
        self
    }

    /// Sets the length below which a chunk is dropped.
    pub fn with_min_tokens(mut self, tokens: usize) -> Self {
        self.min_tokens = tokens;
        self
    }

    /// Ends the last chunk of every sentence with the tokenizer's end token, which carries loss. It counts as a token of
    /// the chunk.
    pub fn with_end_token(mut self) -> Self {
        self.end = End::Token;
        self
    }

    /// Lets the last cell of every sentence count `weight` times as much as a cell before it, as
    /// [`TokenSequence::encode_neighborhood`] does: for sentences that are neighborhoods, whose last cell is what they are about.
    /// The published rules have no such weight.
    pub fn with_target_weight(mut self, weight: f32) -> Self {
        self.target_weight = weight;
        self
    }

    /// Chunks and hides coordinates as the published program does. A chunk repeats `2 * overlap - 1` cells, or skips one when
    /// the overlap is 0; the head of a sentence is dropped; tokens that only touch a coordinate, such as a sign with its
    /// blank, keep their loss; blanks between cells are not counted when cells are packed, and what is then too much is cut.
    /// There is no end token. Where the program would run forever, an error is returned.
    pub fn with_published_rules(mut self) -> Self {
        self.rules = Rules::Published;
        self
    }

    /// Cuts one sentence.
    ///
    /// # Errors
    ///
    /// When no chunk can be kept, the head leaves no room, or the published rules never end.
    pub fn chunk(&self, sentence: &str) -> Result<Chunks, ChunkError> {
        self.chunk_all(&[sentence])
    }

    /// Cuts sentences, on all threads. The sequences are in the order of the sentences at any number of threads.
    ///
    /// # Errors
    ///
    /// As [`Chunker::chunk`], for the first sentence that fails.
    pub fn chunk_all<S: AsRef<str> + Sync>(&self, sentences: &[S]) -> Result<Chunks, ChunkError> {
        if self.max_tokens < self.min_tokens.max(1) {
            return Err(ChunkError::NothingKept { max_tokens: self.max_tokens, min_tokens: self.min_tokens });
        }
        let parts: Vec<_> = sentences
            .par_iter()
            .enumerate()
            .map(|(number, sentence)| match self.rules {
                Rules::Ours => self.chunk_one(number, sentence.as_ref()),
                Rules::Published => published::chunk(self, number, sentence.as_ref()),
            })
            .collect();
        let mut chunks = Chunks::default();
        for part in parts {
            chunks.append(part?);
        }
        Ok(chunks)
    }

    fn chunk_one(&self, number: usize, text: &str) -> Result<Chunks, ChunkError> {
        let (head, cells) = split(text);
        let head = TokenSequence::encode(self.tokenizer, head);
        let end_tokens = usize::from(self.end == End::Token);
        let room = self.max_tokens.saturating_sub(head.len() + end_tokens);
        if room == 0 {
            return Err(ChunkError::HeadTooLong { sentence: number, tokens: head.len(), max_tokens: self.max_tokens });
        }
        let cells = CellTokens::encode(self.tokenizer, &cells, &head);

        let mut chunks = Chunks::of_sentence(cells.len());
        let mut start = 0;
        while start < cells.len() {
            let mut sequence = head.clone();
            let mut end = start + 1;
            if cells.fit(start..end, room) {
                while end < cells.len() && cells.fit(start..end + 1, room) {
                    end += 1;
                }
                cells.write(start..end, &mut sequence);
                if end == cells.len() {
                    sequence.weigh_last(cells.tokens_of_last(start), self.target_weight);
                }
                if end == cells.len() && self.end == End::Token {
                    sequence.push(self.tokenizer.end_of_text());
                }
            } else {
                cells.write(start..end, &mut sequence);
                let tokens = sequence.len() - head.len();
                sequence.truncate(head.len() + room);
                if end == cells.len() {
                    sequence.weigh_last(room.min(tokens), self.target_weight);
                }
                chunks.report.cut_cells.push(CutCell { sentence: number, cell: start, tokens });
            }
            chunks.keep(sequence, self.min_tokens);
            if end == cells.len() {
                break;
            }
            let repeated = end.saturating_sub(self.overlap).max(start + 1);
            // Repeat less where the repeated cells and the next one do not fit together.
            start = (repeated..end).find(|&first| cells.fit(first..end + 1, room)).unwrap_or(end);
        }
        Ok(chunks)
    }
}

impl Chunks {
    pub(super) fn of_sentence(cells: usize) -> Self {
        let report = ChunkReport { sentences: 1, without_cells: usize::from(cells == 0), cells, ..ChunkReport::default() };
        Self { sequences: Vec::new(), report }
    }

    pub(super) fn keep(&mut self, sequence: TokenSequence, min_tokens: usize) {
        if sequence.len() < min_tokens {
            self.report.dropped_chunks += 1;
        } else {
            self.report.tokens += sequence.len();
            self.report.labelled_tokens += sequence.labelled_tokens();
            self.sequences.push(sequence);
        }
    }

    fn append(&mut self, other: Self) {
        let (sum, part) = (&mut self.report, other.report);
        sum.sentences += part.sentences;
        sum.without_cells += part.without_cells;
        sum.cells += part.cells;
        sum.tokens += part.tokens;
        sum.labelled_tokens += part.labelled_tokens;
        sum.dropped_chunks += part.dropped_chunks;
        sum.cut_cells.extend(part.cut_cells);
        self.sequences.extend(other.sequences);
    }
}

/// The head of a sentence and its cells, each without the white space around it.
fn split(text: &str) -> (&str, Vec<&str>) {
    let mut starts: Vec<usize> = cell_starts(text).collect();
    let head = text[..starts.first().copied().unwrap_or(text.len())].trim();
    starts.push(text.len());
    (head, starts.windows(2).map(|pair| text[pair[0]..pair[1]].trim()).collect())
}

/// The tokens of the cells of a sentence.
struct CellTokens<'a> {
    tokenizer: &'a SentenceTokenizer,
    cells: &'a [&'a str],
    /// Each cell with the blank before it.
    following: Vec<TokenSequence>,
    /// Tokens of `following` up to each cell.
    ends: Vec<usize>,
    /// Each cell as the first text of a chunk, encoded when it is one; never, when a head comes first.
    leading: Option<Vec<OnceCell<TokenSequence>>>,
}

impl<'a> CellTokens<'a> {
    fn encode(tokenizer: &'a SentenceTokenizer, cells: &'a [&'a str], head: &TokenSequence) -> Self {
        let encode = |cell: &&str| TokenSequence::encode(tokenizer, &format!(" {cell}"));
        let following: Vec<_> = cells.iter().map(encode).collect();
        let lengths = following.iter().scan(0, |end, cell| {
            *end += cell.len();
            Some(*end)
        });
        let ends = std::iter::once(0).chain(lengths).collect();
        let leading = head.is_empty().then(|| vec![OnceCell::new(); cells.len()]);
        Self { tokenizer, cells, following, ends, leading }
    }

    fn len(&self) -> usize {
        self.cells.len()
    }

    fn first(&self, cell: usize) -> &TokenSequence {
        match &self.leading {
            Some(leading) => leading[cell].get_or_init(|| TokenSequence::encode(self.tokenizer, self.cells[cell])),
            None => &self.following[cell],
        }
    }

    /// Returns the tokens of the last cell in a chunk that begins with cell `start`.
    fn tokens_of_last(&self, start: usize) -> usize {
        let last = self.len() - 1;
        if last == start { self.first(last).len() } else { self.following[last].len() }
    }

    fn fit(&self, cells: Range<usize>, room: usize) -> bool {
        self.first(cells.start).len() + self.ends[cells.end] - self.ends[cells.start + 1] <= room
    }

    fn write(&self, cells: Range<usize>, sequence: &mut TokenSequence) {
        sequence.extend(self.first(cells.start));
        self.following[cells.start + 1..cells.end].iter().for_each(|cell| sequence.extend(cell));
    }
}
