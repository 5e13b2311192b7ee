//! Which answers are shown: some of the best and some of the worst.

use serde::{Deserialize, Serialize};

use crate::eval::samples::{Exchange, PictureSamples};

/// How many of the best answers are shown, and of the worst.
const SHOWN: usize = 4;

/// Some of the best and of the worst answers of a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::eval) struct Cases {
    /// The best first.
    pub(in crate::eval) best: Vec<Case>,
    /// The worst first.
    pub(in crate::eval) worst: Vec<Case>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::eval) struct Case {
    /// The picture's id.
    pub(super) id: String,
    /// The picture's file.
    pub(super) image: String,
    /// How good the answer is, as the task has it.
    pub(in crate::eval) quality: f64,
    #[serde(flatten)]
    pub(super) exchange: Exchange,
}

impl Cases {
    /// Chooses among all samples of a task by how good their answers are, one for each sample in
    /// their order. No picture is shown twice as long as there are others, and no answer on both
    /// sides.
    pub(in crate::eval) fn of<D>(
        pictures: &[PictureSamples<D>],
        qualities: &[Option<f64>],
    ) -> Self {
        let samples = pictures.iter().flat_map(|picture| {
            let samples = picture.samples.iter();
            samples.map(move |sample| (picture, &sample.exchange))
        });
        let mut ranked: Vec<Ranked<'_>> = samples
            .zip(qualities)
            .filter_map(|((picture, exchange), quality)| {
                Some(Ranked {
                    quality: (*quality)?,
                    id: &picture.id,
                    image: &picture.image,
                    place: picture.picture,
                    exchange,
                })
            })
            .collect();
        // Equal ones stay in the order of the data set.
        ranked.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        let best = first_of(ranked.iter(), SHOWN.min(ranked.len().div_ceil(2)));
        let left: Vec<&Ranked<'_>> = ranked
            .iter()
            .rev()
            .filter(|&one| !best.iter().any(|&shown| std::ptr::eq(shown, one)))
            .collect();
        let worst = first_of(left.into_iter(), SHOWN);
        Self {
            best: best.into_iter().map(Ranked::case).collect(),
            worst: worst.into_iter().map(Ranked::case).collect(),
        }
    }
}

/// An answer before it is chosen.
struct Ranked<'a> {
    quality: f64,
    id: &'a str,
    image: &'a str,
    place: usize,
    exchange: &'a Exchange,
}

impl Ranked<'_> {
    fn case(&self) -> Case {
        Case {
            id: self.id.to_owned(),
            image: self.image.to_owned(),
            quality: self.quality,
            exchange: self.exchange.clone(),
        }
    }
}

/// The first `count`, of different pictures as far as there are such.
fn first_of<'a, 'b>(
    ranked: impl Iterator<Item = &'b Ranked<'a>>,
    count: usize,
) -> Vec<&'b Ranked<'a>>
where
    'a: 'b,
{
    let (mut chosen, mut passed_over) = (Vec::new(), Vec::new());
    for one in ranked {
        if chosen.len() == count {
            break;
        }
        let is_shown = chosen
            .iter()
            .any(|shown: &&Ranked<'_>| shown.place == one.place);
        match is_shown {
            true => passed_over.push(one),
            false => chosen.push(one),
        }
    }
    let missing = count.saturating_sub(chosen.len());
    chosen.extend(passed_over.into_iter().take(missing));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::samples::Sample;

    fn picture(place: usize, asked: &[&str]) -> PictureSamples<()> {
        PictureSamples {
            picture: place,
            id: format!("p{place}"),
            image: format!("{place}.png"),
            samples: asked
                .iter()
                .map(|&asked| Sample {
                    exchange: Exchange {
                        asked: asked.to_owned(),
                        ..Exchange::default()
                    },
                    detail: (),
                })
                .collect(),
        }
    }

    fn asked(cases: &[Case]) -> Vec<&str> {
        cases
            .iter()
            .map(|case| case.exchange.asked.as_str())
            .collect()
    }

    #[test]
    fn pictures_take_turns_and_no_answer_is_on_both_sides() {
        let pictures = [
            picture(0, &["a", "b"]),
            picture(1, &["c", "d"]),
            picture(2, &["e", "f"]),
            picture(3, &["g"]),
            picture(4, &["h", "i"]),
        ];
        let qualities = [0.9, 0.95, 0.1, 0.8, 0.5, 0.2, 0.7, 0.0, 0.05].map(Some);
        let cases = Cases::of(&pictures, &qualities);
        assert_eq!(asked(&cases.best), ["b", "d", "g", "e"]);
        assert_eq!(asked(&cases.worst), ["h", "c", "f", "a"]);
        assert_eq!(
            (cases.best[0].id.as_str(), cases.best[0].quality),
            ("p0", 0.95)
        );
    }

    #[test]
    fn few_answers_are_shared_out() {
        let pictures = [picture(0, &["a", "b", "c"])];
        let cases = Cases::of(&pictures, &[Some(0.5), None, Some(0.7)]);
        assert_eq!(asked(&cases.best), ["c"]);
        assert_eq!(asked(&cases.worst), ["a"]);
        let one = Cases::of(&pictures, &[Some(0.5), None, None]);
        assert_eq!((one.best.len(), one.worst.len()), (1, 0));
        let cases = Cases::of(&pictures, &[Some(0.1), Some(0.2), Some(0.3)]);
        assert_eq!(asked(&cases.best), ["c", "b"]);
        assert_eq!(asked(&cases.worst), ["a"]);
    }
}
