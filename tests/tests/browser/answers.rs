//! Answers: what they say and what they cost.

use std::collections::BTreeSet;

use fclm_tests::browser::Tab;
use fclm_tests::samples::{Object, Scene};

/// Waits for the n-th answer, counted from 1, to be whole, and returns its text. Where all that
/// was asked for is a mask, there is no text.
pub(super) async fn answer(tab: &Tab, number: usize) -> String {
    let whole = format!(
        "(() => {{ const all = document.querySelectorAll('[data-testid=answer]');
         const last = all[{number} - 1];
         return all.length === {number} && !last.dataset.open &&
             {{text: last.querySelector('[data-testid=answer-text]').innerText.trim()}}; }})()"
    );
    let answer = tab
        .wait_until(&format!("answer {number} is not whole"), &whole)
        .await;
    let errors: Vec<String> = tab
        .evaluate(
            "[...document.querySelectorAll('[data-testid=error-message]')].map(e => e.innerText)",
        )
        .await;
    assert_eq!(errors, [] as [&str; 0], "with answer {number}");
    let text = answer["text"].as_str();
    text.expect("the answer's text is a text").to_owned()
}

/// What the answers say that they cost.
pub(super) async fn costs(tab: &Tab) -> Vec<String> {
    tab.evaluate(
        "[...document.querySelectorAll('[data-testid=answer-cost]')].map(e => e.innerText.trim())",
    )
    .await
}

/// The first word of a text that is one of the given ones.
fn first_of<'a>(text: &str, words: &BTreeSet<&'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    text.split(|c: char| !c.is_alphabetic())
        .find_map(|word| words.get(word).copied())
}

pub(super) fn assert_describes(text: &str, object: &Object, scenes: &[Scene]) {
    let all = || scenes.iter().flat_map(|scene| &scene.objects);
    let colors: BTreeSet<&str> = all().map(|object| object.color.as_str()).collect();
    let shapes: BTreeSet<&str> = all().map(|object| object.shape.as_str()).collect();
    assert_eq!(
        first_of(text, &colors),
        Some(object.color.as_str()),
        "colour in {text:?}"
    );
    assert_eq!(
        first_of(text, &shapes),
        Some(object.shape.as_str()),
        "shape in {text:?}"
    );
}
