//! The queues for people.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::rows::{Entry, Progress, Queue, Queues};
use crate::age::age;
use crate::amounts::line;
use crate::draw::Paint;

/// The first so many of each queue; 0 shows all.
pub(super) fn draw(queues: &Queues, first: usize, now: Timestamp, paint: Paint) -> String {
    if queues.queues.is_empty() {
        return "no pod waits for admission\n".to_owned();
    }
    let pages: Vec<String> = queues.queues.iter().map(|queue| one(queue, first, now, paint)).collect();
    pages.join("\n")
}

fn one(Queue { pool, waiting }: &Queue, first: usize, now: Timestamp, paint: Paint) -> String {
    let shown = if first == 0 { waiting.len() } else { first.min(waiting.len()) };
    let gangs = waiting.iter().filter(|entry| entry.gang.is_some()).count();
    let mut page = String::new();
    let pods = waiting.len() - gangs;
    let _ = writeln!(page, "{}  {} waiting, {} waiting", paint.bold(pool), count(pods, "pod"), count(gangs, "gang"));
    let heads = ["#", "NAME", "PRIORITY", "ASKS FOR", "WAITS", "REASON", "IN NUMBERS"].map(str::to_owned);
    let rows: Vec<[String; 7]> =
        [heads].into_iter().chain(waiting[..shown].iter().map(|entry| row(entry, now))).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    for (at, row) in rows.iter().enumerate() {
        let cells = row[..6].iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        let text = format!("  {}  {}", cells.collect::<Vec<_>>().join("  "), row[6]);
        let text = text.trim_end();
        let _ = writeln!(page, "{}", if at == 0 { paint.dim(text) } else { text.to_owned() });
    }
    if shown < waiting.len() {
        let _ = writeln!(page, "  and {} more; --first 0 shows all", waiting.len() - shown);
    }
    page
}

fn row(entry: &Entry, now: Timestamp) -> [String; 7] {
    let Entry { position, namespace, name, gang, priority, preemptible, asks, created, reason, message } = entry;
    let name = match gang {
        Some(Progress { created, size, admitted: 0, placed: _ }) => {
            format!("{namespace}/{name} (gang {created}/{size})")
        }
        Some(Progress { created, size, admitted, placed }) => {
            format!("{namespace}/{name} (gang {created}/{size}, {admitted} admitted, {placed} placed)")
        }
        None => format!("{namespace}/{name}"),
    };
    let priority = if *preemptible { format!("{priority} preemptible") } else { priority.to_string() };
    let reason = reason.clone().unwrap_or_else(|| "-".to_owned());
    let message =
        if message.is_empty() { "not looked at yet; is weir-admission running?".to_owned() } else { message.clone() };
    [position.to_string(), name, priority, line(asks), age(now, *created), reason, message]
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
