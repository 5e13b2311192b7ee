//! A scene as an onlooker names it: attributes, places in the picture, relations.

use serde::{Deserialize, Serialize};

use super::{coverage::Coverage, scene::Scene, vocabulary::Attributes};

/// An answer that admits what a person could not decide at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// Clearly so.
    Yes,
    /// Too close to call.
    Unclear,
    /// Clearly not so.
    No,
}

impl Truth {
    /// Both must hold.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unclear,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// How one object lies to another, as the camera sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Further to the left in the picture.
    LeftOf,
    /// Further to the right in the picture.
    RightOf,
    /// Nearer to the camera.
    InFrontOf,
    /// Further from the camera.
    Behind,
}

impl Relation {
    /// Every relation, in a fixed order.
    pub const ALL: [Self; 4] = [Self::LeftOf, Self::RightOf, Self::InFrontOf, Self::Behind];

    /// The relation as an expression writes it after a noun.
    pub const fn words(self) -> &'static str {
        match self {
            Self::LeftOf => "left of",
            Self::RightOf => "right of",
            Self::InFrontOf => "in front of",
            Self::Behind => "behind",
        }
    }
}

/// A direction in which one object can be the outermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Towards the left edge of the picture.
    Left,
    /// Towards the right edge of the picture.
    Right,
    /// Towards the camera.
    Front,
    /// Away from the camera.
    Back,
}

impl Side {
    /// Every side, in a fixed order.
    pub const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Front, Self::Back];
}

/// A third of the picture in each direction; `None` leaves that direction open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Left, middle or right third.
    pub column: Option<Third>,
    /// Upper, middle or lower third.
    pub row: Option<Third>,
}

/// One third of a side of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Third {
    /// Left or upper.
    First,
    /// The one in between.
    Middle,
    /// Right or lower.
    Last,
}

/// An object as the onlooker sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What it is.
    pub attributes: Attributes,
    /// Centroid of its visible pixels over the picture's shorter side, from the picture's centre.
    pub(crate) x: f32,
    /// Place across and away from the camera on the table, in world units.
    pub(crate) lateral: f32,
    pub(crate) depth: f32,
    /// Centroid over width and height, 0 to 1.
    pub(crate) place: (f32, f32),
    /// Whether enough of it is seen to ask about it.
    pub askable: bool,
}

/// All objects of a scene as the onlooker sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// In the scene's order.
    pub objects: Vec<Seen>,
}

/// Sideways, in shares of the picture: less is not beside, more is.
const BESIDE: (f32, f32) = (0.02, 0.08);
/// In depth, in world units: less is neither in front nor behind, more is.
const DEEPER: (f32, f32) = (0.12, 0.55);
/// A relation also has to be this strong against the direction across it.
const SLANT: f32 = 0.45;
/// Distance from the border of a third within which a place is unclear.
const BORDER: f32 = 0.035;
/// Lead of an outermost object over the next, sideways and in depth.
const LEAD: (f32, f32) = (0.05, 0.40);

impl View {
    /// Looks at a scene through its camera; `coverage` decides what can be seen.
    pub fn new(scene: &Scene, coverage: &Coverage) -> Self {
        let (right, away) = scene.camera.ground_axes();
        let (width, height) = (coverage.width as f32, coverage.height as f32);
        let objects = scene
            .objects
            .iter()
            .enumerate()
            .map(|(index, object)| {
                let (x, y) = coverage.centroids[index];
                Seen {
                    attributes: object.attributes,
                    x: (x - width / 2.0) / width.min(height),
                    lateral: object.base.dot(right),
                    depth: object.base.dot(away),
                    place: (x / width, y / height),
                    askable: coverage.is_askable(index),
                }
            })
            .collect();
        Self { objects }
    }

