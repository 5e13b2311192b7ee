use fclm_core::fclm::SPECIAL_TOKENS;
use serde_json::{Value, json};

/// A tokenizer that knows FCLM's special tokens.
#[derive(Debug)]
pub(super) struct ExtendedTokenizer {
    /// The content of `tokenizer.json`.
    pub(super) json: String,
    /// One more than the highest id.
    pub(super) ids: usize,
}

/// Adds FCLM's special tokens after the highest id of a `tokenizer.json`; those it has already
/// keep their id.
pub(super) fn with_special_tokens(json: &str) -> Result<ExtendedTokenizer, String> {
    let mut tokenizer: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let vocabulary = tokenizer
        .pointer("/model/vocab")
        .and_then(Value::as_object)
        .ok_or("has no model.vocab that maps tokens to ids")?;
    let known = |token: &str| vocabulary.contains_key(token);
    let mut missing: Vec<&str> = SPECIAL_TOKENS
        .iter()
        .copied()
        .filter(|token| !known(token))
        .collect();
    let highest = vocabulary.values().filter_map(Value::as_u64).max();
    let added = tokenizer
        .get_mut("added_tokens")
        .and_then(Value::as_array_mut)
        .ok_or("has no list added_tokens")?;
    missing.retain(|token| !added.iter().any(|other| other["content"] == *token));
    let highest_added = added.iter().filter_map(|token| token["id"].as_u64()).max();
    let mut next = highest.max(highest_added).map_or(0, |highest| highest + 1);
    for token in missing {
        added.push(json!({
            "id": next,
            "content": token,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": true,
        }));
        next += 1;
    }
    Ok(ExtendedTokenizer {
        json: tokenizer.to_string(),
        ids: usize::try_from(next).map_err(|error| error.to_string())?,
    })
}

#[cfg(test)]
mod tests {
    use fclm_core::fclm::FclmTokenizer;

    use super::*;
    use crate::model_dir::fixtures::fixture;

    #[test]
    fn fixture_tokens_come_after_the_published_ones_and_only_once() {
        let published = std::fs::read_to_string(fixture("qwen/tokenizer.json")).unwrap();
        let extended = with_special_tokens(&published).unwrap();
        let tokenizer = FclmTokenizer::from_json(extended.json.as_bytes()).unwrap();
        let special = tokenizer.special();
        let last = u32::try_from(extended.ids).unwrap() - 1;
        assert_eq!(
            [special.mask, special.pos, special.seg],
            [last - 4, last - 3, last - 2]
        );
        assert_eq!(
            [special.phrase_open, special.phrase_close],
            [last - 1, last]
        );
        assert_eq!(tokenizer.encode("<p>[SEG]").unwrap(), [last - 1, last - 2]);
        let again = with_special_tokens(&extended.json).unwrap();
        assert_eq!(again.ids, extended.ids);
        assert_eq!(again.json, extended.json);
    }

    #[test]
    fn what_is_no_tokenizer_is_said_so() {
        assert!(
            with_special_tokens("{}")
                .unwrap_err()
                .contains("model.vocab")
        );
        assert!(with_special_tokens("[").is_err());
    }
}
