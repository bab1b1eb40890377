//! Output folders of instruments. `data-fixtures/golden/sections/make.py` made the Xenium folder; the others are text.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tn_io::{
    EncodeOptions, EncodeSectionError, InspectWarning, Instrument, InstrumentFolder, LengthUnit, PROVENANCE_KEY, Provenance, ReadError,
    SectionReader, TableReader, encode_file, inspect_file, inspect_file_with_tokens, open_section,
};
use tn_sentence::{CellRecord, TieBreak};

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/sections")).join(name)
}

/// Writes a folder of text files.
fn write(folder: &Path, files: &[(&str, &str)]) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
    folder.to_owned()
}

const MERSCOPE_CELLS: &str = ",fov,volume,center_x,center_y,min_x,max_x\n110883424764611924400221639916314253469,7,251.5,12.25,80.5,10,14\n\
     158338042824236264719696604356349910479,7,90,13.5,-4.75,10,14\n260594727341160372355976405428092853003,8,77,9,8,1,2\n";
// The rows are in another order than the cells.
const MERSCOPE_COUNTS: &str = "cell,Gfap,Blank-1,Aqp4,Mbp\n158338042824236264719696604356349910479,0,4,7,1\n\
     110883424764611924400221639916314253469,3.0,0,0,9\n260594727341160372355976405428092853003,0,1,0,0\n";

const COSMX_CELLS: &str = "fov,cell_ID,Area,CenterX_local_px,CenterY_local_px,CenterX_global_px,CenterY_global_px,x_slide_mm,y_slide_mm\n\
     1,1,3000,10,20,100,200,0.5,0.25\n1,2,2000,11,21,1100,2100,0.6,0.35\n2,1,2500,5,6,7,8,0.7,0.45\n";
const COSMX_COUNTS: &str =
    "fov,cell_ID,CD3E,NegPrb01,SystemControl1,MS4A1\n1,0,50,9,9,60\n1,1,2,1,0,0\n1,2,0,0,5,4\n2,0,8,0,0,8\n2,1,1,0,0,3\n";

fn merscope(folder: &Path) -> PathBuf {
    write(&folder.join("region_0"), &[("cell_metadata.csv", MERSCOPE_CELLS), ("cell_by_gene.csv", MERSCOPE_COUNTS)])
}

fn cosmx(folder: &Path) -> PathBuf {
    write(&folder.join("Lung5"), &[("Run1_exprMat_file.csv", COSMX_COUNTS), ("Run1_metadata_file.csv", COSMX_CELLS)])
}

fn encode(folder: &Path, options: EncodeOptions) -> Result<Vec<CellRecord>, EncodeSectionError> {
    let output = tempfile::tempdir().unwrap();
    let table = output.path().join("cells.parquet");
    encode_file(folder, &table, &options.with_tie_break(TieBreak::Symbol))?;
    Ok(TableReader::open(&table).unwrap().read_all().unwrap())
}

fn sentences(cells: &[CellRecord]) -> Vec<(&str, String, f64, f64)> {
    cells.iter().map(|cell| (cell.section.as_str(), cell.ranking.to_string(), cell.position.x(), cell.position.y())).collect()
}

#[test]
fn a_xenium_folder_is_read_in_micrometers_without_its_controls() {
    let expected: Value = serde_json::from_str(&fs::read_to_string(golden("expected.json")).unwrap()).unwrap();
    let section = InstrumentFolder::open(golden("xenium")).unwrap();
    assert_eq!((section.instrument(), section.n_cells(), section.genes().len()), (Instrument::Xenium, 37, 8));
    assert_eq!(section.columns(), ["section", "cell_id", "x_centroid", "y_centroid", "transcript_counts", "cell_area"]);
    assert_eq!(section.length_unit(None), LengthUnit::Micrometers);
    assert_eq!(serde_json::to_value(section.cell_names().unwrap()).unwrap(), expected["xenium"]["cell_id"]);
    let places = section.coordinates().unwrap().unwrap();
    let counts = section.rows(0..37).unwrap();
    for cell in 0..37 {
        assert_eq!(serde_json::to_value(places[cell][0]).unwrap(), expected["xenium"]["x_centroid"][cell]);
        assert_eq!(places[cell][1], cell as f64 * 3.5);
        let (genes, values) = counts.row(cell);
        let mut row = [0.0; 8];
        genes.iter().zip(values).for_each(|(&gene, &value)| row[gene as usize] = f64::from(value));
        let all: Vec<f64> = expected["counts"][cell].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(row, all[..8], "cell {cell}");
        assert_eq!(row.iter().sum::<f64>(), section.number_column("transcript_counts").unwrap()[cell]);
    }
}

