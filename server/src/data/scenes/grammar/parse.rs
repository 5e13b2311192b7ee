//! Reads what a text says an object is, to judge what a model wrote.

use super::{
    super::vocabulary::{Attributes, Colour, Material, Pattern, Shape, Size},
    expression::Filter,
};

/// Whether a text gives an attribute, and gives it right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mention {
    /// As it is.
    Right,
    /// Otherwise than it is.
    Wrong,
    /// Not at all.
    Missing,
}

/// What a text says about each attribute of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptionCheck {
    /// Its size.
    pub size: Mention,
    /// Its main colour.
    pub colour: Mention,
    /// Its pattern; a plain object needs no word for that.
    pub pattern: Mention,
    /// Its material.
    pub material: Mention,
    /// Its shape.
    pub shape: Mention,
}

impl DescriptionCheck {
    /// Whether colour, material and shape are all right: the category.
    pub fn category_is_right(&self) -> bool {
        [self.colour, self.material, self.shape] == [Mention::Right; 3]
    }

    /// Whether nothing is wrong or missing.
    pub fn all_right(&self) -> bool {
        self.category_is_right() && [self.size, self.pattern] == [Mention::Right; 2]
    }
}

/// The category that a text names first, whatever it says besides.
///
/// ```
/// use fclm_server::data::scenes::{Colour, Material, Shape, parse_category};
///
/// let category = parse_category("A small red metal cylinder with stripes.");
/// assert_eq!(category, Some((Colour::Red, Material::Metal, Shape::Cylinder)));
/// ```
pub fn parse_category(text: &str) -> Option<(Colour, Material, Shape)> {
    let named = parse_phrase(text);
    Some((named.colour?, named.material?, named.shape?))
}

/// The attributes that the first noun phrase of a text names; an attribute that it names twice
/// and differently counts as not named.
pub fn parse_phrase(text: &str) -> Filter {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let noun = words.iter().position(|word| shape(word).is_some());
    let head = match noun {
        // A pattern may follow its noun: "cylinder with stripes".
        Some(noun) if words.get(noun + 1) == Some(&"with") => &words[..(noun + 3).min(words.len())],
        Some(noun) => &words[..=noun],
        None => &words[..],
    };
    Filter {
        size: only(head, size),
        colour: only(head, colour),
        pattern: only(head, pattern),
        material: only(head, material),
        shape: noun.and_then(|noun| shape(words[noun])),
    }
}

/// Compares what a text says first with what an object is.
pub fn check_description(text: &str, object: &Attributes) -> DescriptionCheck {
    fn mention<T: PartialEq + Copy>(said: Option<T>, actual: T) -> Mention {
        match said {
            Some(said) if said == actual => Mention::Right,
            Some(_) => Mention::Wrong,
            None => Mention::Missing,
        }
    }
    let said = parse_phrase(text);
    DescriptionCheck {
        size: mention(said.size, object.size),
        colour: mention(said.colour, object.colour),
        pattern: mention(Some(said.pattern.unwrap_or(Pattern::Plain)), object.pattern),
        material: mention(said.material, object.material),
        shape: mention(said.shape, object.shape),
    }
}

fn only<T: PartialEq + Copy>(words: &[&str], read: fn(&str) -> Option<T>) -> Option<T> {
    let mut named = words.iter().filter_map(|word| read(word));
    let first = named.next()?;
    named.all(|other| other == first).then_some(first)
}

fn size(word: &str) -> Option<Size> {
    match word {
        "little" | "tiny" => Some(Size::Small),
        "big" => Some(Size::Large),
        _ => Size::from_word(word),
    }
}

fn colour(word: &str) -> Option<Colour> {
    if word == "grey" {
        Some(Colour::Gray)
    } else {
        Colour::from_word(word)
    }
}

fn pattern(word: &str) -> Option<Pattern> {
    match word {
        "stripes" => Some(Pattern::Striped),
        "checks" | "checked" => Some(Pattern::Checkered),
        "dots" => Some(Pattern::Dotted),
        _ => Pattern::from_word(word),
    }
}

fn material(word: &str) -> Option<Material> {
    match word {
        "rough" | "matte" => Some(Material::Rubber),
        "metallic" | "shiny" => Some(Material::Metal),
        _ => Material::from_word(word),
    }
}

fn shape(word: &str) -> Option<Shape> {
    let by_word = |word: &str| match word {
        "ball" => Some(Shape::Sphere),
        "torus" | "donut" => Some(Shape::Ring),
        _ => Shape::from_word(word),
    };
    by_word(word).or_else(|| by_word(word.strip_suffix('s')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_read_back_through_other_words() {
        let red = Some((Colour::Red, Material::Metal, Shape::Cylinder));
        for text in [
            "red metal cylinder",
            "A large striped red metal cylinder at the top left, behind the blue glass cube.",
            "the RED metallic cylinder with dots",
            "small, red, metal cylinders",
        ] {
            assert_eq!(parse_category(text), red, "{text}");
        }
        for text in [
            "",
            "red cylinder",
            "metal cylinder",
            "red metal",
            "red blue metal cylinder",
        ] {
            assert_eq!(parse_category(text), None, "{text}");
        }
    }

    #[test]
    fn descriptions_are_checked_attribute_by_attribute() {
        let object = Attributes {
            size: Size::Small,
            colour: Colour::Blue,
            material: Material::Glass,
            shape: Shape::Ring,
            pattern: Pattern::Dotted,
        };
        let good = check_description(
            "A small blue glass ring with dots, left of the cone.",
            &object,
        );
        assert!(good.all_right());
        let poor = check_description("A blue metal ring.", &object);
        assert_eq!(poor.size, Mention::Missing);
        assert_eq!(poor.material, Mention::Wrong);
        assert_eq!(poor.pattern, Mention::Wrong);
        assert!(!poor.category_is_right());
    }
}
