//! Taking neighbors away.

use tn_sentence::CellRecord;

use super::is_near;
use crate::Change;

/// Returns the neighbors without those of a class within a radius, in their order.
pub(super) fn remove(target: &CellRecord, neighbors: &[&CellRecord], class: &str, radius_um: f64) -> (Vec<CellRecord>, Vec<Change>) {
    let mut left = Vec::new();
    let mut changes = Vec::new();
    for &cell in neighbors {
        if is_near(target, cell, class, radius_um) {
            changes.push(Change::Removed { cell_name: cell.cell_name.clone() });
        } else {
            left.push(cell.clone());
        }
    }
    (left, changes)
}