#[test]
fn cells_of_a_xenium_table_may_come_in_another_order_and_as_text() {
    let original = InstrumentFolder::open(golden("xenium")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("run");
    fs::create_dir(&copy).unwrap();
    fs::copy(golden("xenium/cell_feature_matrix.h5"), copy.join("cell_feature_matrix.h5")).unwrap();
    let (names, places) = (original.cell_names().unwrap(), original.coordinates().unwrap().unwrap());
    let file = fs::File::create(copy.join("cells.csv.gz")).unwrap();
    let mut text = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    writeln!(text, "cell_id,x_centroid,y_centroid").unwrap();
    for (name, [x, y]) in names.iter().zip(&places).rev() {
        writeln!(text, "{name},{x},{y}").unwrap();
    }
    text.finish().unwrap();

    let section = InstrumentFolder::open(&copy).unwrap();
    let (rows, reversed) = (original.rows(0..37).unwrap(), section.rows(0..37).unwrap());
    for cell in 0..37 {
        assert_eq!(section.cell_names().unwrap()[36 - cell], names[cell]);
        assert_eq!(section.coordinates().unwrap().unwrap()[36 - cell], places[cell]);
        assert_eq!(reversed.row(36 - cell), rows.row(cell));
    }
}

#[test]
fn a_merscope_folder_is_read_in_micrometers_without_its_blanks() {
    let folder = tempfile::tempdir().unwrap();
    let path = merscope(folder.path());
    let cells = encode(&path, EncodeOptions::new().with_columns(["fov"])).unwrap();
    // The third cell has counts of a blank only.
    let expected = [("region_0", "MBP GFAP".to_owned(), 12.25, 80.5), ("region_0", "AQP4 MBP".to_owned(), 13.5, -4.75)];
    assert_eq!(sentences(&cells), expected);
    assert_eq!((cells[0].cell_name.as_str(), cells[0].metadata.get("fov")), ("110883424764611924400221639916314253469", Some("7")));
    let error = encode(&path, EncodeOptions::new().with_pixel_size(0.108)).unwrap_err();
    assert!(matches!(error, EncodeSectionError::NoPixels { unit: LengthUnit::Micrometers, .. }), "{error}");
}

#[test]
fn a_cosmx_folder_needs_the_size_of_a_pixel() {
    let folder = tempfile::tempdir().unwrap();
    let path = cosmx(folder.path());
    let error = encode(&path, EncodeOptions::new()).unwrap_err();
    assert!(matches!(error, EncodeSectionError::PixelSizeMissing { .. }) && error.to_string().contains("--pixel-size"), "{error}");
    let cells = encode(&path, EncodeOptions::new().with_pixel_size(0.12)).unwrap();
    assert_eq!(
        sentences(&cells),
        [
            ("Lung5", "CD3E".to_owned(), 12.0, 24.0),
            ("Lung5", "MS4A1".to_owned(), 132.0, 252.0),
            ("Lung5", "MS4A1 CD3E".to_owned(), 0.84, 0.96)
        ]
    );
    assert_eq!(cells[2].cell_name, "2_1");
    for size in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = encode(&path, EncodeOptions::new().with_pixel_size(size)).unwrap_err();
        assert!(matches!(error, EncodeSectionError::InvalidPixelSize { .. }), "{size}: {error}");
    }
}

