//! Which picture of which data set comes when: a function of the picture's number alone, so that a
//! run that is resumed needs no other memory.

use std::path::PathBuf;

use super::recipe::DataRecipe;
use crate::data::folder::{FolderError, PictureFolder};
use crate::data::record::PictureRecord;
use crate::train::error::TrainError;

/// Fewest pictures after which the data sets' shares repeat.
const SHORTEST_PERIOD: usize = 1000;
/// Most of them.
const LONGEST_PERIOD: usize = 1 << 20;

/// One entry of one data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The data set, by its place in the recipe.
    pub(super) set: usize,
    /// The entry, from 0.
    pub(super) entry: usize,
}

/// The data sets of a recipe.
#[derive(Debug)]
pub(super) struct Mixture {
    seed: u64,
    sets: Vec<DataSet>,
    /// The order of the data sets in each stage; none where no data set belongs to it.
    stages: [Option<Order>; 2],
}

#[derive(Debug)]
struct DataSet {
    name: String,
    /// None where no stage uses it.
    folder: Option<PictureFolder>,
}

/// In which order data sets are visited.
#[derive(Debug, Clone, PartialEq)]
struct Order {
    slots: Vec<Slot>,
    /// Visits of each data set in a period.
    counts: Vec<u64>,
    /// Share of each data set, adding up to one.
    shares: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    set: usize,
    /// Earlier visits of that data set in the period.
    before: u64,
}

impl Mixture {
    /// Opens the data sets that some stage uses.
    ///
    /// # Errors
    /// Where a folder cannot be opened; the data set's name is told.
    pub(super) fn open(seed: u64, data: &[DataRecipe]) -> Result<Self, TrainError> {
        let sets = data
            .iter()
            .map(|data| {
                let is_used = data.stage_1 > 0.0 || data.stage_2 > 0.0;
                let folder = is_used.then(|| PictureFolder::open(&data.dir));
                let folder = folder.transpose().map_err(|source| TrainError::Data {
                    name: data.name.clone(),
                    source: Box::new(source),
                })?;
                Ok(DataSet {
                    name: data.name.clone(),
                    folder,
                })
            })
            .collect::<Result<Vec<_>, TrainError>>()?;
        let order = |stage: u8| {
            let weights: Vec<f64> = data.iter().map(|data| data.weight(stage)).collect();
            Order::new(&weights)
        };
        Ok(Self {
            seed,
            sets,
            stages: [order(1), order(2)],
        })
    }

    /// The name of a data set.
    pub(super) fn name(&self, set: usize) -> &str {
        &self.sets[set].name
    }

    /// How many entries each data set has; none where no stage uses it.
    pub(super) fn lengths(&self) -> Vec<Option<u64>> {
        (0..self.sets.len()).map(|set| self.length(set)).collect()
    }

    /// Where picture `index` of a stage comes from. Every data set has its share as exactly as whole
    /// numbers allow, and goes through all of its entries before one comes again.
    ///
    /// A picture that cannot be used is replaced by the one of the next `attempt`, from 0: any entry
    /// of any data set of the stage.
    ///
    /// None where no data set belongs to the stage.
    pub(super) fn place(&self, stage: u8, index: u64, attempt: u64) -> Option<Place> {
        let order = self.stages[usize::from(stage > 1)].as_ref()?;
        let key = mixed(self.seed ^ mixed(u64::from(stage)));
        if attempt > 0 {
            let draw = mixed(key ^ mixed(index ^ mixed(attempt)));
            let set = order.drawn((draw >> 11) as f64 / (1_u64 << 53) as f64);
            let length = self.length(set)?;
            let entry = (mixed(draw) % length) as usize;
            return Some(Place { set, entry });
        }
        let period = order.slots.len() as u64;
        let slot = order.slots[(index % period) as usize];
        let visit = (index / period) * order.counts[slot.set] + slot.before;
        let length = self.length(slot.set)?;
        let epoch = visit / length;
        let key = mixed(key ^ mixed(((slot.set as u64) << 32) ^ epoch));
        Some(Place {
            set: slot.set,
            entry: permuted(visit % length, length, key) as usize,
        })
    }

