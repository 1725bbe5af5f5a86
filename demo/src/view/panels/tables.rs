//! The tables: GPU hosts by model, reasons of the scheduler, plugins.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Row, Table};

use crate::cluster_state::hosts::{self, ModelRow, Special};
use crate::cluster_state::refusal::Reason;
use crate::format::{digest, fit, grouped, rough};
use crate::run_state::RunState;
use crate::view::pieces::{bar, framed, right};
use crate::view::theme::Theme;

/// GPU hosts by model: how many are free as a whole, and how full the model is; below, which pods hold special ones.
pub(in crate::view) fn models(frame: &mut Frame<'_>, area: Rect, run: &RunState, rows: &[ModelRow], theme: Theme) {
    let free: usize = rows.iter().map(|row| row.free_hosts).sum();
    let all: usize = rows.iter().map(|row| row.hosts).sum();
    let title = format!("GPU hosts: {} of {} free", grouped(free as u64), grouped(all as u64));
    let mut inner = framed(frame, area, &title, theme);
    if let Some(held) = hosts::special(run.cluster()).filter(|_| inner.height > 2) {
        inner.height -= 1;
        let last = Rect { y: inner.bottom(), height: 1, ..inner };
        let style = if held.general.is_zero() { theme.good() } else { theme.bad() };
        frame.render_widget(Line::from(Span::styled(special_line(&held, inner.width), style)), last);
    }
    let names = rows.iter().map(|row| marked(&row.model, row.special).chars().count());
    let widest = names.max().unwrap_or(0).clamp(5, 14) as u16;
    let columns = [Constraint::Length(widest), Constraint::Length(11), Constraint::Length(11), Constraint::Fill(1)];
    let bar_width = inner.width.saturating_sub(widest + 11 + 11 + 3);
    let body = rows.iter().map(|ModelRow { model, special, hosts, free_hosts, gpus }| {
        let of = |part: u64, all: u64| right(format!("{} / {}", grouped(part), grouped(all)));
        Row::new([
            Line::from(fit(&marked(model, *special), widest.into())),
            of(*free_hosts as u64, *hosts as u64),
            of(gpus.used.units().unsigned_abs(), gpus.capacity.units().unsigned_abs()),
            Line::from(bar(gpus.used_ratio(), bar_width, theme.gpu(), theme)),
        ])
    });
    let head = [Line::from("model"), right("free hosts".into()), right("GPUs used".into()), Line::default()];
    frame.render_widget(Table::new(body, columns).header(Row::new(head).style(theme.quiet())), inner);
}

/// A model's name, with a mark where it is special.
fn marked(model: &str, special: bool) -> String {
    if special { format!("{model} {SPECIAL}") } else { model.to_owned() }
}

/// What special hardware is marked with.
const SPECIAL: char = '◆';

/// Which pods hold the special GPUs, in as many words as there is room for.
fn special_line(held: &Special, width: u16) -> String {
    let Special { gpus, named, general } = held;
    let long = format!("{SPECIAL} {}", held.sentence());
    let short = format!("{SPECIAL} {gpus} special: {named} named, {general} general");
    if long.chars().count() <= width.into() { long } else { short }
}

/// Why pods wait.
pub(in crate::view) fn refusals(frame: &mut Frame<'_>, area: Rect, rows: &[Reason], theme: Theme) {
    let inner = framed(frame, area, "Refused, and why", theme);
    if rows.is_empty() {
        let text = Span::styled("no pod is refused", theme.quiet());
        return frame.render_widget(text, inner);
    }
    let columns = [Constraint::Length(6), Constraint::Length(6), Constraint::Fill(1)];
    let room = usize::from(inner.width.saturating_sub(6 + 6 + 2));
    let body = rows.iter().map(|Reason { text, pods, nodes }| {
        Row::new([
            right(grouped(*pods as u64)).style(theme.warn()),
            right(nodes.map_or_else(|| "–".to_owned(), grouped)),
            Line::from(fit(text, room)),
        ])
    });
    let head = [right("pods".into()), right("nodes".into()), Line::from("reason")];
    frame.render_widget(Table::new(body, columns).header(Row::new(head).style(theme.quiet())), inner);
}

/// What the scheduler's plugins did.
pub(in crate::view) fn plugins(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let inner = framed(frame, area, "Plugins (WebAssembly)", theme);
    if run.plugins().len() == 0 {
        return frame.render_widget(Span::styled("no figures yet", theme.quiet()), inner);
    }
    // A narrow panel keeps the names and shows less of the digests.
    let shown = if inner.width < 42 { 5 } else { 12 };
    let columns = [Constraint::Fill(1), Constraint::Length(5), Constraint::Length(shown)];
    let body = run.plugins().map(|plugin| {
        Row::new([
            Line::from(plugin.name.as_str()),
            right(rough(plugin.calls)).style(theme.strong()),
            right(digest(&plugin.digest).chars().take(shown.into()).collect()).style(theme.quiet()),
        ])
    });
    let head = [Line::from("plugin"), right("calls".into()), right(if shown < 6 { "sha" } else { "sha256" }.into())];
    frame.render_widget(Table::new(body, columns).header(Row::new(head).style(theme.quiet())), inner);
}
