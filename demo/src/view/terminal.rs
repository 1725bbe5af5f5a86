//! The terminal: taken over when the view begins, and given back as it was, whatever happens.
//!
//! Raw mode swallows Ctrl-C, so it arrives as a key and is read here; the driver then ends the run in order,
//! and the cluster with it. A panic restores the terminal first, by ratatui's hook, so that its message can
//! be read.

use std::io::{self, IsTerminal, stdout};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::DefaultTerminal;

use super::page::draw;
use super::theme::Theme;
use crate::run_state::RunState;

/// The live view on the terminal; dropping it gives the terminal back.
pub struct Screen {
    terminal: DefaultTerminal,
    theme: Theme,
}

impl Screen {
    /// Whether standard output is a terminal that can be drawn on.
    #[must_use]
    pub fn possible() -> bool {
        stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it is none, or cannot be set to raw mode.
    pub fn open() -> io::Result<Self> {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let theme = if colours { Theme::Colour } else { Theme::Plain };
        // What was already changed when it failed is changed back.
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
        Ok(Self { terminal, theme })
    }

    /// Draws the run as it is; only what changed is sent, in one update.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn show(&mut self, run: &RunState) -> io::Result<()> {
        execute!(stdout(), BeginSynchronizedUpdate)?;
        let drawn = self.terminal.draw(|frame| draw(frame, run, self.theme)).map(drop);
        execute!(stdout(), EndSynchronizedUpdate)?;
        drawn
    }

    /// Whether the user asked to stop since the last call, by `q`, Esc or Ctrl-C. Does not wait.
    ///
    /// # Errors
    /// When the terminal cannot be read.
    pub fn asked_to_stop(&mut self) -> io::Result<bool> {
        let mut stop = false;
        while event::poll(Duration::ZERO)? {
            stop |= matches!(event::read()?, Event::Key(key) if stops(key));
        }
        Ok(stop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // After a panic the hook has done it; a second time would put the cursor above the message.
        if !std::thread::panicking() {
            ratatui::restore();
        }
    }
}

fn stops(KeyEvent { code, modifiers, kind, state: _ }: KeyEvent) -> bool {
    let control = modifiers.contains(KeyModifiers::CONTROL);
    kind == KeyEventKind::Press
        && match code {
            KeyCode::Char('c') => control,
            KeyCode::Char('q') => !control,
            KeyCode::Esc => true,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_control_c_stop_the_run_and_other_keys_do_not() {
        let press = |code, modifiers| stops(KeyEvent::new(code, modifiers));
        assert!(press(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(press(KeyCode::Esc, KeyModifiers::NONE));
        assert!(press(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!press(KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!press(KeyCode::Char('x'), KeyModifiers::CONTROL));
        assert!(!press(KeyCode::Enter, KeyModifiers::NONE));
    }
}
