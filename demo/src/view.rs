//! The live view of a run: draws a [`RunState`] into a terminal of any size.
//!
//! What the story says is decided there; where and how it stands is decided here. Drawing is a pure
//! function of the story, the size and the [`Theme`], so the tests draw into memory and compare text.

mod chart;
mod header;
mod layout;
mod panels;
mod terminal;
mod theme;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

pub use terminal::Screen;
pub use theme::Theme;

use super::run_state::{Phase, RunState};
use layout::{Panel, Wanted};

/// Draws the run as it is.
pub fn draw(frame: &mut Frame<'_>, run: &RunState, theme: Theme) {
    let area = frame.area();
    let header = header::draw(frame, area, run, theme);
    let body = Rect { y: area.y + header, height: area.height.saturating_sub(header), ..area };
    match run.phase() {
        Phase::SettingUp => panels::setup_steps(frame, body, run, theme),
        Phase::Replaying | Phase::Ended => draw_panels(frame, body, run, theme),
    }
}

fn draw_panels(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let (models, refusals, pools) = (run.models(), run.refusals(), run.pools());
    let steps = run.steps();
    let queue = panels::Queue { reasons: run.wait_reasons(), gangs: run.gangs() };
    let wanted = Wanted {
        models: models.len() + usize::from(run.special().is_some()),
        plugins: run.plugins().len(),
        refusals: refusals.len(),
        pools: pools.len(),
        queue: queue.rows(),
        steps: steps.len(),
    };
    for (panel, place) in layout::arrange(area, wanted) {
        match panel {
            Panel::Gpus => panels::gpus(frame, place, run, theme),
            Panel::Cpus => panels::cpus(frame, place, run, theme),
            Panel::Steps => panels::steps(frame, place, run, &steps, theme),
            Panel::Models => panels::models(frame, place, run, &models, theme),
            Panel::Refusals => panels::refusals(frame, place, &refusals, theme),
            Panel::Pools => panels::pools(frame, place, &pools, theme),
            Panel::Queue => panels::queue(frame, place, run, &queue, theme),
            Panel::Plugins => panels::plugins(frame, place, run, theme),
            Panel::Feed => panels::feed(frame, place, run, theme),
        }
    }
}

/// A horizontal bar: what is filled is thick, the rest thin, so that it reads without colour too.
fn bar(ratio: f64, width: u16, style: Style, theme: Theme) -> Vec<Span<'static>> {
    let width = usize::from(width);
    let halves = (ratio.clamp(0.0, 1.0) * width as f64 * 2.0).round() as usize;
    let (full, half) = (halves / 2, halves % 2);
    vec![
        Span::styled("━".repeat(full) + if half == 1 { "╸" } else { "" }, style),
        Span::styled("─".repeat(width - full - half), theme.quiet()),
    ]
}

/// One line with something at its left and something at its right end; the left gives way.
fn split<'a>(left: Vec<Span<'a>>, right: Vec<Span<'a>>, width: u16) -> Line<'a> {
    let (left, right) = (Line::from(left), Line::from(right));
    let gap = usize::from(width).saturating_sub(left.width() + right.width());
    let mut spans = left.spans;
    spans.push(Span::raw(" ".repeat(gap)));
    spans.extend(right.spans);
    Line::from(spans)
}

#[cfg(test)]
mod tests;
