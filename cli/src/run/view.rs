//! The live view of a run: draws a [`Story`] into a terminal of any size.
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

use super::story::{Phase, Story};
use layout::{Panel, Wanted};

/// Draws the run as it is.
pub fn draw(frame: &mut Frame<'_>, story: &Story, theme: Theme) {
    let area = frame.area();
    let header = header::draw(frame, area, story, theme);
    let body = Rect { y: area.y + header, height: area.height.saturating_sub(header), ..area };
    match story.phase() {
        Phase::SettingUp => panels::steps(frame, body, story, theme),
        Phase::Replaying | Phase::Ended => draw_panels(frame, body, story, theme),
    }
}

fn draw_panels(frame: &mut Frame<'_>, area: Rect, story: &Story, theme: Theme) {
    let (models, refusals, pools) = (story.models(), story.refusals(), story.pools());
    let acts = story.acts();
    let queue = panels::Queue { reasons: story.wait_reasons(), gangs: story.gangs() };
    let wanted = Wanted {
        models: models.len() + usize::from(story.special().is_some()),
        plugins: story.plugins().len(),
        refusals: refusals.len(),
        pools: pools.len(),
        queue: queue.rows(),
        acts: acts.len(),
    };
    for (panel, place) in layout::arrange(area, wanted) {
        match panel {
            Panel::Gpus => panels::gpus(frame, place, story, theme),
            Panel::Cpus => panels::cpus(frame, place, story, theme),
            Panel::Acts => panels::acts(frame, place, story, &acts, theme),
            Panel::Models => panels::models(frame, place, story, &models, theme),
            Panel::Refusals => panels::refusals(frame, place, &refusals, theme),
            Panel::Pools => panels::pools(frame, place, &pools, theme),
            Panel::Queue => panels::queue(frame, place, story, &queue, theme),
            Panel::Plugins => panels::plugins(frame, place, story, theme),
            Panel::Feed => panels::feed(frame, place, story, theme),
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
