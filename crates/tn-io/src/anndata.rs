//! AnnData files (`.h5ad`).

mod column;
mod lzf;
mod matrix;
mod storage;
mod writer;

use std::fmt;
use std::ops::Range;
use std::path::Path;

use hdf5_reader::group::Group;

use self::column::Column;
use self::matrix::Matrix;
use self::storage::{Node, Storage};
pub use self::writer::{AnnDataRow, AnnDataWriter, WriteError};
use crate::ReadError;
use crate::section_reader::{SectionReader, SparseRows, TextColumn};

const RESAVE_OLD: &str = "save it again with a current anndata: anndata.read_h5ad(IN).write_h5ad(OUT)";

/// What a column of a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// Text, a value for every cell.
    Text,
    /// Text, a code for every cell.
    Category,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// True or false.
    Flag,
    /// Lists of text.
    List,
    /// Lists of numbers.
    NumberList,
    /// Something this crate does not read.
    Other,
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Category => "categories",
            Self::Integer => "integers",
            Self::Number => "numbers",
            Self::Flag => "booleans",
            Self::List => "lists",
            Self::NumberList => "lists of numbers",
            Self::Other => "something else",
        })
    }
}

/// An AnnData file, opened for reading in blocks of rows.
///
/// Reads `X` or a layer, dense or as compressed sparse rows, of any type of number; text, categorical, numeric, boolean
/// and nullable columns, also as written by anndata 0.7; and chunks compressed by gzip, LZF, LZ4 or SZIP. The file is
/// mapped, not loaded.
///
/// # Examples
///
/// ```no_run
/// use tn_io::{AnnData, SectionReader};
///
/// let section = AnnData::open("section.h5ad")?;
/// println!("{} cells, {} genes, columns {:?}", section.n_cells(), section.genes().len(), section.columns());
/// let class = section.text_column("class")?;
/// let rows = section.rows(0..1_000.min(section.n_cells()))?;
/// let (genes, values) = rows.row(0);
/// # Ok::<(), tn_io::ReadError>(())
/// ```
pub struct AnnData {
    storage: Storage,
    n_cells: usize,
    genes: Vec<String>,
    obs: Group,
    index: String,
    columns: Vec<String>,
    old_categories: Option<Group>,
    layers: Vec<String>,
    matrix_name: String,
    matrix: Option<Matrix>,
}

impl AnnData {
    /// Opens a file and its matrix `X`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is no AnnData file, or if `X` is stored in a form that cannot be
    /// read.
    pub fn open<P: AsRef<Path>>(path: P) -> Result<Self, ReadError> {
        Self::open_matrix(path.as_ref(), None)
    }

    /// Opens a file and one of its layers.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is no AnnData file, or if there is no such layer or it is stored
    /// in a form that cannot be read.
    pub fn open_layer<P: AsRef<Path>>(path: P, layer: &str) -> Result<Self, ReadError> {
        Self::open_matrix(path.as_ref(), Some(layer))
    }

    /// Opens a file whose matrices may be absent or in a form that cannot be read. Reading rows is then an error.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is no AnnData file.
    pub fn open_without_matrix<P: AsRef<Path>>(path: P) -> Result<Self, ReadError> {
        Self::open_tables(path.as_ref())
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.storage.path
    }

    /// Returns the names of the layers.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// Says where the open matrix is (`X` or `layers/NAME`) and how it is stored.
    pub fn matrix_encoding(&self) -> (String, String) {
        (self.matrix_name.clone(), self.matrix.as_ref().map_or_else(|| "not opened".to_owned(), Matrix::encoding))
    }

    /// Says what a column holds.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such column or it cannot be read.
    pub fn column_kind(&self, name: &str) -> Result<ColumnKind, ReadError> {
        Ok(self.column(name)?.kind())
    }

    /// Returns a text stored in `uns`, for example at `tissuenarrator/provenance`, or nothing if it is not there.
    ///
    /// # Errors
    ///
    /// Returns an error if it is there but cannot be read.
    pub fn unstructured_text(&self, key: &str) -> Result<Option<String>, ReadError> {
        let mut group = self.storage.root()?;
        let mut parent = "/".to_owned();
        let path: Vec<&str> = std::iter::once("uns").chain(key.split('/')).collect();
        for (depth, name) in path.iter().enumerate() {
            match self.storage.child(&group, &parent, name)? {
                Some(Node::Group(child)) => group = child,
                Some(Node::Dataset(dataset)) if depth + 1 == path.len() => {
                    return Ok(self.storage.strings(&dataset, key)?.into_iter().next());
                }
                _ => return Ok(None),
            }
            parent = path[..=depth].join("/");
        }
        Ok(None)
    }

