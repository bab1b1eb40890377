//! How the attention of a pass is cut into work items.
//!
//! A row sees the keys of its text up to itself. The keys are cut into chunks, so that there is work for a whole device where there are few
//! rows, and every chunk yields a partial result of each of its rows; the partial results of a row are merged. Rows of neighboring runs whose
//! texts begin with the same pages are handled together there: the keys are read once for all of them.
//!
//! The cut of a row's keys depends on the number of its run's rows and on what it shares, not on the other texts of the pass.

use std::ops::Range;

use super::PAGE;

/// New tokens of one text: as many neighboring rows of the queries, whose keys and values are in the text's pages already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// The pages of the text.
    pub pages: &'a [u32],
    /// Tokens of the text before the new ones.
    pub before: usize,
    /// Number of new tokens.
    pub tokens: usize,
}

impl<'a> Run<'a> {
    /// Returns the pages to which nothing is added any more.
    fn full_pages(&self) -> &'a [u32] {
        &self.pages[..self.before / PAGE]
    }
}

/// How large work items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows of an item at most.
    pub rows: usize,
    /// Keys of an item at most, a multiple of [`PAGE`], where it has all rows that see them. Where there are several times `rows`, items
    /// have as many times these keys.
    pub keys: usize,
}

/// Neighboring rows and keys that all of their texts have in the same pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) rows: Range<usize>,
    /// Where the pages are, in the tables of the plan.
    pub(super) table: usize,
    /// The first key begins a page.
    pub(super) keys: Range<usize>,
    /// The partial result of the first row.
    pub(super) partial: usize,
}

/// The work of one pass, the same in all layers.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The pages of all runs, one run after the other.
    pub(super) tables: Vec<u32>,
    /// All pages have numbers below this one.
    pub(super) pages: usize,
    /// Where each row's key and value are: `page * PAGE + place`.
    pub(super) places: Vec<u32>,
    /// How many keys each row sees.
    pub(super) seen: Vec<usize>,
    /// Items of one row.
    pub(super) narrow: Vec<Item>,
    /// Items of several rows.
    pub(super) wide: Vec<Item>,
    /// The partial results of each row.
    pub(super) partials: Vec<Vec<usize>>,
    /// Number of all partial results.
    pub(super) results: usize,
}

impl Plan {
    pub(super) fn new(runs: &[Run<'_>], limits: Limits) -> Self {
        let mut plan = Self::default();
        let mut tables = Vec::with_capacity(runs.len());
        for run in runs {
            tables.push(plan.tables.len());
            plan.tables.extend_from_slice(run.pages);
            let positions = run.before..run.before + run.tokens;
            plan.places.extend(positions.clone().map(|at| run.pages[at / PAGE] * PAGE as u32 + (at % PAGE) as u32));
            plan.seen.extend(positions.map(|position| position + 1));
        }
        plan.pages = plan.tables.iter().max().map_or(0, |&last| last as usize + 1);
        plan.partials = vec![Vec::new(); plan.seen.len()];
        let (mut first, mut row) = (0, 0);
        while first < runs.len() {
            let Group { runs: count, pages } = Group::at(&runs[first..]);
            let of_group = first..first + count;
            let rows: usize = runs[of_group.clone()].iter().map(|run| run.tokens).sum();
            plan.cut(row..row + rows, tables[first], 0..pages * PAGE, limits);
            for run in of_group {
                let end = row + runs[run].tokens;
                plan.cut(row..end, tables[run], pages * PAGE..runs[run].before + runs[run].tokens, limits);
                row = end;
            }
            first += count;
        }
        plan
    }

    /// Cuts some rows and keys into items. Keys that none of an item's rows sees are left out.
    fn cut(&mut self, rows: Range<usize>, table: usize, keys: Range<usize>, limits: Limits) {
        let step = limits.keys * rows.len().div_ceil(limits.rows);
        for first in rows.clone().step_by(limits.rows) {
            let rows = first..rows.end.min(first + limits.rows);
            let end = keys.end.min(self.seen[rows.clone()].iter().copied().max().unwrap_or(0));
            for key in (keys.start..end).step_by(step) {
                let item = Item { rows: rows.clone(), table, keys: key..end.min(key + step), partial: self.results };
                rows.clone().for_each(|row| self.partials[row].push(self.results + row - first));
                self.results += rows.len();
                if rows.len() == 1 { self.narrow.push(item) } else { self.wide.push(item) }
            }
        }
    }
}

/// How many numbers of each kind a plan has room for on a device. Plans of one room are worked on by the same launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub(super) rows: usize,
    pub(super) tables: usize,
    pub(super) narrow: usize,
    pub(super) wide: usize,
    /// Rows of a wide item at most, a power of two.
    pub(super) rows_of_wide: usize,
    pub(super) results: usize,
}

