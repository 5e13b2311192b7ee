use std::io::{self, IsTerminal};

/// How a run tells a person where it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Display {
    /// A line on stderr every few steps.
    #[default]
    Plain,
    /// A dashboard that fills the terminal; plain lines in a build without the feature `dashboard`.
    Dashboard,
}

impl Display {
    /// The dashboard where both outputs are a terminal, plain lines elsewhere, where `plain` asks for
    /// them, and in a build without the feature `dashboard`.
    pub fn for_terminal(plain: bool) -> Self {
        let is_terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        Self::choose(plain, is_terminal, cfg!(feature = "dashboard"))
    }

    fn choose(plain: bool, is_terminal: bool, is_built_in: bool) -> Self {
        match is_terminal && is_built_in && !plain {
            true => Self::Dashboard,
            false => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_plain_unless_everything_speaks_for_the_dashboard() {
        assert_eq!(Display::choose(false, true, true), Display::Dashboard);
        for (plain, is_terminal, is_built_in) in [
            (true, true, true),
            (false, false, true),
            (false, true, false),
        ] {
            let display = Display::choose(plain, is_terminal, is_built_in);
            assert_eq!(display, Display::Plain);
        }
    }
}