#[test]
fn cosmx_columns_in_millimeters_need_no_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let path = cosmx(folder.path());
    let options = EncodeOptions::new().with_coordinates("x_slide_mm", "y_slide_mm");
    assert_eq!(encode(&path, options.clone()).unwrap()[0].position.x(), 500.0);
    let error = encode(&path, options.with_pixel_size(0.12)).unwrap_err();
    assert!(matches!(error, EncodeSectionError::NoPixels { unit: LengthUnit::Millimeters, .. }), "{error}");
}

#[test]
fn text_may_be_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = cosmx(folder.path());
    let plain = encode(&path, EncodeOptions::new().with_pixel_size(0.12)).unwrap();
    for name in ["Run1_exprMat_file.csv", "Run1_metadata_file.csv"] {
        let bytes = fs::read(path.join(name)).unwrap();
        let file = fs::File::create(path.join(format!("{name}.gz"))).unwrap();
        let mut text = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        text.write_all(&bytes).unwrap();
        text.finish().unwrap();
        fs::remove_file(path.join(name)).unwrap();
    }
    assert_eq!(encode(&path, EncodeOptions::new().with_pixel_size(0.12)).unwrap(), plain);
}

#[test]
fn both_files_are_in_the_provenance() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("cells.parquet");
    encode_file(&cosmx(folder.path()), &table, &EncodeOptions::new().with_pixel_size(0.12)).unwrap();
    let metadata = TableReader::<CellRecord>::open(&table).unwrap().metadata();
    let provenance = Provenance::from_json(&metadata[PROVENANCE_KEY]).unwrap();
    let names: Vec<&str> = provenance.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["Run1_exprMat_file.csv", "Run1_metadata_file.csv"]);
    assert_eq!(provenance.options["pixel_size"], 0.12);
}

#[test]
fn folders_are_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let summary = inspect_file(&golden("xenium")).unwrap();
    assert_eq!((summary.format.as_str(), summary.rows, summary.genes), ("Xenium folder", 37, Some(8)));
    assert_eq!(summary.unit.as_deref(), Some("micrometers (documented)"));
    assert_eq!(summary.sections.keys().collect::<Vec<_>>(), ["xenium"]);
    assert_eq!(summary.bins.iter().map(|section| section.cells).sum::<usize>(), 37);
    let tokens = inspect_file_with_tokens(&golden("xenium"), &|text| text.split_whitespace().count()).unwrap().tokens;
    assert!(tokens.is_some_and(|tokens| tokens.per_cell > 5.0) && summary.bins[0].sparse_share < 1.0, "{summary}");
    let summary = inspect_file(&cosmx(folder.path())).unwrap();
    assert_eq!(summary.format, "CosMx folder");
    assert!(summary.unit.as_deref().unwrap().contains("--pixel-size") && summary.matrix.unwrap().values.is_some());
    // Pixels of unknown size fill no bins.
    assert!(summary.bins.is_empty() && summary.warnings.contains(&InspectWarning::UnknownPixelSize), "{:?}", summary.warnings);
    assert_eq!(inspect_file(&merscope(folder.path())).unwrap().rows, 3);
}

#[test]
fn a_folder_cut_short_at_any_byte_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (path, files) in [
        (merscope(folder.path()), ["cell_metadata.csv", "cell_by_gene.csv"]),
        (cosmx(folder.path()), ["Run1_metadata_file.csv", "Run1_exprMat_file.csv"]),
    ] {
        let read = || InstrumentFolder::open(&path).and_then(|section| section.rows(0..section.n_cells()).map(drop));
        read().unwrap();
        for name in files {
            let bytes = fs::read(path.join(name)).unwrap();
            for length in 0..bytes.len() {
                fs::write(path.join(name), &bytes[..length]).unwrap();
                assert!(read().is_err(), "{name} cut to {length} of {} bytes was read", bytes.len());
            }
            fs::write(path.join(name), &bytes).unwrap();
        }
    }
}

