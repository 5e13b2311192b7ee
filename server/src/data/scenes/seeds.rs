//! Seeds of scenes, in two streams that never meet.

use super::world::World;

/// A series of scene seeds: the scenes of one data set, or those of one training run.
///
/// The highest bit of a scene seed tells the streams apart, so no public seed and index can ever
/// give a scene that a training run has drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    stream: Stream,
    seed: u64,
    world: World,
}

/// What one scene is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SceneSeed {
    value: u64,
    world: World,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Public,
    Training,
}

const STREAM_BIT: u64 = 1 << 63;
const PUBLIC_KEY: u64 = 0x7a3d_52c1_0e94_b86f;
const TRAINING_KEY: u64 = 0x1fb0_c96d_e5a4_2873;

impl Seeds {
    /// The stream that `--seed` selects; data sets for looking and measuring come from here.
    pub const fn public(seed: u64) -> Self {
        Self {
            stream: Stream::Public,
            seed,
            world: World::Plain,
        }
    }

    /// The stream that training draws from.
    pub const fn training(seed: u64) -> Self {
        Self {
            stream: Stream::Training,
            seed,
            world: World::Plain,
        }
    }

    /// The same series in another world.
    #[must_use]
    pub const fn in_world(self, world: World) -> Self {
        Self { world, ..self }
    }

    /// The seed of scene `index`, for [`Scene::generate`](super::Scene::generate).
    pub const fn scene(&self, index: u64) -> SceneSeed {
        let key = match self.stream {
            Stream::Public => PUBLIC_KEY,
            Stream::Training => TRAINING_KEY,
        };
        let hash = mix(mix(self.seed ^ key).wrapping_add(index));
        let value = match self.stream {
            Stream::Public => hash & !STREAM_BIT,
            Stream::Training => hash | STREAM_BIT,
        };
        SceneSeed {
            value,
            world: self.world,
        }
    }
}

impl SceneSeed {
    /// The number that randomness is drawn from.
    pub const fn value(self) -> u64 {
        self.value
    }

    /// The world that the scene belongs to.
    pub const fn world(self) -> World {
        self.world
    }

    /// Whether the scene is one that training may draw.
    pub const fn is_for_training(self) -> bool {
        self.value & STREAM_BIT != 0
    }
}

/// The finaliser of SplitMix64, after its additive step.
const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn streams_never_meet() {
        let mut public = HashSet::new();
        for seed in 0..40 {
            for index in 0..250 {
                assert!(public.insert(Seeds::public(seed).scene(index)));
            }
        }
        for seed in 0..40 {
            for index in 0..250 {
                let scene = Seeds::training(seed).scene(index);
                assert!(!public.contains(&scene));
                assert!(scene.is_for_training());
                let crowded = Seeds::training(seed).in_world(World::Hard).scene(index);
                assert_eq!(crowded.value(), scene.value());
                assert!(crowded.is_for_training() && crowded != scene);
            }
        }
        assert!(public.iter().all(|scene| !scene.is_for_training()));
    }
}
