//! Colours. Only the terminal's own sixteen, so that they fit light and dark backgrounds; never black, white
//! or yellow, one of which is unreadable on each. What a colour says is always said in words or shapes too.

use ratatui::style::{Color, Modifier, Style};

/// What things look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// With colours.
    #[default]
    Colour,
    /// With bold and dim alone, as `NO_COLOR` asks for.
    Plain,
}

impl Theme {
    pub(super) fn gpu(self) -> Style {
        self.coloured(Color::Green)
    }

    pub(super) fn cpu(self) -> Style {
        self.coloured(Color::Cyan)
    }

    /// What is waited for.
    pub(super) fn demand(self) -> Style {
        self.coloured(Color::Magenta)
    }

    pub(super) fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    pub(super) fn warn(self) -> Style {
        self.coloured(Color::Magenta)
    }

    pub(super) fn bad(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What is there to be looked past: borders, axes, units.
    pub(super) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What is looked for first: titles and numbers.
    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn coloured(self, colour: Color) -> Style {
        match self {
            Self::Colour => Style::new().fg(colour),
            Self::Plain => Style::new(),
        }
    }
}
