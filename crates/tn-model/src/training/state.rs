//! The state of an interrupted run: one file, replaced as a whole.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::tensor::{Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::kernels::adamw::Moments;
use crate::kernels::host;
use crate::qwen3::{Qwen3, Trained, place};

/// What a run needs to go on exactly where it stopped, besides its inputs.
pub(super) struct State {
    pub(super) progress: Done,
    pub(super) moments: BTreeMap<String, Moments<2>>,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) steps: u64,
    pub(super) skipped_steps: u64,
    /// Hash of data and settings.
    pub(super) fingerprint: String,
}

const KEY: &str = "training_state";

impl State {
    pub(super) fn start(fingerprint: String) -> Self {
        Self { progress: Done { steps: 0, skipped_steps: 0, fingerprint }, moments: BTreeMap::new() }
    }

    /// Writes the trained parameters, their moments and the step, first under another name, then renamed.
    pub(super) fn save(&self, path: &Path, model: &mut Qwen3, trained: Trained) -> Result<(), TrainError> {
        let mut arrays: Vec<(String, [usize; 2], Vec<u8>)> = Vec::new();
        let mut add = |name: String, tensor: &Tensor<2>| {
            arrays.push((name, tensor.dims(), host::to_vec(tensor).iter().flat_map(|v| v.to_le_bytes()).collect()));
        };
        model.update(trained, &mut |name, parameter| {
            add(format!("parameter.{name}"), &parameter);
            parameter
        });
        for (name, moments) in &self.moments {
            add(format!("first.{name}"), &moments.first);
            add(format!("second.{name}"), &moments.second);
        }
        let views = arrays.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("the bytes were made from the tensor of this shape");
            (name.as_str(), view)
        });
        let progress = serde_json::to_string(&self.progress).expect("plain numbers and a string can be written");
        let metadata = Some(HashMap::from([(KEY.to_owned(), progress)]));
        let malformed =
            |source: safetensors::SafeTensorError| TrainError::MalformedState { path: path.to_owned(), reason: source.to_string() };
        let bytes = safetensors::serialize(views, metadata).map_err(malformed)?;
        write_atomically(path, &bytes).map_err(|source| TrainError::Io { path: path.to_owned(), source })
    }

    /// Reads a state and puts its parameters into the model.
    pub(super) fn load(path: &Path, fingerprint: &str, model: &mut Qwen3, trained: Trained) -> Result<Self, TrainError> {
        let malformed = |reason: String| TrainError::MalformedState { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|source| TrainError::Io { path: path.to_owned(), source })?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| malformed(e.to_string()))?;
        let text = header.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| malformed("it has no progress record".to_owned()))?;
        let progress: Done = serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
        if progress.fingerprint != fingerprint {
            let (found, expected) = (progress.fingerprint, fingerprint.to_owned());
            return Err(TrainError::OtherRun { path: path.to_owned(), found, expected });
        }
        let arrays = SafeTensors::deserialize(&bytes).map_err(|e| malformed(e.to_string()))?;
        let device = model.device();
        let read = |name: String, shape: [usize; 2]| read_array(&arrays, &name, shape, &device).map_err(malformed);
        let (mut moments, mut failure) = (BTreeMap::new(), None);
        model.update(trained, &mut |name, parameter| {
            let shape = parameter.dims();
            let all =
                (read(format!("parameter.{name}"), shape), read(format!("first.{name}"), shape), read(format!("second.{name}"), shape));
            match all {
                (Ok(parameter), Ok(first), Ok(second)) => {
                    moments.insert(name.to_owned(), Moments { first, second });
                    parameter
                }
                (Err(e), _, _) | (_, Err(e), _) | (_, _, Err(e)) => {
                    failure.get_or_insert(e);
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

fn read_array(arrays: &SafeTensors<'_>, name: &str, shape: [usize; 2], device: &Device) -> Result<Tensor<2>, String> {
    let view = arrays.tensor(name).map_err(|e| format!("{name}: {e}"))?;
    if view.shape() != shape || view.dtype() != Dtype::F32 {
        return Err(format!("{name} has shape {:?}, expected {shape:?}", view.shape()));
    }
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok(place(values, shape, device))
}

fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
