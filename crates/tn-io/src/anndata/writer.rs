//! Writing AnnData files that anndata and scanpy open.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, DatasetBuilder, FileAccessProperties, FileBuilder, FileLocking, FinishedGroup, GroupBuilder, MaxExtent};
use thiserror::Error;
use tn_sentence::Position;

use crate::output::{folder, named_temporary, persist};
use crate::section_reader::MISSING;

/// Values per chunk of the expression matrix. It must need one, two or four bytes: hdf5-pure 0.47 writes the others in four,
/// which HDF5 2.0 refuses to read.
const CHUNK_VALUES: u64 = 1 << 15;
/// Compression level, fast.
const DEFLATE_LEVEL: u32 = 4;

/// Name of the index of `obs`.
const INDEX: &str = "cell_name";
/// Name of the index of `var`.
const VAR_INDEX: &str = "gene";
/// Values that are copied at once from a temporary file.
const COPY_VALUES: usize = 1 << 20;

/// One cell of an AnnData file.
#[derive(Clone, Copy, Debug)]
pub struct AnnDataRow<'r> {
    /// Name, the index of `obs`.
    pub name: &'r str,
    /// Coordinates in micrometers.
    pub position: Position,
    /// Values of the text columns, in their order. An empty value is missing.
    pub columns: &'r [&'r str],
    /// Indices of the expressed genes.
    pub genes: &'r [u32],
    /// Expression of these genes.
    pub values: &'r [f32],
}

/// Writes an AnnData file cell by cell.
///
/// The file has `X` as compressed sparse rows (float32), categorical columns and `x`, `y` in `obs`, the coordinates once
/// more in `obsm/spatial`, and texts in `uns/tissuenarrator`. Expression goes through temporary files in the folder of
/// the output, so memory holds some 50 bytes a cell. The file appears when [`AnnDataWriter::finish`] returns; before
/// that, and if the writer is dropped, there is none.
///
/// # Examples
///
/// ```
/// use tn_io::{AnnData, AnnDataRow, AnnDataWriter, SectionReader};
/// use tn_sentence::Position;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("section.h5ad");
/// let mut writer = AnnDataWriter::create(&path, &["GFAP", "AQP4"], &["section", "class"])?;
/// writer.push(&AnnDataRow {
///     name: "cell_1",
///     position: Position::new(12.5, 80.0)?,
///     columns: &["section_01", "Astro"],
///     genes: &[0],
///     values: &[3.0],
/// })?;
/// writer.finish()?;
///
/// let section = AnnData::open(&path)?;
/// assert_eq!(section.text_column("class")?.get(0), Some("Astro"));
/// assert_eq!(section.rows(0..1)?.row(0), (&[0][..], &[3.0][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AnnDataWriter {
    path: PathBuf,
    genes: Vec<String>,
    names: Vec<String>,
    positions: Vec<f64>,
    columns: Vec<CategoryColumn>,
    row_ends: Vec<i64>,
    gene_spool: BufWriter<File>,
    value_spool: BufWriter<File>,
    texts: Vec<(String, String)>,
}

/// A column of categories that is being collected.
#[derive(Debug)]
struct CategoryColumn {
    name: String,
    index: HashMap<String, u32>,
    codes: Vec<u32>,
}

impl AnnDataWriter {
    /// Starts a file with the given genes and text columns.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be written, or if a column is named `x`, `y` or `cell_name`, like those
    /// that are always written.
    pub fn create<P: Into<PathBuf>>(path: P, genes: &[impl AsRef<str>], columns: &[impl AsRef<str>]) -> Result<Self, WriteError> {
        let path = path.into();
        let mut taken = vec!["x", "y", INDEX];
        for column in columns {
            let column = column.as_ref();
            if taken.contains(&column) || column.is_empty() || column.contains('/') {
                return Err(WriteError::InvalidColumn { path, column: column.to_owned() });
            }
            taken.push(column);
        }
        let spool = || tempfile::tempfile_in(folder(&path)).map(BufWriter::new);
        let io_error = |source| WriteError::Io { path: path.clone(), source };
        Ok(Self {
            gene_spool: spool().map_err(io_error)?,
            value_spool: spool().map_err(io_error)?,
            genes: genes.iter().map(|gene| gene.as_ref().to_owned()).collect(),
            names: Vec::new(),
            positions: Vec::new(),
            columns: columns
                .iter()
                .map(|name| CategoryColumn { name: name.as_ref().to_owned(), index: HashMap::new(), codes: Vec::new() })
                .collect(),
            row_ends: vec![0],
            texts: Vec::new(),
            path,
        })
    }

