use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    ops::Range,
    sync::Arc,
};

use burn::tensor::{Device, Int, Tensor, TensorData};
pub use safetensors::Dtype as StoredDtype;
use safetensors::SafeTensors;

use super::{
    convert::{self, Precision},
    error::WeightError,
};

/// Bytes that several tensors share: a memory map, a download or a buffer.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

#[derive(Clone)]
struct Entry {
    dtype: StoredDtype,
    shape: Vec<usize>,
    bytes: SharedBytes,
    range: Range<usize>,
}

impl Entry {
    fn view<'a>(&'a self, name: &'a str) -> StoredTensor<'a> {
        StoredTensor {
            name,
            dtype: self.dtype,
            shape: &self.shape,
            bytes: &(*self.bytes).as_ref()[self.range.clone()],
        }
    }
}

/// The tensors of one file, by name; nothing is copied until a tensor is converted.
#[derive(Clone, Default)]
pub struct WeightFile {
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

impl WeightFile {
    /// Parses the header of a safetensors file.
    ///
    /// # Errors
    ///
    /// Any header that is not one, or that disagrees with the number of bytes. Memory use is
    /// bounded by the header's own length, whatever sizes it claims.
    pub fn parse(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, WeightError> {
        let bytes: SharedBytes = Arc::new(bytes);
        Self::parse_shared(&bytes)
    }

    /// As [`WeightFile::parse`], for bytes that are shared already.
    pub fn parse_shared(bytes: &SharedBytes) -> Result<Self, WeightError> {
        let buffer = (**bytes).as_ref();
        let (header, metadata) = SafeTensors::read_metadata(buffer)?;
        let start = header + size_of::<u64>();
        let entries = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| {
                let (from, to) = info.data_offsets;
                let entry = Entry {
                    dtype: info.dtype,
                    shape: info.shape.clone(),
                    bytes: Arc::clone(bytes),
                    range: start + from..start + to,
                };
                (name, entry)
            })
            .collect();
        let metadata = metadata.metadata().iter().flatten();
        Ok(Self {
            entries,
            metadata: metadata
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        })
    }

    /// Adds one tensor that another reader (of `.pth` files, say) has produced, little-endian.
    ///
    /// # Errors
    ///
    /// If the name is taken or the bytes do not have the length that type and shape imply.
    pub fn insert(
        &mut self,
        name: String,
        dtype: StoredDtype,
        shape: Vec<usize>,
        bytes: SharedBytes,
    ) -> Result<(), WeightError> {
        let found = (*bytes).as_ref().len();
        let expected = shape
            .iter()
            .try_fold(dtype.bitsize() / 8, |size, side| size.checked_mul(*side))
            .unwrap_or(usize::MAX);
        if expected != found {
            return Err(WeightError::Length {
                name,
                shape,
                expected,
                found,
            });
        }
        match self.entries.entry(name) {
            btree_map::Entry::Occupied(taken) => Err(WeightError::Duplicate {
                name: taken.key().clone(),
            }),
            btree_map::Entry::Vacant(free) => {
                free.insert(Entry {
                    dtype,
                    shape,
                    bytes,
                    range: 0..found,
                });
                Ok(())
            }
        }
    }

    /// The file's `__metadata__`, empty for other sources.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The names of the file's tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

impl fmt::Debug for WeightFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightFile")
            .field("tensors", &self.entries.len())
            .finish()
    }
}

/// One stored tensor: what the header says about it and its bytes.
#[derive(Clone, Copy)]
pub struct StoredTensor<'a> {
    pub(super) name: &'a str,
    pub(super) dtype: StoredDtype,
    pub(super) shape: &'a [usize],
    pub(super) bytes: &'a [u8],
}

impl<'a> StoredTensor<'a> {
    /// The name in the checkpoint.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The stored element type.
    pub fn dtype(&self) -> StoredDtype {
        self.dtype
    }

    /// The stored shape.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The stored bytes, little-endian and row-major.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor holds no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as floats of `precision`: one copy, rounded to nearest even where it narrows.
    pub fn to_float_data(&self, precision: Precision) -> Result<TensorData, WeightError> {
        convert::float_data(self, precision, false)
    }

    /// The values as 64-bit integers.
    pub fn to_int_data(&self) -> Result<TensorData, WeightError> {
        convert::int_data(self)
    }
}

