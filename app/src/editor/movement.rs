/// Whether something is done anew, or goes on because a key is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// A key, a button or a pointer.
    New,
    /// A key that was pressed before.
    Held,
}

/// What a key does again and again while it is held, all of which is one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Movement {
    /// Gives the region with an id another shape.
    Shape(String, Reshaping),
    /// Moves the corner of that index of the region with an id.
    Corner(String, usize),
    /// Gives the region with an id another place in the order.
    Order(String),
}

/// What is done to a region as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reshaping {
    /// It lies somewhere else.
    Moved,
    /// Its right and lower edge are moved.
    Resized,
    /// It reaches further on all sides.
    Grown,
    /// It reaches less far on all sides.
    Shrunk,
    /// It has no holes any more.
    Filled,
    /// It is what it was not.
    Inverted,
}

impl Reshaping {
    /// What was done, in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Resized => "resized",
            Self::Grown => "grown",
            Self::Shrunk => "shrunk",
            Self::Filled => "filled",
            Self::Inverted => "inverted",
        }
    }
}
