//! Output files that are there completely or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a temporary file in the same folder. [`AtomicFile::commit`] makes them durable and renames it; dropping
/// the value without that deletes them, and whatever had the name before stays.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Opens a temporary file beside `path`.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder does not exist or cannot be written.
    pub fn create<P: Into<PathBuf>>(path: P) -> io::Result<Self> {
        let path = path.into();
        let temporary = named_temporary(&path)?;
        Ok(Self { temporary, path })
    }

    /// Makes the bytes durable and gives the file its name.
    ///
    /// # Errors
    ///
    /// Returns an error if writing or renaming fails; then there is no output.
    pub fn commit(mut self) -> io::Result<()> {
        self.temporary.flush()?;
        let (file, path) = self.temporary.into_parts();
        persist(&file, path, &self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

/// Opens a temporary file in the folder of `path`, with the permissions that a new file would have.
pub(crate) fn named_temporary(path: &Path) -> io::Result<NamedTempFile> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder(path))
}

/// Makes a temporary file durable and renames it.
pub(crate) fn persist(file: &File, temporary: TempPath, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    // The new name is durable when the folder is; not every system can do that.
    if let Ok(folder) = File::open(folder(path)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        std::fs::write(&path, "before").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_committed_file_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        std::fs::write(&path, "before").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"after").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after");
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        assert!(AtomicFile::create("/nonexistent/folder/out.txt").is_err());
    }
}
