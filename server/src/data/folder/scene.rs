//! Rendered scenes as pictures of our format.

use crate::data::{
    record::{
        DescriptionLength, DescriptionRecord, ExpressionKind, ExpressionRecord, GroundedRecord,
        PhraseRecord, PictureRecord, QuestionRecord, RegionRecord,
    },
    scenes::{Caption, Question, RefRecord, ReferKind, SceneRecord},
};

/// Each object becomes the region at its place. Objects that are hardly seen have no texts, so
/// their regions have no category either.
impl From<SceneRecord> for PictureRecord {
    fn from(scene: SceneRecord) -> Self {
        let mut regions: Vec<RegionRecord> = scene
            .objects
            .into_iter()
            .map(|object| RegionRecord {
                id: object.id.to_string(),
                mask: object.mask,
                ignore: None,
                category: None,
                descriptions: Vec::new(),
            })
            .collect();
        for texts in scene.regions {
            if let Some(region) = regions.get_mut(texts.object) {
                region.category = Some(texts.category);
                let lengths = [
                    (texts.brief, DescriptionLength::Brief),
                    (texts.detailed, DescriptionLength::Detailed),
                ];
                region
                    .descriptions
                    .extend(lengths.map(|(text, length)| DescriptionRecord { text, length }));
            }
        }
        Self {
            id: scene.id.to_string(),
            image: scene.image,
            width: scene.width,
            height: scene.height,
            regions,
            expressions: scene.refs.into_iter().map(expression).collect(),
            questions: scene.questions.into_iter().map(question).collect(),
            grounded: scene.captions.into_iter().map(grounded).collect(),
            captions: Vec::new(),
        }
    }
}

fn expression(expression: RefRecord) -> ExpressionRecord {
    let kind = match expression.kind {
        ReferKind::Short | ReferKind::Several | ReferKind::None => ExpressionKind::Short,
        ReferKind::Detailed => ExpressionKind::Detailed,
    };
    ExpressionRecord {
        text: expression.text,
        kind,
        targets: expression.targets,
        answer: None,
        is_sentence: None,
    }
}

/// Scenes ask about "it", so the region stands in front, as where a person asks without naming it.
fn question(question: Question) -> QuestionRecord {
    let place = question.object;
    QuestionRecord {
        question: format!("<region:{place}> {}", question.question),
        answer: question.answer,
        regions: vec![place],
    }
}

fn grounded(caption: Caption) -> GroundedRecord {
    let phrases = caption.phrases.into_iter().map(|phrase| PhraseRecord {
        start: phrase.start,
        end: phrase.end,
        targets: phrase.targets,
    });
    GroundedRecord {
        text: caption.text,
        phrases: phrases.collect(),
        labels: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scenes::{Seeds, sample_sized};

    #[test]
    fn everything_that_is_known_of_a_scene_is_kept() {
        let sample = sample_sized(Seeds::public(6), 4, 192, 128);
        let scene = SceneRecord::new(4, &sample);
        let record = PictureRecord::from(scene.clone());
        record.check().unwrap();
        assert_eq!(
            (record.id.as_str(), record.image.as_str()),
            ("4", "images/000004.png")
        );
        assert_eq!((record.width, record.height), (192, 128));
        for (place, mask) in sample.drawn.masks.iter().enumerate() {
            assert_eq!(record.mask(place).unwrap(), *mask);
        }
        for texts in &scene.regions {
            let region = &record.regions[texts.object];
            assert_eq!(region.category.as_deref(), Some(texts.category.as_str()));
            let [brief, detailed] = region.descriptions.as_slice() else {
                panic!("{:?}", region.descriptions);
            };
            assert_eq!(
                (&brief.text, brief.length),
                (&texts.brief, DescriptionLength::Brief)
            );
            let long = (&texts.detailed, DescriptionLength::Detailed);
            assert_eq!((&detailed.text, detailed.length), long);
        }
        for (said, expression) in scene.refs.iter().zip(&record.expressions) {
            let is_detailed = said.kind == ReferKind::Detailed;
            assert_eq!(expression.kind == ExpressionKind::Detailed, is_detailed);
            assert_eq!(said.targets, expression.targets);
            assert_eq!(said.text, expression.text);
        }
        let (asked, question) = (&scene.questions[0], &record.questions[0]);
        let expected = format!("<region:{}> {}", asked.object, asked.question);
        assert_eq!(question.question, expected);
        assert_eq!(
            (question.regions.as_slice(), &question.answer),
            (&[asked.object][..], &asked.answer)
        );
        let phrases = &record.grounded[0].phrases;
        assert_eq!(phrases.len(), scene.captions[0].phrases.len());
        assert_eq!(phrases[0].targets, scene.captions[0].phrases[0].targets);
        assert_eq!(record.expressions.len(), scene.refs.len());
        assert_eq!(record.questions.len(), scene.questions.len());
    }
}
