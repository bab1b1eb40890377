//! The cells by their labels.

use super::{DifferentialExpressionError, MIN_CELLS_OF_GROUP, Reference};

/// The code of a cell that takes no part in a comparison.
pub(super) const ABSENT: u32 = u32::MAX;

/// Cells by the code of their group: the place of its label in ascending order.
pub(super) struct Grouping {
    names: Vec<String>,
    codes: Vec<u32>,
    sizes: Vec<usize>,
    reference: Option<usize>,
}

impl Grouping {
    pub(super) fn new<L: AsRef<str>>(n_cells: usize, labels: &[L]) -> Result<Self, DifferentialExpressionError> {
        if labels.len() != n_cells {
            return Err(DifferentialExpressionError::LengthMismatch { cells: n_cells, labels: labels.len() });
        }
        let mut names: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names.dedup();
        let mut sizes = vec![0; names.len()];
        let code = |label: &L| {
            let code = names.binary_search(&label.as_ref()).expect("every label is among the names");
            sizes[code] += 1;
            code as u32
        };
        let codes = labels.iter().map(code).collect();
        Ok(Self { names: names.into_iter().map(str::to_string).collect(), codes, sizes, reference: None })
    }

    /// Chooses the reference, and leaves out cells that are neither tested nor in it.
    pub(super) fn against(mut self, reference: &Reference, tested: &[usize]) -> Result<Self, DifferentialExpressionError> {
        self.reference = reference.name().map(|name| self.code(name)).transpose()?;
        for code in tested.iter().copied().chain(self.reference) {
            self.check_size(code)?;
        }
        if let Some(reference) = self.reference {
            if tested.contains(&reference) {
                return Err(DifferentialExpressionError::SameGroup { group: self.names[reference].clone() });
            }
            let mut takes_part = vec![false; self.n_groups()];
            tested.iter().for_each(|&code| takes_part[code] = true);
            takes_part[reference] = true;
            self.codes.iter_mut().filter(|code| !takes_part[**code as usize]).for_each(|code| *code = ABSENT);
        }
        Ok(self)
    }

    fn check_size(&self, code: usize) -> Result<(), DifferentialExpressionError> {
        let (group, needed) = (|| self.names[code].clone(), MIN_CELLS_OF_GROUP);
        let (cells, others) = (self.sizes[code], self.codes.len() - self.sizes[code]);
        if cells < needed {
            return Err(DifferentialExpressionError::TooFewCells { group: group(), cells, needed });
        }
        if self.reference.is_none() && others < needed {
            return Err(DifferentialExpressionError::TooFewOthers { group: group(), cells: others, needed });
        }
        Ok(())
    }

    pub(super) fn n_groups(&self) -> usize {
        self.names.len()
    }

    pub(super) fn name(&self, code: usize) -> &str {
        &self.names[code]
    }

    pub(super) fn size(&self, code: usize) -> usize {
        self.sizes[code]
    }

    /// The code of the group that is the reference; `None` if that is the rest.
    pub(super) fn reference(&self) -> Option<usize> {
        self.reference
    }

    /// The number of cells that a group is compared with.
    pub(super) fn size_against(&self, code: usize) -> usize {
        match self.reference {
            Some(reference) => self.sizes[reference],
            None => self.codes.len() - self.sizes[code],
        }
    }

    pub(super) fn code(&self, group: &str) -> Result<usize, DifferentialExpressionError> {
        self.names
            .binary_search_by(|name| name.as_str().cmp(group))
            .map_err(|_| DifferentialExpressionError::UnknownGroup { group: group.to_string(), groups: self.names.clone() })
    }

    /// The cells that take part, of those given, as the code of their group and their value.
    pub(super) fn members<'a>(&'a self, cells: &'a [u32], values: &'a [f32]) -> impl Iterator<Item = (u32, f32)> + 'a {
        let members = cells.iter().zip(values).map(|(&cell, &value)| (self.codes[cell as usize], value));
        members.filter(|&(code, _)| code != ABSENT)
    }
}
