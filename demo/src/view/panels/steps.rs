//! The panel of the story: its steps, and what came of each.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::format::{broken, clock};
use crate::run_state::RunState;
use crate::run_state::steps::{StepRow, StepState};
use crate::view::pieces::{framed, spinner};
use crate::view::theme::Theme;

/// The steps, the latest at the end. Where there is too little room the earlier ones keep their first lines.
pub(in crate::view) fn steps(frame: &mut Frame<'_>, area: Rect, run: &RunState, rows: &[StepRow], theme: Theme) {
    let inner = framed(frame, area, "Story", theme);
    let sentences: Vec<Vec<String>> =
        rows.iter().map(|row| broken(&row.sentence, usize::from(inner.width.saturating_sub(INDENT)))).collect();
    let all: usize = sentences.iter().map(|sentence| 1 + sentence.len()).sum();
    let mut too_many = all.saturating_sub(usize::from(inner.height));
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (row, sentence) in rows.iter().zip(sentences) {
        lines.push(head(row, run, theme));
        let dropped = sentence.len().min(too_many);
        too_many -= dropped;
        let kept = sentence.len() - dropped;
        let indent = " ".repeat(INDENT.into());
        lines.extend(sentence.into_iter().take(kept).map(|line| Line::from(format!("{indent}{line}"))));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

/// How far sentences stand in.
const INDENT: u16 = 2;

fn head<'a>(row: &StepRow, run: &RunState, theme: Theme) -> Line<'a> {
    let (mark, style) = match row.state {
        StepState::Playing => (spinner(run), theme.strong()),
        StepState::Done => ('✓', theme.good()),
        StepState::Cut { .. } => ('✗', theme.bad()),
    };
    let at = run.clock().into_replay(row.began).map(clock).unwrap_or_default();
    Line::from(vec![
        Span::styled(format!("{mark} "), style),
        Span::styled(row.title, theme.strong()),
        Span::styled(format!("  {at}"), theme.quiet()),
    ])
}
