//! The panels of a divided cluster: the tree of pools, and the pods that wait for admission.

use std::collections::BTreeSet;

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table};
use weir_model::Amount;
use weir_model::dimension::{CPU, GPU, SKU_PREFIX};

use crate::cluster_state::pool::PoolLevel;
use crate::cluster_state::pool_tree::PoolRow;
use crate::cluster_state::queue::{GangRow, WaitReason};
use crate::format::{clock, fit, fit_end, grouped, rough};
use crate::run_state::RunState;
use crate::view::pieces::{framed, right, split};
use crate::view::theme::Theme;

/// The pods that wait, counted.
pub(in crate::view) struct Queue {
    pub(in crate::view) reasons: Vec<WaitReason>,
    pub(in crate::view) gangs: Vec<GangRow>,
}

impl Queue {
    /// How many rows it has to show.
    pub(in crate::view) fn rows(&self) -> usize {
        self.reasons.len() + self.gangs.len()
    }
}

/// A number, and the space before it.
const NUMBER: u16 = 6;
/// The figures of one resource: used, entitled, demand, borrowed.
const FIGURES: u16 = 4;
/// Shorter names cannot be told apart.
const SHORTEST_NAME: u16 = 12;

/// The tree, with as many resources side by side as there is room for.
pub(in crate::view) fn pools(frame: &mut Frame<'_>, area: Rect, rows: &[PoolRow<'_>], theme: Theme) {
    let inner = framed(frame, area, "Pools: used of entitled", theme);
    let room = inner.width.saturating_sub(SHORTEST_NAME) / (NUMBER * FIGURES);
    let resources: Vec<&str> = resources(rows).into_iter().take(room.max(1).into()).collect();
    let numbers = resources.len() as u16 * FIGURES;
    let name = inner.width.saturating_sub(numbers * NUMBER);
    let columns = [Constraint::Length(name)].into_iter().chain((0..numbers).map(|_| Constraint::Length(NUMBER)));
    let body = labels(rows).into_iter().zip(rows).map(|(label, row)| {
        let figures = resources.iter().flat_map(|resource| figures(row, resource, theme));
        Row::new([Line::from(fit(&label, name.into()))].into_iter().chain(figures))
    });
    let heads = resources.iter().flat_map(|resource| [short(resource), "of", "+dem", "borr"]);
    let head = [Line::from("pool")].into_iter().chain(heads.map(|head| right(head.to_owned())));
    let table = Table::new(body, columns).column_spacing(0).header(Row::new(head).style(theme.quiet()));
    frame.render_widget(table, inner);
}

/// GPUs first, then CPU, then special models, then all else.
fn resources<'a>(rows: &[PoolRow<'a>]) -> Vec<&'a str> {
    let known: BTreeSet<&str> = rows.iter().flat_map(|row| row.figures.resources.keys().map(String::as_str)).collect();
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_by_key(|resource| match *resource {
        GPU => 0,
        CPU => 1,
        special if special.starts_with(SKU_PREFIX) => 2,
        _ => 3,
    });
    known
}

/// A resource's name in a column.
fn short(resource: &str) -> &str {
    match resource {
        GPU => "GPU",
        CPU => "CPU",
        other => other.rsplit('/').next().map_or(other, |name| name.get(..5).unwrap_or(name)),
    }
}

/// Each pool with its branch; a child does not repeat its parent's name.
fn labels(rows: &[PoolRow<'_>]) -> Vec<String> {
    let mut open: Vec<bool> = Vec::new();
    let label = |PoolRow { depth, last, figures }: &PoolRow<'_>| {
        open.truncate(depth.saturating_sub(1));
        let trunk: String = open.iter().map(|open| if *open { "│ " } else { "  " }).collect();
        let branch = match (depth, last) {
            (0, _) => "",
            (_, true) => "└ ",
            (_, false) => "├ ",
        };
        if *depth > 0 {
            open.push(!last);
        }
        let name = &figures.name;
        let own = figures.parent.as_ref().and_then(|parent| name.strip_prefix(parent.as_str())?.strip_prefix('-'));
        format!("{trunk}{branch}{}", own.unwrap_or(name))
    };
    rows.iter().map(label).collect()
}

fn figures(row: &PoolRow<'_>, resource: &str, theme: Theme) -> [Line<'static>; 4] {
    let Some(PoolLevel { reserved: _, entitlement, usage, demand, borrowed }) = row.figures.resources.get(resource)
    else {
        return std::array::from_fn(|_| right("–".to_owned()).style(theme.quiet()));
    };
    let show = |amount: &Amount| {
        let amount = if resource == CPU { amount.scale(1, 1000) } else { *amount };
        rough(amount.units().unsigned_abs())
    };
    let unless_zero = |amount: &Amount| if amount.is_zero() { "·".to_owned() } else { show(amount) };
    let style = if usage > entitlement { theme.bad() } else { theme.strong() };
    [
        right(show(usage)).style(style),
        right(show(entitlement)),
        right(unless_zero(demand)).style(theme.demand()),
        right(unless_zero(borrowed)).style(theme.cpu()),
    ]
}

/// Why pods wait for admission, and which gangs wait for members.
pub(in crate::view) fn queue(frame: &mut Frame<'_>, area: Rect, run: &RunState, queue: &Queue, theme: Theme) {
    let Queue { reasons, gangs } = queue;
    let waiting = run.counts().queued;
    let inner = framed(frame, area, &format!("Queue: {} wait for admission", grouped(waiting as u64)), theme);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for WaitReason { reason, pods } in reasons {
        let reason = reason.as_deref().unwrap_or("not looked at yet");
        lines.push(Line::from(vec![
            Span::styled(format!("{:>6} ", grouped(*pods as u64)), theme.warn()),
            Span::raw(fit(reason, usize::from(inner.width.saturating_sub(7)))),
        ]));
    }
    for GangRow { name, created, size, since } in gangs {
        let time = clock(run.clock().now().saturating_sub(*since));
        let right = vec![
            Span::styled(format!(" {created}/{size}"), theme.strong()),
            Span::styled(format!(" {time:>5}"), theme.quiet()),
        ];
        let taken: usize = right.iter().map(Span::width).sum();
        let room = usize::from(inner.width).saturating_sub(taken + "gang ".len());
        lines.push(split(vec![Span::raw(format!("gang {}", fit_end(name, room)))], right, inner.width));
    }
    if lines.is_empty() {
        lines.push(Line::from(Span::styled("no pod waits for admission", theme.quiet())));
    }
    let room = usize::from(inner.height);
    if lines.len() > room && room > 0 {
        let more = lines.len() - room + 1;
        lines.truncate(room - 1);
        lines.push(Line::from(Span::styled(format!("and {more} more"), theme.quiet())));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}
