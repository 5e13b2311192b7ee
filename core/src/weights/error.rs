use std::fmt;

use burn::tensor::DataError;
use safetensors::SafeTensorError;

/// Why a checkpoint could not be read, applied or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// The bytes are not a safetensors file, or its header contradicts its length.
    #[error("not a valid safetensors file: {0}")]
    Format(#[from] SafeTensorError),
    /// Two files of one checkpoint hold a tensor of the same name.
    #[error("tensor {name} is in more than one file of the checkpoint")]
    Duplicate {
        /// The tensor's name.
        name: String,
    },
    /// A tensor that was asked for by name is not there.
    #[error("the checkpoint has no tensor {name}")]
    Absent {
        /// The tensor's name.
        name: String,
    },
    /// A tensor is stored in a type that cannot become what was asked for.
    #[error("tensor {name} is stored as {stored}, which cannot be read as {wanted}")]
    Type {
        /// The tensor's name.
        name: String,
        /// The type in the file.
        stored: String,
        /// What the caller wanted.
        wanted: &'static str,
    },
    /// A tensor's bytes do not have the length its type and shape imply.
    #[error("tensor {name} of shape {shape:?} has {found} bytes, expected {expected}")]
    Length {
        /// The tensor's name.
        name: String,
        /// The declared shape.
        shape: Vec<usize>,
        /// The length its type and shape imply, in bytes.
        expected: usize,
        /// The length found, in bytes.
        found: usize,
    },
    /// A tensor has another shape than was asked for by name.
    #[error("tensor {name} has shape {found:?}, expected {expected}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// What was expected, in words.
        expected: String,
        /// The stored shape.
        found: Vec<usize>,
    },
    /// The checkpoint and the module do not fit each other.
    #[error("the checkpoint does not fit the model: {0}")]
    Mismatch(Box<Mismatch>),
    /// A parameter's value could not be read back from its device.
    #[error("tensor {name} could not be read back: {reason}")]
    ReadBack {
        /// The tensor's name.
        name: String,
        /// The device's reason.
        reason: String,
    },
    /// A parameter's value could not be converted for storing.
    #[error("tensor {name} could not be converted: {source}")]
    Convert {
        /// The tensor's name.
        name: String,
        /// The conversion's error.
        source: DataError,
    },
}

/// Everything by which a checkpoint and a module differ, in checkpoint names and layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Tensors the module needs and the checkpoint lacks, with the shape needed.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Tensors the checkpoint has and the module does not know, with their shape.
    pub unknown: Vec<(String, Vec<usize>)>,
    /// Tensors of another shape than the module needs.
    pub misshapen: Vec<Misfit>,
    /// Tensors whose stored type the module cannot take, with that type.
    pub mistyped: Vec<(String, String)>,
}

/// One tensor whose shape differs between checkpoint and module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The tensor's name in the checkpoint.
    pub name: String,
    /// The shape the module needs, in the checkpoint's layout.
    pub expected: Vec<usize>,
    /// The shape in the checkpoint.
    pub found: Vec<usize>,
}

impl Mismatch {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unknown.is_empty()
            && self.misshapen.is_empty()
            && self.mistyped.is_empty()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shaped = |tensors: &[(String, Vec<usize>)]| -> Vec<String> {
            tensors
                .iter()
                .map(|(name, shape)| format!("{name} {shape:?}"))
                .collect()
        };
        let misshapen = self
            .misshapen
            .iter()
            .map(|misfit| {
                format!(
                    "{} {:?} instead of {:?}",
                    misfit.name, misfit.found, misfit.expected
                )
            })
            .collect();
        let mistyped = self
            .mistyped
            .iter()
            .map(|(name, dtype)| format!("{name} ({dtype})"))
            .collect();
        let groups = [
            ("missing", shaped(&self.missing)),
            ("unknown", shaped(&self.unknown)),
            ("of another shape", misshapen),
            ("of an unusable type", mistyped),
        ];
        let parts: Vec<String> = groups
            .iter()
            .filter(|(_, tensors): &&(&str, Vec<String>)| !tensors.is_empty())
            .map(|(what, tensors)| format!("{} {what}: {}", tensors.len(), tensors.join(", ")))
            .collect();
        f.write_str(&parts.join("; "))
    }
}
