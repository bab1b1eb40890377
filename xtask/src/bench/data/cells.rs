//! Files of expression to tables of cells and of sentences.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tissuenarrator::io::{EncodeOptions, EncodeSummary, TableReader, TableWriter, encode_file};
use tissuenarrator::sentence::{CellRecord, RankEncoder, SentenceRecord, Vocabulary};
use tissuenarrator::spatial::{BinGrid, PatchOptions, Traversal, patch_bins};

use super::{Bench, limits};
use crate::bench::contest::{Contender, in_turns, in_turns_from_cold};
use crate::bench::row::{Goal, Measured, Row, Side, Unit};

/// Genes of a cell that a spatial sentence shows.
const PATCH_GENES: usize = 50;

/// Encodes a section as `tn encode` does.
pub(super) fn encode(input: &Path, output: &Path) -> Result<EncodeSummary> {
    Ok(encode_file(input, output, &EncodeOptions::new().with_columns(["class", "split", "spatial_domain"]))?)
}

/// Measures ranking, encoding, patching, and how their costs grow.
pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, measure) in [("rank", rank as fn(&Bench) -> Result<Row>), ("encode", encode_row), ("patch", patch), ("scaling", scaling)] {
        if bench.wants(name) {
            rows.push(measure(bench)?);
        }
    }
    Ok(rows)
}

fn rank(bench: &Bench) -> Result<Row> {
    let section = tissuenarrator::io::open_section(&bench.inputs.section(bench.sizes.cells)?, None)?;
    let panel = Vocabulary::new(section.genes())?;
    let names = section.cell_names()?;
    let step = section.rows_per_block();
    let blocks: Vec<_> = (0..section.n_cells())
        .step_by(step)
        .map(|start| Ok((start, section.rows(start..(start + step).min(section.n_cells()))?)))
        .collect::<Result<_>>()?;
    let stored: usize = blocks.iter().map(|(_, rows)| rows.values().len()).sum();
    let encoder = RankEncoder::new(&panel);
    let measured = bench.beside_published(38.8, || {
        use rayon::prelude::*;
        let start = Instant::now();
        let of_row = |(rows, row, name): (&tissuenarrator::io::SparseRows, usize, &String)| {
            let (genes, values) = rows.row(row);
            encoder.encode_sparse(genes, values, name).map(|ranking| ranking.len())
        };
        let ranked: usize = blocks
            .par_iter()
            .flat_map(|(first, rows)| (0..rows.len()).into_par_iter().map(move |row| (rows, row, first + row)))
            .map(|(rows, row, cell)| of_row((rows, row, &names[cell])))
            .sum::<Result<usize, _>>()?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(ranked == stored, "{ranked} genes were ranked, {stored} are stored");
        Ok(seconds)
    })?;
    Ok(Row {
        name: "rank".to_owned(),
        what: format!("ranking {} x {} in memory", names.len(), panel.len()),
        unit: Unit::Seconds,
        goal: Goal::Speed { reach: 60.0, moonshot: 200.0 },
        checks: vec![format!("every stored value was ranked: {stored}")],
        measured,
    })
}

fn encode_row(bench: &Bench) -> Result<Row> {
    let input = bench.inputs.section(bench.sizes.cells)?;
    let output = bench.inputs.output("encoded.parquet")?;
    let mut summary = None;
    let measured = bench.beside_published(38.8, || {
        let start = Instant::now();
        let encoded = encode(&input, &output)?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(encoded.cells + encoded.skipped == bench.sizes.cells, "{encoded:?} are not all cells");
        summary = Some(encoded);
        Ok(seconds)
    })?;
    let summary = summary.context("it was measured")?;
    let checks = vec![
        format!("{} cells with {:.1} genes in the mean, {} without any", summary.cells, summary.mean_genes, summary.skipped),
        limits::of_files(&input, &output, measured[0].median())?,
    ];
    Ok(Row {
        name: "encode".to_owned(),
        what: format!(
            "encode {} x {}, .h5ad (gzip) to Parquet; the published seconds are of ranking alone",
            bench.sizes.cells, summary.genes
        ),
        unit: Unit::Seconds,
        goal: Goal::Speed { reach: 60.0, moonshot: 200.0 },
        measured,
        checks,
    })
}

