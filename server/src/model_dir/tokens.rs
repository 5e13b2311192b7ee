use fclm_core::fclm::SPECIAL_TOKENS;
use serde_json::{Value, json};

/// Most rows that an embedding table grows by: far more than anybody adds tokens, and few enough
/// for memory.
const MOST_NEW_ROWS: usize = 1 << 16;

/// A tokenizer that knows FCLM's special tokens.
#[derive(Debug)]
pub(super) struct ExtendedTokenizer {
    /// The content of `tokenizer.json`.
    pub(super) json: String,
    /// One more than the highest id.
    pub(super) ids: usize,
}

/// Adds FCLM's special tokens after the highest id of a `tokenizer.json`; those it has already
/// keep their id. The model's embedding table has `rows` rows and must not have to grow by much.
pub(super) fn with_special_tokens(json: &str, rows: usize) -> Result<ExtendedTokenizer, String> {
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
    let highest = highest.max(highest_added);
    let most = rows.saturating_add(MOST_NEW_ROWS) as u64;
    if let Some(highest) = highest.filter(|&highest| highest >= most) {
        return Err(format!(
            "its highest id is {highest}, but the model's vocab_size is {rows} and can grow by \
             {MOST_NEW_ROWS} at most"
        ));
    }
    let mut next = highest.map_or(0, |highest| highest + 1);
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

    /// More rows than any published tokenizer has ids.
    const ROWS: usize = 1 << 20;

    #[test]
    fn fixture_tokens_come_after_the_published_ones_and_only_once() {
        let published = std::fs::read_to_string(fixture("qwen/tokenizer.json")).unwrap();
        let extended = with_special_tokens(&published, ROWS).unwrap();
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
        let again = with_special_tokens(&extended.json, ROWS).unwrap();
        assert_eq!(again.ids, extended.ids);
        assert_eq!(again.json, extended.json);
    }

    #[test]
    fn what_is_no_tokenizer_is_said_so() {
        assert!(
            with_special_tokens("{}", ROWS)
                .unwrap_err()
                .contains("model.vocab")
        );
        assert!(with_special_tokens("[", ROWS).is_err());
    }

    #[test]
    fn an_id_that_the_table_would_have_to_grow_for_without_bound_is_refused() {
        let with_id = |id: u64| {
            let json = json!({
                "model": { "vocab": { "a": 0 } },
                "added_tokens": [{ "id": id, "content": "b" }],
            });
            with_special_tokens(&json.to_string(), 100)
        };
        for id in [100 + MOST_NEW_ROWS as u64, 4_000_000_000, u64::MAX] {
            let error = with_id(id).unwrap_err();
            assert!(
                error.contains(&id.to_string()) && error.contains("is 100 and"),
                "{error}"
            );
        }
        let ids = 100 + MOST_NEW_ROWS + SPECIAL_TOKENS.len();
        assert_eq!(with_id(99 + MOST_NEW_ROWS as u64).unwrap().ids, ids);
    }
}
