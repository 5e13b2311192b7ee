//! Summing over devices.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use burn::tensor::distributed::{ReduceOperation, all_reduce};
use burn::tensor::{Device, Tensor, TensorData};

use crate::train::error::TrainError;

/// Numbers that are summed in one go: 64 MB.
const BUCKET: usize = 1 << 24;

/// How one of several copies of the model adds its gradients to those of the others.
#[derive(Debug, Clone)]
pub(super) enum Reduce {
    /// There is no other copy.
    Alone,
    /// By NCCL, over GPUs.
    Nccl(Vec<Device>),
    /// On the host, for the CPU.
    Host {
        /// What the copies share.
        shared: Arc<HostReduce>,
        /// Which of them this is.
        number: usize,
    },
}

impl Reduce {
    /// The sums of each tensor over all copies. All of them must call this with tensors of the same
    /// lengths, each from its own thread.
    ///
    /// # Errors
    /// Where a tensor cannot be read, or another copy has ended.
    pub(super) fn sum(
        &self,
        tensors: Vec<Tensor<1>>,
        device: &Device,
    ) -> Result<Vec<Tensor<1>>, TrainError> {
        if matches!(self, Self::Alone) {
            return Ok(tensors);
        }
        let mut sums = Vec::with_capacity(tensors.len());
        for bucket in buckets(tensors, BUCKET) {
            let lengths: Vec<usize> = bucket.iter().map(|tensor| tensor.dims()[0]).collect();
            let sum = self.sum_one(Tensor::cat(bucket, 0), device)?;
            let mut start = 0;
            for length in lengths {
                sums.push(sum.clone().narrow(0, start, length));
                start += length;
            }
        }
        Ok(sums)
    }

    /// Lets the other copies go, where this one cannot go on; those on GPUs cannot be told.
    pub(super) fn end(&self) {
        if let Self::Host { shared, .. } = self {
            shared.end();
        }
    }

    fn sum_one(&self, tensor: Tensor<1>, device: &Device) -> Result<Tensor<1>, TrainError> {
        match self {
            Self::Alone => Ok(tensor),
            Self::Nccl(devices) => {
                let sum = all_reduce(tensor, ReduceOperation::Sum, devices.clone());
                Ok(sum.resolve())
            }
            Self::Host { shared, number } => {
                let values = tensor
                    .try_into_vec_as::<f32>()
                    .map_err(|error| TrainError::Worker(error.to_string()))?;
                let sum = shared.sum(*number, values)?;
                let length = sum.len();
                let data = TensorData::new(sum.to_vec(), [length]);
                Ok(Tensor::from_data(data, device))
            }
        }
    }
}

/// Tensors in their order, as many at a time as have `most` numbers together, but at least one.
fn buckets(tensors: Vec<Tensor<1>>, most: usize) -> Vec<Vec<Tensor<1>>> {
    let mut buckets: Vec<Vec<Tensor<1>>> = Vec::new();
    let mut room = 0;
    for tensor in tensors {
        let [length] = tensor.dims();
        match buckets.last_mut().filter(|_| length <= room) {
            Some(bucket) => bucket.push(tensor),
            None => {
                buckets.push(vec![tensor]);
                room = most.max(length);
            }
        }
        room -= length;
    }
    buckets
}

/// Where threads meet to add up vectors.
#[derive(Debug)]
pub(super) struct HostReduce {
    state: Mutex<Meeting>,
    changed: Condvar,
}

#[derive(Debug)]
struct Meeting {
    /// What each has brought.
    brought: Vec<Option<Vec<f32>>>,
    /// The sum, while it is fetched, and how many still have to.
    sum: Option<(Arc<[f32]>, usize)>,
    /// Somebody will not come any more.
    is_over: bool,
}

impl HostReduce {
    /// For so many threads.
    pub(super) fn new(count: usize) -> Self {
        Self {
            state: Mutex::new(Meeting {
                brought: vec![None; count],
                sum: None,
                is_over: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Nobody needs to wait for the others any more.
    fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Meeting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, Meeting>) -> MutexGuard<'a, Meeting> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The sum of what all bring, added in the order of their numbers.
    fn sum(&self, number: usize, values: Vec<f32>) -> Result<Arc<[f32]>, TrainError> {
        let mut state = self.lock();
        // The sum before has to be fetched by everybody first.
        while state.sum.is_some() && !state.is_over {
            state = self.wait(state);
        }
        if state.is_over {
            return Err(TrainError::CopyEnded);
        }
        state.brought[number] = Some(values);
        if state.brought.iter().all(Option::is_some) {
            let mut brought = state.brought.iter_mut().filter_map(Option::take);
            let mut sum = brought.next().unwrap_or_default();
            for other in brought {
                for (sum, value) in sum.iter_mut().zip(other) {
                    *sum += value;
                }
            }
            state.sum = Some((sum.into(), state.brought.len()));
            self.changed.notify_all();
        }
        loop {
            let fetched = match &mut state.sum {
                Some((sum, left)) => {
                    *left -= 1;
                    Some((Arc::clone(sum), *left == 0))
                }
                None => None,
            };
            if let Some((sum, was_last)) = fetched {
                if was_last {
                    state.sum = None;
                    self.changed.notify_all();
                }
                return Ok(sum);
            }
            if state.is_over {
                return Err(TrainError::CopyEnded);
            }
            state = self.wait(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduced(shared: &Arc<HostReduce>, number: usize) -> Vec<Vec<f32>> {
        let device = Device::flex();
        let reduce = Reduce::Host {
            shared: Arc::clone(shared),
            number,
        };
        let tensor = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [values.len()]);
            Tensor::<1>::from_data(data, &device)
        };
        let mut all = Vec::new();
        for round in 0..20 {
            let value = (round * 10 + number) as f32;
            let sums = reduce
                .sum(vec![tensor(&[value, 1.0]), tensor(&[-value])], &device)
                .unwrap();
            let numbers = sums
                .into_iter()
                .map(|sum| sum.into_data().iter::<f32>().collect());
            all.extend(numbers.collect::<Vec<Vec<f32>>>());
        }
        all
    }

    #[test]
    fn every_copy_gets_the_same_sums() {
        let shared = Arc::new(HostReduce::new(3));
        let copies: Vec<Vec<Vec<f32>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|number| {
                    scope.spawn({
                        let shared = &shared;
                        move || reduced(shared, number)
                    })
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        assert_eq!(copies[0], copies[1]);
        assert_eq!(copies[0], copies[2]);
        let expected: Vec<Vec<f32>> = (0..20)
            .flat_map(|round| {
                let sum = (3 * round * 10 + 3) as f32;
                [vec![sum, 3.0], vec![-sum]]
            })
            .collect();
        assert_eq!(copies[0], expected);
    }

    #[test]
    fn nobody_waits_for_a_copy_that_has_ended() {
        let shared = Arc::new(HostReduce::new(2));
        let waiting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.sum(0, vec![1.0])
        });
        shared.end();
        assert!(waiting.join().unwrap().is_err());
        assert!(shared.sum(1, vec![1.0]).is_err());
    }

    #[test]
    fn buckets_keep_the_order_and_are_not_too_large() {
        let device = Device::flex();
        let lengths = [8, 1, 1, 3, 15, 2];
        let tensors = lengths.map(|length| Tensor::<1>::zeros([length], &device));
        let found: Vec<Vec<usize>> = buckets(tensors.to_vec(), 10)
            .iter()
            .map(|bucket| bucket.iter().map(|tensor| tensor.dims()[0]).collect())
            .collect();
        assert_eq!(found, [vec![8, 1, 1], vec![3], vec![15], vec![2]]);
    }
}
