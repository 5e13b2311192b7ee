//! What of a data set is not understood.

use std::{fmt, ops::AddAssign};

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// How much was left out of a data set because it has a layout or a kind that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Relations of another layout.
    pub relations: usize,
    /// Expressions of other kinds.
    pub expressions: usize,
    /// Captions of another layout.
    pub captions: usize,
    /// Questions of another layout.
    pub questions: usize,
}

impl LeftOut {
    /// Whether nothing was left out.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for LeftOut {
    fn add_assign(&mut self, more: Self) {
        self.relations += more.relations;
        self.expressions += more.expressions;
        self.captions += more.captions;
        self.questions += more.questions;
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.relations, "relations"),
            (self.expressions, "expressions"),
            (self.captions, "captions"),
            (self.questions, "questions"),
        ];
        let named = parts.into_iter().filter(|&(count, _)| count > 0);
        let named: Vec<String> = named
            .map(|(count, part)| format!("{count} of its {part}"))
            .collect();
        f.write_str(&named.join(", "))
    }
}

/// The entries of a list that have the layout that is known, and how many have another.
#[derive(Debug)]
pub(super) struct Understood<T> {
    pub(super) entries: Vec<T>,
    pub(super) left_out: usize,
}

impl<T> Default for Understood<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            left_out: 0,
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Understood<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = match Value::deserialize(deserializer)? {
            Value::Array(values) => values,
            Value::Null => Vec::new(),
            // Whatever it is, it is one thing that is not understood.
            other => vec![other],
        };
        let mut understood = Self::default();
        for value in values {
            match serde_json::from_value(value) {
                Ok(entry) => understood.entries.push(entry),
                Err(_) => understood.left_out += 1,
            }
        }
        Ok(understood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_adds_up_and_is_named() {
        let mut all = LeftOut::default();
        assert!(all.is_empty());
        for relations in [2, 3] {
            all += LeftOut {
                relations,
                captions: 1,
                ..LeftOut::default()
            };
        }
        assert!(!all.is_empty());
        assert_eq!(all.to_string(), "5 of its relations, 2 of its captions");
        all += LeftOut {
            expressions: 4,
            questions: 7,
            ..LeftOut::default()
        };
        assert_eq!(
            all.to_string(),
            "5 of its relations, 4 of its expressions, 2 of its captions, 7 of its questions"
        );
    }

    #[test]
    fn entries_of_another_layout_are_counted() {
        for (list, known, left_out) in [
            ("[1, \"two\", 3, []]", vec![1, 3], 2),
            ("[]", vec![], 0),
            ("null", vec![], 0),
            ("{\"one\": 1}", vec![], 1),
        ] {
            let understood: Understood<u8> = serde_json::from_str(list).unwrap();
            assert_eq!(understood.entries, known, "{list}");
            assert_eq!(understood.left_out, left_out, "{list}");
        }
    }
}
