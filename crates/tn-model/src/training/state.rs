//! The state of an interrupted run: one file, replaced as a whole.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::TrainError;
use super::config::MomentFormat;
use super::optimizer::{StoredMoments, format_of};
use crate::checkpoint::sync_folder;
use crate::kernels::adamw::{CodedBlocks, EightBitMoments, Moments};
use crate::kernels::host;
use crate::qwen3::{Qwen3, Trained, place};

/// What a run needs to go on exactly where it stopped, besides its inputs.
pub(super) struct State {
    pub(super) progress: Done,
    pub(super) moments: BTreeMap<String, StoredMoments>,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) steps: u64,
    pub(super) skipped_steps: u64,
    /// Hash of data and settings.
    pub(super) fingerprint: String,
}

/// Where states are saved.
#[derive(Clone, Debug)]
pub(super) struct StateFile {
    /// The latest one.
    pub(super) path: PathBuf,
    /// How many are kept; above 1, under names with their step, the latest included.
    pub(super) kept: usize,
}

const KEY: &str = "training_state";
/// Values of a block of eight-bit moments.
const BLOCK: usize = crate::kernels::adamw::eight_bit::BLOCK;

impl State {
    pub(super) fn start(fingerprint: String) -> Self {
        Self { progress: Done { steps: 0, skipped_steps: 0, fingerprint }, moments: BTreeMap::new() }
    }

    /// Writes the trained parameters, their moments and the step, first under another name, then renamed.
    pub(super) fn save(&self, file: &StateFile, model: &mut Qwen3, trained: Trained) -> Result<(), TrainError> {
        let mut arrays = Arrays::default();
        model.update(trained, &mut |name, parameter| {
            arrays.add_floats(format!("parameter.{name}"), parameter.dims().to_vec(), &host::to_vec(&parameter));
            parameter
        });
        for (name, moments) in &self.moments {
            match moments {
                StoredMoments::Full(Moments { first, second }) => {
                    arrays.add_floats(format!("first.{name}"), first.dims().to_vec(), &host::to_vec(first));
                    arrays.add_floats(format!("second.{name}"), second.dims().to_vec(), &host::to_vec(second));
                }
                StoredMoments::EightBit(moments) => arrays.add_moments(name, moments),
                StoredMoments::EightBitOnDevice(moments) => arrays.add_moments(name, &moments.to_host()),
            }
        }
        let progress = serde_json::to_string(&self.progress).expect("plain numbers and a string can be written");
        let path = &file.path;
        let bytes = arrays.serialize(HashMap::from([(KEY.to_owned(), progress)]));
        let bytes = bytes.map_err(|source| TrainError::MalformedState { path: path.clone(), reason: source.to_string() })?;
        file.write(self.progress.steps, &bytes).map_err(|source| TrainError::Io { path: path.clone(), source })
    }

    /// Reads a state and puts its parameters into the model.
    pub(super) fn load(
        path: &Path,
        fingerprint: &str,
        model: &mut Qwen3,
        trained: Trained,
        moment_format: MomentFormat,
    ) -> Result<Self, TrainError> {
        let malformed = |reason: String| TrainError::MalformedState { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|source| TrainError::Io { path: path.to_owned(), source })?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| malformed(e.to_string()))?;
        let text = header.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| malformed("it has no progress record".to_owned()))?;
        let progress: Done = serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
        if progress.skipped_steps > progress.steps {
            return Err(malformed(format!("it has {} steps, of which {} were left out", progress.steps, progress.skipped_steps)));
        }
        if progress.fingerprint != fingerprint {
            let (found, expected) = (progress.fingerprint, fingerprint.to_owned());
            return Err(TrainError::OtherRun { path: path.to_owned(), found, expected });
        }
        let arrays = SafeTensors::deserialize(&bytes).map_err(|e| malformed(e.to_string()))?;
        let saved = Saved { arrays, device: model.device() };
        let (mut moments, mut failure) = (BTreeMap::new(), None);
        model.update(trained, &mut |name, parameter| {
            let shape = parameter.dims();
            let read = || Ok((saved.tensor(&format!("parameter.{name}"), shape)?, saved.moments(name, shape, moment_format)?));
            match read() {
                Ok((parameter, read)) => {
                    moments.insert(name.to_owned(), read);
                    parameter
                }
                Err(error) => {
                    failure.get_or_insert(malformed(error));
                    parameter
                }
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(Self { progress, moments }),
        }
    }
}

