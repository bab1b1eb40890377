//! Cells that live near another class, and those that do not.

use tn_sentence::{CellRecord, Position};
use tn_spatial::{KdTree, NeighborIndex, Section};

/// Divides the cells of a focal class by whether a cell of a partner class is near.
///
/// A focal cell is proximal when the nearest partner of its section is at a distance **less than** the radius
/// (30 micrometers by default), and control otherwise; in a section without partners all are controls. The strict
/// comparison is that of the published program. When both classes are the same, a cell is not its own partner.
///
/// # Examples
///
/// ```
/// use tn_perturb::ProximityGroups;
/// use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};
///
/// let cell = |x: f64, class: &str| -> Result<CellRecord, Box<dyn std::error::Error>> {
///     Ok(CellRecord {
///         cell_name: format!("{class} at {x}"),
///         ranking: GeneRanking::default(),
///         position: Position::new(x, 0.0)?,
///         section: "S1".to_owned(),
///         metadata: Metadata::from_pairs([("class", class)])?,
///     })
/// };
/// let cells = [cell(0.0, "Astro")?, cell(10.0, "Neuron")?, cell(40.0, "Astro")?];
/// let groups = ProximityGroups::new("Astro", "Neuron").within(30.0).divide(&cells);
/// assert_eq!((groups.proximal(), groups.control()), (&[0][..], &[2][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ProximityGroups {
    focal_class: String,
    partner_class: String,
    radius_um: f64,
}

impl ProximityGroups {
    /// Asks for cells of `focal_class` near cells of `partner_class`, within 30 micrometers.
    pub fn new(focal_class: impl Into<String>, partner_class: impl Into<String>) -> Self {
        Self { focal_class: focal_class.into(), partner_class: partner_class.into(), radius_um: 30.0 }
    }

    /// Replaces the radius, in micrometers.
    pub fn within(mut self, radius_um: f64) -> Self {
        self.radius_um = radius_um;
        self
    }

    /// Divides the focal cells of a table.
    pub fn divide(&self, cells: &[CellRecord]) -> Proximity {
        let mut proximal = Vec::new();
        let mut control = Vec::new();
        for section in Section::of_table(cells) {
            let (partners, index) = self.partners(&section);
            for (own_index, cell) in section.cells().enumerate() {
                if cell.class() != Some(&self.focal_class) {
                    continue;
                }
                let nearest = index.k_nearest_where(&cell.position, 1, &|partner| partners[partner] != own_index);
                let is_near = nearest.first().is_some_and(|partner| partner.distance < self.radius_um);
                let group = if is_near { &mut proximal } else { &mut control };
                group.push(section.rows()[own_index]);
            }
        }
        proximal.sort_unstable();
        control.sort_unstable();
        Proximity { proximal, control }
    }

    /// Returns which cells of a section are partners, and an index over them.
    fn partners(&self, section: &Section<'_>) -> (Vec<usize>, KdTree) {
        let is_partner = |cell: &CellRecord| cell.class() == Some(&self.partner_class);
        let (partners, positions): (Vec<usize>, Vec<Position>) =
            section.cells().enumerate().filter(|(_, cell)| is_partner(cell)).map(|(index, cell)| (index, cell.position)).unzip();
        (partners, KdTree::build(&positions))
    }
}

/// The focal cells of a table, divided: rows, ascending.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proximity {
    proximal: Vec<usize>,
    control: Vec<usize>,
}

impl Proximity {
    /// Returns the rows of the focal cells that have a partner near.
    pub fn proximal(&self) -> &[usize] {
        &self.proximal
    }

    /// Returns the rows of the focal cells that have none.
    pub fn control(&self) -> &[usize] {
        &self.control
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tn_sentence::{GeneRanking, Metadata};

    use super::*;

    fn cell(section: &str, x: f64, y: f64, class: &str) -> CellRecord {
        CellRecord {
            cell_name: String::new(),
            ranking: GeneRanking::default(),
            position: Position::new(x, y).unwrap(),
            section: section.into(),
            metadata: Metadata::from_pairs([("class", class)]).unwrap(),
        }
    }

    #[test]
    fn partners_of_other_sections_do_not_count() {
        let cells = [cell("S", 0.0, 0.0, "a"), cell("T", 0.0, 0.0, "b")];
        let groups = ProximityGroups::new("a", "b").divide(&cells);
        assert_eq!((groups.proximal(), groups.control()), (&[][..], &[0][..]));
    }

    #[test]
    fn a_cell_is_not_its_own_partner() {
        let cells = [cell("S", 0.0, 0.0, "a"), cell("S", 29.0, 0.0, "a"), cell("S", 59.0, 0.0, "a")];
        let groups = ProximityGroups::new("a", "a").divide(&cells);
        assert_eq!((groups.proximal(), groups.control()), (&[0, 1][..], &[2][..]));
    }

    #[test]
    fn an_empty_table_has_empty_groups() {
        assert_eq!(ProximityGroups::new("a", "b").divide(&[]), Proximity::default());
    }

    #[test]
    fn the_groups_are_the_published_ones() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/radius_graph.json");
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in file["cases"].as_array().unwrap().iter().filter(|case| case.get("rule").is_some()) {
            let points = case["points"].as_array().unwrap().iter().zip(case["labels"].as_array().unwrap());
            let cells: Vec<CellRecord> = points
                .map(|(point, label)| cell("S", point[0].as_f64().unwrap(), point[1].as_f64().unwrap(), &label.to_string()))
                .collect();
            let groups = ProximityGroups::new("0", "1").within(case["radius"].as_f64().unwrap()).divide(&cells);
            let focal = (0..cells.len()).filter(|&row| cells[row].class() == Some("0"));
            let found: Vec<bool> = focal.map(|row| groups.proximal().contains(&row)).collect();
            assert_eq!(serde_json::json!(found), case["expected_proximal"]);
            assert_eq!(found.len(), groups.proximal().len() + groups.control().len());
        }
    }
}
