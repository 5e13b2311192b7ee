//! DLC-Bench: descriptions of regions, judged by questions about them that a language model answers
//! from the description alone.
//!
//! Follows
//! [`eval_model_outputs.py`](https://github.com/NVlabs/describe-anything/blob/main/evaluation/eval_model_outputs.py)
//! of Describe Anything. The judge there is Llama 3.1 8B Instruct at temperature 0 with at most
//! [`JUDGE_TOKENS`] tokens; figures of different judges do not compare, so that a report has to
//! name its judge.

mod answer;
mod bench;
mod wording;

use super::metrics::{Draws, Estimate};
use answer::chosen;
use wording::{is_plural, with_article};

pub(super) use bench::is_dlc_bench;
#[cfg(test)]
pub(super) use bench::tests::write_bench;
pub use bench::{DlcError, DlcQuestion, DlcRegion, QuestionKind, read_dlc_bench};

/// Most tokens of a judge's answer.
pub const JUDGE_TOKENS: u32 = 300;

/// What a judge made of one description.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedRegion {
    /// Whether the description is of the right kind of thing; none where the judge's answer was
    /// neither yes nor no, which counts as no. The published script stops there.
    pub is_recognized: Option<bool>,
    /// The judge's answers, that about the kind of thing first, then one to each question.
    pub answers: Vec<String>,
    /// The score of each question, 1 to -1; none above 0 where the thing was not recognised.
    pub scores: Vec<f64>,
    /// Mean score of the questions about what is there; none without such.
    pub positive: Option<f64>,
    /// Mean score of the questions about what is not there; none without such.
    pub negative: Option<f64>,
}

/// Lets a judge answer every question about a region from its description.
///
/// `judge` hears the system's words, of which there are none, and the user's, and gives the model's
/// answer.
///
/// # Errors
/// The judge's.
pub fn judge_region<E>(
    region: &DlcRegion,
    description: &str,
    mut judge: impl FnMut(&str, &str) -> Result<String, E>,
) -> Result<JudgedRegion, E> {
    let mut ask = |question: &str, choices: &[String]| -> Result<(String, Option<usize>), E> {
        let answer = judge("", &prompt(description, question, choices))?;
        let place = chosen(&answer, choices);
        Ok((answer, place))
    };
    let (answer, place) = ask(
        &recognition_question(&region.class_name),
        &["Yes".to_owned(), "No".to_owned()],
    )?;
    let is_recognized = place.map(|place| place == 0);
    let mut answers = vec![answer];
    let mut scores = Vec::with_capacity(region.questions.len());
    for question in &region.questions {
        let choices: Vec<String> = question
            .choices
            .iter()
            .map(|(choice, _)| choice.clone())
            .collect();
        let (answer, place) = ask(&question.question, &choices)?;
        let score = place.map_or(0.0, |place| question.choices[place].1);
        answers.push(answer);
        scores.push(match is_recognized {
            Some(true) => score,
            _ => score.min(0.0),
        });
    }
    let mean_of = |kind: QuestionKind| {
        let of_kind: Vec<f64> = region
            .questions
            .iter()
            .zip(&scores)
            .filter(|(question, _)| question.kind == kind)
            .map(|(_, &score)| score)
            .collect();
        match of_kind.len() {
            0 => None,
            count => Some(of_kind.iter().sum::<f64>() / count as f64),
        }
    };
    Ok(JudgedRegion {
        is_recognized,
        answers,
        positive: mean_of(QuestionKind::Positive),
        negative: mean_of(QuestionKind::Negative),
        scores,
    })
}

/// Whether the description is of the right kind of thing.
fn recognition_question(class_name: &str) -> String {
    let (noun, is_it, other) = if is_plural(class_name) {
        ("objects", format!("are {class_name}"), "objects")
    } else {
        (
            "object",
            format!("is {}", with_article(class_name)),
            "an object",
        )
    };
    format!(
        "Is it likely that the {noun} in the description {is_it} or {other} of a similar type? \
         Again, It does not have to be an exact match."
    )
}

/// What the judge is asked, word for word as published.
fn prompt(description: &str, question: &str, choices: &[String]) -> String {
    let mut asked = question.to_owned();
    for (letter, choice) in ('A'..).zip(choices) {
        asked.push_str(&format!("\n{letter}. {choice}"));
    }
    format!(
        "Answer the multiple-choice question based on the text description of an object in an \
         image. You need to follow these rules:\n\
         1. Do not output any reasoning. Do not perform correction. Please output exactly one \
         answer from the choices for each question. Do not repeat the question.\n\
         2. There is no need for exact matching. Please choose the closest option based on the \
         description.\n\
         \n\
         The description is:\n\
         {description}\n\
         \n\
         From the description above, please answer the following question with one of the \
         choices:\n\
         {asked}\n",
        asked = asked.trim()
    )
}

/// The benchmark's figures, -1 to 1; papers tell them as a hundred times these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DlcFigures {
    /// Mean over the regions of their mean score about what is there.
    pub positive: Option<Estimate>,
    /// The same about what is not there, over the regions that are asked about such.
    pub negative: Option<Estimate>,
    /// Mean of the two.
    pub average: Option<Estimate>,
}

