//! What happens, in lines: the feed, and the steps of the set-up.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::format::{clock, fit, seconds};
use crate::run_state::RunState;
use crate::run_state::feed::Tone;
use crate::run_state::setup::SetupState;
use crate::view::pieces::{bar, framed, spinner};
use crate::view::theme::Theme;

/// What happened, the newest last.
pub(in crate::view) fn feed(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let inner = framed(frame, area, "What happens", theme);
    let lines = run.feed().lines();
    let skipped = lines.len().saturating_sub(inner.height.into());
    let lines: Vec<Line<'_>> = lines
        .skip(skipped)
        .map(|line| {
            // What was before the replay has no time on its clock.
            let time = format!("{:>5} ", run.clock().into_replay(line.at).map_or_else(|| "–".to_owned(), clock));
            let room = usize::from(inner.width).saturating_sub(time.chars().count());
            Line::from(vec![
                Span::styled(time, theme.quiet()),
                Span::styled(fit(&line.text, room), toned(line.tone, theme)),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn toned(tone: Tone, theme: Theme) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => theme.good(),
        Tone::Warn => theme.warn(),
        Tone::Bad => theme.bad(),
    }
}

/// The steps of the set-up, the newest at the bottom when there are more than fit.
pub(in crate::view) fn setup_steps(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let inner = framed(frame, area, "Setting up", theme);
    let widest = run.setup_steps().iter().map(|step| step.name.chars().count()).max().unwrap_or(0).min(44);
    let skipped = run.setup_steps().len().saturating_sub(inner.height.into());
    let lines: Vec<Line<'_>> = run.setup_steps()[skipped..]
        .iter()
        .map(|step| {
            let name = format!("{:widest$}  ", fit(&step.name, widest));
            match &step.state {
                SetupState::Planned => Line::from(Span::styled(format!("· {name}"), theme.quiet())),
                SetupState::Done { took } => Line::from(vec![
                    Span::styled("✓ ", theme.good()),
                    Span::raw(name),
                    Span::styled(format!("{:>7}", seconds(*took)), theme.quiet()),
                ]),
                SetupState::Failed { why } => Line::from(vec![
                    Span::styled("✗ ", theme.bad()),
                    Span::raw(name),
                    Span::styled(why.as_str(), theme.bad()),
                ]),
                SetupState::Running { elapsed, expected } => {
                    let mut spans = vec![
                        Span::styled(format!("{} ", spinner(run)), theme.warn()),
                        Span::styled(name, theme.strong()),
                        Span::raw(format!("{:>7}", seconds(*elapsed))),
                    ];
                    if let Some(expected) = expected {
                        spans.push(Span::styled(format!(" of about {}  ", seconds(*expected)), theme.quiet()));
                        let ratio = elapsed.as_secs_f64() / expected.as_secs_f64().max(0.1);
                        spans.extend(bar(ratio.min(0.99), 20, theme.good(), theme));
                    }
                    Line::from(spans)
                }
            }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}
