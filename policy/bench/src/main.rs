//! How long the thinking takes. A table for people on stderr, one line of JSON on stdout.
//!
//! Each module measures one part of policy and gives [`Row`]s; adding a part is one line in [`rows`]. Nothing
//! fails on time here: numbers are compared by whoever reads them, on a machine they know.

mod entitlement;
mod measure;
mod queue;

use std::alloc::System;

use cap::Cap;
use measure::Row;
use serde_json::{Map, Value, json};

/// Counts what is allocated, so that memory is a figure too.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Every part of policy that is measured, in the order of the report.
fn rows() -> Vec<Row> {
    [entitlement::rows(), queue::rows()].into_iter().flatten().collect()
}

fn main() {
    eprintln!("{:<36} {:>10} {:>10} {:>10} {:>6}", "", "median", "min", "max", "runs");
    let rows = rows();
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
