//! Learning byte-pair merges from word counts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Learns up to `limit` merges: each joins the pair of neighboring tokens that occurs most often. Of equally frequent pairs
/// the alphabetically first one is joined, so that the result depends on the counts alone. Pairs seen less than
/// `min_frequency` times are not joined. Words are byte-level text; their characters are the first tokens.
///
/// Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", ACL 2016.
pub(super) fn learn(words: &BTreeMap<String, u64>, limit: usize, min_frequency: u64) -> Vec<(String, String)> {
    let mut words: Vec<(Vec<String>, u64)> = words.iter().map(|(word, &count)| (word.chars().map(String::from).collect(), count)).collect();
    let mut merges = Vec::new();
    while merges.len() < limit {
        let Some((pair, count)) = most_frequent_pair(&words) else { break };
        if count < min_frequency {
            break;
        }
        for (tokens, _) in &mut words {
            join(tokens, &pair);
        }
        merges.push(pair);
    }
    merges
}

fn most_frequent_pair(words: &[(Vec<String>, u64)]) -> Option<((String, String), u64)> {
    let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
    for (tokens, count) in words {
        for pair in tokens.windows(2) {
            *counts.entry((&pair[0], &pair[1])).or_default() += count;
        }
    }
    counts
        .into_iter()
        .max_by_key(|&(pair, count)| (count, Reverse(pair)))
        .map(|((left, right), count)| ((left.to_owned(), right.to_owned()), count))
}

fn join(tokens: &mut Vec<String>, (left, right): &(String, String)) {
    let mut i = 0;
    while i + 1 < tokens.len() {
        if tokens[i] == *left && tokens[i + 1] == *right {
            let tail = tokens.remove(i + 1);
            tokens[i].push_str(&tail);
        }
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[(&str, u64)], limit: usize, min_frequency: u64, expected: &[(&str, &str)]) {
        let words = words.iter().map(|&(word, count)| (word.to_owned(), count)).collect();
        let merges = learn(&words, limit, min_frequency);
        let merges: Vec<_> = merges.iter().map(|(left, right)| (left.as_str(), right.as_str())).collect();
        assert_eq!(merges, expected);
    }

    #[test]
    fn the_most_frequent_pair_is_joined_first() {
        check(&[("abc", 3), ("bc", 2)], 9, 2, &[("b", "c"), ("a", "bc")]);
    }

    #[test]
    fn ties_are_joined_in_alphabetical_order() {
        check(&[("xy", 2), ("ab", 2)], 9, 2, &[("a", "b"), ("x", "y")]);
    }

    #[test]
    fn rare_pairs_and_the_limit_stop_it() {
        check(&[("ab", 1)], 9, 2, &[]);
        check(&[("abcd", 5)], 1, 2, &[("a", "b")]);
        check(&[], 9, 2, &[]);
    }

    #[test]
    fn repeated_characters_are_joined_from_the_left() {
        check(&[("aaa", 2)], 9, 2, &[("a", "a"), ("aa", "a")]);
    }
}
