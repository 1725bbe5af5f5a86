//! The table at the end of a run, for a person.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cluster_state::hosts::{self, ModelRow};
use crate::cluster_state::levels::Level;
use crate::cluster_state::pool_tree::{self, PoolRow};
use crate::cluster_state::queue::{self, WaitReason};
use crate::format::{broken, clock, digest, fit, grouped, percent};
use crate::run_state::RunState;
use crate::run_state::counts::Counts;
use crate::run_state::event::PluginFigures;
use crate::run_state::evictions::EvictionRow;
use crate::run_state::history::Sample;
use crate::run_state::steps::{StepRow, StepState};

/// How a run ended, as lines of text no wider than 100 characters.
#[must_use]
pub fn summary(run: &RunState) -> String {
    let mut text = String::new();
    for block in [
        pods(run),
        allocation(run),
        models(run),
        pools(run),
        steps(run),
        evictions(run),
        waiting(run),
        refusals(run),
        plugins(run),
    ] {
        if !block.is_empty() {
            text.push_str(&block);
            text.push('\n');
        }
    }
    text
}

fn pods(run: &RunState) -> String {
    let counts = run.counts();
    let Counts { created, bound_cpu, bound_gpu, finished, .. } = counts;
    let rounded = match run.plan().rounded_up {
        0 => String::new(),
        some => format!("{} ask for a part of a GPU in the trace and got a whole one", number(some)),
    };
    let rows = [
        row(&["pods", &number(created), &rounded]),
        row(&["  placed", &number(counts.bound()), &format!("{} GPU, {} CPU", number(bound_gpu), number(bound_cpu))]),
        row(&["  refused", &number(counts.never_bound()), "never had a node"]),
        row(&["  finished", &number(finished), ""]),
        row(&["nodes", &number(run.cluster().nodes().len()), ""]),
        row(&["violations", &number(run.violations().len()), ""]),
        row(&["replayed in", &clock(run.clock().replayed()), &format!("at most {:.0} pods/s", run.rate().peak())]),
        row(&["", "", &run.plan().pace]),
    ];
    let mut text = format!("{}\n{}", fit(&run.plan().title, 100), rows.concat());
    for violation in run.violations().iter().take(10) {
        let _ = writeln!(text, "  {}", fit(&violation.to_string(), 98));
    }
    text
}

fn row(cells: &[&str; 3]) -> String {
    let [name, value, note] = cells;
    match format!("  {name:<14} {value:>9}  {note}").trim_end() {
        "" => String::new(),
        row => row.to_owned() + "\n",
    }
}

fn number(number: usize) -> String {
    grouped(number as u64)
}

/// Peaks and means over the whole replay.
fn allocation(run: &RunState) -> String {
    let samples = run.history().samples();
    if samples.is_empty() {
        return String::new();
    }
    let mut text = format!("allocation       {:>9}  {:>9}  {:>9}\n", "mean", "peak", "capacity");
    let mut line = |name: &str, pick: fn(&Sample) -> Level, unit: i64| {
        let peak = samples.iter().map(|sample| pick(sample).used_ratio()).fold(0.0, f64::max);
        let capacity = samples.last().map_or(0, |sample| pick(sample).capacity.scale(1, unit).units());
        let mean = mean(samples, |sample| pick(sample).used_ratio());
        let (mean, peak, capacity) = (percent(mean), percent(peak), grouped(capacity.unsigned_abs()));
        let _ = writeln!(text, "  {name:<14} {mean:>9}  {peak:>9}  {capacity:>9}");
    };
    line("GPUs", |sample| sample.levels.gpu, 1);
    line("CPU-host cores", |sample| sample.levels.cpu, 1000);
    line("GPU-host cores", |sample| sample.levels.gpu_host_cpu, 1000);
    text
}

/// The mean over time; samples but the last are evenly spaced.
fn mean(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    let steps = samples.windows(2).map(|pair| ((pair[1].at - pair[0].at), value(&pair[0])));
    let (time, area) = steps
        .fold((Duration::ZERO, 0.0), |(time, area), (step, value)| (time + step, area + step.as_secs_f64() * value));
    if time.is_zero() { samples.first().map_or(0.0, value) } else { area / time.as_secs_f64() }
}

fn models(run: &RunState) -> String {
    let rows = hosts::models(run.cluster());
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("GPU hosts        {:>9}  {:>9}  {:>9}\n", "hosts", "free", "GPUs used");
    for ModelRow { model, special: _, hosts, free_hosts, gpus } in rows {
        let used = percent(gpus.used_ratio());
        let _ = writeln!(text, "  {:<14} {:>9}  {:>9}  {used:>9}", fit(&model, 14), number(hosts), number(free_hosts));
    }
    if let Some(held) = hosts::special(run.cluster()) {
        let _ = writeln!(text, "  {}", held.sentence());
    }
    text
}

/// What each pool had at the most, of GPUs that are not special; pools that list none have no row.
fn pools(run: &RunState) -> String {
    let rows = pool_tree::rows(run.cluster());
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("{:<24} reserved  most used   borrowed   admitted\n", "pools (GPUs)");
    for PoolRow { depth, last: _, figures } in rows {
        let most = run.totals().most(&figures.name);
        let reserved = figures.gpus().reserved;
        let [reserved, used, borrowed] =
            [reserved, most.used, most.borrowed].map(|amount| grouped(amount.units().unsigned_abs()));
        let name = fit(&format!("{}{}", "  ".repeat(depth), figures.name), 22);
        let admitted = number(most.admitted);
        let _ = writeln!(text, "  {name:<22} {reserved:>8}  {used:>9}  {borrowed:>9}  {admitted:>9}");
    }
    text
}

