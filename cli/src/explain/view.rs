//! Draws the answer for people.

use std::fmt::Write as _;

use jiff::Timestamp;
use weir_model::Amount;

use super::answer::Explained;
use super::facts::{ConditionRow, DecisionRecord, EventRow, Facts, Figure, GangProgress, PathPool, Standing};
use crate::age::age;
use crate::amounts::line;
use crate::digest::short;
use crate::draw::{Paint, listed, quantity};

/// The page.
pub(super) fn draw(explained: &Explained, now: Timestamp, paint: Paint) -> String {
    let Explained { facts, what_to_do } = explained;
    let mut page = String::new();
    heading(&mut page, facts, paint);
    room(&mut page, &facts.path, paint);
    conditions(&mut page, &facts.conditions, now, paint);
    if let Some(decided_on) = &facts.decided_on {
        decided(&mut page, decided_on, paint);
    }
    events(&mut page, &facts.events, now, paint);
    if !what_to_do.is_empty() {
        let _ = writeln!(page, "{}", paint.bold("what would have to change"));
        for sentence in what_to_do {
            let _ = writeln!(page, "  • {sentence}");
        }
    }
    page
}

/// What is explained, and its fields below.
fn heading(page: &mut String, facts: &Facts, paint: Paint) {
    let Facts {
        kind, namespace, name, stands, pool, priority, preemptible, gang, asks, path, gates, placed_by, ..
    } = facts;
    let _ = writeln!(page, "{} {}", paint.bold(&format!("{kind} {namespace}/{name}")), standing(stands, paint));
    let mut field = |name: &str, text: String| {
        let _ = writeln!(page, "  {name:<10} {text}");
    };
    let ancestors = path.iter().map(|on| on.pool.as_str()).chain(["cluster"]).collect::<Vec<_>>().join(" ← ");
    match pool {
        Some(pool) if path.is_empty() => field("pool", format!("{pool}, which does not exist")),
        Some(_) => field("pool", ancestors),
        None => field("pool", "none".to_owned()),
    }
    field("asks for", line(asks));
    let preemptible = if *preemptible { "preemptible" } else { "not preemptible" };
    field("priority", format!("{priority}, {preemptible}"));
    if let Some(GangProgress { name, size, created, admitted, placed, without_node: _ }) = gang {
        field("gang", format!("{name}: {created}/{size} created, {admitted} admitted, {placed} placed"));
    }
    if !placed_by.is_empty() {
        let versions = placed_by.iter().map(|(plugin, digest)| format!("{plugin} {}", short(digest)));
        field("placed by", versions.collect::<Vec<_>>().join(", "));
    }
    if !gates.is_empty() {
        field("gates", gates.join(", "));
    }
}

fn standing(stands: &Standing, paint: Paint) -> String {
    match stands {
        Standing::NotManaged => paint.dim("is not managed"),
        Standing::Waiting => paint.yellow("waits for admission"),
        Standing::Admitted => paint.yellow("is admitted and waits for a node"),
        Standing::Placed { nodes } => paint.green(&format!("is placed on {}", listed(nodes.iter().cloned()))),
        Standing::Terminating => paint.dim("is being deleted"),
        Standing::Ended { phase } => paint.dim(&format!("has ended: {phase}")),
    }
}

fn room(page: &mut String, path: &[PathPool], paint: Paint) {
    if path.iter().all(|on| on.figures.is_empty()) {
        return;
    }
    let _ = writeln!(page, "{}", paint.bold("room"));
    for PathPool { pool, state: _, figures } in path {
        for room in figures {
            let show = |units| quantity(&room.resource, Amount::new(units));
            let reserved = room.reservation.map_or(String::new(), |units| format!(", {} reserved", show(units)));
            let short =
                if room.short > 0 { paint.red(&format!("  {} short", show(room.short))) } else { String::new() };
            let beyond = match room.beyond {
                0 => String::new(),
                units => format!(", {} of it beyond what is due below and not counted", show(units)),
            };
            let _ = writeln!(
                page,
                "  {pool}: {} of {} {} used{beyond}{reserved}{short}",
                show(room.usage),
                show(room.entitlement),
                room.resource
            );
        }
    }
}

fn conditions(page: &mut String, rows: &[ConditionRow], now: Timestamp, paint: Paint) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(page, "{}", paint.bold("conditions"));
    for ConditionRow { type_, status, reason, message, since } in rows {
        let text = format!("  {:>6}  {type_}={status}  {reason}  {message}", ago(since.as_deref(), now));
        let _ = writeln!(page, "{}", text.trim_end());
    }
}

fn events(page: &mut String, rows: &[EventRow], now: Timestamp, paint: Paint) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(page, "{}", paint.bold("events"));
    for EventRow { time, from, reason, message } in rows {
        let _ = writeln!(page, "  {:>6}  {reason}  {message}  ({from})", ago(time.as_deref(), now));
    }
}

/// How long ago a time was; `-` for one that is missing.
fn ago(time: Option<&str>, now: Timestamp) -> String {
    time.and_then(|time| time.parse().ok()).map_or("-".to_owned(), |at| age(now, at))
}

fn decided(page: &mut String, decided: &DecisionRecord, paint: Paint) {
    let DecisionRecord { epoch, pods, figures, released_by, because } = decided;
    if let Some(user) = released_by {
        let why = because.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let _ = writeln!(page, "{}\n  {user}{why}", paint.bold("released by hand"));
        return;
    }
    let together = if *pods > 1 { format!(", {pods} pods together") } else { String::new() };
    let _ = writeln!(page, "{}", paint.bold(&format!("decided on (epoch {epoch}{together})")));
    for Figure { pool, resource, entitlement, usage, beyond, asked } in figures {
        let not_counted = match beyond {
            0 => String::new(),
            &units => {
                format!(" ({} of it beyond what was due below and not counted)", quantity(resource, Amount::new(units)))
            }
        };
        let [entitlement, usage, asked] =
            [entitlement, usage, asked].map(|&units| quantity(resource, Amount::new(units)));
        let _ =
            writeln!(page, "  {pool}: {usage} used{not_counted} + {asked} asked, {entitlement} {resource} entitled");
    }
}