    /// Adds a text to `uns/tissuenarrator`, for example provenance or the truth of a simulation as JSON.
    #[must_use]
    pub fn with_text(mut self, key: &str, text: &str) -> Self {
        self.texts.push((key.to_owned(), text.to_owned()));
        self
    }

    /// Writes a cell.
    ///
    /// # Errors
    ///
    /// Returns an error if the row does not fit the columns or the genes, or if writing fails.
    pub fn push(&mut self, row: &AnnDataRow<'_>) -> Result<(), WriteError> {
        self.check(row)?;
        for gene in row.genes {
            self.gene_spool.write_all(&gene.to_le_bytes()).map_err(|source| self.io_error(source))?;
        }
        for value in row.values {
            self.value_spool.write_all(&value.to_le_bytes()).map_err(|source| self.io_error(source))?;
        }
        self.names.push(row.name.to_owned());
        self.positions.extend([row.position.x(), row.position.y()]);
        for (column, &value) in self.columns.iter_mut().zip(row.columns) {
            column.push(value);
        }
        let end = self.row_ends.last().copied().unwrap_or(0) + row.genes.len() as i64;
        self.row_ends.push(end);
        Ok(())
    }

    /// Completes the file.
    ///
    /// # Errors
    ///
    /// Returns an error if writing fails; then there is no file.
    pub fn finish(self) -> Result<(), WriteError> {
        let temporary = named_temporary(&self.path).map_err(|source| self.io_error(source))?;
        let (file, temporary) = temporary.into_parts();
        self.skeleton().write(&temporary).map_err(|source| self.hdf5_error(source))?;

        let is_narrow = self.narrow_row_ends().is_some();
        let Self { path, gene_spool, value_spool, .. } = self;
        let io_error = |source| WriteError::Io { path: path.clone(), source };
        let (genes, values) = (rewind(gene_spool).map_err(io_error)?, rewind(value_spool).map_err(io_error)?);
        let indices = "X/indices";
        let appended = match is_narrow {
            true => append(&temporary, indices, genes, i32::from_le_bytes),
            false => append(&temporary, indices, genes, |bytes| i64::from(u32::from_le_bytes(bytes))),
        };
        appended.and_then(|()| append(&temporary, "X/data", values, f32::from_le_bytes)).map_err(|failure| failure.into_error(&path))?;
        persist(&file, temporary, &path).map_err(io_error)
    }

    fn check(&self, row: &AnnDataRow<'_>) -> Result<(), WriteError> {
        let wrong_length =
            |what, expected, found| WriteError::WrongLength { path: self.path.clone(), cell: row.name.to_owned(), what, expected, found };
        if row.columns.len() != self.columns.len() {
            return Err(wrong_length("column values", self.columns.len(), row.columns.len()));
        }
        if row.values.len() != row.genes.len() {
            return Err(wrong_length("expression values", row.genes.len(), row.values.len()));
        }
        if let Some(&gene) = row.genes.iter().find(|&&gene| gene as usize >= self.genes.len()) {
            return Err(WriteError::UnknownGene { path: self.path.clone(), cell: row.name.to_owned(), gene, genes: self.genes.len() });
        }
        Ok(())
    }

    /// Returns the row ends in 32 bits, or nothing if there are more values than that counts.
    fn narrow_row_ends(&self) -> Option<Vec<i32>> {
        self.row_ends.iter().map(|&end| i32::try_from(end).ok()).collect()
    }

