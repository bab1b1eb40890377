//! The base of logarithms of counts.

use tn_sentence::LogarithmBase;

use crate::SparseRows;

/// Share of the values that must fit a base.
const ENOUGH: f64 = 0.9;
/// How close to a whole number counts as one. Logarithms in single precision lose this little.
const TOLERANCE: f64 = 0.02;
/// Multiples above this are too coarse to tell a base by.
const LARGEST_MULTIPLE: f64 = 12.0;

/// Finds the base of `log(1 + x)` of scaled counts.
///
/// Undone with the right base, all values of a cell are whole multiples of the smallest, which is nearly always one
/// count. Returns nothing if no base makes nine of ten values so, or if there is too little to tell.
pub(crate) fn logarithm_base(rows: &SparseRows) -> Option<LogarithmBase> {
    [LogarithmBase::E, LogarithmBase::Ten, LogarithmBase::Two]
        .into_iter()
        .map(|base| (share_of_multiples(rows, base.value()), base))
        .filter(|(share, _)| *share >= ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, base)| base)
}

fn share_of_multiples(rows: &SparseRows, base: f64) -> f64 {
    let (mut whole, mut all) = (0, 0);
    for row in 0..rows.len() {
        let counts = || rows.row(row).1.iter().map(|&value| base.powf(f64::from(value)) - 1.0).filter(|count| *count > 0.0);
        let unit = counts().fold(f64::INFINITY, f64::min);
        for multiple in counts().map(|count| count / unit).filter(|multiple| (1.5..LARGEST_MULTIPLE).contains(multiple)) {
            whole += usize::from((multiple - multiple.round()).abs() < TOLERANCE);
            all += 1;
        }
    }
    if all < 20 { 0.0 } else { f64::from(whole as u32) / f64::from(all as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_scaled_counts_is_found() {
        for (base, log) in
            [(LogarithmBase::Ten, f64::log10 as fn(f64) -> f64), (LogarithmBase::E, f64::ln), (LogarithmBase::Two, f64::log2)]
        {
            let values: Vec<f32> =
                (0..40).flat_map(|row| [1.0, 2.0, 3.0, 5.0].map(|count| log(1.0 + count * (30.0 + f64::from(row))) as f32)).collect();
            assert_eq!(logarithm_base(&SparseRows::from_dense(&values, 4)), Some(base));
        }
    }

    #[test]
    fn values_that_are_no_counts_have_no_base() {
        let values: Vec<f32> = (0..400).map(|i| 0.1 + (f64::from(i) * 0.618).fract() as f32).collect();
        assert_eq!(logarithm_base(&SparseRows::from_dense(&values, 4)), None);
        assert_eq!(logarithm_base(&SparseRows::default()), None);
    }
}