#[test]
fn a_xenium_folder_cut_short_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("run");
    fs::create_dir(&copy).unwrap();
    for name in ["cell_feature_matrix.h5", "cells.parquet"] {
        fs::copy(golden("xenium").join(name), copy.join(name)).unwrap();
    }
    let read = || InstrumentFolder::open(&copy).and_then(|section| section.rows(0..section.n_cells()).map(drop));
    read().unwrap();
    for name in ["cell_feature_matrix.h5", "cells.parquet"] {
        let bytes = fs::read(copy.join(name)).unwrap();
        for length in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
            fs::write(copy.join(name), &bytes[..length]).unwrap();
            assert!(read().is_err(), "{name} cut to {length} of {} bytes was read", bytes.len());
        }
        fs::write(copy.join(name), &bytes).unwrap();
    }
}

/// Reads a MERSCOPE folder with other counts or cells.
fn read_merscope(cells: &str, counts: &str) -> Result<(), ReadError> {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder.path().join("r"), &[("cell_metadata.csv", cells), ("cell_by_gene.csv", counts)]);
    let section = InstrumentFolder::open(path)?;
    section.rows(0..section.n_cells()).map(drop)
}

#[test]
fn both_files_must_name_the_same_cells_once() {
    let cells = ",center_x,center_y\na,1,2\nb,3,4\n";
    read_merscope(cells, "cell,A\nb,1\na,2\n").unwrap();
    let check = |counts: &str, expected: &str| {
        let error = read_merscope(cells, counts).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("cell,A\na,1\n", "cell b of");
    check("cell,A\na,1\nb,1\nc,1\n", "cell c of");
    check("cell,A\na,1\nb,1\na,1\n", "has cell a twice");
    let error = read_merscope(",center_x,center_y\na,1,2\na,3,4\n", "cell,A\na,1\n").unwrap_err();
    assert!(matches!(error, ReadError::RepeatedCell { .. }), "{error}");
}

#[test]
fn malformed_text_is_named_with_its_row_and_column() {
    let cells = ",center_x,center_y\na,1,2\n";
    let error = read_merscope(cells, "cell,A,B\na,1,many\n").unwrap_err().to_string();
    assert!(error.contains("cell_by_gene.csv") && error.contains(r#""B" is "many""#), "{error}");
    let error = read_merscope(",center_x\na,1\n", "cell,A\na,1\n").unwrap_err();
    assert!(matches!(&error, ReadError::MissingColumn { column, .. } if column == "center_y"), "{error}");
}

#[test]
fn unusable_values_of_folders_are_refused_by_cell() {
    let folder = tempfile::tempdir().unwrap();
    let mut round = 0;
    let mut check = |cells: &str, counts: &str, expected: &str| {
        round += 1;
        let path = write(&folder.path().join(format!("r{round}")), &[("cell_metadata.csv", cells), ("cell_by_gene.csv", counts)]);
        let error = encode(&path, EncodeOptions::new()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let cells = ",center_x,center_y\na,1,2\n";
    check(cells, "cell,A,B\na,1,-1\n", "cell a of");
    check(cells, "cell,A,B\na,1,NaN\n", "cell a of");
    check(cells, "cell,A,a\na,1,1\n", "no usable panel");
    check(",center_x,center_y\na,nan,2\n", "cell,A\na,1\n", "cell a of");
    check(",center_x,center_y\na,inf,2\n", "cell,A\na,1\n", "cell a of");
    check(",center_x,center_y\na,,2\n", "cell,A\na,1\n", "cell a of");
    check(",center_x,center_y\n", "cell,A\n", "has no cells");
    check(cells, "cell,A\na,0\n", "none of the 1 cells");
}

#[test]
fn other_folders_are_refused_with_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let error = open_section(folder.path(), None).err().unwrap();
    assert!(matches!(error, ReadError::UnknownFolder { .. }) && error.to_string().contains("Xenium"), "{error}");
    let path = merscope(folder.path());
    fs::remove_file(path.join("cell_metadata.csv")).unwrap();
    assert!(matches!(InstrumentFolder::open(&path), Err(ReadError::MissingObject { .. })));
    assert!(matches!(open_section(&cosmx(folder.path()), Some("log")).err(), Some(ReadError::MissingLayer { .. })));
}