    fn open_matrix(path: &Path, layer: Option<&str>) -> Result<Self, ReadError> {
        let mut opened = Self::open_tables(path)?;
        let storage = &opened.storage;
        let root = storage.root()?;
        let name = layer.map_or_else(|| "X".to_owned(), |layer| format!("layers/{layer}"));
        let node = match layer {
            None => storage.child(&root, "/", "X")?,
            Some(layer) => match storage.child(&root, "/", "layers")? {
                Some(Node::Group(layers)) => storage.child(&layers, "layers", layer)?,
                _ => None,
            },
        };
        let node = match (node, layer) {
            (Some(node), _) => node,
            (None, Some(layer)) => {
                return Err(ReadError::MissingLayer { path: path.to_owned(), layer: layer.to_owned(), layers: opened.layers });
            }
            (None, None) => {
                let found = opened.layers.iter().map(|layer| format!("layers/{layer}")).collect();
                return Err(ReadError::MissingObject { path: path.to_owned(), object: name, found });
            }
        };
        opened.matrix = Some(Matrix::open(storage, node, &name, opened.n_cells, opened.genes.len())?);
        opened.matrix_name = name;
        Ok(opened)
    }

    fn open_tables(path: &Path) -> Result<Self, ReadError> {
        let storage = Storage::open(path)?;
        let root = storage.root()?;
        let table = |name: &str| match storage.child(&root, "/", name)? {
            Some(Node::Group(group)) => Ok(group),
            Some(Node::Dataset(_)) => Err(ReadError::UnsupportedEncoding {
                path: path.to_owned(),
                object: name.to_owned(),
                found: "a table of records (anndata before 0.7)".to_owned(),
                remedy: RESAVE_OLD,
            }),
            None => {
                let (groups, datasets) = storage.members(&root, "/")?;
                Err(ReadError::MissingObject { path: path.to_owned(), object: name.to_owned(), found: [groups, datasets].concat() })
            }
        };
        let (obs, var) = (table("obs")?, table("var")?);
        let genes = read_index(&storage, &var, "var")?;
        let index = index_name(&Node::Group(obs.clone()));
        let n_cells = index_length(&storage, &obs)?;
        let old_categories = match storage.child(&obs, "obs", "__categories")? {
            Some(Node::Group(group)) => Some(group),
            _ => None,
        };
        let columns = column_names(&storage, &obs, &index)?;
        let layers = layer_names(&storage, &root)?;
        let matrix_name = "X".to_owned();
        Ok(Self { storage, n_cells, genes, obs, index, columns, old_categories, layers, matrix_name, matrix: None })
    }

    fn column(&self, name: &str) -> Result<Column<'_>, ReadError> {
        let missing =
            || ReadError::MissingColumn { path: self.storage.path.clone(), column: name.to_owned(), columns: self.columns.clone() };
        if name != self.index && !self.columns.iter().any(|column| column == name) {
            return Err(missing());
        }
        let node = self.storage.child(&self.obs, "obs", name)?.ok_or_else(missing)?;
        let old_categories = match &self.old_categories {
            Some(group) => match self.storage.child(group, "obs/__categories", name)? {
                Some(Node::Dataset(dataset)) => Some(dataset),
                _ => None,
            },
            None => None,
        };
        Ok(Column { storage: &self.storage, object: format!("obs/{name}"), node, old_categories })
    }

    fn check_length(&self, object: &str, found: usize) -> Result<(), ReadError> {
        if found == self.n_cells {
            return Ok(());
        }
        Err(ReadError::WrongLength { path: self.storage.path.clone(), object: object.to_owned(), expected: self.n_cells, found })
    }
}

impl fmt::Debug for AnnData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnData")
            .field("path", &self.storage.path)
            .field("matrix", &self.matrix_name)
            .field("n_cells", &self.n_cells)
            .field("n_genes", &self.genes.len())
            .finish_non_exhaustive()
    }
}

impl SectionReader for AnnData {
    fn file_name(&self) -> String {
        self.storage.path.display().to_string()
    }

    fn n_cells(&self) -> usize {
        self.n_cells
    }

    fn genes(&self) -> &[String] {
        &self.genes
    }

    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn cell_names(&self) -> Result<Vec<String>, ReadError> {
        let names = read_index(&self.storage, &self.obs, "obs")?;
        self.check_length(&format!("obs/{}", self.index), names.len())?;
        Ok(names)
    }

