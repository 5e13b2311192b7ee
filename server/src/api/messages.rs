use axum::{Json, extract::State, http::StatusCode};
use fclm_core::wire::{
    MAX_TEXT, Message, Mode, PostMessage, PostedMessage, Region, Role, RunState,
};
use tokio::sync::mpsc;

use super::{
    AppError, AppState, ErrorBody,
    body::{Id, JsonBody},
    images::source,
    regions::{MAX_REGIONS, check_regions},
};
use crate::{
    engine::Question,
    store::{NewRun, new_id, now},
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
    let chat = state.store.chat_head(&chat_id).await?;
    let image = state.store.image(&chat.image_id).await?;
    let held = state.store.regions(&chat_id).await?;
    let changes = !request.regions.is_empty();
    let regions = merged(held, request.regions)?;
    if changes {
        check_regions(&regions, image.width, image.height)?;
    }
    let text = with_numbers(request.text.trim(), &regions)?;
    let about = regions_asked_about(&text, &request.region_ids, &regions)?;
    check_text(&text, request.mode, !about.is_empty())?;

    let permit = state.engine.reserve()?;
    let run_id = new_id();
    let live = state.runs.open(&run_id, &chat_id)?;
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
        chat_id: chat_id.clone(),
        image: source(&image),
        mode: request.mode,
        text,
        regions: about
            .iter()
            .map(|&number| (number, regions[number - 1].mask.clone()))
            .collect(),
    };
    let new = NewRun {
        run_id: run_id.clone(),
        chat_id,
        question: question.clone(),
        answer: answer.clone(),
        regions: changes.then_some(regions),
    };
    // A task of its own, so that a client that leaves now cannot leave a stored run unasked.
    tokio::spawn(async move {
        if let Err(error) = state.store.begin_run(&new).await {
            state.runs.close(&new.run_id);
            return Err(AppError::from(error));
        }
        let (events, written) = mpsc::unbounded_channel();
        permit.submit(for_engine, live.stop_flag(), events);
        state.runs.record(state.store, live, written);
        Ok(())
    })
    .await
    .map_err(|failed| AppError::Internal(Box::new(failed)))??;
    Ok((
        StatusCode::ACCEPTED,
        Json(PostedMessage {
            message: question,
            answer,
            run_id,
        }),
    ))
}

/// The chat's regions with those that came along; the same id replaces.
fn merged(mut held: Vec<Region>, new: Vec<Region>) -> Result<Vec<Region>, AppError> {
    if new.len() > MAX_REGIONS {
        return Err(AppError::TooLarge {
            message: format!(
                "A chat holds up to {MAX_REGIONS} regions; these are {}.",
                new.len()
            ),
            param: Some("regions"),
        });
    }
    for region in new {
        match held.iter_mut().find(|other| other.id == region.id) {
            Some(other) => *other = region,
            None => held.push(region),
        }
    }
    Ok(held)
}

/// Writes `@k` for each `<region:ID>`.
fn with_numbers(text: &str, regions: &[Region]) -> Result<String, AppError> {
    let mut numbered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once(REGION_OPEN) {
        numbered.push_str(before);
        let Some((id, after)) = reference.split_once('>') else {
            return Err(AppError::BadText(
                "A <region: in the text has no end.".to_owned(),
            ));
        };
        let index = regions
            .iter()
            .position(|region| region.id == id)
            .ok_or_else(|| {
                AppError::BadText(
                    "The text names a region that this chat does not hold.".to_owned(),
                )
            })?;
        numbered.push_str(&format!("@{}", index + 1));
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
            .ok_or_else(|| {
                AppError::BadText(
                    "region_ids names a region that this chat does not hold.".to_owned(),
                )
            })?;
        if !numbers.contains(&(index + 1)) {
            numbers.push(index + 1);
        }
    }
    for tail in text.split('@').skip(1) {
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            continue;
        }
        let number = tail[..digits].parse::<usize>().unwrap_or(usize::MAX);
        if number == 0 || number > regions.len() {
            return Err(AppError::BadText(format!(
                "The text names @{}, but this chat has {} regions.",
                &tail[..digits.min(20)],
                regions.len(),
            )));
        }
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

fn check_text(text: &str, mode: Mode, has_regions: bool) -> Result<(), AppError> {
    let missing = match mode {
        Mode::Ask if text.is_empty() && !has_regions => "Mark a region, or write a question.",
        Mode::Find if text.is_empty() => "Describe what is to be found.",
        Mode::Ask | Mode::Find | Mode::Caption => return Ok(()),
    };
    Err(AppError::BadText(missing.to_owned()))
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
    fn ids_in_the_text_become_numbers() {
        let regions = regions(&["a", "b"]);
        let text = with_numbers("Is <region:b> left of <region:a>?", &regions).expect("known");
        assert_eq!(text, "Is @2 left of @1?");
        assert!(with_numbers("<region:c>", &regions).is_err());
        assert!(with_numbers("<region:a", &regions).is_err());
    }

    #[test]
    fn a_question_is_about_what_it_names() {
        let regions = regions(&["a", "b", "c"]);
        let ids = ["c".to_owned()];
        let about = regions_asked_about("@2 or @3?", &ids, &regions).expect("known");
        assert_eq!(about, [3, 2]);
        assert!(regions_asked_about("@4", &[], &regions).is_err());
        assert!(regions_asked_about("@0", &[], &regions).is_err());
        assert!(regions_asked_about("@99999999999999999999999", &[], &regions).is_err());
        assert!(
            regions_asked_about("a@b", &[], &regions)
                .expect("no number")
                .is_empty()
        );
    }

    #[test]
    fn only_a_region_or_a_caption_needs_no_text() {
        assert!(check_text("", Mode::Ask, true).is_ok());
        assert!(check_text("", Mode::Caption, false).is_ok());
        assert!(check_text("", Mode::Ask, false).is_err());
        assert!(check_text("", Mode::Find, true).is_err());
    }
}
