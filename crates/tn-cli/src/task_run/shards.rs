//! The results of an unfinished run, in files beside its output.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use tissuenarrator::io::{PROVENANCE_KEY, Provenance, TableFormat, TableReader, TableRecord, TableWriter};

use crate::cell_tables;
use crate::error::CliError;
use crate::gene_panel::write_text;
use crate::run_record;

/// The folder `OUTPUT.partial` with a table for every few tasks. Each table appears complete or not at all.
pub(crate) struct Shards<'p, R> {
    output: PathBuf,
    folder: PathBuf,
    provenance: &'p Provenance,
    tasks_per_shard: usize,
    is_resumed: bool,
    row: PhantomData<fn(R) -> R>,
}

impl<'p, R: TableRecord> Shards<'p, R> {
    pub(crate) fn of_output(output: &Path, provenance: &'p Provenance, tasks_per_shard: usize) -> Self {
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let folder = output.with_file_name(format!("{name}.partial"));
        Self { output: output.to_owned(), folder, provenance, tasks_per_shard, is_resumed: false, row: PhantomData }
    }

    /// Returns whether the output is there and came from the same run.
    pub(crate) fn is_finished(&self) -> bool {
        let Ok(reader) = TableReader::<R>::open(&self.output) else { return false };
        let written = reader.metadata().get(PROVENANCE_KEY).and_then(|json| Provenance::from_json(json));
        !self.folder.exists() && written.as_ref() == Some(self.provenance)
    }

    /// Refuses to go on with the shards of another run, and to throw any away unasked.
    pub(crate) fn check(&mut self, resume: bool) -> Result<(), CliError> {
        if !self.folder.exists() {
            return Ok(());
        }
        if !resume {
            return Err(CliError::UnfinishedRun { path: self.folder.clone() });
        }
        let path = self.folder.join(run_record::FILE_NAME);
        let found = match std::fs::read_to_string(&path) {
            Ok(found) => found,
            // The run was interrupted before it had written anything.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(CliError::Open { path, source }),
        };
        match run_record::difference(&found, &self.run()) {
            None => {
                self.is_resumed = true;
                Ok(())
            }
            Some(difference) => Err(CliError::OtherRun { path: self.folder.clone(), difference }),
        }
    }

    /// Makes the folder.
    pub(crate) fn start(&self) -> Result<(), CliError> {
        if self.is_resumed {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder).map_err(|source| CliError::Write { path: self.folder.clone(), source })?;
        write_text(&run_record::text(&self.run()), &self.folder.join(run_record::FILE_NAME))
    }

    pub(super) fn tasks_per_shard(&self) -> usize {
        self.tasks_per_shard
    }

    /// Returns the rows of a shard that is written already.
    pub(super) fn read(&self, number: usize) -> Result<Option<Vec<R>>, CliError> {
        let path = self.path(number);
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(TableReader::open(path)?.read_all()?))
    }

    pub(super) fn write(&self, number: usize, rows: &[R]) -> Result<(), CliError> {
        let mut writer = TableWriter::create(self.path(number))?;
        writer.write_all(rows)?;
        Ok(writer.finish()?)
    }

    /// Returns the rows that are there of a shard that is not finished.
    pub(super) fn read_part(&self, number: usize) -> Result<Vec<R>, CliError> {
        let path = self.part(number);
        if !path.exists() {
            return Ok(Vec::new());
        }
        Ok(TableReader::open(path)?.read_all()?)
    }

    /// Saves the rows of a shard that is not finished, if there are any.
    pub(super) fn write_part(&self, number: usize, rows: &[R]) -> Result<(), CliError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut writer = TableWriter::create(self.part(number))?;
        writer.write_all(rows)?;
        Ok(writer.finish()?)
    }

    /// Puts the shards together and removes them.
    pub(crate) fn finish(&self, tasks: usize, source: &BTreeMap<String, String>) -> Result<(), CliError> {
        let mut writer = cell_tables::create::<R>(&self.output, self.provenance, source)?;
        for number in 0..tasks.div_ceil(self.tasks_per_shard) {
            for row in TableReader::<R>::open(self.path(number))? {
                writer.write(&row?)?;
            }
        }
        writer.finish()?;
        std::fs::remove_dir_all(&self.folder).map_err(|source| CliError::Write { path: self.folder.clone(), source })
    }

    /// Removes the folder of a run that cannot succeed.
    pub(super) fn abandon(&self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("shard-{number:05}.parquet"))
    }

    fn part(&self, number: usize) -> PathBuf {
        self.folder.join(format!("shard-{number:05}.part.parquet"))
    }

    /// Everything that has to be the same for a run to go on: inputs, options, seed, version, and the cut into shards.
    fn run(&self) -> Provenance {
        let format = TableFormat::of_path(&self.output).ok();
        self.provenance.clone().with_option("save_every", self.tasks_per_shard).with_option("format", format!("{format:?}"))
    }
}
