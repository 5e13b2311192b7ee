use crate::state::Tool;

/// What the tool in hand does next, for a finger or a pen: where the region of that number is
/// chosen, has corners that can be moved, or the next tap takes away.
pub(super) fn touch_hint(
    tool: Tool,
    chosen: Option<usize>,
    cornered: Option<usize>,
    minus: bool,
) -> String {
    let text = match (tool, chosen) {
        (Tool::Select, _) => "Tap a region, drag it to move it. Two fingers zoom.",
        (Tool::Click, _) if minus => "Tap on what is to be taken away.",
        (Tool::Click, Some(number)) => {
            return format!("Tap to add to @{number}, hold to take away.");
        }
        (Tool::Click, None) => "Tap on something. Two fingers zoom.",
        (Tool::Box, _) => "Drag a box, or tap something. Two fingers zoom.",
        (Tool::Brush, Some(number)) => {
            return format!("Paint to add to @{number}; New for another one.");
        }
        (Tool::Brush, None) => "Paint over what you mean: a new region.",
        (Tool::Eraser, Some(number)) => return format!("Take paint away from @{number}."),
        (Tool::Eraser, None) => "Choose the region to erase from first.",
        (Tool::Polygon, _) => match cornered {
            Some(number) => {
                return format!("Drag a corner of @{number}, or an edge for a new one.");
            }
            None => "Tap the corners; the first one again ends.",
        },
        (Tool::Lasso, Some(number)) => return format!("Draw around what to add to @{number}."),
        (Tool::Lasso, None) => "Draw around what you mean: a new region.",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingers_hear_of_no_keys_and_buttons() {
        let tools = [
            Tool::Select,
            Tool::Click,
            Tool::Box,
            Tool::Brush,
            Tool::Eraser,
            Tool::Polygon,
            Tool::Lasso,
        ];
        for tool in tools {
            for number in [None, Some(3)] {
                let hint = touch_hint(tool, number, number, false);
                for word in ["lick", "button", "Alt", "Tab", "Enter", "key"] {
                    assert!(!hint.contains(word), "{tool:?}: {hint}");
                }
                assert!(hint.len() < 60, "{tool:?}: {hint}");
            }
        }
    }

    #[test]
    fn the_hint_says_where_a_stroke_goes() {
        let hint = |tool, chosen| touch_hint(tool, chosen, None, false);
        assert!(hint(Tool::Brush, Some(2)).contains("@2"));
        assert!(hint(Tool::Brush, None).ends_with("a new region."));
        assert!(hint(Tool::Click, Some(4)).ends_with("hold to take away."));
        let minus = touch_hint(Tool::Click, Some(4), None, true);
        assert_eq!(minus, "Tap on what is to be taken away.");
        let corner = touch_hint(Tool::Polygon, Some(5), Some(5), false);
        assert!(corner.starts_with("Drag a corner of @5"));
    }
}
