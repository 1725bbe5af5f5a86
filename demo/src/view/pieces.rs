//! What several panels are made of: bars, lines with two ends, frames.

use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Padding};

use super::theme::Theme;
use crate::run_state::RunState;

/// A horizontal bar: what is filled is thick, the rest thin, so that it reads without colour too.
pub(super) fn bar(ratio: f64, width: u16, style: Style, theme: Theme) -> Vec<Span<'static>> {
    let width = usize::from(width);
    let halves = (ratio.clamp(0.0, 1.0) * width as f64 * 2.0).round() as usize;
    let (full, half) = (halves / 2, halves % 2);
    vec![
        Span::styled("━".repeat(full) + if half == 1 { "╸" } else { "" }, style),
        Span::styled("─".repeat(width - full - half), theme.quiet()),
    ]
}

/// One line with something at its left and something at its right end; the left gives way.
pub(super) fn split<'a>(left: Vec<Span<'a>>, right: Vec<Span<'a>>, width: u16) -> Line<'a> {
    let (left, right) = (Line::from(left), Line::from(right));
    let gap = usize::from(width).saturating_sub(left.width() + right.width());
    let mut spans = left.spans;
    spans.push(Span::raw(" ".repeat(gap)));
    spans.extend(right.spans);
    Line::from(spans)
}

/// Turns with the run's time, so that a step that says nothing is seen to live.
pub(super) fn spinner(run: &RunState) -> char {
    const TURN: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
    TURN[(run.clock().now().as_millis() / 100 % 10) as usize]
}

/// A bordered block with a title; the place within it.
pub(super) fn framed(frame: &mut Frame<'_>, area: Rect, title: &str, theme: Theme) -> Rect {
    let title = Line::from(vec![Span::raw(" "), Span::styled(title.to_owned(), theme.strong()), Span::raw(" ")]);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.quiet())
        .title(title)
        .padding(Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// A line that ends at the right.
pub(super) fn right(text: String) -> Line<'static> {
    Line::from(text).alignment(Alignment::Right)
}
