//! Whether an answer with masks speaks of what its masks show, as a language model rates it.
//!
//! `ar_validate` of PixelLM's
//! [`train_ds.py`](https://github.com/MaverickRen/PixelLM/blob/main/train_ds.py) writes, in the
//! place of each mask, the name and the box of the true object that it was matched with, or that
//! there is none. The paper lets GPT-3.5 rate the objects of that text from 1 to 10 and takes away
//! what those rated low share with the truth. The script that asks is not published: the question
//! here, about one object at a time, and the lowest rating that is not low are our own.

/// The lowest rating with which an object still counts.
pub(super) const LOWEST_KEPT: u8 = 4;

/// What a mask shows in PixelLM's words: the name of an object and its box, `x, y, width, height`
/// in pixels.
pub(super) fn in_words(object: Option<(&str, [u32; 4])>) -> String {
    match object {
        Some((name, [x, y, width, height])) => {
            format!("({name} [{x}, {y}, {}, {}])", x + width, y + height)
        }
        None => "(None [])".to_owned(),
    }
}

/// An answer with what its masks show written into it. Each of `shown` has how many code points of
/// the answer stand before it; they are in that order.
pub(super) fn written_out(answer: &str, shown: &[(usize, String)]) -> String {
    let mut text = String::new();
    let mut left = answer.chars();
    let mut written = 0;
    for (place, words) in shown {
        text.extend(left.by_ref().take(place.saturating_sub(written)));
        written = written.max(*place);
        if text
            .chars()
            .next_back()
            .is_some_and(|last| !last.is_whitespace())
        {
            text.push(' ');
        }
        text.push_str(words);
    }
    text.push_str(left.as_str());
    text.trim().to_owned()
}

/// What the judge is asked about one object of an answer that is [`written_out`], the `number`-th
/// one of it, from 1.
pub(super) fn prompt(question: &str, answer: &str, number: usize, object: &str) -> String {
    format!(
        "A model was asked about an image and answered by a text and by masks of objects. In the \
         text below, each mask has been replaced by the object that it covers, as (name [x0, y0, \
         x1, y1]) with the object's box in pixels, or by (None []) where it covers nothing that \
         was asked for.\n\
         \n\
         Question: {question}\n\
         Answer: {answer}\n\
         \n\
         How well does object number {number}, {object}, fit what the answer says where it stands? \
         Rate it from 1 (it is something else) to 10 (it is just that). Answer with the number \
         alone."
    )
}

/// The rating in a judge's reply: the one number from 1 to 10, or else the one that is said to be of
/// ten; none where that is not clear.
pub(super) fn rating_in(reply: &str) -> Option<u8> {
    let sole = |ratings: Vec<u8>| match ratings[..] {
        [rating] => Some(rating),
        _ => None,
    };
    let in_bounds = |rating: &u8| (1..=10).contains(rating);
    let numbers = reply
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .filter(in_bounds)
        .collect();
    let of_ten = ["/10", "/ 10", "of 10"]
        .into_iter()
        .flat_map(|end| reply.match_indices(end))
        .filter_map(|(place, _)| {
            let before = reply[..place].trim_end().trim_end_matches("out").trim_end();
            let other = before.trim_end_matches(|letter: char| letter.is_ascii_digit());
            before[other.len()..].parse().ok()
        })
        .filter(in_bounds)
        .collect();
    sole(numbers).or_else(|| sole(of_ten))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_become_names_and_boxes() {
        let cup = in_words(Some(("cup", [1, 2, 3, 4])));
        assert_eq!(cup, "(cup [1, 2, 4, 6])");
        let none = in_words(None);
        let shown = [(6, cup.clone()), (17, none.clone())];
        assert_eq!(
            written_out("Où cup and saucer.", &shown),
            "Où cup (cup [1, 2, 4, 6]) and saucer (None [])."
        );
        // Behind the text, and where there is no text.
        let behind = [(3, cup), (3, none.clone()), (90, none.clone())];
        assert_eq!(
            written_out("cup", &behind),
            "cup (cup [1, 2, 4, 6]) (None []) (None [])"
        );
        assert_eq!(written_out(" ", &[(1, none)]), "(None [])");
    }

    #[test]
    fn ratings_are_numbers_from_one_to_ten() {
        for (reply, expected) in [
            ("8", Some(8)),
            ("I would say 10/10.", Some(10)),
            ("Object 0: 7", Some(7)),
            ("999 of 3", Some(3)),
            ("Object number 2: 9 out of 10", Some(9)),
            ("It deserves 3 / 10, not 10 / 10", None),
            ("Object number 2: 9", None),
            ("On a scale of 1 to 10: 8", None),
            ("good", None),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(rating_in(reply), expected, "{reply}");
        }
    }

    #[test]
    fn the_judge_hears_question_answer_and_object() {
        let asked = prompt(
            "What is for tea?",
            "the (cup [0, 0, 2, 1])",
            1,
            "(cup [0, 0, 2, 1])",
        );
        assert!(asked.contains("Question: What is for tea?\nAnswer: the (cup [0, 0, 2, 1])\n"));
        assert!(asked.contains("object number 1, (cup [0, 0, 2, 1]), fit"));
    }
}
