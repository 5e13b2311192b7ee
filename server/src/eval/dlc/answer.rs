//! Which choice a judge's answer stands for.

const LETTERS: &str = "abcde";

/// Most choices that a question may have.
pub(super) const MOST_CHOICES: usize = LETTERS.len();

/// The choice that an answer stands for, as `parse_pred` of DLC-Bench finds it; none where it
/// stands for none.
///
/// In this order: the choice itself, its letter, or both; the one choice that is in the answer; a
/// letter with a full stop at the start; of several choices in the answer the one that comes last,
/// the longer one where two begin at one place; the longest choice that the answer is part of; a
/// letter alone on its line at the start.
pub(super) fn chosen(answer: &str, choices: &[String]) -> Option<usize> {
    let answer = answer.trim().to_lowercase();
    if answer.is_empty() {
        return None;
    }
    let choices: Vec<String> = choices
        .iter()
        .map(|choice| choice.trim().to_lowercase())
        .collect();
    // Place of the choice, where in the answer it begins, and its length.
    let mut inside: Vec<(usize, usize, usize)> = Vec::new();
    for ((place, choice), letter) in choices.iter().enumerate().zip(LETTERS.chars()) {
        let is_letter = answer.strip_prefix(letter).is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix(". ").is_some_and(|rest| rest == choice)
        });
        if *choice == answer || is_letter {
            return Some(place);
        }
        if let Some(start) = answer.find(choice.as_str()) {
            inside.push((place, start, choice.chars().count()));
        }
    }
    if let [(only, ..)] = inside[..] {
        return Some(only);
    }

    let mut letters = answer.chars();
    let first = letters.next().and_then(|letter| LETTERS.find(letter));
    let second = letters.next();
    // A letter that no choice has stands for none of them.
    let lettered = first.filter(|&place| place < choices.len());
    if first.is_some() && second == Some('.') {
        return lettered;
    }
    let last_start = inside.iter().map(|&(_, start, _)| start).max();
    if let Some(last_start) = last_start {
        let last = inside.iter().filter(|&&(_, start, _)| start == last_start);
        return first_longest(last.map(|&(place, _, length)| (place, length)));
    }
    let around = choices
        .iter()
        .enumerate()
        .filter(|(_, choice)| choice.contains(&answer))
        .map(|(place, choice)| (place, choice.chars().count()));
    let longest = first_longest(around);
    if longest.is_some() {
        return longest;
    }
    match second {
        None | Some('\n') => lettered,
        Some(_) => None,
    }
}

/// The first of the longest choices.
fn first_longest(choices: impl Iterator<Item = (usize, usize)>) -> Option<usize> {
    choices
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_of(answer: &str, choices: &[&str]) -> Option<usize> {
        let choices: Vec<String> = choices.iter().map(|&choice| choice.to_owned()).collect();
        chosen(answer, &choices)
    }

    const COLOURS: [&str; 3] = ["It is red", "It is red and blue", "The colour is not told"];

    #[test]
    fn answers_that_are_a_choice() {
        assert_eq!(chosen_of(" it is RED ", &COLOURS), Some(0));
        assert_eq!(chosen_of("B", &COLOURS), Some(1));
        assert_eq!(chosen_of("c. The colour is not told", &COLOURS), Some(2));
    }

    #[test]
    fn answers_with_choices_in_them() {
        // One choice in it.
        assert_eq!(
            chosen_of("I think the colour is not told.", &COLOURS),
            Some(2)
        );
        // Two begin at one place: the longer one.
        assert_eq!(chosen_of("Well, it is red and blue.", &COLOURS), Some(1));
        // A letter at the start goes before several choices.
        assert_eq!(
            chosen_of("A. It is red, not it is red and blue", &COLOURS),
            Some(0)
        );
        // The last one of several.
        let numbers = ["one", "two"];
        assert_eq!(chosen_of("not two but one", &numbers), Some(0));
    }

    #[test]
    fn answers_that_are_part_of_a_choice() {
        assert_eq!(
            chosen_of("colour", &["No colour", "Any other colour"]),
            Some(1)
        );
        assert_eq!(chosen_of("red and", &COLOURS), Some(1));
    }

    #[test]
    fn letters_alone() {
        assert_eq!(chosen_of("a\nbecause", &["Yes", "No"]), Some(0));
        assert_eq!(chosen_of("b.", &["Yes", "Nein"]), Some(1));
        assert_eq!(chosen_of("e. whatever", &["Yes", "Nein"]), None);
        assert_eq!(chosen_of("e", &["yah", "nah"]), None);
    }

    #[test]
    fn answers_that_are_no_choice() {
        assert_eq!(chosen_of("", &COLOURS), None);
        assert_eq!(chosen_of("maybe", &["Yes", "No"]), None);
        assert_eq!(chosen_of("\u{e9}. x", &["Yes", "No"]), None);
    }
}
