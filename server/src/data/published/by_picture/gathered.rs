//! Groups that are in memory.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{
    super::{ReadError, id::Id, problems::Problems},
    Entry, Group, Part, Source, VisitGroup, buckets,
};

/// Groups that are in memory.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    places: HashMap<Id, usize>,
    pub(super) groups: Vec<Gathering>,
}

/// A group that may still lack its picture.
#[derive(Debug)]
pub(super) struct Gathering {
    id: Id,
    pictures: Vec<Entry>,
    annotations: Vec<Entry>,
    texts: Vec<Entry>,
}

impl Gathered {
    pub(super) fn add(&mut self, part: Part, id: Id, entry: Entry) {
        let place = match self.places.get(&id) {
            Some(&place) => place,
            None => {
                self.groups.push(Gathering {
                    id: id.clone(),
                    pictures: Vec::new(),
                    annotations: Vec::new(),
                    texts: Vec::new(),
                });
                self.places.insert(id, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[place];
        match part {
            Part::Picture => group.pictures.push(entry),
            Part::Annotation => group.annotations.push(entry),
            Part::Text => group.texts.push(entry),
        }
    }

    pub(super) fn read(path: &Path, sources: &[Arc<Source>]) -> Result<Self, ReadError> {
        let mut gathered = Self::default();
        for spilled in buckets::read(path)? {
            let spilled = spilled.map_err(buckets::reading(path))?;
            let source = usize::try_from(spilled.source).ok();
            let source = source.and_then(|source| sources.get(source));
            let source = source.ok_or_else(|| buckets::reading(path)(buckets::changed()))?;
            let entry = Entry {
                source: Arc::clone(source),
                index: spilled.index,
                byte: spilled.byte,
                key: spilled.key.into_owned(),
                json: spilled.json.into_owned(),
            };
            gathered.add(spilled.part, Id(spilled.id.into_owned()), entry);
        }
        Ok(gathered)
    }

    pub(super) fn visit(
        mut self,
        problems: &mut Problems,
        visit: VisitGroup<'_>,
    ) -> Result<(), ReadError> {
        self.groups
            .sort_by_key(|group| group.pictures.first().map(|picture| picture.index));
        for group in self.groups {
            let id = group.id;
            let mut pictures = group.pictures.into_iter();
            let Some(picture) = pictures.next() else {
                let message = format!("its picture {id} is not in the list of pictures");
                for entry in group.annotations.iter().chain(&group.texts) {
                    problems.report(&entry.element().position(), &message)?;
                }
                continue;
            };
            for second in pictures {
                let message = format!("another picture has the id {id} already");
                problems.report(&second.element().position(), &message)?;
            }
            let group = Group {
                id,
                picture,
                annotations: group.annotations,
                texts: group.texts,
            };
            visit(group, problems)?;
        }
        Ok(())
    }
}
