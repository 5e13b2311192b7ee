use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use fclm_core::wire::{
    LightInfo, MAX_TEXT, Message, Mode, PostMessage, PostedMessage, Region, RegionVector, Role,
    RunState, mention,
};
use tokio::sync::mpsc;

use super::{
    AppError, AppState, ErrorBody,
    body::{Id, JsonBody},
    images::source,
    regions::{check_count, check_regions},
    request_id,
};
use crate::{
    engine::{AskedRegion, LoadState, Question},
    store::{NewRun, RegionChange, StoreError, new_id, now},
};

/// How the interface names a region in a text.
const REGION_OPEN: &str = "<region:";

/// Asks about the picture or its regions, or asks for something to be found. The answer is
/// written by a run; follow its events.
#[utoipa::path(
    post,
    path = "/api/v1/chats/{id}/messages",
    tag = "chats",
    params(("id" = String, Path)),
    request_body = PostMessage,
    responses(
        (status = 202, body = PostedMessage),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "an answer is still being written"),
        (status = 413, body = ErrorBody, description = "the text or the regions are over a limit"),
        (status = 422, body = ErrorBody, description = "empty text, or a region that does not fit"),
        (status = 429, body = ErrorBody, description = "the queue is full"),
        (status = 503, body = ErrorBody, description = "the model is still loading"),
    ),
)]
pub(super) async fn post(
    State(state): State<AppState>,
    Id(chat_id): Id,
    JsonBody(request): JsonBody<PostMessage>,
) -> Result<(StatusCode, Json<PostedMessage>), AppError> {
    if request.text.chars().nth(MAX_TEXT).is_some() {
        return Err(AppError::TooLarge {
            message: format!("A text has up to {MAX_TEXT} characters."),
            param: Some("text"),
        });
    }
    loop {
        // Each time that this fails another request has succeeded, so it comes to an end.
        if let Some(posted) = ask(&state, &chat_id, &request).await? {
            return Ok((StatusCode::ACCEPTED, Json(posted)));
        }
    }
}

