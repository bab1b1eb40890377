//! Columns of an AnnData table: plain, categorical and nullable.

use crate::section_reader::{MISSING, TextColumn};
use crate::storage::{Array, ElementType, Group, Node, Storage};
use crate::{ColumnKind, ReadError};

const RESAVE_COLUMN: &str = "save it again as strings, a category or numbers";

/// A column of an AnnData table.
pub(super) struct Column<'s> {
    pub(super) storage: &'s Storage,
    /// Name in messages, for example `obs/class`.
    pub(super) object: String,
    pub(super) node: Node,
    /// Categories that old files keep in the group `__categories`.
    pub(super) old_categories: Option<Array>,
}

impl Column<'_> {
    /// Says what the column holds.
    pub(super) fn kind(&self) -> ColumnKind {
        if self.old_categories.is_some() {
            return ColumnKind::Category;
        }
        match &self.node {
            Node::Array(array) => kind_of(array),
            Node::Group(group) => match self.encoding().as_deref() {
                Some("categorical") => ColumnKind::Category,
                Some("nullable-integer" | "nullable-boolean" | "nullable-string-array") => {
                    self.storage.array(group, &self.object, "values").map_or(ColumnKind::Other, |values| kind_of(&values))
                }
                _ => ColumnKind::Other,
            },
        }
    }

    /// Returns the values as text.
    pub(super) fn text(&self) -> Result<TextColumn, ReadError> {
        match &self.node {
            Node::Array(codes) if self.old_categories.is_some() => {
                let categories = self.old_categories.as_ref().map_or_else(|| Ok(Vec::new()), |c| self.array_text(c).map(present))?;
                self.categorical(codes, categories)
            }
            Node::Array(array) => Ok(TextColumn::from_values(self.array_text(array)?)),
            Node::Group(group) => match self.encoding().as_deref() {
                Some("categorical") => {
                    let categories = self.categories(group)?;
                    self.categorical(&self.part(group, "codes")?, categories)
                }
                Some("nullable-integer" | "nullable-boolean" | "nullable-string-array") => {
                    let values = self.array_text(&self.part(group, "values")?)?;
                    let mask: Vec<i64> = self.storage.numbers(&self.part(group, "mask")?, &self.object)?;
                    let is_missing = mask.into_iter().map(|masked| masked != 0).chain(std::iter::repeat(false));
                    Ok(TextColumn::from_values(values.into_iter().zip(is_missing).map(|(v, missing)| v.filter(|_| !missing))))
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
                    Node::Array(array) if self.old_categories.is_none() => array.element_type().name().to_owned(),
                    _ => self.kind().to_string(),
                },
            });
        }
        match &self.node {
            Node::Array(array) => self.storage.numbers(array, &self.object),
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

    fn part(&self, group: &Group, name: &str) -> Result<Array, ReadError> {
        self.storage.array(group, &self.object, name)
    }

    /// Returns the categories, which a current anndata may store like a column that can have missing values.
    fn categories(&self, group: &Group) -> Result<Vec<String>, ReadError> {
        let object = format!("{}/categories", self.object);
        let values = match self.storage.child(group, &self.object, "categories")? {
            Some(Node::Group(nullable)) => self.storage.array(&nullable, &object, "values")?,
            _ => self.part(group, "categories")?,
        };
        self.array_text(&values).map(present)
    }

    fn categorical(&self, codes: &Array, categories: Vec<String>) -> Result<TextColumn, ReadError> {
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

    /// Returns values as text; a number that is NaN is missing.
    fn array_text(&self, array: &Array) -> Result<Vec<Option<String>>, ReadError> {
        Ok(match array.element_type() {
            ElementType::Text => self.storage.strings(array, &self.object)?.into_iter().map(Some).collect(),
            ElementType::Flag => {
                let values: Vec<i64> = self.storage.numbers(array, &self.object)?;
                values.into_iter().map(|value| Some(if value == 0 { "false" } else { "true" }.to_owned())).collect()
            }
            // Printed in their own precision: 0.1 in single precision is not 0.10000000149011612.
            ElementType::Float { bytes: 4 } => {
                let values: Vec<f32> = self.storage.numbers(array, &self.object)?;
                values.into_iter().map(|value| (!value.is_nan()).then(|| value.to_string())).collect()
            }
            ElementType::Integer { .. } | ElementType::Unsigned { .. } | ElementType::Float { .. } => {
                let values: Vec<f64> = self.storage.numbers(array, &self.object)?;
                values.into_iter().map(|value| (!value.is_nan()).then(|| value.to_string())).collect()
            }
            other => return Err(self.unsupported(Some(other.name()))),
        })
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

/// Returns the texts of categories, none of which is missing.
fn present(values: Vec<Option<String>>) -> Vec<String> {
    values.into_iter().map(Option::unwrap_or_default).collect()
}

fn kind_of(array: &Array) -> ColumnKind {
    match array.element_type() {
        ElementType::Float { .. } => ColumnKind::Number,
        ElementType::Integer { .. } | ElementType::Unsigned { .. } => ColumnKind::Integer,
        ElementType::Flag => ColumnKind::Flag,
        ElementType::Text => ColumnKind::Text,
        ElementType::Records | ElementType::Other => ColumnKind::Other,
    }
}
