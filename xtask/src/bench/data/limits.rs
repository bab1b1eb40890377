//! What the machine could do: bytes over the bandwidths that are measured beside them.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

/// Bytes that are read or written at once.
const BLOCK: usize = 1 << 20;

/// Says how long reading a file and writing another would take with nothing in between, and how far the measured time is from it.
pub(super) fn of_files(input: &Path, output: &Path, seconds: f64) -> Result<String> {
    let (read, read_bytes) = reading(input)?;
    let (written, written_bytes) = writing(output)?;
    let limit = read + written;
    Ok(format!(
        "limit: {:.0} MB read in {read:.3} s (file in the cache of the system), {:.0} MB written and synchronized in {written:.3} s; the \
         median is {:.1} times their sum",
        read_bytes as f64 / 1e6,
        written_bytes as f64 / 1e6,
        seconds / limit
    ))
}

/// Says how long reading so many bytes of memory takes on one thread, and how far the measured time is from it.
pub(super) fn of_memory<'t>(texts: impl Iterator<Item = &'t str>, seconds: f64) -> String {
    let start = Instant::now();
    let (mut bytes, mut sum) = (0, 0_u64);
    for text in texts {
        bytes += text.len();
        let (words, _) = text.as_bytes().as_chunks::<8>();
        sum = words.iter().fold(sum, |sum, word| sum ^ u64::from_le_bytes(*word));
    }
    std::hint::black_box(sum);
    let limit = start.elapsed().as_secs_f64();
    format!(
        "limit: {:.0} MB of text read on one thread in {limit:.3} s; the median is {:.1} times that",
        bytes as f64 / 1e6,
        seconds / limit
    )
}

fn reading(path: &Path) -> Result<(f64, u64)> {
    let start = Instant::now();
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let (mut block, mut bytes) = (vec![0; BLOCK], 0);
    loop {
        match file.read(&mut block)? {
            0 => return Ok((start.elapsed().as_secs_f64(), bytes)),
            read => bytes += read as u64,
        }
    }
}

/// Writes the bytes of a file once more, beside it.
fn writing(path: &Path) -> Result<(f64, u64)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let copy = path.with_extension("copy");
    let start = Instant::now();
    let mut file = File::create(&copy)?;
    bytes.chunks(BLOCK).try_for_each(|block| file.write_all(block))?;
    file.sync_all()?;
    let seconds = start.elapsed().as_secs_f64();
    std::fs::remove_file(&copy)?;
    Ok((seconds, bytes.len() as u64))
}