/// The story's steps, and what came of each.
fn steps(run: &RunState) -> String {
    let rows = run.steps();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = "story\n".to_owned();
    for StepRow { began, state, title, sentence } in rows {
        let mark = if matches!(state, StepState::Cut { .. }) { "✗" } else { "✓" };
        let at = run.clock().into_replay(began).map(clock).unwrap_or_default();
        let _ = writeln!(text, "  {mark} {at:>5}  {title}");
        for line in broken(&sentence, 89) {
            let _ = writeln!(text, "           {line}");
        }
    }
    text
}

/// The evicted pods by pool of the claimant, and the sentence on the last of each kind.
fn evictions(run: &RunState) -> String {
    let rows = run.totals().evictions().rows();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("{:<24} {:>8}  why\n", "evicted", "pods");
    for EvictionRow { pool, reason, to, pods, message } in rows {
        let to = to.map_or_else(String::new, |to| format!(" for {to}"));
        let _ = writeln!(text, "  {:<22} {:>8}  {reason}{to}; the last one:", fit(&pool, 22), number(pods));
        for line in broken(&message, 63) {
            let _ = writeln!(text, "{:>35}  {line}", "");
        }
    }
    text
}

/// Why pods were not admitted.
fn waiting(run: &RunState) -> String {
    let rows = queue::reasons(run.cluster());
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("not admitted       {:>6}\n", "pods");
    for WaitReason { reason, pods } in rows {
        let reason = reason.unwrap_or_else(|| "not looked at".to_owned());
        let _ = writeln!(text, "  {:>23}  {reason}", number(pods));
    }
    text
}

fn refusals(run: &RunState) -> String {
    let rows = queue::refusals(run.cluster());
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("refused at the end {:>6}  {:>9}\n", "pods", "nodes");
    for reason in rows.iter().take(8) {
        let nodes = reason.nodes.map_or_else(|| "–".to_owned(), grouped);
        let _ = writeln!(text, "  {:>23}  {nodes:>9}  {}", number(reason.pods), fit(&reason.text, 60));
    }
    text
}

fn plugins(run: &RunState) -> String {
    if run.plugins().len() == 0 {
        return String::new();
    }
    let mut text = format!("plugins                     {:>12}  sha256\n", "calls");
    for PluginFigures { name, digest: sha, calls } in run.plugins() {
        let _ = writeln!(text, "  {:<25} {:>12}  {}", fit(name, 25), grouped(*calls), digest(sha));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn the_summary_says_what_became_of_the_pods_and_of_the_cluster() {
        let expected = "\
two hosts <small> & four pods
  pods                   4  1 ask for a part of a GPU in the trace and got a whole one
    placed               3  2 GPU, 1 CPU
    refused              1  never had a node
    finished             1
  nodes                  2
  violations             1
  replayed in         0:20  at most 3 pods/s
  D1 broken: pod default/web on node g1: asks for no GPU, but this is a GPU host
";
        assert_eq!(pods(&example::run()), expected);
    }

    #[test]
    fn allocation_is_the_mean_over_time_and_the_peak() {
        // GPUs: 1 s of nothing, 1 s of 6, 9 s of 7, 9 s of 1 = 78 of 160 GPU-seconds.
        let expected = "\
allocation            mean       peak   capacity
  GPUs                49 %       88 %          8
  CPU-host cores      24 %       25 %         32
  GPU-host cores      46 %       84 %         64
";
        assert_eq!(allocation(&example::run()), expected);
    }

    #[test]
    fn a_divided_cluster_has_a_row_for_each_pool_and_says_why_pods_were_not_admitted() {
        let expected = "\
pools (GPUs)             reserved  most used   borrowed   admitted
  labs                          8          7          0          1
    labs-production             1          0          0          0
    labs-research               5          7          2          1
";
        assert_eq!(pools(&example::divided()), expected);
        let expected = "\
not admitted         pods
                        2  WaitingForGang
                        1  WaitingForQuota
";
        assert_eq!(waiting(&example::divided()), expected);
    }

    #[test]
    fn the_story_is_told_with_who_went_and_why() {
        let expected = "\
story
  ✓  1:10  production returns
           labs-production uses 0 → 6 GPUs of its own; research brought back: labs-research 7 → 1
           (entitled to 1), 1 pod evicted
  ✓  1:14  a node is drained
           g1 is cordoned, 0 pods evicted; the cluster has 8 → 8 GPUs to give
";
        assert_eq!(steps(&example::with_story()), expected);
        let expected = "\
evicted                      pods  why
  labs-research                 1  Reclaimed for labs-production; the last one:
                                     pool \"labs-research\" uses 7 nvidia.com/gpu and is entitled to
                                     1; the room goes to pod default/a of pool \"labs-production\"
";
        assert_eq!(evictions(&example::with_story()), expected);
    }

    #[test]
    fn the_tables_have_a_row_for_each_model_reason_and_plugin() {
        let text = summary(&example::run());
        for line in [
            "  T4                     1          0       13 %",
            "                        1          1  Insufficient nvidia.com/gpu",
            "  GPUFilter                            8  0123456789ab",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_run_that_never_began_has_a_summary_too() {
        assert_eq!(summary(&RunState::new()).lines().nth(1), Some("  pods                   0"));
    }
}
