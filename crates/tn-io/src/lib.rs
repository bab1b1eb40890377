//! tn-io.
mod anndata;
mod candidates;
mod encode;
mod output;
mod provenance;
mod read_error;
mod section_reader;
mod tables;

pub use anndata::{AnnData, AnnDataRow, AnnDataWriter, ColumnKind, WriteError};
pub use candidates::ColumnRole;
pub use encode::{
    EncodeOptions, EncodeSectionError, EncodeSummary, EncodedCells, Normalization, PANEL_KEY, TARGET_SUM, ValueScale, encode_file,
};
pub use output::AtomicFile;
pub use provenance::{InputFile, PROVENANCE_KEY, Provenance, TRUTH_KEY, content_hash};
pub use read_error::ReadError;
pub use section_reader::{MISSING, SectionReader, SparseRows, TextColumn};
pub use tables::{
    ColumnSpec, InvalidValue, RowReader, RowWriter, TableError, TableFormat, TableReader, TableRecord, TableWriter, TruthRecord,
};
