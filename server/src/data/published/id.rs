//! Ids as data sets have them: whole numbers or words.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// An id as text; the number 7 and the word "7" are one id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(pub(super) String);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl de::Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id: a whole number or a word")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Id, E> {
        Ok(Id(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Id, E> {
        Ok(Id(value.to_string()))
    }

    /// Tables that once held a gap come out of pandas with `7.0` for 7.
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Id, E> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() <= EXACT {
            return Ok(Id((value as i64).to_string()));
        }
        Err(E::invalid_value(de::Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Id, E> {
        Ok(Id(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_ids() {
        let ids: Vec<Id> =
            serde_json::from_str(r#"[7, "7", -1, 7.0, "n07", 18446744073709551615]"#).unwrap();
        let texts: Vec<&str> = ids.iter().map(|id| id.0.as_str()).collect();
        assert_eq!(texts, ["7", "7", "-1", "7", "n07", "18446744073709551615"]);
        for none in ["7.5", "1e300", "null", "[7]", "true"] {
            let error = serde_json::from_str::<Id>(none).unwrap_err().to_string();
            assert!(error.contains("whole number or a word"), "{error}");
        }
    }
}