    fn length(&self, set: usize) -> Option<u64> {
        let folder = self.sets[set].folder.as_ref()?;
        Some(folder.len() as u64)
    }

    /// Reads an entry, and says where its picture is.
    ///
    /// # Errors
    /// As [`PictureFolder::record`].
    pub(super) fn read(&self, place: Place) -> Result<(PictureRecord, PathBuf), FolderError> {
        let Some(folder) = &self.sets[place.set].folder else {
            return Err(FolderError::NoData(PathBuf::new()));
        };
        let record = folder.record(place.entry)?;
        let path = folder.image_path(&record);
        Ok((record, path))
    }
}

impl Order {
    /// Spreads data sets of these weights evenly; none where all weigh nothing.
    ///
    /// Every data set gains its share at each slot, and the one that is furthest ahead is visited and
    /// pays for it (smooth weighted round-robin, as in nginx), so that after any number of pictures
    /// each data set is within one visit of its share.
    fn new(weights: &[f64]) -> Option<Self> {
        let total: f64 = weights.iter().sum();
        if total <= 0.0 {
            return None;
        }
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let smallest = shares.iter().copied().filter(|&share| share > 0.0);
        let smallest = smallest.fold(1.0, f64::min);
        // Even the rarest data set comes several times in a period.
        let period = ((4.0 / smallest).ceil() as usize).clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
        let mut credit = vec![0.0; shares.len()];
        let mut counts = vec![0; shares.len()];
        let mut slots = Vec::with_capacity(period);
        for _ in 0..period {
            for (credit, share) in credit.iter_mut().zip(&shares) {
                *credit += share;
            }
            let ahead =
                (0..shares.len())
                    .filter(|&set| shares[set] > 0.0)
                    .reduce(|best, set| {
                        if credit[set] > credit[best] {
                            set
                        } else {
                            best
                        }
                    })?;
            credit[ahead] -= 1.0;
            slots.push(Slot {
                set: ahead,
                before: counts[ahead],
            });
            counts[ahead] += 1;
        }
        Some(Self {
            slots,
            counts,
            shares,
        })
    }

    /// The data set at a place in `[0, 1)` of their shares laid end to end.
    fn drawn(&self, place: f64) -> usize {
        let mut end = 0.0;
        let mut last = 0;
        for (set, &share) in self.shares.iter().enumerate() {
            if share > 0.0 {
                end += share;
                last = set;
                if place < end {
                    break;
                }
            }
        }
        last
    }
}

/// Where `place` goes in a permutation of `0..length` that `key` chooses: a Feistel network over the
/// next power of four, walked until it comes back into the range.
fn permuted(place: u64, length: u64, key: u64) -> u64 {
    let bits = u64::BITS - length.saturating_sub(1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mask = (1_u64 << half) - 1;
    let mut value = place;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..4 {
            let turned = mixed(key ^ mixed((round << 60) ^ right));
            (left, right) = (right, left ^ (turned & mask));
        }
        value = (left << half) | right;
        if value < length {
            return value;
        }
    }
}

