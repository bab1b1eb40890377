//! Tables of tokens, as other programs read them.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, ListArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tn_io::{TableError, TokenRow, TokenTableReader, TokenTableWriter};

fn rows(count: i32) -> Vec<TokenRow> {
    let row = |i: i32| TokenRow {
        input_ids: (0..i % 7).map(|j| i * 1_000 + j).collect(),
        labels: (0..i % 7).map(|j| if j % 3 == 0 { -100 } else { i * 1_000 + j }).collect(),
        weights: (0..i % 7).map(|j| 0.1 * j as f32).collect(),
    };
    (0..count).map(row).collect()
}

fn write(path: &std::path::Path, rows: &[TokenRow]) -> Result<(), TableError> {
    let mut writer = TokenTableWriter::create(path)?.with_metadata("who", "me");
    rows.iter().try_for_each(|row| writer.write(row))?;
    writer.finish()
}

#[test]
fn sequences_survive_and_the_same_ones_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    // None, empty lists, and more than fit into a batch.
    for count in [0, 1, 3, 256, 700] {
        let (path, again) = (folder.path().join("tokens.parquet"), folder.path().join("again.parquet"));
        write(&path, &rows(count)).unwrap();
        write(&again, &rows(count)).unwrap();
        assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap());
        let reader = TokenTableReader::open(&path).unwrap();
        assert_eq!(reader.metadata().iter().collect::<Vec<_>>(), [(&"who".to_owned(), &"me".to_owned())]);
        assert_eq!(reader.collect::<Result<Vec<_>, _>>().unwrap(), rows(count));
    }
}

#[test]
fn other_programs_find_lists_of_32_bits_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.parquet");
    write(&path, &rows(5)).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let columns: Vec<(String, DataType)> = builder
        .schema()
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::List(item) if !field.is_nullable() && !item.is_nullable() => (field.name().clone(), item.data_type().clone()),
            other => panic!("{}: {other}", field.name()),
        })
        .collect();
    let expected = [("input_ids", DataType::Int32), ("labels", DataType::Int32), ("weights", DataType::Float32)];
    assert_eq!(columns, expected.map(|(name, item)| (name.to_owned(), item)));
    let batch: RecordBatch = builder.build().unwrap().next().unwrap().unwrap();
    let row = &rows(5)[4];
    let list = |column: usize| batch.column(column).as_list::<i32>().value(4);
    assert_eq!(list(0).as_primitive::<Int32Type>().values()[..], row.input_ids[..]);
    assert_eq!(list(1).as_primitive::<Int32Type>().values()[..], row.labels[..]);
    assert_eq!(list(2).as_primitive::<Float32Type>().values()[..], row.weights[..]);
}

/// A column of lists, each of which and each value of which may be missing.
type Lists = Vec<Option<Vec<Option<i64>>>>;

/// Writes a table with columns of 64 bits.
fn write_lists(path: &std::path::Path, columns: &[(&str, Lists)]) {
    let array = |lists: &Vec<Option<Vec<Option<i64>>>>| Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists.clone())) as _;
    let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, lists)| (*name, array(lists)))).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn other_tables_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.parquet");
    write_lists(&path, &[("input_ids", vec![Some(vec![Some(1)])])]);
    let error = TokenTableReader::open(&path).unwrap_err();
    assert!(matches!(&error, TableError::WrongType { column, .. } if column == "input_ids"), "{error}");

    let batch = RecordBatch::try_from_iter([("text", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let error = TokenTableReader::open(&path).unwrap_err();
    assert!(
        matches!(&error, TableError::MissingColumn { column, columns, .. } if column == "input_ids" && columns == &["text"]),
        "{error}"
    );

    let error = TokenTableWriter::create(folder.path().join("tokens.csv")).unwrap_err();
    assert!(matches!(error, TableError::UnknownFormat { .. }), "{error}");
    assert!(matches!(TokenTableReader::open(folder.path().join("no.parquet")), Err(TableError::Open { .. })));
}
