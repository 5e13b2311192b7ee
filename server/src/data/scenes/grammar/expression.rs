//! Expressions that refer to objects, as trees that can be evaluated on a scene.

use super::super::{
    view::{Part, Relation, Side, Truth, View},
    vocabulary::{Attributes, Colour, Material, Pattern, Shape, Size},
    world::is_held_out,
};

/// Attributes that a noun phrase names; what it leaves open is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    /// How big.
    pub size: Option<Size>,
    /// Which main colour.
    pub colour: Option<Colour>,
    /// What is painted on it.
    pub pattern: Option<Pattern>,
    /// What it is made of.
    pub material: Option<Material>,
    /// Which solid.
    pub shape: Option<Shape>,
}

impl Filter {
    /// Number of attributes that can be named.
    pub(crate) const ATTRIBUTES: u32 = 5;

    /// Names everything.
    pub fn full(attributes: Attributes) -> Self {
        Self::subset(attributes, u32::MAX)
    }

    /// Names the attributes whose bits are set: size, colour, pattern, material, shape.
    pub(crate) fn subset(attributes: Attributes, bits: u32) -> Self {
        let has = |bit: u32| bits & (1 << bit) != 0;
        Self {
            size: has(0).then_some(attributes.size),
            colour: has(1).then_some(attributes.colour),
            pattern: has(2).then_some(attributes.pattern),
            material: has(3).then_some(attributes.material),
            shape: has(4).then_some(attributes.shape),
        }
    }

    /// Whether an object has all that is named.
    pub fn matches(&self, attributes: &Attributes) -> bool {
        self.size.is_none_or(|size| size == attributes.size)
            && self.colour.is_none_or(|colour| colour == attributes.colour)
            && self
                .pattern
                .is_none_or(|pattern| pattern == attributes.pattern)
            && self
                .material
                .is_none_or(|material| material == attributes.material)
            && self.shape.is_none_or(|shape| shape == attributes.shape)
    }

    /// Whether it names colour, material and shape of a combination that is held out of training.
    pub fn names_held_out(&self) -> bool {
        let (Some(colour), Some(material), Some(shape)) = (self.colour, self.material, self.shape)
        else {
            return false;
        };
        is_held_out(colour, material, shape)
    }
}

/// What a reference says besides attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Clause {
    /// How it lies to another object.
    Beside(Relation, Box<Reference>),
    /// In which part of the picture it is.
    In(Part),
    /// That it is outermost among those that fit all the rest.
    Outermost(Side),
    /// Its place, counted from 0, among those that fit all the rest, in order from a side.
    Ranked(usize, Side),
}

/// A description of objects that can be evaluated on a scene.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Reference {
    /// The attributes it names.
    pub filter: Filter,
    /// What else it says; all of it must hold.
    pub clauses: Vec<Clause>,
}

impl Reference {
    /// Names attributes only.
    pub fn by(filter: Filter) -> Self {
        Self {
            filter,
            clauses: Vec::new(),
        }
    }

    /// The objects that are meant, in order; `None` where that is too close to call for any.
    pub fn evaluate(&self, view: &View) -> Option<Vec<usize>> {
        let mut meant = Vec::new();
        for object in 0..view.objects.len() {
            match self.fits(view, object) {
                Truth::Yes => meant.push(object),
                Truth::Unclear => return None,
                Truth::No => {}
            }
        }
        for clause in &self.clauses {
            match *clause {
                Clause::Beside(..) | Clause::In(_) => {}
                _ if meant.is_empty() => {}
                Clause::Outermost(side) => meant = vec![view.outermost(&meant, side)?],
                Clause::Ranked(rank, side) => {
                    meant = view
                        .ranked(&meant, side)?
                        .get(rank)
                        .copied()
                        .into_iter()
                        .collect();
                }
            }
        }
        Some(meant)
    }

    /// The one object that is meant, where it is exactly one.
    pub fn single(&self, view: &View) -> Option<usize> {
        match self.evaluate(view)?.as_slice() {
            &[object] => Some(object),
            _ => None,
        }
    }

    /// Whether it names a combination of colour, material and shape that is held out of training, of
    /// what it means or of what that lies beside.
    pub fn names_held_out(&self) -> bool {
        let beside = |clause: &Clause| match clause {
            Clause::Beside(_, anchor) => anchor.names_held_out(),
            Clause::In(_) | Clause::Outermost(_) | Clause::Ranked(..) => false,
        };
        self.filter.names_held_out() || self.clauses.iter().any(beside)
    }

    /// Whether the expression would mean other objects without its relations to others.
    pub fn needs_relation(&self, view: &View) -> bool {
        let related = |clause: &Clause| matches!(clause, Clause::Beside(..));
        if !self.clauses.iter().any(related) {
            return false;
        }
        let clauses = self
            .clauses
            .iter()
            .filter(|clause| !related(clause))
            .cloned()
            .collect();
        let without = Self {
            filter: self.filter,
            clauses,
        };
        without.evaluate(view) != self.evaluate(view)
    }

    /// Attributes, relations and parts, which can be judged for one object at a time.
    fn fits(&self, view: &View, object: usize) -> Truth {
        let mut fits = Truth::from(self.filter.matches(&view.objects[object].attributes));
        for clause in &self.clauses {
            if fits == Truth::No {
                break;
            }
            fits = fits.and(match clause {
                Clause::Beside(relation, anchor) => match anchor.single(view) {
                    Some(anchor) => view.relation(object, *relation, anchor),
                    None => Truth::Unclear,
                },
                Clause::In(part) => view.part(object, *part),
                Clause::Outermost(_) | Clause::Ranked(..) => Truth::Yes,
            });
        }
        fits
    }
}