    /// Returns the file without the values of its matrix.
    fn skeleton(&self) -> FileBuilder {
        let cells = self.names.len();
        let mut file = FileBuilder::new();
        encoding("anndata", "0.1.0", |name, value| file.set_attr(name, value));

        let mut matrix = file.create_group("X");
        encoding("csr_matrix", "0.1.0", |name, value| matrix.set_attr(name, value));
        matrix.set_attr("shape", AttrValue::I64Array(vec![cells as i64, self.genes.len() as i64]));
        let growing = |dataset: &mut DatasetBuilder| {
            dataset
                .with_shape(&[0])
                .with_maxshape(&[MaxExtent::Unlimited])
                .with_chunks(&[CHUNK_VALUES])
                .with_shuffle()
                .with_deflate(DEFLATE_LEVEL);
        };
        growing(matrix.create_dataset("data").with_f32_data(&[]));
        // scipy computes with indices and pointers of one width only, and prefers the narrow one.
        match self.narrow_row_ends() {
            Some(row_ends) => {
                growing(matrix.create_dataset("indices").with_i32_data(&[]));
                matrix.create_dataset("indptr").with_i32_data(&row_ends);
            }
            None => {
                growing(matrix.create_dataset("indices").with_i64_data(&[]));
                matrix.create_dataset("indptr").with_i64_data(&self.row_ends);
            }
        }
        file.add_group(matrix.finish());

        let obs = file.create_group("obs");
        file.add_group(self.obs(obs));
        let mut var = file.create_group("var");
        encoding("dataframe", "0.2.0", |name, value| var.set_attr(name, value));
        var.set_attr("_index", text(VAR_INDEX));
        var.set_attr("column-order", AttrValue::VarLenStringArray(Vec::new()));
        strings(&mut var, VAR_INDEX, self.genes.iter().map(String::as_str));
        file.add_group(var.finish());

        let mut obsm = file.create_group("obsm");
        encoding("dict", "0.1.0", |name, value| obsm.set_attr(name, value));
        let spatial = obsm.create_dataset("spatial").with_f64_data(&self.positions).with_shape(&[cells as u64, 2]);
        encoding("array", "0.2.0", |name, value| {
            spatial.set_attr(name, value);
        });
        file.add_group(obsm.finish());

        let mut uns = file.create_group("uns");
        encoding("dict", "0.1.0", |name, value| uns.set_attr(name, value));
        let mut own = uns.create_group("tissuenarrator");
        encoding("dict", "0.1.0", |name, value| own.set_attr(name, value));
        for (key, value) in &self.texts {
            let dataset = own.create_dataset(key).with_vlen_strings(&[value]).with_shape(&[]);
            encoding("string", "0.2.0", |name, value| {
                dataset.set_attr(name, value);
            });
        }
        uns.add_group(own.finish());
        file.add_group(uns.finish());

        for empty in ["layers", "obsp", "varm", "varp"] {
            let mut group = file.create_group(empty);
            encoding("dict", "0.1.0", |name, value| group.set_attr(name, value));
            file.add_group(group.finish());
        }
        file
    }

    fn obs(&self, mut obs: GroupBuilder) -> FinishedGroup {
        encoding("dataframe", "0.2.0", |name, value| obs.set_attr(name, value));
        obs.set_attr("_index", text(INDEX));
        let order = ["x", "y"].into_iter().map(str::to_owned).chain(self.columns.iter().map(|column| column.name.clone()));
        obs.set_attr("column-order", AttrValue::VarLenStringArray(order.collect()));
        strings(&mut obs, INDEX, self.names.iter().map(String::as_str));
        for (axis, name) in ["x", "y"].into_iter().enumerate() {
            let values: Vec<f64> = self.positions.iter().skip(axis).step_by(2).copied().collect();
            let dataset = obs.create_dataset(name).with_f64_data(&values);
            encoding("array", "0.2.0", |name, value| {
                dataset.set_attr(name, value);
            });
        }
        for column in &self.columns {
            let (categories, codes) = column.sorted();
            let mut group = obs.create_group(&column.name);
            encoding("categorical", "0.2.0", |name, value| group.set_attr(name, value));
            // anndata wants a boolean here, which HDF5 knows as an enumeration; it takes a number as well.
            group.set_attr("ordered", AttrValue::U8(0));
            strings(&mut group, "categories", categories.into_iter());
            let dataset = group.create_dataset("codes").with_i32_data(&codes);
            encoding("array", "0.2.0", |name, value| {
                dataset.set_attr(name, value);
            });
            obs.add_group(group.finish());
        }
        obs.finish()
    }

