//! The answer for people.

use std::fmt::Write as _;

use jiff::Timestamp;
use weir_model::Amount;

use super::facts::{Decided, Explained, Figure, GangSeen, OnPath, Said1, Stands};
use crate::age::age;
use crate::amounts::line;
use crate::digest::short;
use crate::draw::{Paint, listed, quantity};

/// The page.
pub(super) fn draw(explained: &Explained, now: Timestamp, paint: Paint) -> String {
    let Explained {
        kind,
        namespace,
        name,
        stands,
        pool,
        priority,
        preemptible,
        gang,
        asks,
        path,
        gates,
        conditions,
        admitted_as: _,
        placed_by,
        decided_on,
        events,
        what_to_do,
    } = explained;
    let mut page = String::new();
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
    if let Some(GangSeen { name, size, created, admitted, placed, without_node: _ }) = gang {
        field("gang", format!("{name}: {created}/{size} created, {admitted} admitted, {placed} placed"));
    }
    if !placed_by.is_empty() {
        let versions = placed_by.iter().map(|(plugin, digest)| format!("{plugin} {}", short(digest)));
        field("placed by", versions.collect::<Vec<_>>().join(", "));
    }
    if !gates.is_empty() {
        field("gates", gates.join(", "));
    }
    room(&mut page, path, paint);
    if !conditions.is_empty() {
        let _ = writeln!(page, "{}", paint.bold("conditions"));
        conditions.iter().for_each(|said| condition(&mut page, said, now));
    }
    if let Some(decided_on) = decided_on {
        decided(&mut page, decided_on, paint);
    }
    if !events.is_empty() {
        let _ = writeln!(page, "{}", paint.bold("events"));
        for event in events {
            let time = event.time.as_ref().and_then(|time| time.parse().ok()).map_or("-".to_owned(), |at| age(now, at));
            let _ = writeln!(page, "  {time:>6}  {}  {}  ({})", event.reason, event.message, event.from);
        }
    }
    if !what_to_do.is_empty() {
        let _ = writeln!(page, "{}", paint.bold("what would have to change"));
        for sentence in what_to_do {
            let _ = writeln!(page, "  • {sentence}");
        }
    }
    page
}

fn standing(stands: &Stands, paint: Paint) -> String {
    match stands {
        Stands::NotManaged => paint.dim("is not managed"),
        Stands::Waiting => paint.yellow("waits for admission"),
        Stands::Admitted => paint.yellow("is admitted and waits for a node"),
        Stands::Placed { nodes } => paint.green(&format!("is placed on {}", listed(nodes.iter().cloned()))),
        Stands::Terminating => paint.dim("is being deleted"),
        Stands::Ended { phase } => paint.dim(&format!("has ended: {phase}")),
    }
}

fn room(page: &mut String, path: &[OnPath], paint: Paint) {
    if path.iter().all(|on| on.figures.is_empty()) {
        return;
    }
    let _ = writeln!(page, "{}", paint.bold("room"));
    for OnPath { pool, state: _, figures } in path {
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

fn condition(page: &mut String, said: &Said1, now: Timestamp) {
    let Said1 { type_, status, reason, message, since } = said;
    let since = since.as_ref().and_then(|since| since.parse().ok()).map_or("-".to_owned(), |since| age(now, since));
    let text = format!("  {since:>6}  {type_}={status}  {reason}  {message}");
    let _ = writeln!(page, "{}", text.trim_end());
}

fn decided(page: &mut String, decided: &Decided, paint: Paint) {
    let Decided { epoch, pods, figures, released_by, because } = decided;
    if let Some(who) = released_by {
        let why = because.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let _ = writeln!(page, "{}\n  {who}{why}", paint.bold("released by hand"));
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
