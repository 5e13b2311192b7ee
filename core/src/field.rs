//! Checks of configurations: which field cannot be used, and what would be right.

use std::fmt::Debug;

/// Most layers, blocks or heads of a part: far above any published model, so that a wrong number
/// is refused before that many are made.
pub(crate) const MOST_LAYERS: usize = 1 << 10;
/// Widest layer: above any published model, and so small that no product of two widths and a
/// patch overflows.
pub(crate) const WIDEST: usize = 1 << 20;

/// A field of a configuration whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value} but must {wanted}")]
pub struct FieldError {
    /// The field with the parts that it is in, as in `sam.decoder.num_heads`.
    pub field: String,
    /// Its value.
    pub value: String,
    /// What would be right, in words that go on after "must".
    pub wanted: String,
}

impl FieldError {
    /// The same of a configuration that is itself a field.
    pub(crate) fn inside(self, part: &str) -> Self {
        Self {
            field: format!("{part}.{}", self.field),
            ..self
        }
    }
}

/// Refuses the field unless `holds`.
pub(crate) fn require(
    holds: bool,
    field: &str,
    value: &dyn Debug,
    wanted: &str,
) -> Result<(), FieldError> {
    match holds {
        true => Ok(()),
        false => Err(FieldError {
            field: field.to_owned(),
            value: format!("{value:?}"),
            wanted: wanted.to_owned(),
        }),
    }
}

/// Refuses a number of things or a size that is zero or beyond `most`.
pub(crate) fn count(field: &str, value: usize, most: usize) -> Result<(), FieldError> {
    let holds = (1..=most).contains(&value);
    require(holds, field, &value, &format!("be 1 to {most}"))
}

/// Refuses a number that does not divide another, which has the name `whole`.
pub(crate) fn divides(
    field: &str,
    value: usize,
    (whole, of): (&str, usize),
) -> Result<(), FieldError> {
    let holds = value > 0 && of.is_multiple_of(value);
    require(holds, field, &value, &format!("divide {whole} = {of}"))
}

/// Refuses a number that is not that of another field.
pub(crate) fn equals(
    field: &str,
    value: usize,
    (other, wanted): (&str, usize),
) -> Result<(), FieldError> {
    let wanted_text = format!("equal {other} = {wanted}");
    require(value == wanted, field, &value, &wanted_text)
}

/// Refuses a number that is no finite one above zero.
pub(crate) fn positive(field: &str, value: f64) -> Result<(), FieldError> {
    let holds = value.is_finite() && value > 0.0;
    require(holds, field, &value, "be a number above 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_field_value_and_what_would_be_right() {
        let error = divides("num_heads", 3, ("width", 16)).unwrap_err();
        assert_eq!(
            error.inside("region").to_string(),
            "region.num_heads is 3 but must divide width = 16"
        );
        let error = count("depth", 0, 9).unwrap_err();
        assert_eq!(error.to_string(), "depth is 0 but must be 1 to 9");
        assert!(divides("num_heads", 0, ("width", 16)).is_err());
        assert!(positive("rope_theta", f64::INFINITY).is_err());
        assert!(equals("a", 2, ("b", 2)).is_ok());
    }
}
