//! The pieces of a page, all from one file of HTML.

use std::fmt::{self, Display};

use crate::markup::escaped;

/// Pieces of HTML, each behind a comment that names it, with `{{slots}}` for what they hold.
const TEMPLATE: &str = include_str!("look.html");

/// HTML: a filled piece, or a text that has been escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl Html {
    /// A text as it stands, whatever characters are in it.
    pub(crate) fn text(text: impl Display) -> Self {
        Self(escaped(text))
    }

    /// A piece of this page's template with its slots filled.
    ///
    /// # Panics
    /// As [`Html::fill`].
    pub(crate) fn piece(name: &str, values: &[(&str, Self)]) -> Self {
        Self::fill(TEMPLATE, name, values)
    }

    /// A piece of a template with its slots filled.
    ///
    /// # Panics
    /// If the template has no such piece, or a slot that is given no value.
    pub(crate) fn fill(template: &str, name: &str, values: &[(&str, Self)]) -> Self {
        let mut rest = find(template, name);
        let mut filled = String::new();
        while let Some((before, behind)) = rest.split_once("{{") {
            let (slot, behind) = behind.split_once("}}").expect("each slot is closed");
            let value = values.iter().find(|(name, _)| *name == slot);
            let (_, Self(value)) =
                value.unwrap_or_else(|| panic!("{name} has the slot {slot}, which stays empty"));
            filled.push_str(before);
            filled.push_str(value);
            rest = behind;
        }
        filled.push_str(rest);
        Self(filled)
    }

    /// Adds what follows.
    pub(crate) fn push(&mut self, more: &Self) {
        self.0.push_str(&more.0);
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The HTML as a text.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl FromIterator<Self> for Html {
    fn from_iter<I: IntoIterator<Item = Self>>(pieces: I) -> Self {
        let mut all = Self::default();
        for piece in pieces {
            all.push(&piece);
        }
        all
    }
}

impl Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn find<'a>(template: &'a str, name: &str) -> &'a str {
    template
        .split("<!-- ")
        .filter_map(|piece| piece.split_once(" -->\n"))
        .find(|(found, _)| *found == name)
        .map(|(_, html)| html.trim_end())
        .unwrap_or_else(|| panic!("the template has no piece {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_once() {
        let text = Html::text(r#"<b title="x">Tom's & {{text}}</b>"#);
        let escaped = "&lt;b title=&quot;x&quot;&gt;Tom&#39;s &amp; {{text}}&lt;/b&gt;";
        assert_eq!(text.to_string(), escaped);
        let piece = Html::piece("warning", &[("text", text)]);
        assert_eq!(
            piece.into_string(),
            format!("<p class=\"wrong\">{escaped}</p>")
        );
    }

    #[test]
    #[should_panic(expected = "stays empty")]
    fn a_slot_without_a_value_is_a_defect() {
        Html::piece("warning", &[("words", Html::text("x"))]);
    }
}
