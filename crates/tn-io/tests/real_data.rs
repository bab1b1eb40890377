//! Real sections, where they are at hand: the AnnData file holds what its table of cells holds.

use std::path::PathBuf;

use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, Float64Type, Int16Type, Int32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tn_io::{AnnData, EncodeOptions, EncodedCells, SectionReader, TableReader, ValueScale};
use tn_sentence::TaskRecord;

fn shared(path: &str, test: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if !path.exists() {
        eprintln!("skipped {test}: ../shared is absent");
        return None;
    }
    Some(path)
}

fn check_against_table(name: &str, test: &str) {
    let Some(folder) = shared(&format!("data/{name}"), test) else { return };
    let file = folder.join(format!("{name}.h5ad"));
    let (logs, counts) = (AnnData::open(&file).unwrap(), AnnData::open_layer(&file, "counts").unwrap());
    let names = logs.cell_names().unwrap();
    let (x, y) = (logs.number_column("x").unwrap(), logs.number_column("y").unwrap());
    let texts = ["section", "class", "split"].map(|column| (column, logs.text_column(column).unwrap()));
    let (log_rows, count_rows) = (logs.rows(0..logs.n_cells()).unwrap(), counts.rows(0..counts.n_cells()).unwrap());
    let places = logs.coordinates().unwrap().unwrap();

    let table = std::fs::File::open(folder.join(format!("{name}_cells.parquet"))).unwrap();
    let mut cell = 0;
    for batch in ParquetRecordBatchReaderBuilder::try_new(table).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let text = |column: &str| arrow::compute::cast(batch.column_by_name(column).unwrap(), &arrow::datatypes::DataType::Utf8).unwrap();
        let (ids, columns) = (text("cell_id"), texts.each_ref().map(|(column, _)| text(column)));
        let lists = ["gene_index", "value", "count"].map(|column| batch.column_by_name(column).unwrap().as_list::<i32>());
        for row in 0..batch.num_rows() {
            assert_eq!(names[cell], ids.as_string::<i32>().value(row));
            assert_eq!(x[cell], batch.column_by_name("x").unwrap().as_primitive::<Float64Type>().value(row));
            assert_eq!(places[cell], [x[cell], y[cell]]);
            for ((_, found), expected) in texts.iter().zip(&columns) {
                assert_eq!(found.get(cell), Some(expected.as_string::<i32>().value(row)));
            }
            let genes: Vec<u32> = lists[0].value(row).as_primitive::<Int16Type>().values().iter().map(|&gene| gene as u32).collect();
            let counts: Vec<f32> = lists[2].value(row).as_primitive::<Int32Type>().values().iter().map(|&count| count as f32).collect();
            assert_eq!(log_rows.row(cell), (genes.as_slice(), &lists[1].value(row).as_primitive::<Float32Type>().values()[..]));
            assert_eq!(count_rows.row(cell), (genes.as_slice(), counts.as_slice()));
            cell += 1;
        }
    }
    assert_eq!(cell, logs.n_cells());

    // Counts and their logarithms rank the same genes; order differs only where rounding made or broke a tie.
    let options = EncodeOptions::new().with_columns(["class"]);
    let (logs, counts) = (EncodedCells::new(&logs, &options).unwrap(), EncodedCells::new(&counts, &options).unwrap());
    assert_eq!((logs.value_scale(), counts.value_scale()), (ValueScale::Logarithms, ValueScale::Counts));
    let mut cells = 0;
    for (from_logs, from_counts) in logs.zip(counts) {
        assert_eq!(from_logs.unwrap(), from_counts.unwrap());
        cells += 1;
    }
    assert_eq!(cells, cell);
}

#[test]
fn the_hypothalamus_file_equals_its_table() {
    check_against_table("merfish_hypothalamus", "the_hypothalamus_file_equals_its_table");
}

#[test]
fn the_lung_tumor_file_equals_its_table() {
    check_against_table("merfish_lung_tumour", "the_lung_tumor_file_equals_its_table");
}

#[test]
fn published_prompts_are_tasks_with_places_and_classes_from_their_answers() {
    let test = "published_prompts_are_tasks_with_places_and_classes_from_their_answers";
    for name in ["merfish_hypothalamus", "merfish_lung_tumour"] {
        let Some(path) = shared(&format!("golden/real/{name}_prompts.parquet"), test) else { return };
        let tasks = TableReader::<TaskRecord>::open(path).unwrap().read_all().unwrap();
        assert!(tasks.len() >= 100);
        for task in &tasks {
            assert!(task.x.is_finite() && !task.class.is_empty() && !task.neighbor_cell_names.is_empty(), "{}", task.cell_name);
            assert!(task.answer.contains(&task.class));
        }
    }
}