/// A number that looks as if it had nothing to do with `value` (the finaliser of SplitMix64).
pub(super) fn mixed(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::data::record::PICTURES_FILE;

    fn folder(parent: &Path, name: &str, count: usize) -> PathBuf {
        let dir = parent.join(name);
        fs::create_dir(&dir).unwrap();
        let lines: String = (0..count)
            .map(|id| {
                format!(
                    "{{\"id\": \"{id}\", \"image\": \"{id}.png\", \"width\": 4, \"height\": 4}}\n"
                )
            })
            .collect();
        fs::write(dir.join(PICTURES_FILE), lines).unwrap();
        dir
    }

    fn data(name: &str, dir: PathBuf, weights: [f64; 2]) -> DataRecipe {
        DataRecipe {
            name: name.to_owned(),
            dir,
            stage_1: weights[0],
            stage_2: weights[1],
        }
    }

    #[test]
    fn shares_are_exact_at_any_time() {
        let weights = [3.0, 0.0, 1.0, 0.5];
        let order = Order::new(&weights).unwrap();
        let mut counts = [0.0; 4];
        for (done, slot) in order.slots.iter().enumerate() {
            assert_eq!(slot.before as f64, counts[slot.set]);
            counts[slot.set] += 1.0;
            for (count, weight) in counts.iter().zip(weights) {
                let share = weight / 4.5 * (done + 1) as f64;
                assert!((count - share).abs() <= 1.0, "{counts:?}");
            }
        }
        assert_eq!(counts[1], 0.0);
        assert_eq!(Order::new(&[0.0, 0.0]), None);
        let rare = Order::new(&[1.0, 1e-4]).unwrap();
        assert!(rare.counts[1] >= 3, "{:?}", rare.counts);
    }

    #[test]
    fn places_in_a_permutation_are_all_different() {
        for length in [1_u64, 2, 3, 7, 64, 65, 1000] {
            for key in [1, 2] {
                let mut seen: Vec<u64> = (0..length)
                    .map(|place| permuted(place, length, key))
                    .collect();
                if length > 60 {
                    assert_ne!(seen, (0..length).collect::<Vec<_>>());
                }
                seen.sort_unstable();
                assert_eq!(seen, (0..length).collect::<Vec<_>>());
            }
        }
        let orders = [1, 2].map(|key| [0, 1, 2, 3].map(|place| permuted(place, 1000, key)));
        assert_ne!(orders[0], orders[1]);
    }

    #[test]
    fn every_picture_comes_once_in_each_round_of_its_data_set() {
        let parent = tempfile::tempdir().unwrap();
        let sets = [
            data("a", folder(parent.path(), "a", 30), [3.0, 0.0]),
            data("b", folder(parent.path(), "b", 7), [1.0, 1.0]),
            data("unused", parent.path().join("missing"), [0.0, 0.0]),
        ];
        let mixture = Mixture::open(5, &sets).unwrap();
        let mut visits = [Vec::new(), Vec::new()];
        for index in 0..4000 {
            let place = mixture.place(1, index, 0).unwrap();
            visits[place.set].push(place.entry);
        }
        assert_eq!(visits[0].len(), 3000);
        let mut rounds = Vec::new();
        for (visits, length) in visits.iter().zip([30, 7]) {
            for round in visits.chunks_exact(length) {
                rounds.push(round.to_vec());
                let mut sorted = round.to_vec();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..length).collect::<Vec<_>>());
            }
        }
        assert_ne!(rounds[0], rounds[1]);
        // Stage 2 has its own data sets, in an order of its own.
        let second: Vec<Place> = (0..7)
            .map(|index| mixture.place(2, index, 0).unwrap())
            .collect();
        assert!(second.iter().all(|place| place.set == 1));
        assert_eq!(mixture.name(1), "b");
    }

    #[test]
    fn replacements_are_the_same_in_every_run() {
        let parent = tempfile::tempdir().unwrap();
        let sets = [
            data("a", folder(parent.path(), "a", 30), [3.0, 0.0]),
            data("b", folder(parent.path(), "b", 50), [1.0, 0.0]),
        ];
        let draw = || {
            let mixture = Mixture::open(5, &sets).unwrap();
            let places = (0..400).map(|index| mixture.place(1, index, 1 + index % 3).unwrap());
            places.collect::<Vec<_>>()
        };
        let places = draw();
        assert_eq!(places, draw());
        let of_b = places.iter().filter(|place| place.set == 1).count();
        assert!((60..140).contains(&of_b), "{of_b}");
        assert!(places.iter().all(|place| place.entry < [30, 50][place.set]));
        let different = places.iter().filter(|place| place.set == 0);
        let mut different: Vec<usize> = different.map(|place| place.entry).collect();
        different.sort_unstable();
        different.dedup();
        assert!(different.len() > 25, "{different:?}");
        let error = Mixture::open(1, &[data("x", parent.path().join("none"), [1.0, 0.0])]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("\"x\""), "{error}");
        assert_eq!(Mixture::open(5, &sets).unwrap().place(2, 0, 0), None);
    }
}
