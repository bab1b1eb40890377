//! Where a table came from: inputs, options, seed and version.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Key of a table's metadata (and `uns/tissuenarrator/provenance` of an AnnData file, without the prefix) that holds
/// [`Provenance`] as JSON.
pub const PROVENANCE_KEY: &str = "tn.provenance";
/// Key of a truth table's metadata that holds what was planted in the tissue as JSON.
pub const TRUTH_KEY: &str = "tn.truth";

/// Key of a token table's metadata that holds the [`content_hash`] of the `tokenizer.json` that made the tokens, in hexadecimal.
pub const TOKENIZER_KEY: &str = "tn.tokenizer";

/// Where a file came from. It holds no times and no folders, so that the same run gives the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Provenance {
    /// The step that made the file, for example `encode`.
    pub step: String,
    /// Version of the program.
    pub version: String,
    /// Seed of the step, if it draws anything.
    pub seed: Option<u64>,
    /// What the step read.
    pub inputs: Vec<InputFile>,
    /// Options of the step.
    pub options: BTreeMap<String, serde_json::Value>,
}

/// A file that a step read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Name without its folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Hash of the content, in hexadecimal: see [`content_hash`].
    pub hash: String,
}

impl Provenance {
    /// Starts the record of a step of this version.
    pub fn new(step: &str) -> Self {
        Self { step: step.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..Self::default() }
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Adds an option. One that cannot be expressed in JSON is left out.
    #[must_use]
    pub fn with_option<V: Serialize>(mut self, name: &str, value: V) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.options.insert(name.to_owned(), value);
        }
        self
    }

    /// Adds an input, reading it once to hash it. A folder (Zarr) is hashed with all its files, as the text of one line a
    /// file, in the order of their paths: the path below the folder with `/`, its size and its hash.
    ///
    /// # Errors
    ///
    /// Returns an error if the file, or a file of the folder, cannot be read.
    pub fn with_input<P: AsRef<Path>>(mut self, path: P) -> io::Result<Self> {
        let path = path.as_ref();
        let (hash, bytes) = if path.is_dir() { folder_hash(path)? } else { content_hash(File::open(path)?)? };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.inputs.push(InputFile { name, bytes, hash: format!("{hash:016x}") });
        Ok(self)
    }

    /// Returns the record as JSON.
    pub fn to_json(&self) -> String {
        // Text, numbers and maps with text keys always have a form in JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a record from JSON, or returns nothing if the text is none.
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

/// Prints the record for a terminal: the step, then a line for each input and each option that is set.
impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.step, self.version)?;
        if let Some(seed) = self.seed {
            write!(f, ", seed {seed}")?;
        }
        for InputFile { name, bytes, hash } in &self.inputs {
            write!(f, "\n  from {name} ({bytes} bytes, hash {hash})")?;
        }
        for (name, value) in self.options.iter().filter(|(_, value)| !value.is_null()) {
            write!(f, "\n  {name}: {value}")?;
        }
        Ok(())
    }
}

/// Hashes a stream. Returns the hash and the length in bytes.
///
/// Starting from the offset basis of FNV (64 bits), every little-endian word of eight bytes (the last one padded with
/// zeros) and then the length change the hash to `rotate_left((hash xor word) * FNV prime, 23)`.
///
/// It tells files apart; it does not protect against someone who wants two files with the same hash.
///
/// # Errors
///
/// Returns an error if reading fails.
pub fn content_hash<R: Read>(mut reader: R) -> io::Result<(u64, u64)> {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
    let mut hash = 0xCBF2_9CE4_8422_2325;
    let mut length = 0;
    loop {
        let mut block = Vec::with_capacity(1 << 16);
        let read = reader.by_ref().take(1 << 16).read_to_end(&mut block)?;
        length += read as u64;
        block.resize(read.next_multiple_of(8), 0);
        let (words, _) = block.as_chunks::<8>();
        hash = words.iter().fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        if read < 1 << 16 {
            return Ok((mix(hash, length), length));
        }
    }
}

/// Returns the hash of a folder, and the bytes of its files.
fn folder_hash(folder: &Path) -> io::Result<(u64, u64)> {
    let mut files = BTreeMap::new();
    list_files(folder, "", &mut files)?;
    let (mut listing, mut bytes) = (String::new(), 0);
    for (name, path) in files {
        let (hash, length) = content_hash(File::open(path)?)?;
        listing.push_str(&format!("{name}\t{length}\t{hash:016x}\n"));
        bytes += length;
    }
    Ok((content_hash(listing.as_bytes())?.0, bytes))
}

fn list_files(folder: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            list_files(&path, &format!("{name}/"), files)?;
        } else {
            files.insert(name, path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_the_hash() {
        let hash = |bytes: &[u8]| content_hash(bytes).unwrap();
        assert_eq!(hash(b"abc"), hash(b"abc"));
        assert_ne!(hash(b"abc"), hash(b"abd"));
        assert_ne!(hash(b"abc"), hash(b"abc\0"));
        assert_eq!(hash(&[7; 200_000]).1, 200_000);
        assert_ne!(hash(&[7; 200_000]).0, hash(&[7; 200_001]).0);
    }

    #[test]
    fn names_and_contents_decide_the_hash_of_a_folder() {
        let hash = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (name, content) in files {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
            let input = Provenance::new("encode").with_input(folder.path()).unwrap().inputs.remove(0);
            (input.hash, input.bytes)
        };
        let files = [("zarr.json", "{}"), ("X/c/0", "abc")];
        assert_eq!(hash(&files), hash(&[files[1], files[0]]));
        assert_eq!(hash(&files).1, 5);
        assert_ne!(hash(&files).0, hash(&[files[0], ("X/c/1", "abc")]).0);
        assert_ne!(hash(&files).0, hash(&[files[0], ("X/c/0", "abd")]).0);
    }

    #[test]
    fn provenance_survives_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.h5ad");
        std::fs::write(&path, "content").unwrap();
        let provenance = Provenance::new("encode").with_seed(42).with_option("layer", "counts").with_input(&path).unwrap();
        assert_eq!(provenance.inputs[0].name, "in.h5ad");
        assert_eq!(Provenance::from_json(&provenance.to_json()), Some(provenance));
        assert_eq!(Provenance::from_json("no"), None);
    }
}
