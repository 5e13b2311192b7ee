//! What an object can be: five attributes and the words that name their values.

use serde::{Deserialize, Serialize};

/// Declares an attribute: an enum whose values each have one canonical word.
macro_rules! attribute {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$value_doc])* $value),+
        }

        impl $name {
            /// Every value, in a fixed order.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// The word that data sets and texts use for this value.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }

            /// The value that `word` names, in its canonical form.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }
    };
}

attribute! {
    /// The solid that an object is.
    Shape {
        /// A ball.
        Sphere = "sphere",
        /// A cube on one of its faces, turned about the vertical.
        Cube = "cube",
        /// An upright cylinder.
        Cylinder = "cylinder",
        /// An upright cone.
        Cone = "cone",
        /// A torus that lies flat.
        Ring = "ring",
        /// A pyramid over a square.
        Pyramid = "pyramid",
    }
}

attribute! {
    /// The main colour of an object; a pattern adds a lighter or a darker tone to it.
    Colour {
        /// Red.
        Red = "red",
        /// Orange.
        Orange = "orange",
        /// Yellow.
        Yellow = "yellow",
        /// Green.
        Green = "green",
        /// Cyan, a light greenish blue.
        Cyan = "cyan",
        /// Blue.
        Blue = "blue",
        /// Purple.
        Purple = "purple",
        /// Gray, the only value without a hue.
        Gray = "gray",
    }
}

attribute! {
    /// What an object is made of, which decides how it answers light.
    Material {
        /// Rough and matte.
        Rubber = "rubber",
        /// A tinted mirror.
        Metal = "metal",
        /// Tinted and see-through.
        Glass = "glass",
    }
}

attribute! {
    /// What is painted on the surface.
    Pattern {
        /// Nothing.
        Plain = "plain",
        /// Slanted stripes.
        Striped = "striped",
        /// A checkerboard.
        Checkered = "checkered",
        /// Round dots.
        Dotted = "dotted",
    }
}

attribute! {
    /// How big an object is; the two values differ by a factor of about 1.8 in length.
    Size {
        /// Small.
        Small = "small",
        /// Large.
        Large = "large",
    }
}

impl Pattern {
    /// The pattern as a noun, for "with stripes"; `None` for a plain surface.
    pub const fn noun(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Striped => Some("stripes"),
            Self::Checkered => Some("checks"),
            Self::Dotted => Some("dots"),
        }
    }
}

impl Shape {
    /// The plural of [`Shape::word`].
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Sphere => "spheres",
            Self::Cube => "cubes",
            Self::Cylinder => "cylinders",
            Self::Cone => "cones",
            Self::Ring => "rings",
            Self::Pyramid => "pyramids",
        }
    }
}

/// The five attributes of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attributes {
    /// How big it is.
    pub size: Size,
    /// Its main colour.
    #[serde(rename = "color")]
    pub colour: Colour,
    /// What it is made of.
    pub material: Material,
    /// Which solid it is.
    pub shape: Shape,
    /// What is painted on it.
    pub pattern: Pattern,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_their_values() {
        for &colour in Colour::ALL {
            assert_eq!(Colour::from_word(colour.word()), Some(colour));
        }
        assert_eq!(Shape::from_word("ring"), Some(Shape::Ring));
        assert_eq!(Material::from_word("wood"), None);
        assert_eq!(
            serde_json::to_string(&Pattern::Checkered).unwrap(),
            "\"checkered\""
        );
    }
}