    /// Whether `subject` lies so to `anchor`.
    pub fn relation(&self, subject: usize, relation: Relation, anchor: usize) -> Truth {
        if subject == anchor {
            return Truth::No;
        }
        let (a, b) = (&self.objects[subject], &self.objects[anchor]);
        let (sideways, deeper) = ((a.lateral - b.lateral).abs(), (a.depth - b.depth).abs());
        let (gap, limits, strong) = match relation {
            Relation::LeftOf => (b.x - a.x, BESIDE, sideways >= SLANT * deeper),
            Relation::RightOf => (a.x - b.x, BESIDE, sideways >= SLANT * deeper),
            Relation::InFrontOf => (b.depth - a.depth, DEEPER, deeper >= SLANT * sideways),
            Relation::Behind => (a.depth - b.depth, DEEPER, deeper >= SLANT * sideways),
        };
        if gap <= limits.0 {
            Truth::No
        } else if gap >= limits.1 && strong {
            Truth::Yes
        } else {
            Truth::Unclear
        }
    }

    /// Whether the object lies in that part of the picture.
    pub fn part(&self, object: usize, part: Part) -> Truth {
        let (x, y) = self.objects[object].place;
        let test = |wanted: Option<Third>, position: f32| match wanted {
            None => Truth::Yes,
            Some(third) => third.holds(position),
        };
        test(part.column, x).and(test(part.row, y))
    }

    /// The part of the picture in which the object clearly lies, as far as it is clear.
    pub fn part_of(&self, object: usize) -> Part {
        let clear = |position: f32| {
            [Third::First, Third::Middle, Third::Last]
                .into_iter()
                .find(|third| third.holds(position) == Truth::Yes)
        };
        let (x, y) = self.objects[object].place;
        Part {
            column: clear(x),
            row: clear(y),
        }
    }

    /// The objects of `among` in order from `side`, or `None` where neighbours are too close.
    pub fn ranked(&self, among: &[usize], side: Side) -> Option<Vec<usize>> {
        let (key, lead): (fn(&Seen) -> f32, f32) = match side {
            Side::Left => (|seen| seen.x, LEAD.0),
            Side::Right => (|seen| -seen.x, LEAD.0),
            Side::Front => (|seen| seen.depth, LEAD.1),
            Side::Back => (|seen| -seen.depth, LEAD.1),
        };
        let mut order = among.to_vec();
        order.sort_by(|&a, &b| key(&self.objects[a]).total_cmp(&key(&self.objects[b])));
        let clear = order
            .windows(2)
            .all(|pair| key(&self.objects[pair[1]]) - key(&self.objects[pair[0]]) >= lead);
        clear.then_some(order)
    }

    /// The object of `among` that is outermost on `side`, where it clearly leads.
    pub fn outermost(&self, among: &[usize], side: Side) -> Option<usize> {
        let (&first, rest) = among.split_first()?;
        let lead = |&best: &usize| {
            among.iter().all(|&other| {
                other == best
                    || self
                        .ranked(&[best, other], side)
                        .is_some_and(|order| order[0] == best)
            })
        };
        if rest.is_empty() {
            Some(first)
        } else {
            among.iter().copied().find(lead)
        }
    }

    /// Whether any two objects that are alike in all attributes lie clearly apart, so that one of
    /// them is the left or the front one.
    pub(crate) fn tells_twins_apart(&self) -> bool {
        (0..self.objects.len()).all(|a| {
            (a + 1..self.objects.len()).all(|b| {
                self.objects[a].attributes != self.objects[b].attributes
                    || self.ranked(&[a, b], Side::Left).is_some()
                    || self.ranked(&[a, b], Side::Front).is_some()
            })
        })
    }
}

impl Third {
    fn holds(self, position: f32) -> Truth {
        let (low, high) = match self {
            Self::First => (f32::NEG_INFINITY, 1.0 / 3.0),
            Self::Middle => (1.0 / 3.0, 2.0 / 3.0),
            Self::Last => (2.0 / 3.0, f32::INFINITY),
        };
        if position >= low + BORDER && position <= high - BORDER {
            Truth::Yes
        } else if position < low - BORDER || position > high + BORDER {
            Truth::No
        } else {
            Truth::Unclear
        }
    }
}
