//! Opens whatever holds a section.

use std::path::Path;

use crate::anndata::RAW;
use crate::section_reader::SectionReader;
use crate::{AnnData, InstrumentFolder, ReadError};

/// Files that make a folder a Zarr hierarchy.
const ZARR_FILES: [&str; 3] = ["zarr.json", ".zgroup", ".zmetadata"];

/// Opens a section for reading: an AnnData file (`.h5ad`), an AnnData or SpatialData Zarr folder, or the output folder of an
/// instrument.
///
/// `matrix` names what [`inspect_file`](crate::inspect_file) lists: nothing for `X`, `raw/X`, or the name of a layer.
///
/// # Errors
///
/// Returns an error if the path cannot be opened or holds none of these, or if there is no such matrix.
///
/// # Examples
///
/// ```no_run
/// use std::path::Path;
///
/// let section = tn_io::open_section(Path::new("output-XETG00001__0001234__Region_1"), None)?;
/// println!("{} cells, columns {:?}", section.n_cells(), section.columns());
/// # Ok::<(), tn_io::ReadError>(())
/// ```
pub fn open_section(path: &Path, matrix: Option<&str>) -> Result<Box<dyn SectionReader>, ReadError> {
    if is_instrument_folder(path) {
        let folder = InstrumentFolder::open(path)?;
        return match matrix {
            None => Ok(Box::new(folder)),
            Some(layer) => Err(ReadError::MissingLayer { path: path.to_owned(), layer: layer.to_owned(), layers: Vec::new() }),
        };
    }
    Ok(Box::new(match matrix {
        None => AnnData::open(path)?,
        Some(RAW) => AnnData::open_raw(path)?,
        Some(layer) => AnnData::open_layer(path, layer)?,
    }))
}

/// Returns whether a path is a folder that holds no Zarr hierarchy.
pub(crate) fn is_instrument_folder(path: &Path) -> bool {
    path.is_dir() && !ZARR_FILES.iter().any(|file| path.join(file).exists())
}
