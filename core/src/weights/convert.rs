use burn::tensor::{DType, Device, FloatDType, TensorData};
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use super::{
    error::WeightError,
    file::{StoredDtype, StoredTensor},
};

/// Side of the square tiles in which a matrix is transposed, so that source and target lines both
/// stay in the first-level cache.
const TILE: usize = 32;

/// The float types that weights are stored and computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit IEEE floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// 16-bit brain floats.
    Bf16,
}

impl Precision {
    /// The type in which `device` creates tensors when none is named.
    pub fn of(device: &Device) -> Self {
        match device.settings().float_dtype {
            FloatDType::F16 => Self::F16,
            FloatDType::BF16 => Self::Bf16,
            FloatDType::F32 | FloatDType::F64 | FloatDType::Flex32 => Self::F32,
        }
    }

    /// The same as a tensor type.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }

    /// The size of one element in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Whether a stored type can become a float parameter.
pub(super) fn is_float(dtype: StoredDtype) -> bool {
    matches!(
        dtype,
        StoredDtype::F32 | StoredDtype::F16 | StoredDtype::BF16 | StoredDtype::F64
    )
}

/// Whether a stored type can become an integer parameter.
pub(super) fn is_int(dtype: StoredDtype) -> bool {
    matches!(dtype, StoredDtype::I64 | StoredDtype::I32 | StoredDtype::U8)
}

trait Stored {
    const SIZE: usize;
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! stored {
    ($($ty:ty),*) => {$(
        impl Stored for $ty {
            const SIZE: usize = size_of::<$ty>();
            fn read(bytes: &[u8]) -> Self {
                let mut word = [0; size_of::<$ty>()];
                word.copy_from_slice(bytes);
                <$ty>::from_le_bytes(word)
            }
        }
    )*};
}
stored!(f32, f64, f16, bf16, i32, i64, u8);

/// The values as floats, `[rows, columns]` becoming `[columns, rows]` where `transposed`.
pub(super) fn float_data(
    tensor: &StoredTensor<'_>,
    precision: Precision,
    transposed: bool,
) -> Result<TensorData, WeightError> {
    use Precision as P;
    use StoredDtype as S;
    let t = transposed;
    Ok(match (tensor.dtype, precision) {
        (S::F32, P::F32) => gather(tensor, t, |x: f32| x),
        (S::F32, P::F16) => gather(tensor, t, f16::from_f32),
        (S::F32, P::Bf16) => gather(tensor, t, bf16::from_f32),
        (S::F16, P::F32) => gather(tensor, t, f16::to_f32),
        (S::F16, P::F16) => gather(tensor, t, |x: f16| x),
        (S::F16, P::Bf16) => gather(tensor, t, |x: f16| bf16::from_f32(x.to_f32())),
        // Every bit is kept, and unlike the conversion that quiets NaNs this one vectorises.
        (S::BF16, P::F32) => gather(tensor, t, |x: bf16| {
            f32::from_bits(u32::from(x.to_bits()) << 16)
        }),
        (S::BF16, P::F16) => gather(tensor, t, |x: bf16| f16::from_f32(x.to_f32())),
        (S::BF16, P::Bf16) => gather(tensor, t, |x: bf16| x),
        (S::F64, P::F32) => gather(tensor, t, |x: f64| x as f32),
        (S::F64, P::F16) => gather(tensor, t, f16::from_f64),
        (S::F64, P::Bf16) => gather(tensor, t, bf16::from_f64),
        _ => return Err(wrong_type(tensor, "floats")),
    })
}

/// The values as 64-bit integers.
pub(super) fn int_data(tensor: &StoredTensor<'_>) -> Result<TensorData, WeightError> {
    Ok(match tensor.dtype {
        StoredDtype::I64 => gather(tensor, false, |x: i64| x),
        StoredDtype::I32 => gather(tensor, false, |x: i32| i64::from(x)),
        StoredDtype::U8 => gather(tensor, false, |x: u8| i64::from(x)),
        _ => return Err(wrong_type(tensor, "integers")),
    })
}

fn wrong_type(tensor: &StoredTensor<'_>, wanted: &'static str) -> WeightError {
    WeightError::Type {
        name: tensor.name.to_owned(),
        stored: tensor.dtype.to_string(),
        wanted,
    }
}

fn gather<S: Stored, T: burn::tensor::Element + Default>(
    tensor: &StoredTensor<'_>,
    transposed: bool,
    convert: impl Fn(S) -> T,
) -> TensorData {
    match (transposed, tensor.shape) {
        (true, &[rows, columns]) => {
            let mut values = vec![T::default(); rows * columns];
            transpose_into(&mut values, rows, columns, |index| {
                convert(S::read(
                    &tensor.bytes[index * S::SIZE..(index + 1) * S::SIZE],
                ))
            });
            TensorData::new(values, [columns, rows])
        }
        (_, shape) => {
            let values: Vec<T> = tensor
                .bytes
                .chunks_exact(S::SIZE)
                .map(|word| convert(S::read(word)))
                .collect();
            TensorData::new(values, shape.to_vec())
        }
    }
}

/// Swaps the axes of a rank-2 tensor on the host; other ranks come back as they are.
pub(super) fn transpose(data: TensorData) -> TensorData {
    fn swap<T: burn::tensor::Element + Default>(data: &TensorData) -> Option<TensorData> {
        let &[rows, columns] = data.shape().as_slice() else {
            return None;
        };
        let source = data.as_slice::<T>().ok()?;
        let mut values = vec![T::default(); source.len()];
        transpose_into(&mut values, rows, columns, |index| source[index]);
        Some(TensorData::new(values, [columns, rows]))
    }
    let swapped = match data.dtype() {
        DType::F32 => swap::<f32>(&data),
        DType::F16 => swap::<f16>(&data),
        DType::BF16 => swap::<bf16>(&data),
        _ => None,
    };
    swapped.unwrap_or(data)
}

fn transpose_into<T>(values: &mut [T], rows: usize, columns: usize, source: impl Fn(usize) -> T) {
    for column_tile in (0..columns).step_by(TILE) {
        for row_tile in (0..rows).step_by(TILE) {
            for column in column_tile..(column_tile + TILE).min(columns) {
                for row in row_tile..(row_tile + TILE).min(rows) {
                    values[column * rows + row] = source(row * columns + column);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(bits: &[u16]) -> Vec<u8> {
        bits.iter().flat_map(|bits| bits.to_le_bytes()).collect()
    }

    fn read(dtype: StoredDtype, bytes: &[u8], precision: Precision) -> TensorData {
        let shape = [bytes.len() * 8 / dtype.bitsize()];
        let tensor = StoredTensor {
            name: "x",
            dtype,
            shape: &shape,
            bytes,
        };
        float_data(&tensor, precision, false).unwrap()
    }

    #[test]
    fn every_half_survives_the_way_through_f32() {
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        let wide = read(StoredDtype::F16, &bytes_of(&bits), Precision::F32);
        for (bits, value) in bits.iter().zip(wide.as_slice::<f32>().unwrap()) {
            let half = f16::from_bits(*bits);
            assert!(half.is_nan() && value.is_nan() || f16::from_f32(*value) == half);
        }
        let wide = read(StoredDtype::BF16, &bytes_of(&bits), Precision::F32);
        for (bits, value) in bits.iter().zip(wide.as_slice::<f32>().unwrap()) {
            let brain = bf16::from_bits(*bits);
            assert_eq!(value.to_bits(), u32::from(*bits) << 16, "{brain}");
        }
    }

    #[test]
    fn same_type_keeps_every_bit() {
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        let bytes = bytes_of(&bits);
        assert_eq!(
            read(StoredDtype::F16, &bytes, Precision::F16).as_bytes(),
            bytes
        );
        assert_eq!(
            read(StoredDtype::BF16, &bytes, Precision::Bf16).as_bytes(),
            bytes
        );
    }

    #[test]
    fn narrowing_rounds_to_nearest_even() {
        let values = [1.0f32, 1.0 + f32::EPSILON, 2049.0, 2051.0, 65520.0, -0.0];
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let narrow = read(StoredDtype::F32, &bytes, Precision::F16);
        let narrow: Vec<f32> = narrow
            .as_slice::<f16>()
            .unwrap()
            .iter()
            .map(|value| value.to_f32())
            .collect();
        assert_eq!(narrow, [1.0, 1.0, 2048.0, 2052.0, f32::INFINITY, -0.0]);
    }

    #[test]
    fn transposing_across_tiles_moves_every_element() {
        let (rows, columns) = (37, 70);
        let values: Vec<f32> = (0..rows * columns).map(|index| index as f32).collect();
        let data = transpose(TensorData::new(values, [rows, columns]));
        assert_eq!(data.shape().as_slice(), [columns, rows]);
        let swapped = data.as_slice::<f32>().unwrap();
        for row in 0..rows {
            for column in 0..columns {
                assert_eq!(
                    swapped[column * rows + row],
                    (row * columns + column) as f32
                );
            }
        }
    }
}
