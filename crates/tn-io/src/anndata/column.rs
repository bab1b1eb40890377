//! Columns of an AnnData table: plain, categorical and nullable.

use hdf5_reader::Dataset;
use hdf5_reader::group::Group;
use hdf5_reader::messages::datatype::Datatype;

use super::storage::{Node, Storage, type_name};
use crate::section_reader::{MISSING, TextColumn};
use crate::{ColumnKind, ReadError};

const RESAVE_COLUMN: &str = "save it again as strings, a category or numbers";

/// A column of an AnnData table.
pub(super) struct Column<'s> {
    pub(super) storage: &'s Storage,
    /// Name in messages, for example `obs/class`.
    pub(super) object: String,
    pub(super) node: Node,
    /// Categories that old files keep in the group `__categories`.
    pub(super) old_categories: Option<Box<Dataset>>,
}

impl Column<'_> {
    /// Says what the column holds.
    pub(super) fn kind(&self) -> ColumnKind {
        if self.old_categories.is_some() {
            return ColumnKind::Category;
        }
        let of_dataset = |dataset: &Dataset| match dataset.dtype() {
            Datatype::FloatingPoint { .. } => ColumnKind::Number,
            Datatype::FixedPoint { .. } => ColumnKind::Integer,
            Datatype::Enum { .. } => ColumnKind::Flag,
            Datatype::String { .. } | Datatype::VarLen { .. } => ColumnKind::Text,
            _ => ColumnKind::Other,
        };
        match &self.node {
            Node::Dataset(dataset) => of_dataset(dataset),
            Node::Group(group) => match self.encoding().as_deref() {
                Some("categorical") => ColumnKind::Category,
                Some("nullable-integer" | "nullable-boolean" | "nullable-string-array") => {
                    group.dataset("values").map_or(ColumnKind::Other, |values| of_dataset(&values))
                }
                _ => ColumnKind::Other,
            },
        }
    }

    /// Returns the values as text.
    pub(super) fn text(&self) -> Result<TextColumn, ReadError> {
        match &self.node {
            Node::Dataset(codes) if self.old_categories.is_some() => {
                let categories = self.old_categories.as_ref().map_or_else(|| Ok(Vec::new()), |c| self.dataset_text(c))?;
                self.categorical(codes, categories)
            }
            Node::Dataset(dataset) => Ok(TextColumn::from_values(self.dataset_text(dataset)?.into_iter().map(Some))),
            Node::Group(group) => match self.encoding().as_deref() {
                Some("categorical") => {
                    let categories = self.dataset_text(&self.part(group, "categories")?)?;
                    self.categorical(&self.part(group, "codes")?, categories)
                }
                Some("nullable-integer" | "nullable-boolean" | "nullable-string-array") => {
                    let values = self.dataset_text(&self.part(group, "values")?)?;
                    let mask: Vec<i64> = self.storage.numbers(&self.part(group, "mask")?, &self.object)?;
                    let is_missing = mask.into_iter().map(|masked| masked != 0).chain(std::iter::repeat(false));
                    Ok(TextColumn::from_values(values.into_iter().zip(is_missing).map(|(v, missing)| (!missing).then_some(v))))
                }
                other => Err(self.unsupported(other)),
            },
        }
    }

    /// Returns the values as numbers; missing ones are NaN.
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<f64>, ReadError> {
        let is_number = |kind| matches!(kind, ColumnKind::Number | ColumnKind::Integer | ColumnKind::Flag);
        if !is_number(self.kind()) {
            return Err(ReadError::NotNumbers {
                path: self.storage.path.clone(),
                column: name.to_owned(),
                found: match &self.node {
                    Node::Dataset(dataset) if self.old_categories.is_none() => type_name(dataset).to_owned(),
                    _ => self.kind().to_string(),
                },
            });
        }
        match &self.node {
            Node::Dataset(dataset) => self.storage.numbers(dataset, &self.object),
            Node::Group(group) => {
                let values: Vec<f64> = self.storage.numbers(&self.part(group, "values")?, &self.object)?;
                let mask: Vec<i64> = self.storage.numbers(&self.part(group, "mask")?, &self.object)?;
                let is_missing = mask.into_iter().map(|masked| masked != 0).chain(std::iter::repeat(false));
                Ok(values.into_iter().zip(is_missing).map(|(v, missing)| if missing { f64::NAN } else { v }).collect())
            }
        }
    }

    fn encoding(&self) -> Option<String> {
        self.node.text_attribute("encoding-type")
    }

    fn part(&self, group: &Group, name: &str) -> Result<Dataset, ReadError> {
        match self.storage.child(group, &self.object, name)? {
            Some(Node::Dataset(dataset)) => Ok(*dataset),
            // Categories can themselves be nullable; nobody writes them so on purpose.
            Some(node @ Node::Group(_)) => Err(ReadError::UnsupportedEncoding {
                path: self.storage.path.clone(),
                object: format!("{}/{name}", self.object),
                found: node.text_attribute("encoding-type").unwrap_or_else(|| "a group".to_owned()),
                remedy: RESAVE_COLUMN,
            }),
            None => Err(ReadError::MissingObject {
                path: self.storage.path.clone(),
                object: format!("{}/{name}", self.object),
                found: self.storage.members(group, &self.object)?.1,
            }),
        }
    }

    fn categorical(&self, codes: &Dataset, categories: Vec<String>) -> Result<TextColumn, ReadError> {
        let codes: Vec<i64> = self.storage.numbers(codes, &self.object)?;
        let codes = codes
            .into_iter()
            .enumerate()
            .map(|(row, code)| match usize::try_from(code) {
                Ok(index) if index < categories.len() => Ok(index as u32),
                Err(_) if code == -1 => Ok(MISSING),
                _ => Err(ReadError::InvalidIndex {
                    path: self.storage.path.clone(),
                    object: self.object.clone(),
                    row,
                    found: code,
                    max: categories.len().saturating_sub(1),
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(TextColumn { categories, codes })
    }

    fn dataset_text(&self, dataset: &Dataset) -> Result<Vec<String>, ReadError> {
        match dataset.dtype() {
            Datatype::String { .. } | Datatype::VarLen { .. } => self.storage.strings(dataset, &self.object),
            Datatype::Enum { .. } => {
                let values: Vec<i64> = self.storage.numbers(dataset, &self.object)?;
                Ok(values.into_iter().map(|value| if value == 0 { "false" } else { "true" }.to_owned()).collect())
            }
            Datatype::FixedPoint { .. } | Datatype::FloatingPoint { .. } => {
                let values: Vec<f64> = self.storage.numbers(dataset, &self.object)?;
                Ok(values.into_iter().map(|value| value.to_string()).collect())
            }
            _ => Err(self.unsupported(Some(type_name(dataset)))),
        }
    }

    fn unsupported(&self, found: Option<&str>) -> ReadError {
        ReadError::UnsupportedEncoding {
            path: self.storage.path.clone(),
            object: self.object.clone(),
            found: found.unwrap_or("a group without an encoding").to_owned(),
            remedy: RESAVE_COLUMN,
        }
    }
}