impl Room {
    /// Returns the room that a plan needs.
    pub(super) fn of(plan: &Plan) -> Self {
        let most = plan.wide.iter().map(|item| item.rows.len()).max().unwrap_or(0);
        Self {
            rows: plan.seen.len(),
            tables: plan.tables.len(),
            narrow: plan.narrow.len(),
            wide: plan.wide.len(),
            rows_of_wide: most.next_power_of_two(),
            results: plan.results,
        }
    }

    /// Returns a room for a number of rows that this plan fits into, and many others too: an item that is not used costs little.
    pub(super) fn rounded(plan: &Plan, rows: usize) -> Self {
        let exact = Self::of(plan);
        assert!(rows >= exact.rows, "{} rows do not fit into {rows}", exact.rows);
        let rounded = |count: usize| if count == 0 { 0 } else { count.next_power_of_two().max(Self::LEAST) };
        Self {
            rows,
            tables: rounded(exact.tables),
            narrow: rounded(exact.narrow),
            wide: rounded(exact.wide),
            results: rounded(exact.results),
            ..exact
        }
    }

    const LEAST: usize = 16;
}

/// The first of some runs and those that share their first pages with it.
struct Group {
    runs: usize,
    /// Number of shared pages, which none of the runs changes; none when there is one run.
    pages: usize,
}

impl Group {
    fn at(runs: &[Run<'_>]) -> Self {
        let common = |a: &[u32], b: &[u32]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let mut group = Self { runs: 1, pages: 0 };
        for run in &runs[1..] {
            let pages = common(runs[0].full_pages(), run.full_pages());
            if pages == 0 || pages < group.pages {
                break;
            }
            // The first two decide; further ones share at least as much.
            group = Self { runs: group.runs + 1, pages: if group.runs == 1 { pages } else { group.pages } };
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { rows: 4, keys: 2 * PAGE };

    /// Every row has each key that it sees in exactly one of its items, in the page of its text.
    fn check(runs: &[Run<'_>]) -> Plan {
        let plan = Plan::new(runs, LIMITS);
        let items: Vec<&Item> = plan.narrow.iter().chain(&plan.wide).collect();
        let mut results = vec![0; plan.results];
        let mut row = 0;
        for run in runs {
            for position in run.before..run.before + run.tokens {
                assert_eq!(plan.seen[row], position + 1);
                assert_eq!(plan.places[row] as usize, run.pages[position / PAGE] as usize * PAGE + position % PAGE);
                let mut pages = vec![None; plan.seen[row]];
                for item in items.iter().filter(|item| item.rows.contains(&row)) {
                    let result = item.partial + row - item.rows.start;
                    assert!(plan.partials[row].contains(&result));
                    results[result] += 1;
                    assert!(item.keys.start.is_multiple_of(PAGE) && item.rows.len() <= LIMITS.rows);
                    for key in item.keys.clone().filter(|&key| key < plan.seen[row]) {
                        assert_eq!(pages[key].replace(plan.tables[item.table + key / PAGE]), None, "key {key} of row {row}");
                    }
                }
                assert!(pages.iter().enumerate().all(|(key, page)| *page == Some(run.pages[key / PAGE])));
                row += 1;
            }
        }
        assert!(results.iter().all(|&count| count == 1));
        plan
    }

    #[test]
    fn every_row_sees_its_keys_once() {
        let pages: Vec<u32> = (0..20).map(|page| (page * 7 + 3) % 20).collect();
        for (before, tokens) in [(0, 1), (0, 63), (0, 200), (63, 1), (64, 1), (65, 2), (127, 3), (500, 70), (1000, 1)] {
            check(&[Run { pages: &pages, before, tokens }]);
        }
    }

    #[test]
    fn texts_that_begin_alike_are_handled_together() {
        let samples: Vec<Vec<u32>> = (0..5).map(|sample| vec![9, 8, 7, 10 + sample, 20 + sample]).collect();
        let mut runs: Vec<Run<'_>> = samples.iter().map(|pages| Run { pages, before: 3 * PAGE + 5, tokens: 1 }).collect();
        runs[2].tokens = 3;
        let plan = check(&runs);
        // Seven rows in two blocks, whose items have twice the keys; then one item for each run.
        assert_eq!((plan.wide.len(), plan.narrow.len()), (2 + 1, 4));
        // Another text before and behind.
        let other = [30, 31];
        let apart = Run { pages: &other, before: PAGE, tokens: 1 };
        check(&[&[apart], &runs[..], &[apart, apart]].concat());
    }

    #[test]
    fn a_page_that_is_still_written_is_not_shared() {
        let (a, b) = ([1, 2], [1, 2]);
        let plan = check(&[Run { pages: &a, before: 100, tokens: 1 }, Run { pages: &b, before: 100, tokens: 1 }]);
        assert_eq!(plan.wide.iter().map(|item| item.keys.clone()).collect::<Vec<_>>(), vec![0..PAGE]);
    }
}
