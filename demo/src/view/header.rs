//! The top of the view: what runs, how far it is, and the few numbers that matter most.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::pieces::{bar, split};
use super::theme::Theme;
use crate::format::{clock, grouped, percent};
use crate::run_state::counts::Counts;
use crate::run_state::setup::SetupState;
use crate::run_state::{Phase, RunState};

/// Draws the header and says how many rows it took.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) -> u16 {
    let width = area.width.saturating_sub(2);
    let mut lines = vec![title(run, theme, width), progress(run, theme, width)];
    if run.clock().phase() != Phase::SettingUp {
        lines.extend(wrapped(figures(run, theme), width));
    }
    let height = (lines.len() as u16).min(area.height);
    frame.render_widget(Paragraph::new(lines), Rect { x: area.x + 1, width, height, ..area });
    height
}

fn title<'a>(run: &'a RunState, theme: Theme, width: u16) -> Line<'a> {
    let (phase, time) = match run.clock().phase() {
        Phase::SettingUp => ("setting up", run.clock().now()),
        Phase::Replaying => ("replaying", run.clock().replayed()),
        Phase::Ended => ("ended", run.clock().replayed()),
    };
    let left = vec![
        Span::styled("weir", theme.strong()),
        Span::raw("  "),
        Span::raw(run.plan().title.as_str()),
        Span::styled(format!("  {} nodes", grouped(run.cluster().nodes().len() as u64)), theme.quiet()),
    ];
    let right = vec![
        Span::styled(phase, theme.strong()),
        Span::raw(format!("  {}", clock(time))),
        Span::styled("  q stops", theme.quiet()),
    ];
    split(left, right, width)
}

/// The bar: steps while setting up, then pods of the trace that were created.
fn progress(run: &RunState, theme: Theme, width: u16) -> Line<'static> {
    let (done, all, what) = match run.clock().phase() {
        Phase::SettingUp => {
            let done = run.setup_steps().iter().filter(|step| matches!(step.state, SetupState::Done { .. })).count();
            (done, run.setup_steps().len(), "steps")
        }
        Phase::Replaying | Phase::Ended => (run.counts().created, run.plan().pods, "pods created"),
    };
    let ratio = if all == 0 { 0.0 } else { done as f64 / all as f64 };
    let label = format!("  {} of {} {what}  {}", grouped(done as u64), grouped(all as u64), percent(ratio));
    let room = width.saturating_sub(label.chars().count() as u16);
    let mut spans = bar(ratio, room, theme.good(), theme);
    spans.push(Span::raw(label));
    Line::from(spans)
}

/// The figures, most important first; each is kept in one piece.
fn figures(run: &RunState, theme: Theme) -> Vec<Vec<Span<'static>>> {
    let counts = run.counts();
    let Counts { bound_cpu, bound_gpu, finished, waiting, refused, queued, running, .. } = counts;
    let figure = |name: &'static str, number: String, note: String| {
        vec![
            Span::styled(format!("{name} "), theme.quiet()),
            Span::styled(number, theme.strong()),
            Span::styled(note, theme.quiet()),
        ]
    };
    let number = |number: usize| grouped(number as u64);
    let of_waiting = match queued {
        0 => format!(" ({} refused)", number(refused)),
        _ => format!(" ({} in the queue, {} refused)", number(queued), number(refused)),
    };
    let mut violations = figure("violations", number(run.violations().len()), String::new());
    violations[1].style = if run.violations().is_empty() { theme.good() } else { theme.bad() };
    vec![
        figure("placed", number(counts.bound()), format!(" ({} GPU, {} CPU)", number(bound_gpu), number(bound_cpu))),
        figure("waiting", number(waiting), of_waiting),
        violations,
        figure("pods/s", format!("{:.0}", run.rate().per_second()), format!(" (peak {:.0})", run.rate().peak())),
        figure("running", number(running), String::new()),
        figure("finished", number(finished), String::new()),
    ]
}

/// Puts pieces into lines of a width, three spaces apart.
fn wrapped(pieces: Vec<Vec<Span<'static>>>, width: u16) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    for piece in pieces {
        let wide = Line::from(piece.clone()).width();
        match lines.last_mut().filter(|line| line.width() + 3 + wide <= usize::from(width)) {
            Some(line) => {
                line.push_span("   ");
                line.spans.extend(piece);
            }
            None => lines.push(Line::from(piece)),
        }
    }
    lines
}