/// Stores the question and asks it; none where the chat's regions were changed meanwhile, so that
/// the numbers in the question may mean other regions than it was checked for.
async fn ask(
    state: &AppState,
    chat_id: &str,
    request: &PostMessage,
) -> Result<Option<PostedMessage>, AppError> {
    let chat = state.store.chat_head(chat_id).await?;
    let image = state.store.image(&chat.image_id).await?;
    let seen = state.store.regions(chat_id).await?;
    let changes = !request.regions.is_empty();
    let regions = merged(seen.clone(), &request.regions)?;
    if changes {
        check_regions(&regions, image.width, image.height)?;
    }
    let text = with_numbers(request.text.trim(), &regions)?;
    let about = regions_asked_about(&text, &request.region_ids, &regions)?;
    check_text(&text, request.mode, !about.is_empty())?;

    let light = match state.engine.load_state() {
        LoadState::Ready(info) => info.light.clone(),
        LoadState::Loading | LoadState::Failed(_) => None,
    };
    let permit = state.engine.reserve()?;
    let run_id = new_id();
    let live = state.runs.open(&run_id, chat_id)?;
    let question = Message {
        id: new_id(),
        role: Role::User,
        mode: request.mode,
        text: text.clone(),
        region_ids: about
            .iter()
            .map(|&number| regions[number - 1].id.clone())
            .collect(),
        found: Vec::new(),
        run_id: None,
        run_state: None,
        finish: None,
        usage: None,
        created_at: now(),
    };
    let answer = Message {
        id: new_id(),
        role: Role::Assistant,
        text: String::new(),
        region_ids: Vec::new(),
        run_id: Some(run_id.clone()),
        run_state: Some(RunState::Queued),
        ..question.clone()
    };
    let for_engine = Question {
        request_id: request_id(),
        chat_id: chat_id.to_owned(),
        image: source(&image),
        mode: request.mode,
        text,
        regions: about
            .iter()
            .map(|&number| AskedRegion {
                number,
                mask: regions[number - 1].mask.clone(),
                vector: usable_vector(
                    &regions[number - 1],
                    &request.region_vectors,
                    light.as_ref(),
                ),
            })
            .collect(),
    };
    let new = NewRun {
        run_id: run_id.clone(),
        chat_id: chat_id.to_owned(),
        question: question.clone(),
        answer: answer.clone(),
        regions: changes.then_some(RegionChange { seen, new: regions }),
    };
    let (store, runs) = (Arc::clone(&state.store), Arc::clone(&state.runs));
    // A task of its own, so that a client that leaves now cannot leave a stored run unasked.
    let begun = state.runs.spawn(async move {
        store.begin_run(&new).await?;
        let (events, written) = mpsc::unbounded_channel();
        permit.submit(for_engine, live.stop_flag(), events);
        runs.record(store, live, written);
        Ok::<_, StoreError>(())
    });
    let begun = begun
        .await
        .map_err(|failed| AppError::Internal(Box::new(failed)))?;
    match begun {
        Ok(()) => Ok(Some(PostedMessage {
            message: question,
            answer,
            run_id,
        })),
        Err(StoreError::Changed) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a browser has computed of a region, if it was computed of this very mask, with the weights
/// that are served, and is as many finite numbers as it should be. Anything else is passed over:
/// the server then computes it by itself.
fn usable_vector(
    region: &Region,
    vectors: &[RegionVector],
    light: Option<&LightInfo>,
) -> Option<Vec<f32>> {
    let light = light?;
    let sent = vectors.iter().find(|sent| sent.region_id == region.id)?;
    let fits = sent.sha256 == light.sha256
        && sent.mask == region.mask
        && !sent.values.is_empty()
        && u32::try_from(sent.values.len()) == Ok(light.vector_len)
        && sent.values.iter().all(|value| value.is_finite());
    fits.then(|| sent.values.clone())
}

/// The chat's regions with those that came along; the same id replaces.
fn merged(mut held: Vec<Region>, new: &[Region]) -> Result<Vec<Region>, AppError> {
    check_count(new.len())?;
    for region in new {
        match held.iter_mut().find(|other| other.id == region.id) {
            Some(other) => other.clone_from(region),
            None => held.push(region.clone()),
        }
    }
    Ok(held)
}

/// Writes `@k` for each `<region:ID>`, with a space wherever it would join a word.
fn with_numbers(text: &str, regions: &[Region]) -> Result<String, AppError> {
    let mut numbered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once(REGION_OPEN) {
        numbered.push_str(before);
        let Some((id, after)) = reference.split_once('>') else {
            return Err(bad_text("A <region: in the text has no end."));
        };
        let index = regions
            .iter()
            .position(|region| region.id == id)
            .ok_or_else(|| bad_text("The text names a region that this chat does not hold."))?;
        if numbered.ends_with(mention::is_word) {
            numbered.push(' ');
        }
        numbered.push_str(&format!("@{}", index + 1));
        if after.starts_with(mention::is_word) {
            numbered.push(' ');
        }
        rest = after;
    }
    numbered.push_str(rest);
    Ok(numbered)
}

/// The 1-based numbers of the regions that a question is about: those given, then those named in
/// the text only.
fn regions_asked_about(
    text: &str,
    ids: &[String],
    regions: &[Region],
) -> Result<Vec<usize>, AppError> {
    let mut numbers = Vec::new();
    for id in ids {
        let index = regions
            .iter()
            .position(|region| region.id == *id)
            .ok_or_else(|| AppError::BadText {
                message: "region_ids names a region that this chat does not hold.".to_owned(),
                param: "region_ids",
            })?;
        if !numbers.contains(&(index + 1)) {
            numbers.push(index + 1);
        }
    }
    for number in mention::mentions(text) {
        if number > regions.len() {
            return Err(bad_text(&format!(
                "The text names @{number}, but this chat has {}.",
                how_many(regions.len()),
            )));
        }
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

fn how_many(regions: usize) -> String {
    match regions {
        0 => "no regions".to_owned(),
        1 => "one region".to_owned(),
        more => format!("{more} regions"),
    }
}

fn check_text(text: &str, mode: Mode, has_regions: bool) -> Result<(), AppError> {
    let missing = match mode {
        Mode::Ask if text.is_empty() && !has_regions => "Mark a region, or write a question.",
        Mode::Find if text.is_empty() => "Describe what is to be found.",
        Mode::Ask | Mode::Find | Mode::Caption => return Ok(()),
    };
    Err(bad_text(missing))
}

fn bad_text(message: &str) -> AppError {
    AppError::BadText {
        message: message.to_owned(),
        param: "text",
    }
}

#[cfg(test)]
mod tests {
    use fclm_core::wire::{Counts, MaskRle, MaskSource};

    use super::*;

    fn regions(ids: &[&str]) -> Vec<Region> {
        let region = |id: &&str| Region {
            id: (*id).to_owned(),
            name: String::new(),
            color: "#000000".to_owned(),
            mask: MaskRle {
                size: [1, 1],
                counts: Counts::Runs(vec![0, 1]),
            },
            box_px: None,
            source: MaskSource::Brush,
            score: None,
        };
        ids.iter().map(region).collect()
    }

    #[test]
    fn a_vector_of_something_else_is_passed_over() {
        let light = LightInfo {
            url: String::new(),
            sha256: "ab".to_owned(),
            bytes: 1,
            vector_len: 2,
            config: serde_json::Value::Null,
        };
        let mask = |x1| fclm_core::mask::Mask::rect(4, 4, [0.0, 0.0, x1, 2.0]).to_wire();
        let region = Region {
            id: "r".to_owned(),
            name: "one".to_owned(),
            color: "#ff0000".to_owned(),
            mask: mask(2.0),
            box_px: None,
            source: fclm_core::wire::MaskSource::Brush,
            score: None,
        };
        let sent = RegionVector {
            region_id: "r".to_owned(),
            mask: mask(2.0),
            values: vec![0.5, -1.0],
            sha256: "ab".to_owned(),
        };
        let usable =
            |sent: &RegionVector| usable_vector(&region, std::slice::from_ref(sent), Some(&light));
        assert_eq!(usable(&sent), Some(vec![0.5, -1.0]));
        assert_eq!(
            usable_vector(&region, std::slice::from_ref(&sent), None),
            None
        );
        let others = [
            RegionVector {
                region_id: "s".to_owned(),
                ..sent.clone()
            },
            RegionVector {
                mask: mask(3.0),
                ..sent.clone()
            },
            RegionVector {
                values: vec![0.5],
                ..sent.clone()
            },
            RegionVector {
                values: vec![0.5, f32::NAN],
                ..sent.clone()
            },
            RegionVector {
                sha256: "cd".to_owned(),
                ..sent
            },
        ];
        for other in &others {
            assert_eq!(usable(other), None, "{other:?}");
        }
    }

    #[test]
    fn ids_in_the_text_become_numbers() {
        let regions = regions(&["a", "b"]);
        let text = with_numbers("Is <region:b> left of <region:a>?", &regions).expect("known");
        assert_eq!(text, "Is @2 left of @1?");
        let text = with_numbers("see<region:a>2", &regions).expect("known");
        assert_eq!(text, "see @1 2");
        assert!(with_numbers("<region:c>", &regions).is_err());
        assert!(with_numbers("<region:a", &regions).is_err());
    }

    #[test]
    fn a_question_is_about_what_it_names() {
        let regions = regions(&["a", "b", "c"]);
        let ids = ["c".to_owned()];
        let about = regions_asked_about("@2 or @3?", &ids, &regions).expect("known");
        assert_eq!(about, [3, 2]);
        let sentence = |number: &str, held: &[Region]| {
            let wrong = regions_asked_about(number, &[], held);
            wrong.expect_err("there is no such region").to_string()
        };
        assert_eq!(
            sentence("@4", &regions),
            "The text names @4, but this chat has 3 regions."
        );
        assert!(sentence("@2", &regions[..1]).ends_with("has one region."));
        assert!(sentence("@1", &[]).ends_with("has no regions."));
        for plain in ["a@b", "me@5.org", "@0", "@99999999999999999999999"] {
            let about = regions_asked_about(plain, &[], &regions).expect("plain text");
            assert!(about.is_empty(), "{plain}");
        }
    }

    #[test]
    fn only_a_region_or_a_caption_needs_no_text() {
        assert!(check_text("", Mode::Ask, true).is_ok());
        assert!(check_text("", Mode::Caption, false).is_ok());
        assert!(check_text("", Mode::Ask, false).is_err());
        assert!(check_text("", Mode::Find, true).is_err());
    }
}