impl fmt::Debug for StoredTensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.name, self.dtype, self.shape)
    }
}

/// A checkpoint: the union of the tensors of its files.
#[derive(Clone, Default)]
pub struct Weights {
    entries: BTreeMap<String, Entry>,
}

impl Weights {
    /// Joins the files of one checkpoint.
    ///
    /// # Errors
    ///
    /// If two files hold a tensor of the same name.
    pub fn from_files(files: impl IntoIterator<Item = WeightFile>) -> Result<Self, WeightError> {
        let mut weights = Self::default();
        for file in files {
            weights.add(file)?;
        }
        Ok(weights)
    }

    /// Adds a further file.
    ///
    /// # Errors
    ///
    /// If a tensor of the same name is there already.
    pub fn add(&mut self, file: WeightFile) -> Result<(), WeightError> {
        self.extend(file.entries)
    }

    /// Adds all tensors of another checkpoint.
    ///
    /// # Errors
    ///
    /// If a tensor of the same name is there already.
    pub fn join(&mut self, other: Self) -> Result<(), WeightError> {
        self.extend(other.entries)
    }

    fn extend(&mut self, entries: BTreeMap<String, Entry>) -> Result<(), WeightError> {
        for (name, entry) in entries {
            match self.entries.entry(name) {
                btree_map::Entry::Occupied(taken) => {
                    return Err(WeightError::Duplicate {
                        name: taken.key().clone(),
                    });
                }
                btree_map::Entry::Vacant(free) => free.insert(entry),
            };
        }
        Ok(())
    }

    /// The same tensors under other names; those for which `rename` says `None` are left out.
    ///
    /// # Errors
    ///
    /// If two tensors end up under one name.
    pub fn renamed(&self, rename: impl Fn(&str) -> Option<String>) -> Result<Self, WeightError> {
        let mut renamed = Self::default();
        for (name, entry) in &self.entries {
            if let Some(name) = rename(name) {
                renamed.extend(BTreeMap::from([(name, entry.clone())]))?;
            }
        }
        Ok(renamed)
    }

