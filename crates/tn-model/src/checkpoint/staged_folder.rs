//! A folder that appears complete or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::CheckpointError;

/// A folder under construction beside the one it will become.
///
/// Files are written into a temporary neighbor of the target. [`StagedFolder::publish`] renames the whole folder when the
/// target does not exist yet; otherwise it renames the files over those of the target one by one, in the order given, and
/// leaves other files there alone. Dropped before that, it disappears.
pub(crate) struct StagedFolder {
    target: PathBuf,
    staging: TempDir,
}

impl StagedFolder {
    pub(crate) fn beside(target: &Path) -> Result<Self, CheckpointError> {
        let error = |source| CheckpointError::write(target, source);
        let parent = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(error)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let staging = tempfile::Builder::new().prefix(&format!(".{name}.partial-")).tempdir_in(parent).map_err(error)?;
        Ok(Self { target: target.to_owned(), staging })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.staging.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: &[u8]) -> Result<(), CheckpointError> {
        let path = self.file(name);
        let write = || {
            let mut file = File::create(&path)?;
            io::Write::write_all(&mut file, contents)?;
            file.sync_all()
        };
        write().map_err(|source| CheckpointError::write(&path, source))
    }

    /// Moves the named files into place, the last one last.
    pub(crate) fn publish(mut self, names: &[&str]) -> Result<(), CheckpointError> {
        let mut move_into_place = || -> io::Result<()> {
            sync_folder(self.staging.path())?;
            if self.target.exists() {
                for name in names {
                    fs::rename(self.staging.path().join(name), self.target.join(name))?;
                }
                sync_folder(&self.target)
            } else {
                fs::rename(self.staging.path(), &self.target)?;
                self.staging.disable_cleanup(true);
                sync_folder(self.target.parent().unwrap_or(Path::new(".")))
            }
        };
        move_into_place().map_err(|source| CheckpointError::write(&self.target, source))
    }
}

/// Makes renames inside a folder survive a power cut.
fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path == Path::new("") { Path::new(".") } else { path };
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