    fn text_column(&self, name: &str) -> Result<TextColumn, ReadError> {
        let column = self.column(name)?.text()?;
        self.check_length(&format!("obs/{name}"), column.codes.len())?;
        Ok(column)
    }

    fn number_column(&self, name: &str) -> Result<Vec<f64>, ReadError> {
        let values = self.column(name)?.numbers(name)?;
        self.check_length(&format!("obs/{name}"), values.len())?;
        Ok(values)
    }

    fn coordinates(&self) -> Result<Option<Vec<[f64; 2]>>, ReadError> {
        let root = self.storage.root()?;
        let Some(Node::Group(obsm)) = self.storage.child(&root, "/", "obsm")? else { return Ok(None) };
        for object in ["spatial", "X_spatial"] {
            let Some(Node::Dataset(dataset)) = self.storage.child(&obsm, "obsm", object)? else { continue };
            let &[rows, axes] = dataset.shape() else { continue };
            if axes < 2 {
                continue;
            }
            self.check_length(&format!("obsm/{object}"), rows as usize)?;
            let values: Vec<f64> = self.storage.number_range(&dataset, &format!("obsm/{object}"), 0, rows)?;
            return Ok(Some(values.chunks_exact(axes as usize).map(|place| [place[0], place[1]]).collect()));
        }
        Ok(None)
    }

    fn rows(&self, range: Range<usize>) -> Result<SparseRows, ReadError> {
        assert!(range.start <= range.end && range.end <= self.n_cells, "rows {range:?} of {} cells", self.n_cells);
        let matrix = self.matrix.as_ref().ok_or_else(|| ReadError::MissingObject {
            path: self.storage.path.clone(),
            object: self.matrix_name.clone(),
            found: self.layers.clone(),
        })?;
        matrix.rows(&self.storage, &self.matrix_name, range, self.genes.len())
    }

    fn rows_per_block(&self) -> usize {
        self.matrix.as_ref().map_or(1, |matrix| matrix.rows_per_block(self.n_cells, self.genes.len()))
    }
}

/// Returns the name of the member that holds the row names of a table.
fn index_name(table: &Node) -> String {
    table.text_attribute("_index").unwrap_or_else(|| "_index".to_owned())
}

fn index_column<'s>(storage: &'s Storage, table: &Group, object: &str) -> Result<Column<'s>, ReadError> {
    let name = index_name(&Node::Group(table.clone()));
    let node = storage.child(table, object, &name)?.ok_or_else(|| {
        let found = storage.members(table, object).map_or_else(|_| Vec::new(), |(_, datasets)| datasets);
        ReadError::MissingObject { path: storage.path.clone(), object: format!("{object}/{name}"), found }
    })?;
    Ok(Column { storage, object: format!("{object}/{name}"), node, old_categories: None })
}

fn read_index(storage: &Storage, table: &Group, object: &str) -> Result<Vec<String>, ReadError> {
    let column = index_column(storage, table, object)?;
    match &column.node {
        // Row names differ from each other: no need to look for repetitions.
        Node::Dataset(dataset) if column.kind() == ColumnKind::Text => storage.strings(dataset, &column.object),
        _ => {
            let text = column.text()?;
            Ok((0..text.codes.len()).map(|row| text.get(row).unwrap_or_default().to_owned()).collect())
        }
    }
}

fn index_length(storage: &Storage, obs: &Group) -> Result<usize, ReadError> {
    let column = index_column(storage, obs, "obs")?;
    match &column.node {
        Node::Dataset(dataset) => Ok(dataset.shape().first().copied().unwrap_or(0) as usize),
        Node::Group(_) => Ok(column.text()?.codes.len()),
    }
}

/// Returns the columns of a table: those of `column-order` first, then any others.
fn column_names(storage: &Storage, table: &Group, index: &str) -> Result<Vec<String>, ReadError> {
    let (groups, datasets) = storage.members(table, "obs")?;
    let present: Vec<String> = groups.into_iter().chain(datasets).filter(|name| name != index && !name.starts_with("__")).collect();
    let order = table.attribute("column-order").and_then(|attribute| attribute.read_strings()).unwrap_or_default();
    let mut columns: Vec<String> = order.into_iter().filter(|name| present.contains(name)).collect();
    for name in present {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    Ok(columns)
}

fn layer_names(storage: &Storage, root: &Group) -> Result<Vec<String>, ReadError> {
    match storage.child(root, "/", "layers")? {
        Some(Node::Group(group)) => {
            let (groups, datasets) = storage.members(&group, "layers")?;
            Ok([groups, datasets].concat())
        }
        _ => Ok(Vec::new()),
    }
}
