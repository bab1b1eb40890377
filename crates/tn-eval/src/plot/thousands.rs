//! Counts as figures print them.

/// Groups the digits of a count by thousands, with commas; text beside a figure should print counts as the figure does.
///
/// ```
/// use tn_eval::plot::thousands;
///
/// assert_eq!(thousands(15_848), "15,848");
/// ```
pub fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 7, 999, 1_234, 15_848, 1_234_567].map(thousands), ["0", "7", "999", "1,234", "15,848", "1,234,567"]);
    }
}
