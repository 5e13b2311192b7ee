//! Keys and values of what was already read.

use burn::tensor::{Device, Int, Tensor, TensorData, s};

use super::TextConfig;

/// The keys and values of every layer, in buffers of a fixed capacity.
///
/// A clone shares nothing that either side changes later: the first append behind it copies.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<Option<[Tensor<4>; 2]>>,
    batch: usize,
    capacity: usize,
    len: usize,
    kv_heads: usize,
    head_dim: usize,
    device: Device,
}

impl KvCache {
    /// A cache for `batch` sequences of at most `capacity` tokens.
    ///
    /// The buffers are made by the first append, in the type of its keys.
    pub fn new(config: &TextConfig, batch: usize, capacity: usize, device: &Device) -> Self {
        Self {
            layers: vec![None; config.num_hidden_layers],
            batch,
            capacity,
            len: 0,
            kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim(),
            device: device.clone(),
        }
    }

    /// How many tokens are held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many tokens can be held.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many sequences are held side by side.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Forgets all but the first `len` tokens.
    ///
    /// # Panics
    ///
    /// Panics if fewer are held.
    pub fn truncate(&mut self, len: usize) {
        assert!(
            len <= self.len,
            "cannot keep {len} of {} cached tokens",
            self.len
        );
        self.len = len;
    }

    /// Grows the buffers to `capacity`, keeping what is held; smaller capacities change nothing.
    pub fn reserve(&mut self, capacity: usize) {
        if capacity <= self.capacity {
            return;
        }
        self.capacity = capacity;
        let shape = [self.batch, self.kv_heads, capacity, self.head_dim];
        for buffer in self.layers.iter_mut().flatten().flatten() {
            let held = buffer.clone().slice_dim(2, 0..self.len);
            *buffer = Tensor::zeros(shape, (&self.device, held.dtype()))
                .slice_assign(s![.., .., 0..self.len, ..], held);
        }
    }

    /// The same for `rows` sequences that all begin with what is held, in buffers for `capacity`
    /// tokens.
    ///
    /// # Panics
    ///
    /// Panics if several sequences are held, or more tokens than `capacity`.
    pub fn spread(&self, rows: usize, capacity: usize) -> Self {
        assert_eq!(self.batch, 1, "only one sequence can be spread over rows");
        assert!(
            self.len <= capacity,
            "{} tokens exceed a cache of {capacity}",
            self.len
        );
        let shape = [rows, self.kv_heads, capacity, self.head_dim];
        let spread = |buffer: &Tensor<4>| -> Tensor<4> {
            let held = buffer.clone().slice_dim(2, 0..self.len);
            let held = held.repeat_dim(0, rows);
            Tensor::zeros(shape, (&self.device, held.dtype()))
                .slice_assign(s![.., .., 0..self.len, ..], held)
        };
        let layers = self.layers.iter().map(|layer| match layer {
            Some([keys, values]) if self.len > 0 => Some([spread(keys), spread(values)]),
            _ => None,
        });
        Self {
            layers: layers.collect(),
            batch: rows,
            capacity,
            len: self.len,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            device: self.device.clone(),
        }
    }

    /// Forgets all sequences but these, which are then held in this order.
    pub fn keep_rows(&mut self, rows: &[usize]) {
        let indices: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let indices =
            Tensor::<1, Int>::from_data(TensorData::new(indices, [rows.len()]), &self.device);
        for buffer in self.layers.iter_mut().flatten().flatten() {
            buffer.inplace(|buffer| buffer.select(0, indices.clone()));
        }
        self.batch = rows.len();
    }

    /// Puts the keys and values `[B, Hkv, L, D]` of new tokens behind those held and returns all.
    /// The tokens count once [`KvCache::advance`] is called, after every layer has appended.
    ///
    /// # Panics
    ///
    /// Panics if the capacity is exceeded.
    pub(super) fn append(
        &mut self,
        layer: usize,
        keys: Tensor<4>,
        values: Tensor<4>,
    ) -> [Tensor<4>; 2] {
        let end = self.len + keys.dims()[2];
        assert!(
            end <= self.capacity,
            "{end} tokens exceed a cache of {}",
            self.capacity
        );
        let shape = [self.batch, self.kv_heads, self.capacity, self.head_dim];
        let buffers = self.layers[layer].get_or_insert_with(|| {
            let options = || (&self.device, keys.dtype());
            [
                Tensor::zeros(shape, options()),
                Tensor::zeros(shape, options()),
            ]
        });
        let mut new = [keys, values].into_iter();
        buffers.each_mut().map(|buffer| {
            let new = new.next().expect("there are two buffers and two tensors");
            buffer.inplace(|buffer| buffer.slice_assign(s![.., .., self.len..end, ..], new));
            buffer.clone().slice_dim(2, 0..end)
        })
    }

    /// Counts `tokens` that every layer has appended.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}
