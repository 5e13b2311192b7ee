use crate::state::Tool;

/// What the page is pointed at with, first of all.
#[derive(Debug, Clone, Copy)]
pub(super) enum PointsBy {
    /// A mouse, with keys beside it.
    Mouse,
    /// A finger or a pen.
    Finger,
}

/// What the tool in hand does next, where the region of a number is chosen or has corners that can
/// be moved, and where clicks take away.
pub(super) fn hint(
    by: PointsBy,
    tool: Tool,
    chosen: Option<usize>,
    cornered: Option<usize>,
    minus: bool,
) -> String {
    use PointsBy::{Finger, Mouse};
    let text = match (tool, chosen, by) {
        (Tool::Select, _, Mouse) => "Click a region to choose it, drag it to move it.",
        (Tool::Select, _, Finger) => "Tap a region, drag it to move it. Two fingers zoom.",
        (Tool::Click, _, Mouse) if minus => "Click on what is to be taken away. X: add again.",
        (Tool::Click, _, Finger) if minus => "Tap on what is to be taken away.",
        (Tool::Click, Some(number), Mouse) => {
            return format!(
                "Click to add to @{number}, right button or long press to take away. Tab: another mask."
            );
        }
        (Tool::Click, Some(number), Finger) => {
            return format!("Tap to add to @{number}, hold to take away.");
        }
        (Tool::Click, None, Mouse) => "Click on something.",
        (Tool::Click, None, Finger) => "Tap on something. Two fingers zoom.",
        (Tool::Box, _, Mouse) => "Drag a box around something, or click it.",
        (Tool::Box, _, Finger) => "Drag a box, or tap something. Two fingers zoom.",
        (Tool::Brush, Some(number), Mouse) => {
            return format!("Paint to add to @{number}. N starts a new region.");
        }
        (Tool::Brush, Some(number), Finger) => {
            return format!("Paint to add to @{number}; New for another one.");
        }
        (Tool::Brush, None, _) => "Paint over what you mean: a new region.",
        (Tool::Eraser, Some(number), _) => return format!("Take paint away from @{number}."),
        (Tool::Eraser, None, _) => "Choose the region to erase from first.",
        (Tool::Polygon, ..) => match (cornered, by) {
            (Some(number), Mouse) => {
                return format!(
                    "Drag a corner of @{number}. Keys: . and , go to one; with Alt arrows move it, \
                     Enter adds one, Delete removes it."
                );
            }
            (Some(number), Finger) => {
                return format!("Drag a corner of @{number}, or an edge for a new one.");
            }
            (None, Mouse) => {
                "Click the corners; the first one again, a double click or Enter ends."
            }
            (None, Finger) => "Tap the corners; the first one again ends.",
        },
        (Tool::Lasso, Some(number), Mouse) => {
            return format!("Draw around what to add to @{number}; with Alt it is taken away.");
        }
        (Tool::Lasso, Some(number), Finger) => {
            return format!("Draw around what to add to @{number}.");
        }
        (Tool::Lasso, None, _) => "Draw around what you mean: a new region.",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: [Tool; 7] = [
        Tool::Select,
        Tool::Click,
        Tool::Box,
        Tool::Brush,
        Tool::Eraser,
        Tool::Polygon,
        Tool::Lasso,
    ];
    const BOTH: [PointsBy; 2] = [PointsBy::Mouse, PointsBy::Finger];

    #[test]
    fn the_hint_says_where_a_stroke_goes() {
        for by in BOTH {
            let adding = |tool, chosen| hint(by, tool, chosen, None, false);
            for tool in [Tool::Brush, Tool::Lasso, Tool::Click] {
                assert!(adding(tool, Some(2)).contains("add to @2"), "{by:?}");
            }
            assert!(adding(Tool::Brush, None).ends_with("a new region."));
            assert_eq!(adding(Tool::Eraser, Some(1)), "Take paint away from @1.");
            assert!(adding(Tool::Eraser, None).contains("first"));
            assert_eq!(adding(Tool::Box, Some(1)), adding(Tool::Box, None));
            assert!(adding(Tool::Click, None).contains("on something."));
            let cornered = hint(by, Tool::Polygon, Some(5), Some(5), false);
            assert!(cornered.starts_with("Drag a corner of @5"), "{cornered}");
        }
    }

    #[test]
    fn the_hint_says_that_clicks_take_away() {
        for by in BOTH {
            for chosen in [None, Some(2)] {
                let taking = hint(by, Tool::Click, chosen, None, true);
                assert!(taking.contains("taken away"), "{taking}");
                // Other tools do not care.
                let brush = |minus| hint(by, Tool::Brush, chosen, None, minus);
                assert_eq!(brush(true), brush(false));
            }
        }
    }

    #[test]
    fn fingers_hear_of_no_keys_and_buttons() {
        for tool in TOOLS {
            for (number, minus) in [(None, false), (Some(3), false), (Some(3), true)] {
                let said = hint(PointsBy::Finger, tool, number, number, minus);
                for word in ["lick", "button", "Alt", "Tab", "Enter", "key"] {
                    assert!(!said.contains(word), "{tool:?}: {said}");
                }
                assert!(said.len() < 60, "{tool:?}: {said}");
            }
        }
    }
}
