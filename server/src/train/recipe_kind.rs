use super::error::TrainError;
use super::large::LargeRecipe;
use super::recipe::Recipe;

/// A recipe of either kind. Which one a file holds is told by its sections: a model that is made
/// from scratch is described in `[model]`, one that is tuned has data sets, `[[data]]`.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyRecipe {
    /// A small model from scratch, on rendered scenes.
    FromScratch(Box<Recipe>),
    /// A model directory that is tuned, on folders of pictures.
    Large(Box<LargeRecipe>),
}

impl AnyRecipe {
    /// The built-in recipe of that name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn named(name: &str) -> Result<Self, TrainError> {
        if let Some(recipe) = LargeRecipe::built_in(name) {
            return Ok(Self::Large(Box::new(recipe?)));
        }
        match name {
            "nano" | "micro" => Ok(Self::FromScratch(Box::new(Recipe::named(name)?))),
            other => Err(TrainError::Recipe(format!(
                "there is no recipe {other:?}; the built-in ones are \"nano\", \"micro\", \"3b\" \
                 and \"7b\", and a path to a .toml file works too"
            ))),
        }
    }

    /// Reads a recipe.
    ///
    /// # Errors
    /// Where the text is no recipe of either kind, or its values make no sense.
    pub fn from_toml(text: &str) -> Result<Self, TrainError> {
        let sections: toml::Table =
            toml::from_str(text).map_err(|error| TrainError::Recipe(error.to_string()))?;
        match (
            sections.contains_key("model"),
            sections.contains_key("data"),
        ) {
            (true, false) => Ok(Self::FromScratch(Box::new(Recipe::from_toml(text)?))),
            (false, true) => Ok(Self::Large(Box::new(LargeRecipe::from_toml(text)?))),
            (is_both, _) => Err(TrainError::Recipe(format!(
                "the recipe has {} [model], which makes a model from scratch, {} [[data]], on \
                 which a model is tuned; it needs one of the two",
                if is_both { "both" } else { "neither" },
                if is_both { "and" } else { "nor" },
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NANO: &str = include_str!("../../recipes/nano.toml");
    const LARGE: &str = include_str!("../../recipes/3b.toml");

    #[test]
    fn sections_tell_the_kind() {
        for (name, text, is_large) in [("nano", NANO, false), ("3b", LARGE, true)] {
            let read = AnyRecipe::from_toml(text).unwrap();
            assert_eq!(read, AnyRecipe::named(name).unwrap());
            assert_eq!(matches!(read, AnyRecipe::Large(_)), is_large);
        }
    }

    #[test]
    fn neither_and_both_are_refused() {
        let refusal = |text: &str| AnyRecipe::from_toml(text).unwrap_err().to_string();
        assert!(refusal("seed = 1").contains("neither [model]"));
        let both = "[model]\nname = \"x\"\n[[data]]\nname = \"y\"";
        assert!(refusal(both).contains("both [model]"));
        assert!(!refusal("seed = ").contains("[model]"));
        let unknown = AnyRecipe::named("giga").unwrap_err().to_string();
        assert!(unknown.contains("\"3b\""), "{unknown}");
    }
}
