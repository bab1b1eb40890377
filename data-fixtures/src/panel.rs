//! The gene panel of a simulation: markers of its classes first, then other real symbols, then synthetic names.

use std::collections::HashSet;

pub(crate) mod classes;
mod symbols;

use classes::ClassTemplate;
use symbols::GENERAL_SYMBOLS;

/// Returns `genes` distinct symbols for a panel.
///
/// The order is: the first marker of every class, the second marker of every class and so on, so that even a small
/// panel tells the classes apart; then general mouse genes; then, for panels beyond the embedded list, the synthetic
/// names `SIM0001`, `SIM0002`, ….
pub(crate) fn gene_panel(classes: &[ClassTemplate], genes: usize) -> Vec<String> {
    let depth = classes.iter().map(|class| class.markers.len()).max().unwrap_or(0);
    let markers = (0..depth).flat_map(|rank| classes.iter().filter_map(move |class| class.markers.get(rank)));
    let synthetic = (1..).map(|number| format!("SIM{number:04}"));

    let mut seen = HashSet::new();
    markers
        .chain(GENERAL_SYMBOLS)
        .map(|symbol| (*symbol).to_owned())
        .chain(synthetic)
        .filter(|symbol| seen.insert(symbol.clone()))
        .take(genes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::classes::CLASSES;
    use super::*;

    #[test]
    fn embedded_symbols_are_distinct_upper_case_and_at_least_500() {
        let all: Vec<&str> = CLASSES.iter().flat_map(|class| class.markers).chain(GENERAL_SYMBOLS).copied().collect();
        let distinct: HashSet<&str> = all.iter().copied().collect();
        let mut repeated: Vec<&&str> = distinct.iter().filter(|s| all.iter().filter(|t| t == s).count() > 1).collect();
        repeated.sort();
        assert!(repeated.is_empty(), "{repeated:?}");
        assert!(distinct.len() >= 500, "{}", distinct.len());
        assert!(all.iter().all(|symbol| symbol.to_uppercase() == **symbol && !symbol.contains(char::is_whitespace)));
    }

    #[test]
    fn markers_of_every_class_come_first() {
        let panel = gene_panel(&CLASSES[..12], 24);
        assert!(CLASSES[..12].iter().all(|class| panel.iter().any(|gene| gene == class.markers[0])));
    }

    #[test]
    fn a_panel_beyond_the_embedded_list_continues_with_synthetic_names() {
        let panel = gene_panel(&CLASSES, 2_000);
        assert_eq!(panel.len(), 2_000);
        assert!(panel[1_999].starts_with("SIM"));
    }
}