    /// Only the tensors whose name `keep` accepts, so that a part can be loaded strictly.
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        let entries = self.entries.iter().filter(|(name, _)| keep(name));
        Self {
            entries: entries
                .map(|(name, entry)| (name.clone(), entry.clone()))
                .collect(),
        }
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<StoredTensor<'_>> {
        let (name, entry) = self.entries.get_key_value(name)?;
        Some(entry.view(name))
    }

    /// All tensors, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = StoredTensor<'_>> {
        self.entries.iter().map(|(name, entry)| entry.view(name))
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no tensor at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The float tensor called `name` as an f32 tensor on `device`.
    ///
    /// # Errors
    ///
    /// If it is absent, not a float or not of rank `D`.
    pub fn tensor<const D: usize>(
        &self,
        name: &str,
        device: &Device,
    ) -> Result<Tensor<D>, WeightError> {
        let stored = self.require::<D>(name)?;
        let data = stored.to_float_data(Precision::F32)?;
        Ok(Tensor::from_data(data, (device, Precision::F32.dtype())))
    }

    /// The integer tensor called `name` on `device`, in the device's own integer type.
    ///
    /// # Errors
    ///
    /// If it is absent, not an integer or not of rank `D`.
    pub fn int_tensor<const D: usize>(
        &self,
        name: &str,
        device: &Device,
    ) -> Result<Tensor<D, Int>, WeightError> {
        Ok(Tensor::from_data(
            self.require::<D>(name)?.to_int_data()?,
            device,
        ))
    }

    fn require<const D: usize>(&self, name: &str) -> Result<StoredTensor<'_>, WeightError> {
        let stored = self.get(name).ok_or_else(|| WeightError::Absent {
            name: name.to_owned(),
        })?;
        if stored.shape.len() != D {
            return Err(WeightError::Shape {
                name: name.to_owned(),
                expected: format!("{D} dimensions"),
                found: stored.shape.to_vec(),
            });
        }
        Ok(stored)
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights")
            .field("tensors", &self.entries.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::folder;
    use crate::weights::to_safetensors;

    #[test]
    fn fixture_shards_hold_what_one_file_of_them_holds() {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder("qwen"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_string_lossy();
                name.starts_with("model") && name.ends_with(".safetensors")
            })
            .collect();
        files.sort();
        let files = files
            .iter()
            .map(|path| WeightFile::parse(std::fs::read(path).unwrap()).unwrap());
        let sharded = Weights::from_files(files).unwrap();
        let tensors = sharded
            .iter()
            .map(|tensor| {
                (
                    tensor.name().to_owned(),
                    tensor.to_float_data(Precision::F32).unwrap(),
                )
            })
            .collect();
        let bytes = to_safetensors(tensors).unwrap();
        let whole = Weights::from_files([WeightFile::parse(bytes).unwrap()]).unwrap();
        assert!(!sharded.is_empty());
        assert_eq!(sharded.len(), whole.len());
        for (left, right) in sharded.iter().zip(whole.iter()) {
            assert_eq!((left.name(), left.shape()), (right.name(), right.shape()));
            assert_eq!(
                left.to_float_data(Precision::F32).unwrap(),
                right.to_float_data(Precision::F32).unwrap(),
            );
        }
    }

    #[test]
    fn tensors_come_by_name_and_rank() {
        let data = TensorData::new(vec![1.0f32, 2.0], [1, 2]);
        let bytes = to_safetensors(vec![("x".to_owned(), data)]).unwrap();
        let weights = Weights::from_files([WeightFile::parse(bytes).unwrap()]).unwrap();
        let device = Device::flex();
        assert_eq!(weights.tensor::<2>("x", &device).unwrap().dims(), [1, 2]);
        assert!(matches!(
            weights.tensor::<1>("x", &device),
            Err(WeightError::Shape { .. })
        ));
        assert!(matches!(
            weights.tensor::<2>("y", &device),
            Err(WeightError::Absent { .. })
        ));
        assert!(matches!(
            weights.int_tensor::<2>("x", &device),
            Err(WeightError::Type { .. })
        ));
    }

    #[test]
    fn inserted_bytes_must_have_the_declared_length() {
        let mut file = WeightFile::default();
        let mut insert = |shape: Vec<usize>, length: usize| {
            let bytes = Arc::new(vec![0u8; length]);
            file.insert("x".to_owned(), StoredDtype::F16, shape, bytes)
        };
        assert!(matches!(
            insert(vec![3], 4),
            Err(WeightError::Length { .. })
        ));
        assert!(matches!(
            insert(vec![usize::MAX, 4], 4),
            Err(WeightError::Length { .. })
        ));
        insert(vec![2], 4).unwrap();
        assert!(matches!(
            insert(vec![2], 4),
            Err(WeightError::Duplicate { .. })
        ));
    }

    fn with_header(header: &[u8], data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = WeightFile::parse(bytes);
        }

        #[test]
        fn garbage_headers_never_panic(header in ".{0,200}", data in 0usize..64) {
            let _ = WeightFile::parse(with_header(header.as_bytes(), data));
        }

        #[test]
        fn claimed_sizes_are_checked_before_they_are_used(
            dtype in prop::sample::select(vec!["F32", "F16", "BF16", "I64", "U8", "BOOL", "F4", "X"]),
            shape in prop::collection::vec(prop_oneof![0u64..5, any::<u64>()], 0..4),
            from in prop_oneof![0u64..16, any::<u64>()],
            to in prop_oneof![0u64..16, any::<u64>()],
            data in 0usize..64,
        ) {
            let header = format!(
                r#"{{"x":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{to}]}}}}"#
            );
            if let Ok(file) = WeightFile::parse(with_header(header.as_bytes(), data)) {
                let weights = Weights::from_files([file]).unwrap();
                for tensor in weights.iter() {
                    prop_assert_eq!(tensor.bytes().len(), data);
                    let _ = tensor.to_float_data(Precision::F32);
                    let _ = tensor.to_int_data();
                }
            }
        }

        #[test]
        fn cut_files_are_refused(length in 0usize..100) {
            let data = TensorData::new(vec![1.0f32; 8], [8]);
            let mut bytes = to_safetensors(vec![("x".to_owned(), data)]).unwrap();
            prop_assume!(length < bytes.len());
            bytes.truncate(length);
            prop_assert!(WeightFile::parse(bytes).is_err());
        }
    }
}