    fn io_error(&self, source: io::Error) -> WriteError {
        WriteError::Io { path: self.path.clone(), source }
    }

    fn hdf5_error(&self, source: hdf5_pure::Error) -> WriteError {
        WriteError::Hdf5 { path: self.path.clone(), source: Box::new(source) }
    }
}

impl CategoryColumn {
    fn push(&mut self, value: &str) {
        if value.is_empty() {
            self.codes.push(MISSING);
            return;
        }
        let next = self.index.len() as u32;
        let code = match self.index.get(value) {
            Some(&code) => code,
            None => *self.index.entry(value.to_owned()).or_insert(next),
        };
        self.codes.push(code);
    }

    /// Returns the categories in alphabetical order, as pandas does, and the codes that go with it; -1 is missing.
    fn sorted(&self) -> (Vec<&str>, Vec<i32>) {
        let mut categories: Vec<(&str, u32)> = self.index.iter().map(|(value, &code)| (value.as_str(), code)).collect();
        categories.sort_unstable();
        let mut places = vec![0; categories.len()];
        for (place, (_, code)) in (0..).zip(&categories) {
            places[*code as usize] = place;
        }
        let codes = self.codes.iter().map(|&code| places.get(code as usize).copied().unwrap_or(-1)).collect();
        (categories.into_iter().map(|(value, _)| value).collect(), codes)
    }
}

/// Why an AnnData file could not be written. Every variant names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The file or a temporary file cannot be written.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The HDF5 layer failed.
    #[error("cannot write {}", path.display())]
    Hdf5 {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A column cannot have this name, because it is taken, empty or a path.
    #[error("{} cannot have another column {column:?}", path.display())]
    InvalidColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// A cell does not fit the columns of the file, or its values do not fit its genes.
    #[error("cell {cell} for {} has {found} {what}, expected {expected}", path.display())]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Name of the cell.
        cell: String,
        /// What there is too much or too little of.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A gene index is outside the panel.
    #[error("cell {cell} for {} has gene {gene} of a panel of {genes}", path.display())]
    UnknownGene {
        /// The file.
        path: PathBuf,
        /// Name of the cell.
        cell: String,
        /// The index.
        gene: u32,
        /// Genes of the panel.
        genes: usize,
    },
}

/// Why values could not be copied into the file.
enum Failure {
    Io(io::Error),
    Hdf5(hdf5_pure::Error),
}

impl Failure {
    fn into_error(self, path: &Path) -> WriteError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => WriteError::Io { path, source },
            Self::Hdf5(source) => WriteError::Hdf5 { path, source: Box::new(source) },
        }
    }
}

fn rewind(spool: BufWriter<File>) -> io::Result<BufReader<File>> {
    let mut file = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(BufReader::new(file))
}

/// Copies four-byte values from a temporary file to the end of a data set.
fn append<T: hdf5_pure::H5Element>(
    path: &Path,
    dataset: &str,
    mut spool: BufReader<File>,
    decode: fn([u8; 4]) -> T,
) -> Result<(), Failure> {
    // Nobody else knows the file, whose name is temporary. A lock of before would outlive its file in a process that is just being started.
    let properties = FileAccessProperties::new().with_locking(FileLocking::Disabled);
    let file = hdf5_pure::File::open_rw_with_options(path, properties).map_err(Failure::Hdf5)?;
    let mut dataset = file.dataset(dataset).map_err(Failure::Hdf5)?;
    let mut appender = dataset.buffered_appender().map_err(Failure::Hdf5)?;
    loop {
        let mut bytes = Vec::new();
        spool.by_ref().take(4 * COPY_VALUES as u64).read_to_end(&mut bytes).map_err(Failure::Io)?;
        if bytes.is_empty() {
            break;
        }
        let (words, _) = bytes.as_chunks::<4>();
        let values: Vec<T> = words.iter().copied().map(decode).collect();
        appender.append(&values).map_err(Failure::Hdf5)?;
    }
    appender.finish().map_err(Failure::Hdf5)?;
    drop(dataset);
    file.close().map_err(Failure::Hdf5)
}

