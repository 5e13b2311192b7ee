//! Answers: how they are written, what they say and what they cost.

use std::collections::BTreeSet;

use fclm_core::wire::Chat;
use fclm_tests::browser::Tab;
use fclm_tests::samples::{Object, Scene};
use serde_json::Value;

/// Tokens of a prompt behind its question at most: the question's end and the answer's beginning.
const BEHIND_QUESTION: usize = 16;

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

/// Notes from now on how long the newest answer's text is, each time that it changes.
pub(super) async fn note_lengths(tab: &Tab) {
    let _: bool = tab
        .evaluate(
            "(() => { const lengths = window.answerLengths = [];
             const note = () => {
                 const texts = document.querySelectorAll('[data-testid=answer-text]');
                 const length = texts[texts.length - 1]?.textContent.trim().length;
                 if (length && lengths[lengths.length - 1] !== length) lengths.push(length); };
             new MutationObserver(note).observe(document.querySelector('[data-testid=messages]'),
                 {childList: true, characterData: true, subtree: true});
             return true; })()",
        )
        .await;
}

/// The text of the chat's one answer, since [`note_lengths`], came as the server sent it, bit by bit
/// where that is how it was sent, and nothing of it was taken back.
pub(super) async fn assert_streamed(tab: &Tab, chat: &Chat, text: &str) {
    let lengths: Vec<usize> = tab.evaluate("window.answerLengths").await;
    let run = chat.messages.iter().find_map(|one| one.run_id.as_deref());
    let run = run.expect("the answer names its run");
    let events: String = tab
        .evaluate(&format!(
            "fetch('/api/v1/runs/{run}/events').then(answer => answer.text())"
        ))
        .await;
    // The page counts UTF-16's units.
    let units = |text: &str| text.trim().encode_utf16().count();
    let mut written = String::new();
    let sent: Vec<usize> = events
        .split("\n\n")
        .filter_map(|block| block.split_once("event: text\n")?.1.split_once("data: "))
        .map(|(_, data)| {
            let data: Value = serde_json::from_str(data.trim()).expect("data are JSON");
            written.push_str(data["delta"].as_str().expect("a text has a delta"));
            units(&written)
        })
        .collect();
    assert_eq!(written.trim(), text);
    assert_eq!(lengths.last(), Some(&units(text)), "{lengths:?}");
    assert!(lengths.is_sorted(), "the text became shorter: {lengths:?}");
    assert!(
        lengths.iter().all(|length| sent.contains(length)),
        "{lengths:?} were shown of {sent:?}"
    );
    // A server whose disk is slow joins what it has written meanwhile.
    assert!(
        sent.len() < 4 || lengths.len() >= 2,
        "{text:?} did not come bit by bit: {lengths:?} of {sent:?}"
    );
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

pub(super) fn assert_names_material(text: &str, object: &Object, scenes: &[Scene]) {
    let all = scenes.iter().flat_map(|scene| &scene.objects);
    let materials: BTreeSet<&str> = all.map(|object| object.material.as_str()).collect();
    assert_eq!(
        first_of(text, &materials),
        Some(object.material.as_str()),
        "material in {text:?}"
    );
}

/// The second question of a chat is about the region of the first one, and took no more
/// computation than its own words: of the prompt everything before them, and so the picture, was
/// still at hand.
pub(super) fn assert_keeps_the_picture(chat: &Chat, question: &str) {
    let [first, described, second, answered] = &chat.messages[..] else {
        panic!("there are {} messages", chat.messages.len());
    };
    assert_eq!(second.text, question);
    assert_eq!(second.region_ids, [chat.regions[0].id.clone()]);
    assert_eq!(second.region_ids, first.region_ids);
    let before = described.usage.expect("the description says its cost");
    let after = answered.usage.expect("the answer says its cost");
    assert_eq!(before.cached_tokens, 0, "nothing was there before");
    let computed = after.prompt_tokens - after.cached_tokens;
    // No token is shorter than a byte.
    assert!(
        computed as usize <= question.len() + BEHIND_QUESTION,
        "{computed} of {} tokens were computed anew",
        after.prompt_tokens
    );
}

/// The one mask of an answer says how well the model thinks it fits.
pub(super) async fn assert_tells_score(tab: &Tab) {
    let score: String = tab
        .evaluate("document.querySelector('[data-testid=found-item]').dataset.score")
        .await;
    let value: f64 = score.parse().expect("the score is a number");
    assert!(value > 0.0 && value <= 1.0, "a score of {score}");
    tab.see("[data-testid=found-item] .found-score").await;
    let shown: String = tab
        .evaluate(
            "document.querySelector('[data-testid=found-item] .found-score').innerText.trim()",
        )
        .await;
    assert!(!shown.is_empty(), "the score {score} is not shown");
}
