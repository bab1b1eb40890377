//! Sequences that lie behind one another in one tensor.

use std::ops::Range;

use thiserror::Error;

/// The starts of packed sequences and the end of the last one: `[0, n1, n1 + n2, .., rows]`.
///
/// No sequence is empty; a list with the single entry 0 holds none.
///
/// ```
/// use tn_model::kernels::attention::Segments;
///
/// let segments = Segments::of_lengths(&[3, 2])?;
/// assert_eq!(segments.starts(), [0, 3, 5]);
/// assert_eq!(segments.ranges().collect::<Vec<_>>(), [0..3, 3..5]);
/// assert!(Segments::new(vec![0, 3, 3]).is_err());
/// # Ok::<(), tn_model::kernels::attention::SegmentsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    starts: Vec<u32>,
}

/// Why a list is not one of [`Segments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SegmentsError {
    /// The list has no entry, not even 0.
    #[error("a list of starts needs at least the entry 0")]
    NoStart,
    /// The first sequence does not start at row 0.
    #[error("the first sequence starts at row {found}, not at 0")]
    FirstStart {
        /// The first entry.
        found: u32,
    },
    /// A sequence would end at or before its start.
    #[error("sequence {sequence} would start at row {start} and end at row {end}")]
    NoRows {
        /// Which sequence, from 0.
        sequence: usize,
        /// Its start.
        start: u32,
        /// The next entry.
        end: u32,
    },
    /// There are more rows than 32 bits count.
    #[error("{rows} rows are more than 32 bits count")]
    TooManyRows {
        /// The number of rows.
        rows: usize,
    },
}

impl Segments {
    /// Checks a list of starts that ends with the number of rows.
    ///
    /// # Errors
    /// Returns an error when the list is empty, does not begin with 0 or does not grow from entry to entry.
    pub fn new(starts: Vec<u32>) -> Result<Self, SegmentsError> {
        match starts.first() {
            None => return Err(SegmentsError::NoStart),
            Some(0) => {}
            Some(&found) => return Err(SegmentsError::FirstStart { found }),
        }
        for (sequence, pair) in starts.windows(2).enumerate() {
            if pair[0] >= pair[1] {
                return Err(SegmentsError::NoRows { sequence, start: pair[0], end: pair[1] });
            }
        }
        Ok(Self { starts })
    }

    /// Packs sequences of the given lengths.
    ///
    /// # Errors
    /// Returns an error when a length is 0 or there are more rows than 32 bits count.
    pub fn of_lengths(lengths: &[usize]) -> Result<Self, SegmentsError> {
        let mut rows = 0_usize;
        let mut starts = vec![0];
        for length in lengths {
            rows = rows.saturating_add(*length);
            starts.push(u32::try_from(rows).map_err(|_| SegmentsError::TooManyRows { rows })?);
        }
        Self::new(starts)
    }

    /// Returns the starts and, last, the number of rows.
    #[must_use]
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Returns the number of rows of all sequences.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.starts[self.starts.len() - 1] as usize
    }

    /// Returns the number of sequences.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns whether there is no sequence.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the rows of each sequence, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_list_of_starts_is_refused() {
        assert_eq!(Segments::new(vec![]), Err(SegmentsError::NoStart));
        assert_eq!(Segments::new(vec![1, 2]), Err(SegmentsError::FirstStart { found: 1 }));
        assert_eq!(Segments::new(vec![0, 4, 2]), Err(SegmentsError::NoRows { sequence: 1, start: 4, end: 2 }));
        assert_eq!(Segments::of_lengths(&[2, 0]), Err(SegmentsError::NoRows { sequence: 1, start: 2, end: 2 }));
        let rows = u32::MAX as usize + 1;
        assert_eq!(Segments::of_lengths(&[1, u32::MAX as usize]), Err(SegmentsError::TooManyRows { rows }));
    }

    #[test]
    fn no_sequence_is_a_list() {
        let none = Segments::of_lengths(&[]).unwrap();
        assert!(none.is_empty());
        assert_eq!((none.rows(), none.ranges().count()), (0, 0));
    }
}
