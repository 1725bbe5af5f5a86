//! The live view of a run: draws a [`RunState`](crate::run_state::RunState) into a terminal of any size.
//!
//! What the run says is decided there; where and how it stands is decided here. Drawing is a pure function of the run,
//! the size and the [`Theme`], so the tests draw into memory and compare text.

mod chart;
mod header;
mod layout;
mod page;
mod panels;
mod pieces;
mod terminal;
mod theme;

#[cfg(test)]
mod tests;

pub use page::draw;
pub use terminal::Screen;
pub use theme::Theme;