impl DlcFigures {
    /// Computes the figures of a set of regions.
    pub fn of(regions: &[JudgedRegion], draws: &Draws) -> Self {
        let mean = |indices: &[usize], score: fn(&JudgedRegion) -> Option<f64>| {
            let scores: Vec<f64> = indices
                .iter()
                .filter_map(|&index| score(&regions[index]))
                .collect();
            match scores.len() {
                0 => None,
                count => Some(scores.iter().sum::<f64>() / count as f64),
            }
        };
        let positive = |indices: &[usize]| mean(indices, |region| region.positive);
        let negative = |indices: &[usize]| mean(indices, |region| region.negative);
        Self {
            positive: draws.estimate(positive),
            negative: draws.estimate(negative),
            average: draws
                .estimate(|indices| Some((positive(indices)? + negative(indices)?) / 2.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{bench::tests::region, *};

    fn judged(answers: &[&str]) -> JudgedRegion {
        let mut left = answers.iter();
        let judge = |_: &str, _: &str| Ok::<_, String>((*left.next().unwrap()).to_owned());
        judge_region(&region(), "A red apple", judge).unwrap()
    }

    #[test]
    fn the_prompt_is_the_published_one() {
        let choices = ["Red".to_owned(), "Green".to_owned()];
        assert_eq!(
            prompt("A red apple", "What colour?", &choices),
            "Answer the multiple-choice question based on the text description of an object in an image. You need to follow these rules:
1. Do not output any reasoning. Do not perform correction. Please output exactly one answer from the choices for each question. Do not repeat the question.
2. There is no need for exact matching. Please choose the closest option based on the description.

The description is:
A red apple

From the description above, please answer the following question with one of the choices:
What colour?
A. Red
B. Green
"
        );
    }

    #[test]
    fn recognition_is_asked_in_the_right_number() {
        assert_eq!(
            recognition_question("apple"),
            "Is it likely that the object in the description is an apple or an object of a \
             similar type? Again, It does not have to be an exact match."
        );
        assert_eq!(
            recognition_question("books"),
            "Is it likely that the objects in the description are books or objects of a similar \
             type? Again, It does not have to be an exact match."
        );
    }

    #[test]
    fn every_question_is_put_to_the_judge() {
        let mut heard = Vec::new();
        let judge = |system: &str, user: &str| {
            heard.push((system.to_owned(), user.to_owned()));
            Ok::<_, String>("A".to_owned())
        };
        let judged = judge_region(&region(), "A red apple", judge).unwrap();
        assert_eq!(heard.len(), 4);
        assert!(heard.iter().all(|(system, _)| system.is_empty()));
        assert!(heard[0].1.contains("is an apple or an object"));
        assert!(heard[0].1.ends_with("A. Yes\nB. No\n"));
        assert!(
            heard[3]
                .1
                .contains("Is there a worm?\nA. A worm is told of\n")
        );
        assert_eq!(judged.answers, ["A"; 4]);
    }

    #[test]
    fn scores_are_means_by_kind() {
        let judged = judged(&["Yes", "Red", "B. A leaf", "B"]);
        assert_eq!(judged.is_recognized, Some(true));
        assert_eq!(judged.scores, [1.0, 0.5, 1.0]);
        assert_eq!((judged.positive, judged.negative), (Some(0.75), Some(1.0)));
    }

    #[test]
    fn what_is_not_recognised_scores_at_most_nothing() {
        let unknown = judged(&["No", "Green", "One leaf", "B"]);
        assert_eq!(unknown.is_recognized, Some(false));
        assert_eq!(unknown.scores, [-1.0, 0.0, 0.0]);
        let unclear = judged(&["Perhaps", "Green", "One leaf", "B"]);
        assert_eq!(unclear.is_recognized, None);
        assert_eq!(unclear.scores, unknown.scores);
    }

    #[test]
    fn an_answer_that_is_no_choice_scores_nothing() {
        let judged = judged(&["Yes", "I do not know", "B. A leaf", "B"]);
        assert_eq!(judged.scores, [0.0, 0.5, 1.0]);
    }

    #[test]
    fn the_judge_s_failure_is_passed_on() {
        let failure = judge_region(&region(), "", |_, _| Err("gone")).unwrap_err();
        assert_eq!(failure, "gone");
    }

    #[test]
    fn figures_are_means_over_regions() {
        let mut first = judged(&["Yes", "Red", "A", "B"]);
        let mut second = first.clone();
        (first.positive, first.negative) = (Some(1.0), Some(0.5));
        (second.positive, second.negative) = (Some(0.0), None);
        let figures = DlcFigures::of(&[first, second.clone()], &Draws::each(2, 1));
        assert_eq!(figures.positive.unwrap().value, 0.5);
        assert_eq!(figures.negative.unwrap().value, 0.5);
        assert_eq!(figures.average.unwrap().value, 0.5);
        let one = DlcFigures::of(&[second], &Draws::each(1, 1));
        assert_eq!((one.negative, one.average), (None, None));
    }
}
