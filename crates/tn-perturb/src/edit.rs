//! What is changed in a neighborhood.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A change of the neighborhood of a target, said for all targets at once.
///
/// [`Display`](fmt::Display) says it in words: `insert 1 OEC at 15 um`.
///
/// # Examples
///
/// ```
/// use tn_perturb::Edit;
///
/// let edit: Edit = serde_json::from_str(r#"{"edit": "remove-neighbors", "class": "OEC", "radius_um": 30.0}"#)?;
/// assert_eq!(edit, Edit::RemoveNeighbors { class: "OEC".to_owned(), radius_um: 30.0 });
/// assert_eq!(edit.to_string(), "remove OEC within 30 um");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "edit", rename_all = "kebab-case", rename_all_fields = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Edit {
    /// Puts real cells of a class, taken from elsewhere, next to the target.
    InsertNeighbor {
        /// The class of the inserted cells.
        class: String,
        /// Their distance to the target, in micrometers; the direction is drawn.
        distance_um: f64,
        /// How many are inserted.
        count: u32,
    },
    /// Takes away the neighbors of a class that are near the target.
    RemoveNeighbors {
        /// The class of the removed cells.
        class: String,
        /// The distance up to which cells are removed, in micrometers, inclusive.
        radius_um: f64,
    },
}

impl Edit {
    /// Returns the class of the cells that are inserted or removed.
    pub fn class(&self) -> &str {
        match self {
            Self::InsertNeighbor { class, .. } | Self::RemoveNeighbors { class, .. } => class,
        }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsertNeighbor { class, distance_um, count } => write!(f, "insert {count} {class} at {distance_um} um"),
            Self::RemoveNeighbors { class, radius_um } => write!(f, "remove {class} within {radius_um} um"),
        }
    }
}

/// What was changed in the neighborhood of one target.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A cell was put there.
    Inserted {
        /// The name of the cell that was taken from elsewhere.
        cell_name: String,
        /// Where it was put: horizontal coordinate in micrometers.
        x: f64,
        /// Where it was put: vertical coordinate in micrometers.
        y: f64,
    },
    /// A cell was taken away.
    Removed {
        /// The name of the cell.
        cell_name: String,
    },
}