fn text(value: &str) -> AttrValue {
    AttrValue::VarLenString(value.to_owned())
}

/// Sets the two attributes by which anndata knows how to read an object.
fn encoding(kind: &str, version: &str, mut set: impl FnMut(&str, AttrValue)) {
    set("encoding-type", text(kind));
    set("encoding-version", text(version));
}

fn strings<'v>(group: &mut GroupBuilder, name: &str, values: impl Iterator<Item = &'v str>) {
    let values: Vec<&str> = values.collect();
    let dataset = group.create_dataset(name).with_vlen_strings(&values);
    encoding("string-array", "0.2.0", |name, value| {
        dataset.set_attr(name, value);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnnData;
    use crate::section_reader::SectionReader;

    fn row<'r>(name: &'r str, columns: &'r [&'r str], genes: &'r [u32], values: &'r [f32]) -> AnnDataRow<'r> {
        AnnDataRow { name, position: Position::new(1.5, 2.5).unwrap(), columns, genes, values }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5ad");
        let mut writer = AnnDataWriter::create(&path, &["A", "B", "C"], &["class"]).unwrap().with_text("note", "größer");
        for i in 0..300_u16 {
            let class = ["Oligo", "Astro", ""][usize::from(i) % 3];
            writer.push(&row(&format!("c{i}"), &[class], &[0, 2], &[f32::from(i) + 1.0, 0.5])).unwrap();
        }
        writer.push(&row("empty", &["Astro"], &[], &[])).unwrap();
        writer.finish().unwrap();

        let section = AnnData::open(&path).unwrap();
        assert_eq!((section.n_cells(), section.genes().len()), (301, 3));
        let class = section.text_column("class").unwrap();
        assert_eq!(class.categories, ["Astro", "Oligo"]);
        assert_eq!((class.get(0), class.get(1), class.get(2)), (Some("Oligo"), Some("Astro"), None));
        assert_eq!(section.number_column("y").unwrap()[300], 2.5);
        assert_eq!(section.cell_names().unwrap()[300], "empty");
        assert_eq!(section.coordinates().unwrap().unwrap()[7], [1.5, 2.5]);
        let rows = section.rows(298..301).unwrap();
        assert_eq!(rows.row(1), (&[0, 2][..], &[300.0, 0.5][..]));
        assert_eq!(rows.row(2), (&[][..], &[][..]));
        assert_eq!(section.unstructured_text("tissuenarrator/note").unwrap().as_deref(), Some("größer"));
        assert_eq!(section.unstructured_text("tissuenarrator/other").unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_without_cells_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5ad");
        AnnDataWriter::create(&path, &["A"], &["class"]).unwrap().finish().unwrap();
        assert_eq!(AnnData::open(&path).unwrap().n_cells(), 0);
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5ad");
        let mut writer = AnnDataWriter::create(&path, &["A"], &["class"]).unwrap();
        writer.push(&row("c", &["Astro"], &[0], &[1.0])).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5ad");
        let mut writer = AnnDataWriter::create(&path, &["A"], &["class"]).unwrap();
        assert!(matches!(writer.push(&row("c", &[], &[0], &[1.0])), Err(WriteError::WrongLength { expected: 1, found: 0, .. })));
        assert!(matches!(writer.push(&row("c", &["x"], &[0], &[])), Err(WriteError::WrongLength { expected: 1, found: 0, .. })));
        assert!(matches!(writer.push(&row("c", &["x"], &[1], &[1.0])), Err(WriteError::UnknownGene { gene: 1, .. })));
        assert!(matches!(AnnDataWriter::create(&path, &["A"], &["x"]), Err(WriteError::InvalidColumn { .. })));
        assert!(matches!(AnnDataWriter::create("/nonexistent/a.h5ad", &["A"], &["c"]), Err(WriteError::Io { .. })));
    }
}
