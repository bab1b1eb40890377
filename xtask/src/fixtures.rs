//! `cargo xtask fixtures`: are the committed fixtures complete and unchanged?
//!
//! Golden files are what other programs returned. A change to one is a change of what is right, so each has its checksum
//! in `xtask/fixtures.sha256`, which `sha256sum --check` reads as well.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tissuenarrator::model::CheckpointReader;

use crate::flags::FixturesFlags;
use crate::workspace::root;

const LIST: &str = "xtask/fixtures.sha256";
const FOLDERS: [&str; 3] = ["data-fixtures/checkpoints", "data-fixtures/golden", "data-fixtures/tokenizer"];
const CHECKPOINTS: &str = "data-fixtures/checkpoints";

/// Checks the fixtures, or writes the list of their checksums anew.
pub(crate) fn run(flags: &FixturesFlags) -> Result<ExitCode> {
    if !flags.check {
        let list: String = checksums()?.into_iter().map(|(file, sum)| format!("{sum}  {file}\n")).collect();
        fs::write(root().join(LIST), list).with_context(|| format!("cannot write {LIST}"))?;
        println!("wrote {LIST}");
        return Ok(ExitCode::SUCCESS);
    }
    let defects = defects()?;
    for defect in &defects {
        println!("{defect}");
    }
    println!("{} defects in the fixtures", defects.len());
    Ok(if defects.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns what is wrong with the fixtures, a line each.
fn defects() -> Result<Vec<String>> {
    let list = fs::read_to_string(root().join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let listed = list.lines().filter_map(|line| line.split_once("  ")).map(|(sum, file)| (file.to_owned(), sum.to_owned())).collect();
    let mut defects = compare(&listed, &checksums()?);
    defects.extend(incomplete_checkpoints()?);
    Ok(defects)
}

fn compare(listed: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let lost = listed.keys().filter(|file| !found.contains_key(*file)).map(|file| format!("{file} is missing"));
    let other = found.iter().filter_map(|(file, sum)| match listed.get(file) {
        None => Some(format!("{file} is not in {LIST}")),
        Some(listed) if listed != sum => Some(format!("{file} has changed: {sum}, expected {listed}")),
        Some(_) => None,
    });
    lost.chain(other).collect()
}

/// Returns the checksum of every fixture by its path in the repository.
fn checksums() -> Result<BTreeMap<String, String>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        list_files(&root().join(folder), &mut files)?;
    }
    files
        .iter()
        .map(|file| {
            let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let name = file.strip_prefix(root())?.to_string_lossy().replace('\\', "/");
            Ok((name, sum))
        })
        .collect()
}

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { list_files(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// Opens every checkpoint: its tensors have to be those of its configuration. Each has the values expected of it.
fn incomplete_checkpoints() -> Result<Vec<String>> {
    let mut defects = Vec::new();
    for entry in fs::read_dir(root().join(CHECKPOINTS))? {
        let folder = entry?.path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_adapter = folder.join("adapter_config.json").exists();
        let needed: &[&str] = if is_adapter { &["adapter_model.safetensors", "expected.json"] } else { &["expected.json"] };
        defects.extend(needed.iter().filter(|file| !folder.join(file).exists()).map(|file| format!("checkpoint {name} has no {file}")));
        // The other folders hold expected values for checkpoints beside them.
        let is_checkpoint = folder.join("config.json").exists();
        if is_checkpoint && let Err(error) = CheckpointReader::open(&folder) {
            defects.push(format!("checkpoint {name}: {error}"));
        }
    }
    Ok(defects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_fixtures_are_complete_and_unchanged() {
        assert_eq!(defects().unwrap(), [""; 0]);
    }

    #[test]
    fn lost_new_and_changed_files_are_named() {
        let table = |files: &[(&str, &str)]| files.iter().map(|(file, sum)| ((*file).to_owned(), (*sum).to_owned())).collect();
        let defects = compare(&table(&[("a", "1"), ("b", "2"), ("c", "3")]), &table(&[("b", "2"), ("c", "4"), ("d", "5")]));
        assert_eq!(defects, ["a is missing", "c has changed: 4, expected 3", "d is not in xtask/fixtures.sha256"]);
    }
}
