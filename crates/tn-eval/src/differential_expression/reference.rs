use serde::{Deserialize, Serialize};

/// What a group of cells is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// All cells that are not of the group.
    #[default]
    Rest,
    /// The cells with this label. Text converts to it.
    Group(String),
}

impl Reference {
    /// Returns the name of the group, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Rest => None,
            Self::Group(name) => Some(name),
        }
    }
}

impl From<&str> for Reference {
    fn from(group: &str) -> Self {
        Self::Group(group.to_string())
    }
}

impl From<String> for Reference {
    fn from(group: String) -> Self {
        Self::Group(group)
    }
}
