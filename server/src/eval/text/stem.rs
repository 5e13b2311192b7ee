//! Stems of English words by Porter's second algorithm, the one that METEOR 1.5 takes from Snowball.
//!
//! The steps and their names are those of
//! <https://snowballstem.org/algorithms/english/stemmer.html>.

/// Words that are told apart from the rules, with their stems.
const IRREGULAR: [(&str, &str); 18] = [
    ("skis", "ski"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("idly", "idl"),
    ("gently", "gentl"),
    ("ugly", "ugli"),
    ("early", "earli"),
    ("only", "onli"),
    ("singly", "singl"),
    ("sky", "sky"),
    ("news", "news"),
    ("howe", "howe"),
    ("atlas", "atlas"),
    ("cosmos", "cosmos"),
    ("bias", "bias"),
    ("andes", "andes"),
];

/// Words that stay as step 1a leaves them.
const SETTLED: [&str; 8] = [
    "inning", "outing", "canning", "herring", "earring", "proceed", "exceed", "succeed",
];

const STEP_2: [(&str, &str); 24] = [
    ("ization", "ize"),
    ("ational", "ate"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("iveness", "ive"),
    ("tional", "tion"),
    ("biliti", "ble"),
    ("lessli", "less"),
    ("entli", "ent"),
    ("ation", "ate"),
    ("alism", "al"),
    ("aliti", "al"),
    ("ousli", "ous"),
    ("iviti", "ive"),
    ("fulli", "ful"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("abli", "able"),
    ("izer", "ize"),
    ("ator", "ate"),
    ("alli", "al"),
    ("bli", "ble"),
    ("ogi", "og"),
    ("li", ""),
];

const STEP_3: [(&str, &str); 9] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("alize", "al"),
    ("icate", "ic"),
    ("iciti", "ic"),
    ("ative", ""),
    ("ical", "ic"),
    ("ness", ""),
    ("ful", ""),
];

const STEP_4: [&str; 18] = [
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous",
    "ive", "ize", "ion", "al", "er", "ic",
];

/// The stem of a word in lower case.
pub(super) fn stem(word: &str) -> String {
    if word.chars().count() <= 2 {
        return word.to_owned();
    }
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    let mut stemmer = Stemmer::new(word);
    stemmer.step_0();
    stemmer.step_1a();
    if !SETTLED.iter().any(|settled| stemmer.is(settled)) {
        stemmer.step_1b();
        stemmer.step_1c();
        stemmer.step_2();
        stemmer.step_3();
        stemmer.step_4();
        stemmer.step_5();
    }
    stemmer
        .letters
        .into_iter()
        .map(|letter| if letter == 'Y' { 'y' } else { letter })
        .collect()
}

/// A word on its way to its stem; `Y` is a `y` that is a consonant.
struct Stemmer {
    letters: Vec<char>,
    /// Where the regions R1 and R2 begin.
    r1: usize,
    r2: usize,
}

fn is_vowel(letter: char) -> bool {
    matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}

impl Stemmer {
    fn new(word: &str) -> Self {
        let mut letters: Vec<char> = word.strip_prefix('\'').unwrap_or(word).chars().collect();
        for place in 0..letters.len() {
            if letters[place] == 'y' && (place == 0 || is_vowel(letters[place - 1])) {
                letters[place] = 'Y';
            }
        }
        let mut stemmer = Self {
            letters,
            r1: 0,
            r2: 0,
        };
        let prefix = ["gener", "commun", "arsen"].into_iter().find(|prefix| {
            stemmer
                .letters
                .iter()
                .take(prefix.len())
                .copied()
                .eq(prefix.chars())
        });
        stemmer.r1 = prefix.map_or_else(|| stemmer.region_after(0), str::len);
        stemmer.r2 = stemmer.region_after(stemmer.r1);
        stemmer
    }

    /// Behind the first consonant that follows a vowel, from `start` on.
    fn region_after(&self, start: usize) -> usize {
        let end = self.letters.len();
        (start + 1..end)
            .find(|&place| !is_vowel(self.letters[place]) && is_vowel(self.letters[place - 1]))
            .map_or(end, |place| place + 1)
    }

    fn is(&self, word: &str) -> bool {
        self.letters.iter().copied().eq(word.chars())
    }

    fn ends_with(&self, suffix: &str) -> bool {
        let letters = self.letters.iter().rev().copied();
        suffix.len() <= self.letters.len() && letters.take(suffix.len()).eq(suffix.chars().rev())
    }

    /// The letter that is `back` places before the last one.
    fn letter_before_end(&self, back: usize) -> Option<char> {
        let place = self.letters.len().checked_sub(back + 1)?;
        Some(self.letters[place])
    }

    /// Length without a suffix that is there.
    fn without(&self, suffix: &str) -> usize {
        self.letters.len() - suffix.len()
    }

    fn replace(&mut self, suffix: &str, by: &str) {
        self.letters.truncate(self.without(suffix));
        self.letters.extend(by.chars());
    }

    fn has_vowel_before(&self, end: usize) -> bool {
        self.letters[..end].iter().any(|&letter| is_vowel(letter))
    }

    /// Whether the first `end` letters end in a short syllable.
    fn is_short_syllable(&self, end: usize) -> bool {
        match self.letters[..end] {
            [vowel, last] => is_vowel(vowel) && !is_vowel(last),
            [.., before, vowel, last] => {
                !is_vowel(before)
                    && is_vowel(vowel)
                    && !is_vowel(last)
                    && !matches!(last, 'w' | 'x' | 'Y')
            }
            _ => false,
        }
    }

    fn step_0(&mut self) {
        for suffix in ["'s'", "'s", "'"] {
            if self.ends_with(suffix) {
                self.replace(suffix, "");
                return;
            }
        }
    }

    fn step_1a(&mut self) {
        if self.ends_with("sses") {
            self.replace("sses", "ss");
        } else if self.ends_with("ied") || self.ends_with("ies") {
            let by = if self.letters.len() > 4 { "i" } else { "ie" };
            self.replace("ies", by);
        } else if self.ends_with("s") && !self.ends_with("us") && !self.ends_with("ss") {
            // A vowel right before the s is none that counts: "gas" stays, "gaps" does not.
            if self.has_vowel_before(self.letters.len().saturating_sub(2)) {
                self.replace("s", "");
            }
        }
    }

    fn step_1b(&mut self) {
        for suffix in ["eedly", "eed"] {
            if self.ends_with(suffix) {
                if self.without(suffix) >= self.r1 {
                    self.replace(suffix, "ee");
                }
                return;
            }
        }
        let suffix = ["ingly", "edly", "ing", "ed"]
            .into_iter()
            .find(|suffix| self.ends_with(suffix));
        let Some(suffix) = suffix else {
            return;
        };
        if !self.has_vowel_before(self.without(suffix)) {
            return;
        }
        self.replace(suffix, "");
        let last = self.letter_before_end(0);
        let is_double = last.is_some_and(|letter| "bdfgmnprt".contains(letter))
            && self.letter_before_end(1) == last;
        if ["at", "bl", "iz"].iter().any(|end| self.ends_with(end)) {
            self.letters.push('e');
        } else if is_double {
            self.letters.pop();
        } else if self.r1 >= self.letters.len() && self.is_short_syllable(self.letters.len()) {
            self.letters.push('e');
        }
    }

    fn step_1c(&mut self) {
        let is_y = matches!(self.letter_before_end(0), Some('y' | 'Y'));
        let follows_consonant = self
            .letter_before_end(1)
            .is_some_and(|letter| !is_vowel(letter));
        if is_y && follows_consonant && self.letters.len() > 2 {
            self.letters.pop();
            self.letters.push('i');
        }
    }

    fn step_2(&mut self) {
        let found = STEP_2
            .into_iter()
            .find(|(suffix, _)| self.ends_with(suffix));
        let Some((suffix, by)) = found else {
            return;
        };
        let before = self.letter_before_end(suffix.len()).unwrap_or(' ');
        let is_allowed = match suffix {
            "ogi" => before == 'l',
            "li" => "cdeghkmnrt".contains(before),
            _ => true,
        };
        if is_allowed && self.without(suffix) >= self.r1 {
            self.replace(suffix, by);
        }
    }

    fn step_3(&mut self) {
        let found = STEP_3
            .into_iter()
            .find(|(suffix, _)| self.ends_with(suffix));
        let Some((suffix, by)) = found else {
            return;
        };
        let region = if suffix == "ative" { self.r2 } else { self.r1 };
        if self.without(suffix) >= region {
            self.replace(suffix, by);
        }
    }

    fn step_4(&mut self) {
        let found = STEP_4.into_iter().find(|suffix| self.ends_with(suffix));
        let Some(suffix) = found else {
            return;
        };
        let is_allowed =
            suffix != "ion" || matches!(self.letter_before_end(suffix.len()), Some('s' | 't'));
        if is_allowed && self.without(suffix) >= self.r2 {
            self.replace(suffix, "");
        }
    }

    fn step_5(&mut self) {
        let Some(last) = self.letter_before_end(0) else {
            return;
        };
        let end = self.letters.len() - 1;
        let goes = match last {
            'e' => end >= self.r2 || (end >= self.r1 && !self.is_short_syllable(end)),
            'l' => end >= self.r2 && self.letter_before_end(1) == Some('l'),
            _ => false,
        };
        if goes {
            self.letters.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // From the vocabulary that Snowball publishes with the algorithm.
    const STEMS: [(&str, &str); 47] = [
        ("consign", "consign"),
        ("consigned", "consign"),
        ("consigning", "consign"),
        ("consignment", "consign"),
        ("consist", "consist"),
        ("consisted", "consist"),
        ("consistency", "consist"),
        ("consistent", "consist"),
        ("consistently", "consist"),
        ("consolation", "consol"),
        ("consolations", "consol"),
        ("consolatory", "consolatori"),
        ("console", "consol"),
        ("consolingly", "consol"),
        ("conspicuous", "conspicu"),
        ("conspicuously", "conspicu"),
        ("conspiracy", "conspiraci"),
        ("conspirator", "conspir"),
        ("conspire", "conspir"),
        ("constable", "constabl"),
        ("constancy", "constanc"),
        ("constant", "constant"),
        ("kneel", "kneel"),
        ("kneeling", "kneel"),
        ("knell", "knell"),
        ("knew", "knew"),
        ("knightly", "knight"),
        ("knitted", "knit"),
        ("knives", "knive"),
        ("knocker", "knocker"),
        ("knots", "knot"),
        ("generate", "generat"),
        ("generally", "general"),
        ("communism", "communism"),
        ("hopping", "hop"),
        ("hoping", "hope"),
        ("luxuriated", "luxuri"),
        ("ties", "tie"),
        ("cries", "cri"),
        ("gas", "gas"),
        ("gaps", "gap"),
        ("kiwis", "kiwi"),
        ("cry", "cri"),
        ("by", "by"),
        ("say", "say"),
        ("skies", "sky"),
        ("succeeding", "succeed"),
    ];

    #[test]
    fn published_stems() {
        for (word, expected) in STEMS {
            assert_eq!(stem(word), expected, "{word}");
        }
    }

    #[test]
    fn possessives_and_short_words() {
        assert_eq!(stem("dog's"), "dog");
        assert_eq!(stem("'tis"), "tis");
        assert_eq!(stem("as"), "as");
        assert_eq!(stem(""), "");
        assert_eq!(stem("'''"), "'");
        assert_eq!(stem("\u{e9}t\u{e9}s"), "\u{e9}t\u{e9}s");
    }
}
