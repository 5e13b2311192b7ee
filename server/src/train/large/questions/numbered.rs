//! Regions that a text names.

use fclm_core::wire::mention::is_word;

/// How a text of a record begins to name a region.
const REGION: &str = "<region:";

/// The text with `@k` for each `<region:K>`, k counting from 1 in the order in which the regions are
/// first named; they are added to `regions`. None where a place is no number.
pub(super) fn numbered(text: &str, regions: &mut Vec<usize>) -> Option<String> {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(REGION) {
        let (before, place) = (&rest[..start], &rest[start + REGION.len()..]);
        let end = place.find('>')?;
        let region: usize = place[..end].parse().ok()?;
        let number = match regions.iter().position(|&known| known == region) {
            Some(known) => known + 1,
            None => {
                regions.push(region);
                regions.len()
            }
        };
        rest = &place[end + 1..];
        written.push_str(before);
        if written.ends_with(is_word) {
            written.push(' ');
        }
        written.push_str(&format!("@{number}"));
        if rest.starts_with(is_word) {
            written.push(' ');
        }
    }
    written.push_str(rest);
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_regions_become_numbers() {
        let mut regions = vec![5];
        let text = numbered("see<region:3>2 and <region:5>, <region:3>", &mut regions);
        assert_eq!(text.as_deref(), Some("see @2 2 and @1, @2"));
        assert_eq!(regions, [5, 3]);
        assert_eq!(numbered("<region:a>", &mut regions), None);
        assert_eq!(numbered("<region:1", &mut regions), None);
    }
}
