//! Files of spatial transcriptomics: AnnData (`.h5ad`), the folders of Xenium, MERSCOPE and CosMx, and tables (Parquet, CSV,
//! TSV), streamed.
//!
//! Expression is read in blocks of rows and tables in batches, so memory does not grow with the number of genes or the
//! length of sentences; of every cell only its name, place and codes are held. Output appears complete or not at all. No
//! system library is needed.
//!
//! ```
//! use tn_io::{AnnData, AnnDataRow, AnnDataWriter, EncodeOptions, SectionReader, TableReader, encode_file};
//! use tn_sentence::{CellRecord, Position};
//!
//! let folder = tempfile::tempdir()?;
//! let (section, cells) = (folder.path().join("section.h5ad"), folder.path().join("cells.parquet"));
//!
//! // A section of one cell, as scanpy would read it.
//! let mut writer = AnnDataWriter::create(&section, &["Gfap", "Aqp4", "Mbp"], &["section", "class"])?;
//! let position = Position::new(12.5, 80.0)?;
//! writer.push(&AnnDataRow { name: "cell_1", position, columns: &["s1", "Astro"], genes: &[0, 1], values: &[2.0, 7.0] })?;
//! writer.finish()?;
//! assert_eq!(AnnData::open(&section)?.n_cells(), 1);
//!
//! // Expression becomes ranked genes.
//! encode_file(&section, &cells, &EncodeOptions::new().with_columns(["class"]))?;
//! let cell: CellRecord = TableReader::open(&cells)?.read_all()?.remove(0);
//! assert_eq!((cell.class(), cell.ranking.to_string().as_str()), (Some("Astro"), "AQP4 GFAP"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type do I need?
//!
//! - [`open_section`] opens whatever holds a section: [`AnnData`] an `.h5ad` file, [`InstrumentFolder`] the
//!   output of an instrument; [`SectionReader`] is the seam for other containers.
//! - [`encode_file`] turns such a section into a table of cells; [`EncodedCells`] yields the records without a table,
//!   and [`CellTable`] those without expression.
//! - [`AnnDataWriter`] writes an `.h5ad` file that anndata and scanpy open.
//! - [`TableReader`] and [`TableWriter`] handle tables of any [`TableRecord`]: `CellRecord`, `SentenceRecord`, `TaskRecord`,
//!   `GeneratedRecord` and `SurpriseRecord` of `tn-sentence`, and [`TruthRecord`].
//! - [`TokenTableWriter`] writes training sequences as tokens, for other training programs; [`TokenTableReader`] reads them.
//! - [`inspect_file`] says what is in a file that one has just been given: columns, values, how full bins are, and what could go
//!   wrong; [`inspect_file_with_tokens`] also how long spatial sentences will be.
//! - [`Provenance`] records where a file came from; [`AtomicFile`] is for outputs of any other format.
//!
//! # Features
//!
//! - `zarr`: AnnData and SpatialData folders in Zarr, format 2 or 3, with the codecs that zarr-python writes by default or by name. It
//!   compiles the library of Blosc, so it is off by default and needs a compiler of C and C++.
//!
//! # What is not read
//!
//! Tables of anndata before 0.7, and compression of HDF5 by plugins other than LZF, LZ4 and zstd, such as Blosc: the error
//! says how to save the file again. Of SpatialData only tables are read, no images, points or shapes.

mod anndata;
mod candidates;
mod cell_buckets;
mod encode;
mod inspect;
mod instruments;
mod logarithm_base;
mod open;
mod output;
mod provenance;
mod read_error;
mod section_reader;
mod storage;
mod tables;
mod token_table;
mod unforeseen;

pub use anndata::{AnnData, AnnDataRow, AnnDataWriter, ColumnKind, WriteError};
pub use candidates::ColumnRole;
pub use encode::{
    CellTable, EncodeOptions, EncodeSectionError, EncodeSummary, EncodedCells, Normalization, NormalizedExpression, PANEL_KEY, TARGET_SUM,
    ValueScale, encode_file,
};
pub use inspect::{
    BinOccupancy, Candidate, ColumnSummary, FileSummary, InspectError, InspectWarning, MatrixSummary, TokenSummary, UnitGuess,
    ValueSummary, inspect_file, inspect_file_with_tokens,
};
pub use instruments::{Instrument, InstrumentFolder};
pub use open::open_section;
pub use output::AtomicFile;
pub use provenance::{InputFile, PROVENANCE_KEY, Provenance, TOKENIZER_KEY, TRUTH_KEY, content_hash};
pub use read_error::ReadError;
pub use section_reader::{LengthUnit, MISSING, SectionReader, SparseRows, TextColumn};
pub use tables::{
    ColumnSpec, InvalidValue, RowReader, RowWriter, TableError, TableFormat, TableReader, TableRecord, TableWriter, TruthRecord,
};
pub use token_table::{TokenRow, TokenTableReader, TokenTableWriter};
