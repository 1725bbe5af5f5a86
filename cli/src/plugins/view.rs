//! The reports for people: a table for each replica, and the log of all of them.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::report::{Candidate, Entry, Plugin, Point, REFUSED, Report};
use crate::age::age;
use crate::digest::short;
use crate::draw::{Line, Paint, Section};

/// What is shown while no scheduler reports.
pub(super) const NO_REPORT: &str =
    "no scheduler reports its plugins; is weir-scheduler running, and may it write ConfigMaps in its namespace?\n";

/// How many digits of a share are shown.
const SHARE: usize = 1;

/// All replicas, one after the other.
pub(super) fn table(reports: &[Report], now: Timestamp, paint: Paint) -> String {
    let mut page = String::new();
    for report in reports {
        if !page.is_empty() {
            page.push('\n');
        }
        let lines = report.plugins.iter().flat_map(|row| lines(row, now, paint)).collect();
        let title = format!("{} ({} ago)", report.replica, age(now, report.renewed_at.0));
        let heads = vec!["module", "version", "mode", "calls", "remembered", "p50", "p99", "traps", "since"];
        Section { title, heads, lines }.draw(&mut page, paint);
    }
    if page.is_empty() { NO_REPORT.to_owned() } else { page }
}

fn lines(row: &Plugin, now: Timestamp, paint: Paint) -> Vec<Line> {
    let name = if row.profile.is_empty() { row.plugin.clone() } else { format!("{} of {}", row.plugin, row.profile) };
    let numbers = vec![
        short(&row.digest).to_owned(),
        or_dash(&row.version),
        row.mode.clone(),
        row.points.values().map(|point| point.calls).sum::<u64>().to_string(),
        share(row.memo_hit_rate),
        String::new(),
        String::new(),
        row.traps.to_string(),
        age(now, row.since.0),
    ];
    let mut lines = vec![Line { label: name, bar: String::new(), numbers, why: attention(row, now, paint) }];
    let below: Vec<Line> = row
        .points
        .iter()
        .map(|(at, point)| of_point(at, point))
        .chain(row.candidate.as_ref().map(|it| of_shadow(it, now, paint)))
        .collect();
    let last = below.len().saturating_sub(1);
    lines.extend(below.into_iter().enumerate().map(|(at, line)| {
        let branch = if at == last { "└ " } else { "├ " };
        Line { label: format!("{branch}{}", line.label), ..line }
    }));
    lines
}

fn of_point(at: &str, point: &Point) -> Line {
    let Point { calls, remembered, p50_us, p99_us } = *point;
    let part = if calls == 0 { 0.0 } else { remembered as f64 / calls as f64 };
    let none = String::new;
    let (p50, p99) = if calls > remembered { (time(p50_us), time(p99_us)) } else { (none(), none()) };
    let numbers = vec![none(), none(), none(), calls.to_string(), share(part), p50, p99, none(), none()];
    Line { label: at.to_owned(), bar: String::new(), numbers, why: String::new() }
}

fn of_shadow(candidate: &Candidate, now: Timestamp, paint: Paint) -> Line {
    let Candidate { digest, version, since, comparisons, disagreements, failures, skipped: _, examples } = candidate;
    let none = String::new;
    let numbers = vec![
        short(digest).to_owned(),
        or_dash(version),
        "Shadow".to_owned(),
        comparisons.to_string(),
        none(),
        none(),
        none(),
        failures.to_string(),
        age(now, since.0),
    ];
    let example = examples.last().map(|it| {
        let node = if it.node.is_empty() { String::new() } else { format!(" on {}", it.node) };
        format!(", such as {}{node}: {} and not {}", it.pod, it.candidate, it.in_force)
    });
    let why = match disagreements {
        0 if *comparisons == 0 => "nothing to compare yet".to_owned(),
        0 => paint.green("always the same answer"),
        many => paint.yellow(&format!("{many} answers differ{}", example.unwrap_or_default())),
    };
    Line { label: "in its shadow".to_owned(), bar: String::new(), numbers, why }
}

/// What deserves attention of a plugin.
fn attention(row: &Plugin, now: Timestamp, paint: Paint) -> String {
    let mut said = Vec::new();
    if let (Some(map), Some(revision)) = (&row.config_map, &row.config_revision) {
        said.push(paint.dim(&format!("settings of {map}, revision {revision}")));
    }
    if let Some(swap) = row.last_swap.as_ref().filter(|swap| swap.result == REFUSED) {
        said.push(paint.red(&format!("refused {} ago: {}", age(now, swap.at.0), swap.reason)));
    }
    said.join("; ")
}

/// What happened, the newest last, one line each.
pub(super) fn log(entries: &[(&str, &Plugin, &Entry)], paint: Paint) -> String {
    let mut page = String::new();
    for (replica, row, Entry { at, event, digest, reason }) in entries {
        let name =
            if row.profile.is_empty() { row.plugin.clone() } else { format!("{} of {}", row.plugin, row.profile) };
        let digest = if digest.is_empty() { String::new() } else { format!("  {}", short(digest)) };
        let reason = if reason.is_empty() { String::new() } else { format!("  {reason}") };
        let event = match event.as_str() {
            "Refused" | "RolledBack" | "Trapped" | "NotPure" => paint.red(event),
            other => paint.bold(other),
        };
        let _ = writeln!(page, "{}  {replica}  {name}  {event}{digest}{reason}", at.0);
    }
    page
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn share(part: f64) -> String {
    format!("{:.SHARE$} %", part * 100.0)
}

fn time(microseconds: f64) -> String {
    if microseconds < 1000.0 { format!("{microseconds:.1}µs") } else { format!("{:.1}ms", microseconds / 1000.0) }
}
