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

    /// Copies a file of another folder, if it is there. Returns whether it is.
    pub(crate) fn copy(&self, from: &Path, name: &str) -> Result<bool, CheckpointError> {
        let path = from.join(name);
        if !path.is_file() {
            return Ok(false);
        }
        let contents = fs::read(&path).map_err(|source| CheckpointError::read(&path, source))?;
        self.write(name, &contents).map(|()| true)
    }

    /// Moves the named files into place, the last one last.
    ///
    /// Where the target exists, the files of `before` disappear from it first, and those of `after` when everything is in place.
    pub(crate) fn publish(mut self, names: &[String], outdated: &Outdated) -> Result<(), CheckpointError> {
        let mut move_into_place = || -> io::Result<()> {
            sync_folder(self.staging.path())?;
            if self.target.exists() {
                remove(&self.target, &outdated.before)?;
                for name in names {
                    fs::rename(self.staging.path().join(name), self.target.join(name))?;
                }
                remove(&self.target, &outdated.after)?;
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

/// Files of a target that new ones replace under other names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outdated {
    /// Without these, what is there is not taken for a whole folder while files are exchanged.
    pub(crate) before: Vec<String>,
    /// These are no longer needed once all files are in place.
    pub(crate) after: Vec<String>,
}

fn remove(folder: &Path, names: &[String]) -> io::Result<()> {
    for name in names {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(folder)
}

/// Makes renames inside a folder survive a power cut.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path == Path::new("") { Path::new(".") } else { path };
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
