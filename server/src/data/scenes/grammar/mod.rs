//! A tiny, regular English about scenes.
//!
//! Every expression is made as a tree, a [`Reference`], that is evaluated on the scene before its
//! text is written: what it means is known, not hoped.

mod caption;
mod describe;
mod expression;
mod parse;
mod question;
mod refer;
mod words;

pub use caption::{Caption, Phrase, caption};
pub use describe::{Description, describe};
pub use expression::{Clause, Filter, Reference};
pub use parse::{DescriptionCheck, Mention, check_description, parse_category, parse_phrase};
pub use question::{Question, questions};
pub use refer::{ReferKind, Referring, refer_detailed, refer_none, refer_several, refer_short};
pub use words::category;
