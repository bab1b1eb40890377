//! Guesses which column is what, from the names that instruments and pipelines give them.

use serde::Serialize;

/// What a column can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnRole {
    /// Horizontal coordinate.
    X,
    /// Vertical coordinate.
    Y,
    /// Section, slice or sample: cells that share a coordinate frame.
    Section,
    /// Cell class or type.
    Class,
    /// Train, validation or test.
    Split,
}

impl ColumnRole {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::X, Self::Y, Self::Section, Self::Class, Self::Split];

    /// Returns the name of the option that names such a column, which is also the usual name of the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Y => "y",
            Self::Section => "section",
            Self::Class => "class",
            Self::Split => "split",
        }
    }

    /// Names in use, the best first, in lower case.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::X => &[
                "x",
                "center_x",
                "x_centroid",
                "centroid_x",
                "x_location",
                "global_x",
                "x_um",
                "x_micron",
                "x_section",
                "spatial_x",
                "centerx_global_px",
                "x_slide_mm",
                "imagecol",
                "pxl_col_in_fullres",
            ],
            Self::Y => &[
                "y",
                "center_y",
                "y_centroid",
                "centroid_y",
                "y_location",
                "global_y",
                "y_um",
                "y_micron",
                "y_section",
                "spatial_y",
                "centery_global_px",
                "y_slide_mm",
                "imagerow",
                "pxl_row_in_fullres",
            ],
            Self::Section => &[
                "section",
                "section_id",
                "section_label",
                "brain_section_label",
                "tissue_section",
                "slice",
                "slice_id",
                "slide",
                "slide_id",
                "sample",
                "sample_id",
                "sample_name",
                "library_id",
                "library",
                "specimen",
                "image",
                "image_id",
                "fov",
                "donor",
                "batch",
            ],
            Self::Class => &[
                "class",
                "cell_class",
                "cell_type",
                "celltype",
                "cell type",
                "celltypes",
                "cell_types",
                "annotation",
                "cell_annotation",
                "subclass",
                "supercluster",
                "lineage",
                "type",
                "cluster",
                "leiden",
                "louvain",
            ],
            Self::Split => &["split", "set", "fold", "partition"],
        }
    }
}

/// Returns the columns that could have a role, the likeliest first, each with the reason.
pub(crate) fn candidates<S: AsRef<str>>(columns: &[S], role: ColumnRole) -> Vec<(String, &'static str)> {
    let lower: Vec<String> = columns.iter().map(|column| column.as_ref().to_lowercase()).collect();
    let mut found: Vec<(String, &'static str)> = Vec::new();
    let mut add = |index: usize, reason| {
        let column = columns[index].as_ref().to_owned();
        if found.iter().all(|(other, _)| *other != column) {
            found.push((column, reason));
        }
    };
    for name in role.names() {
        for index in (0..lower.len()).filter(|&index| lower[index] == *name) {
            add(index, if *name == role.as_str() { "has this name" } else { "has a usual name" });
        }
    }
    for name in role.names().iter().filter(|name| name.len() > 3) {
        for index in (0..lower.len()).filter(|&index| lower[index].contains(name)) {
            add(index, "contains a usual name");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(columns: &[&str], role: ColumnRole, expected: &[&str]) {
        let found: Vec<String> = candidates(columns, role).into_iter().map(|(column, _)| column).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn usual_names_are_found_whatever_their_case() {
        check(&["volume", "Center_X", "x"], ColumnRole::X, &["x", "Center_X"]);
        check(&["Slice_ID", "fov"], ColumnRole::Section, &["Slice_ID", "fov"]);
        check(&["my_cell_type_v2", "n_counts"], ColumnRole::Class, &["my_cell_type_v2"]);
        check(&["n_counts"], ColumnRole::Class, &[]);
    }
}
