//! The time that policy takes. A table for people on stderr, one line of JSON on stdout.
//!
//! Each module measures one part of policy; adding a quantity is one line in its table. Nothing fails on time
//! here: a reader compares the numbers, on a machine that they know. Arguments name the quantities to
//! measure, all of them if there is none: `bench-policy decision_ms` is what a profiler wants to look at.

mod entitlement;
mod measure;
mod queue;

use measure::Row;
use serde_json::{Map, Value, json};

/// Measures what is wanted, in the order of the report.
fn rows(wanted: &[String]) -> Vec<Row> {
    let all = entitlement::QUANTITIES.iter().chain(queue::QUANTITIES);
    let named = all.filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|one| one == name));
    named.map(|(name, measure)| measure(name)).collect()
}

fn main() {
    eprintln!("{:<36} {:>10} {:>10} {:>10} {:>6}", "", "median", "min", "max", "runs");
    let rows = rows(&std::env::args().skip(1).collect::<Vec<_>>());
    for Row { name, what, median, min, max, runs } in &rows {
        eprintln!("{name:<36} {median:>10.4} {min:>10.4} {max:>10.4} {runs:>6}  {what}");
    }
    println!("{}", report(&rows));
}

/// `{NAME: median, …, "ranges": {NAME: {"min", "max", "runs"}, …}}`.
fn report(rows: &[Row]) -> Value {
    let medians = rows.iter().map(|row| (row.name.to_owned(), json!(row.median)));
    let range = |Row { min, max, runs, .. }: &Row| json!({ "min": min, "max": max, "runs": runs });
    let ranges: Map<_, _> = rows.iter().map(|row| (row.name.to_owned(), range(row))).collect();
    medians.chain([("ranges".to_owned(), Value::Object(ranges))]).collect::<Map<_, _>>().into()
}
