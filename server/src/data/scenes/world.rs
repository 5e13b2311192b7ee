//! The worlds that scenes are drawn from.

use std::{fmt, str::FromStr};

use super::vocabulary::{Attributes, Colour, Material, Shape};

/// How crowded scenes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum World {
    /// 2 to 6 objects, mostly in the open.
    #[default]
    Plain,
    /// 3 to 10 objects, several of one colour, hidden up to 70 %.
    Hard,
}

impl World {
    /// Every world.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Hard];

    /// The name that the command line uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Hard => "hard",
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for World {
    type Err = UnknownWorld;

    fn from_str(name: &str) -> Result<Self, UnknownWorld> {
        Self::ALL
            .into_iter()
            .find(|world| world.name() == name)
            .ok_or_else(|| UnknownWorld(name.to_owned()))
    }
}

/// A name that is no world's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no world; there are plain and hard")]
pub struct UnknownWorld(String);

/// Of how many combinations of colour, material and shape one is held out of training.
const COMBINATIONS_PER_HELD_OUT: usize = 12;

impl Attributes {
    /// Whether the combination of colour, material and shape is held out of training, so that data
    /// sets can tell whether a model puts together what it has only seen apart.
    ///
    /// One of twelve combinations is; every colour, material and shape is seen in others.
    pub const fn is_held_out(&self) -> bool {
        is_held_out(self.colour, self.material, self.shape)
    }
}

/// Whether a combination is held out of training.
pub(super) const fn is_held_out(colour: Colour, material: Material, shape: Shape) -> bool {
    let place = colour as usize + 5 * material as usize + 7 * shape as usize;
    place.is_multiple_of(COMBINATIONS_PER_HELD_OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for world in World::ALL {
            assert_eq!(world.name().parse(), Ok(world));
        }
        assert!("soft".parse::<World>().is_err());
    }

    #[test]
    fn one_of_twelve_combinations_is_held_out_and_every_value_is_seen() {
        let mut held_out = Vec::new();
        for &colour in Colour::ALL {
            for &material in Material::ALL {
                for &shape in Shape::ALL {
                    if is_held_out(colour, material, shape) {
                        held_out.push((colour, material, shape));
                    }
                }
            }
        }
        assert!((10..=14).contains(&held_out.len()), "{held_out:?}");
        let most = |count: &dyn Fn(&(Colour, Material, Shape)) -> bool| {
            held_out
                .iter()
                .filter(|combination| count(combination))
                .count()
        };
        for &colour in Colour::ALL {
            assert!(most(&|held| held.0 == colour) <= 3);
        }
        for &material in Material::ALL {
            assert!((1..=6).contains(&most(&|held| held.1 == material)));
        }
        for &shape in Shape::ALL {
            assert!((1..=4).contains(&most(&|held| held.2 == shape)));
        }
    }
}