fn patch(bench: &Bench) -> Result<Row> {
    let input = bench.inputs.cells(bench.sizes.cells)?;
    let output = bench.inputs.output("sentences.parquet")?;
    let (mut written, mut parts) = (0, [0.0; 3]);
    let measured = bench.beside_published(52.7, || {
        let start = Instant::now();
        let cells = TableReader::<CellRecord>::open(&input)?.with_max_genes(PATCH_GENES).read_all()?;
        let read = start.elapsed().as_secs_f64();
        let sentences =
            patch_bins(&cells, &BinGrid::new(200.0)?, Traversal::nearest_first(), &PatchOptions::default().with_truncate(PATCH_GENES));
        let patched = start.elapsed().as_secs_f64();
        let mut writer = TableWriter::<SentenceRecord>::create(&output)?;
        writer.write_all(&sentences)?;
        writer.finish()?;
        let seconds = start.elapsed().as_secs_f64();
        written = sentences.iter().map(|sentence| u64::from(sentence.n_cells)).sum();
        parts = [read, patched - read, seconds - patched];
        Ok(seconds)
    })?;
    let [read, patched, wrote] = parts;
    let checks = vec![
        format!("{written} cells written; at last {read:.2} s to read the table, {patched:.2} s to patch, {wrote:.2} s to write"),
        limits::of_files(&input, &output, measured[0].median())?,
    ];
    Ok(Row {
        name: "patch".to_owned(),
        what: format!("patch {} cells, 2 orders of bins of 200 micrometers, table to table", bench.sizes.cells),
        unit: Unit::Seconds,
        goal: Goal::Speed { reach: 100.0, moonshot: 300.0 },
        measured,
        checks,
    })
}

/// The cost for each cell of a large file, as a share of that of a small one.
fn scaling(bench: &Bench) -> Result<Row> {
    let output = bench.inputs.output("scaling.parquet")?;
    let of_cells = |side, cells: usize| -> Result<Contender<'_>> {
        let (input, output) = (bench.inputs.section(cells)?, &output);
        Ok(Contender::new(side, format!("{cells} cells"), move || {
            let start = Instant::now();
            encode(&input, output)?;
            Ok(start.elapsed().as_secs_f64() / cells as f64 * 1e6)
        }))
    };
    let [small, large] = bench.sizes.scaling;
    let measured = in_turns(vec![of_cells(Side::Ours, large)?, of_cells(Side::Peer, small)?], bench.repeats)?;
    Ok(Row {
        name: "scaling".to_owned(),
        what: format!("encode, seconds for a million cells at the pace of {large} cells, beside the pace of {small}"),
        unit: Unit::Seconds,
        goal: Goal::Cost { reach: 1.1, moonshot: 1.0 },
        measured,
        checks: Vec::new(),
    })
}

/// Measures the peak of the memory of a process that encodes, once: it hardly varies.
pub(super) fn memory_rows(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants("memory") {
        return Ok(Vec::new());
    }
    let cells = bench.sizes.scaling[1];
    let (input, output) = (bench.inputs.section(cells)?, bench.inputs.output("memory.parquet")?);
    let measure = Contender::new(Side::Ours, "ours", || fresh_peak(&input, &output));
    let mut measured = in_turns_from_cold(vec![measure], 1)?;
    measured.push(Measured { name: "allowed".to_owned(), side: Side::Peer, values: vec![500.0] });
    Ok(vec![Row {
        name: "memory".to_owned(),
        what: format!("peak memory: encode {cells} cells"),
        unit: Unit::Mebibytes,
        goal: Goal::Cost { reach: 1.0, moonshot: 0.3 },
        measured,
        checks: Vec::new(),
    }])
}

fn fresh_peak(input: &Path, output: &Path) -> Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "fresh", "encode"]).arg(input).arg(output).arg(rayon::current_num_threads().to_string());
    let run = command.output()?;
    ensure!(run.status.success(), "encode ended with {}: {}", run.status, String::from_utf8_lossy(&run.stderr));
    let answer: Value = serde_json::from_slice(&run.stdout).context("encode printed no JSON")?;
    answer["peak_mib"].as_f64().context("a peak of the memory is a number")
}
