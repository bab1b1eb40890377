//! AnnData files (`.h5ad`).

mod column;
pub(crate) mod matrix;
mod writer;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use self::column::Column;
use self::matrix::Matrix;
pub use self::writer::{AnnDataRow, AnnDataWriter, WriteError};
use crate::ReadError;
use crate::section_reader::{LengthUnit, SectionReader, SparseRows, TextColumn};
use crate::storage::{Group, Node, Storage};

/// Name of the matrix of all genes.
pub(crate) const RAW: &str = "raw/X";

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

/// An AnnData file or folder, opened for reading in blocks of rows.
///
/// Reads `X`, a layer or `raw`, dense or as compressed sparse rows or columns, of any type of number; text, categorical,
/// numeric, boolean and nullable columns, also as written by anndata 0.7; and chunks compressed by gzip, LZF, zstd, LZ4 or
/// SZIP. The file is mapped, not loaded.
///
/// With the feature `zarr` it also reads a Zarr folder (format 2 or 3), and the table of a SpatialData folder: the only
/// one, or the one whose folder (`NAME.zarr/tables/TABLE`) is named.
///
/// A matrix stored by columns (CSC) is turned when its first rows are read: its values go once through a temporary file
/// (in the folder that the environment variable `TMPDIR` names), in memory that does not depend on their number.
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
    /// The group that holds `X`, `obs` and `var`.
    root: Group,
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
        let mut opened = Self::open_tables(path.as_ref())?;
        let node = opened.storage.child(&opened.root, "/", "X")?;
        let node = node.ok_or_else(|| {
            let found = opened.layers.iter().map(|layer| format!("layers/{layer}")).collect();
            ReadError::MissingObject { path: opened.storage.path.clone(), object: "X".to_owned(), found }
        })?;
        opened.set_matrix("X".to_owned(), node)?;
        Ok(opened)
    }

    /// Opens a file and one of its layers.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is no AnnData file, or if there is no such layer or it is stored
    /// in a form that cannot be read.
    pub fn open_layer<P: AsRef<Path>>(path: P, layer: &str) -> Result<Self, ReadError> {
        let mut opened = Self::open_tables(path.as_ref())?;
        let node = match opened.storage.child(&opened.root, "/", "layers")? {
            Some(Node::Group(layers)) => opened.storage.child(&layers, "layers", layer)?,
            _ => None,
        };
        let node = node.ok_or_else(|| ReadError::MissingLayer {
            path: opened.storage.path.clone(),
            layer: layer.to_owned(),
            layers: opened.layers.clone(),
        })?;
        opened.set_matrix(format!("layers/{layer}"), node)?;
        Ok(opened)
    }

    /// Opens a file and its matrix `raw/X`, with the genes of `raw/var`: all genes, as they were before some were chosen.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is no AnnData file, or if it has no `raw` or stores it in a form
    /// that cannot be read.
    pub fn open_raw<P: AsRef<Path>>(path: P) -> Result<Self, ReadError> {
        let mut opened = Self::open_tables(path.as_ref())?;
        let missing = |object: &str, found| ReadError::MissingObject { path: path.as_ref().to_owned(), object: object.to_owned(), found };
        let storage = &opened.storage;
        let Some(Node::Group(raw)) = storage.child(&opened.root, "/", "raw")? else {
            let (groups, arrays) = storage.members(&opened.root, "/")?;
            return Err(missing("raw", [groups, arrays].concat()));
        };
        let (groups, arrays) = storage.members(&raw, "raw")?;
        let Some(Node::Group(var)) = storage.child(&raw, "raw", "var")? else {
            return Err(missing("raw/var", [groups, arrays].concat()));
        };
        let node = storage.child(&raw, "raw", "X")?.ok_or_else(|| missing("raw/X", [groups, arrays].concat()))?;
        opened.genes = read_index(storage, &var, "raw/var")?;
        opened.set_matrix(RAW.to_owned(), node)?;
        Ok(opened)
    }

    /// Opens a file whose matrices may be absent or in a form that cannot be read. Reading rows is then an error.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is no AnnData file.
    pub fn open_without_matrix<P: AsRef<Path>>(path: P) -> Result<Self, ReadError> {
        Self::open_tables(path.as_ref())
    }

    /// Says what the file is, in words.
    pub fn container(&self) -> &'static str {
        self.storage.container_name()
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.storage.path
    }

    /// Returns whether the file has a matrix `raw/X`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is damaged there.
    pub fn has_raw(&self) -> Result<bool, ReadError> {
        match self.storage.child(&self.root, "/", "raw")? {
            Some(Node::Group(raw)) => Ok(self.storage.child(&raw, "raw", "X")?.is_some()),
            _ => Ok(false),
        }
    }

    /// Returns the names of the layers.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// Says where the open matrix is (`X` or `layers/NAME`) and how it is stored.
    pub fn matrix_encoding(&self) -> (String, String) {
        (self.matrix_name.clone(), self.matrix.as_ref().map_or_else(|| "not opened".to_owned(), Matrix::encoding))
    }

    /// Returns a text stored in `uns`, for example at `tissuenarrator/provenance`, or nothing if it is not there.
    ///
    /// # Errors
    ///
    /// Returns an error if it is there but cannot be read.
    pub fn unstructured_text(&self, key: &str) -> Result<Option<String>, ReadError> {
        let mut group = self.root.clone();
        let mut parent = "/".to_owned();
        let path: Vec<&str> = std::iter::once("uns").chain(key.split('/')).collect();
        for (depth, name) in path.iter().enumerate() {
            match self.storage.child(&group, &parent, name)? {
                Some(Node::Group(child)) => group = child,
                Some(Node::Array(array)) if depth + 1 == path.len() => {
                    return Ok(self.storage.strings(&array, key)?.into_iter().next());
                }
                _ => return Ok(None),
            }
            parent = path[..=depth].join("/");
        }
        Ok(None)
    }

    fn set_matrix(&mut self, name: String, node: Node) -> Result<(), ReadError> {
        self.matrix = Some(Matrix::open(&self.storage, node, &name, self.n_cells, self.genes.len())?);
        self.matrix_name = name;
        Ok(())
    }

    fn open_tables(path: &Path) -> Result<Self, ReadError> {
        let storage = Storage::open(path)?;
        let root = annotated_matrix(&storage)?;
        let table = |name: &str| match storage.child(&root, "/", name)? {
            Some(Node::Group(group)) => Ok(group),
            Some(Node::Array(_)) => Err(ReadError::UnsupportedEncoding {
                path: path.to_owned(),
                object: name.to_owned(),
                found: "a table of records (anndata before 0.7)".to_owned(),
                remedy: RESAVE_OLD,
            }),
            None => {
                let (groups, arrays) = storage.members(&root, "/")?;
                Err(ReadError::MissingObject { path: path.to_owned(), object: name.to_owned(), found: [groups, arrays].concat() })
            }
        };
        let (obs, var) = (table("obs")?, table("var")?);
        let genes = read_index(&storage, &var, "var")?;
        let index = index_name(&obs);
        let n_cells = index_length(&storage, &obs)?;
        let old_categories = match storage.child(&obs, "obs", "__categories")? {
            Some(Node::Group(group)) => Some(group),
            _ => None,
        };
        let columns = column_names(&storage, &obs, &index)?;
        let layers = layer_names(&storage, &root)?;
        let matrix_name = "X".to_owned();
        Ok(Self { storage, root, n_cells, genes, obs, index, columns, old_categories, layers, matrix_name, matrix: None })
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
                Some(Node::Array(array)) => Some(array),
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

    fn inputs(&self) -> Vec<PathBuf> {
        vec![self.storage.path.clone()]
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

    fn column_kind(&self, name: &str) -> Result<ColumnKind, ReadError> {
        Ok(self.column(name)?.kind())
    }

    fn length_unit(&self, _: Option<&str>) -> LengthUnit {
        LengthUnit::Unstated
    }

    fn coordinates(&self) -> Result<Option<Vec<[f64; 2]>>, ReadError> {
        let Some(Node::Group(obsm)) = self.storage.child(&self.root, "/", "obsm")? else { return Ok(None) };
        for object in ["spatial", "X_spatial"] {
            let Some(Node::Array(array)) = self.storage.child(&obsm, "obsm", object)? else { continue };
            let &[rows, axes] = array.shape() else { continue };
            if axes < 2 {
                continue;
            }
            self.check_length(&format!("obsm/{object}"), rows as usize)?;
            let values: Vec<f64> = self.storage.numbers(&array, &format!("obsm/{object}"))?;
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
        matrix.rows(&self.storage, &self.matrix_name, range, (self.n_cells, self.genes.len()))
    }

    fn rows_per_block(&self) -> usize {
        self.matrix.as_ref().map_or(1, |matrix| matrix.rows_per_block(self.n_cells, self.genes.len()))
    }
}

/// Returns the group that holds `X`, `obs` and `var`: the root or, in SpatialData, a table.
fn annotated_matrix(storage: &Storage) -> Result<Group, ReadError> {
    let root = storage.root()?;
    if storage.child(&root, "/", "obs")?.is_some() {
        return Ok(root);
    }
    // Before SpatialData 0.1 there was one table, `table/table`.
    for folder in ["tables", "table"] {
        let Some(Node::Group(tables)) = storage.child(&root, "/", folder)? else { continue };
        let (names, _) = storage.members(&tables, folder)?;
        let [name] = names.as_slice() else {
            return Err(ReadError::SeveralTables { path: storage.path.clone(), folder, tables: names });
        };
        if let Some(Node::Group(table)) = storage.child(&tables, folder, name)? {
            return Ok(table);
        }
    }
    Ok(root)
}

/// Returns the name of the member that holds the row names of a table.
fn index_name(table: &Group) -> String {
    table.text_attribute("_index").unwrap_or_else(|| "_index".to_owned())
}

fn index_column<'s>(storage: &'s Storage, table: &Group, object: &str) -> Result<Column<'s>, ReadError> {
    let name = index_name(table);
    let node = storage.child(table, object, &name)?.ok_or_else(|| {
        let found = storage.members(table, object).map_or_else(|_| Vec::new(), |(_, arrays)| arrays);
        ReadError::MissingObject { path: storage.path.clone(), object: format!("{object}/{name}"), found }
    })?;
    Ok(Column { storage, object: format!("{object}/{name}"), node, old_categories: None })
}