/// What is to be saved: names, shapes and bytes.
#[derive(Default)]
struct Arrays(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl Arrays {
    fn add_floats(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        self.0.push((name, Dtype::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()));
    }

    fn add_moments(&mut self, name: &str, moments: &EightBitMoments) {
        self.add_blocks("first", name, &moments.first);
        self.add_blocks("second", name, &moments.second);
    }

    fn add_blocks(&mut self, moment: &str, name: &str, blocks: &CodedBlocks) {
        self.0.push((format!("{moment}.{name}"), Dtype::U8, vec![blocks.codes.len()], blocks.codes.clone()));
        self.add_floats(format!("{moment}_largest.{name}"), vec![blocks.largest.len()], &blocks.largest);
    }

    fn serialize(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let views = self.0.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).expect("the bytes were made from values of this shape");
            (name.as_str(), view)
        });
        safetensors::serialize(views, Some(metadata))
    }
}

/// What was saved.
struct Saved<'b> {
    arrays: SafeTensors<'b>,
    device: Device,
}

impl Saved<'_> {
    fn moments(&self, name: &str, shape: [usize; 2], chosen: MomentFormat) -> Result<StoredMoments, String> {
        let values = shape[0] * shape[1];
        Ok(match format_of(shape, chosen) {
            MomentFormat::F32 => StoredMoments::Full(Moments {
                first: self.tensor(&format!("first.{name}"), shape)?,
                second: self.tensor(&format!("second.{name}"), shape)?,
            }),
            MomentFormat::EightBit => StoredMoments::EightBit(EightBitMoments {
                first: self.blocks("first", name, values)?,
                second: self.blocks("second", name, values)?,
            }),
        })
    }

    fn blocks(&self, moment: &str, name: &str, values: usize) -> Result<CodedBlocks, String> {
        Ok(CodedBlocks {
            codes: self.bytes(&format!("{moment}.{name}"), Dtype::U8, &[values])?.to_vec(),
            largest: self.floats(&format!("{moment}_largest.{name}"), &[values.div_ceil(BLOCK)])?,
        })
    }

    fn tensor(&self, name: &str, shape: [usize; 2]) -> Result<Tensor<2>, String> {
        Ok(place(self.floats(name, &shape)?, shape, &self.device))
    }

    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let bytes = self.bytes(name, Dtype::F32, shape)?;
        Ok(bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
    }

    fn bytes(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&[u8], String> {
        let view = self.arrays.tensor(name).map_err(|e| format!("{name}: {e}"))?;
        if view.shape() != shape || view.dtype() != dtype {
            return Err(format!("{name} is {:?} of shape {:?}, expected {dtype:?} of {shape:?}", view.dtype(), view.shape()));
        }
        Ok(view.data())
    }
}

impl StateFile {
    /// Writes under another name; then, where more than one is kept, under the name with the step, and last under that of the latest.
    fn write(&self, step: u64, bytes: &[u8]) -> std::io::Result<()> {
        let folder = folder_of(&self.path);
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        if self.kept > 1 {
            let numbered = numbered(&self.path, step);
            // A copy and not a second name of one file: whoever goes back writes an older state over the latest.
            std::fs::copy(file.path(), &numbered)?;
        }
        file.persist(&self.path)?;
        if self.kept > 1 {
            self.remove_oldest(step)?;
        }
        sync_folder(folder)
    }

    fn remove_oldest(&self, newest: u64) -> std::io::Result<()> {
        // A later state is of a run that was given up: this one went back, or began anew.
        let (earlier, later): (Vec<_>, Vec<_>) =
            states(&self.path).into_iter().filter(|(step, _)| *step != newest).partition(|(step, _)| *step < newest);
        let outdated = (earlier.len() + 1).saturating_sub(self.kept);
        earlier.iter().take(outdated).chain(&later).try_for_each(|(_, path)| std::fs::remove_file(path))
    }
}

/// Returns the states that [`Trainer::with_kept_states`](super::Trainer::with_kept_states) has kept beside a state file, oldest first.
#[must_use]
pub fn kept_states(file: &Path) -> Vec<PathBuf> {
    states(file).into_iter().map(|(_, path)| path).collect()
}

fn states(file: &Path) -> Vec<(u64, PathBuf)> {
    let (stem, extension) = name_of(file);
    let step = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix(&format!("{stem}.step-"))?.strip_suffix(&extension)?.parse().ok()
    };
    let entries = std::fs::read_dir(folder_of(file)).into_iter().flatten().flatten();
    let mut states: Vec<(u64, PathBuf)> = entries.map(|entry| entry.path()).filter_map(|path| Some((step(&path)?, path))).collect();
    states.sort();
    states
}

fn numbered(file: &Path, step: u64) -> PathBuf {
    let (stem, extension) = name_of(file);
    file.with_file_name(format!("{stem}.step-{step:08}{extension}"))
}

/// Returns the name without its extension, and the extension with its point.
fn name_of(file: &Path) -> (String, String) {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let extension = file.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    (stem, extension.unwrap_or_default())
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