fn read_index(storage: &Storage, table: &Group, object: &str) -> Result<Vec<String>, ReadError> {
    let column = index_column(storage, table, object)?;
    match &column.node {
        // Row names differ from each other: no need to look for repetitions.
        Node::Array(array) if column.kind() == ColumnKind::Text => storage.strings(array, &column.object),
        _ => {
            let text = column.text()?;
            Ok((0..text.codes.len()).map(|row| text.get(row).unwrap_or_default().to_owned()).collect())
        }
    }
}

fn index_length(storage: &Storage, obs: &Group) -> Result<usize, ReadError> {
    let column = index_column(storage, obs, "obs")?;
    match &column.node {
        Node::Array(array) => Ok(array.length() as usize),
        Node::Group(_) => Ok(column.text()?.codes.len()),
    }
}

/// Returns the columns of a table: those of `column-order` first, then any others.
fn column_names(storage: &Storage, table: &Group, index: &str) -> Result<Vec<String>, ReadError> {
    let (groups, arrays) = storage.members(table, "obs")?;
    let present: Vec<String> = groups.into_iter().chain(arrays).filter(|name| name != index && !name.starts_with("__")).collect();
    let order = table.texts_attribute("column-order");
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
            let (groups, arrays) = storage.members(&group, "layers")?;
            Ok([groups, arrays].concat())
        }
        _ => Ok(Vec::new()),
    }
}
