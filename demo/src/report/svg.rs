//! The chart of allocation, demand and capacity over time, as a picture that needs nothing else.
//!
//! One panel for GPUs, one for the cores of CPU hosts; what may be taken back stands paler on what stays, and the
//! steps of the story are marked where they begin. It has no background and takes its colours from the
//! reader's preference, so that it can stand on a light page and on a dark one.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cluster_state::levels::Level;
use crate::format::{broken, clock, grouped, percent};
use crate::run_state::RunState;
use crate::run_state::history::Sample;
use crate::run_state::steps::StepRow;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
/// From the top of one panel to the top of the next.
const PANEL: f64 = 250.0;
const TITLE: f64 = 44.0;
const PLOT: f64 = 160.0;
const LEGEND: f64 = 34.0;
/// The height of a line of text.
const LINE: f64 = 18.0;
/// The most characters that fit a line.
const CHARACTERS: usize = 124;
/// From a step's number to what it came to.
const INDENT: f64 = 14.0;
/// How far the numbers of two steps stand apart at least.
const APART: f64 = 10.0;

/// The most points in a line: more than there are pixels say nothing.
const POINTS: usize = 480;

/// The picture of a run.
#[must_use]
pub fn chart(run: &RunState) -> String {
    let samples = run.history().samples();
    let panels = [
        Panel { title: "GPUs", class: "gpu", unit: 1, pick: |sample| sample.levels.gpu },
        Panel { title: "Cores of CPU hosts", class: "cpu", unit: 1000, pick: |sample| sample.levels.cpu },
    ];
    let steps = run.steps();
    let panels_end = LEGEND + PANEL * panels.len() as f64;
    let (marks, told) = (marked(run, &steps), told(&steps, panels_end));
    let height = panels_end + if steps.is_empty() { 0.0 } else { LINE * (told.lines().count() as f64 + 0.5) };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Allocation, demand and capacity over time\">\n{STYLE}"
    );
    legend(&mut svg, &run.plan().title);
    for (at, panel) in panels.iter().enumerate() {
        panel.draw(&mut svg, samples, LEGEND + PANEL * at as f64);
    }
    svg += &marks;
    svg += &told;
    svg.push_str("</svg>\n");
    svg
}

/// Readable on white and on black even where the reader's preference is not understood; better where it is.
const STYLE: &str = "<style>
  text { font: 13px system-ui, sans-serif; fill: #768390 }
  .title { font-weight: 600; font-size: 15px }
  .grid { stroke: #8c959f; stroke-opacity: .3 }
  .capacity { fill: none; stroke: #768390; stroke-width: 1.5; stroke-dasharray: 6 4 }
  .demand { fill: none; stroke: #d6409f; stroke-width: 1.5 }
  .wanted { fill: #d6409f; fill-opacity: .16 }
  .gpu { fill: #2da44e; fill-opacity: .75 }
  .cpu { fill: #388bfd; fill-opacity: .75 }
  .back { fill-opacity: .38 }
  .act { stroke: #bf8700; stroke-width: 1.5 }
  .number { fill: #bf8700; font-weight: 600 }
  @media (prefers-color-scheme: light) { text { fill: #57606a } .title { fill: #1f2328 } }
  @media (prefers-color-scheme: dark) { text { fill: #9198a1 } .title { fill: #f0f6fc } }
</style>
";

fn legend(svg: &mut String, title: &str) {
    let _ = writeln!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"22\">{}</text>", escaped(title));
    let mut x = WIDTH - RIGHT - 490.0;
    for (more, name, width) in [("", "stays", 76.0), (" back", "may be taken back", 168.0)] {
        let (second, text) = (x + 12.0, x + 28.0);
        let _ = writeln!(
            svg,
            "<rect class=\"gpu{more}\" x=\"{x}\" y=\"11\" width=\"11\" height=\"12\"/>\
             <rect class=\"cpu{more}\" x=\"{second}\" y=\"11\" width=\"11\" height=\"12\"/>\
             <text x=\"{text}\" y=\"22\">{name}</text>"
        );
        x += width;
    }
    for (class, name, width) in [("demand", "+ demand", 126.0), ("capacity", "capacity", 0.0)] {
        let (end, text) = (x + 30.0, x + 36.0);
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x} 17H{end}\"/><text x=\"{text}\" y=\"22\">{name}</text>");
        x += width;
    }
}

/// A line through the GPUs where each step begins, with its number.
fn marked(run: &RunState, steps: &[StepRow]) -> String {
    let scale = Scale { top: LEGEND + TITLE, most: 1.0, lasts: lasts(run.history().samples()) };
    let (mut svg, mut label) = (String::new(), 0.0);
    for (number, step) in (1..).zip(steps) {
        let x = scale.x(run.clock().into_replay(step.began).unwrap_or_default());
        let (top, floor) = (scale.top, scale.top + PLOT);
        label = (x + 3.0).max(label + APART);
        let _ = writeln!(
            svg,
            "<path class=\"act\" d=\"M{x:.1} {top:.1}V{floor:.1}\"/>\
             <text class=\"number\" x=\"{:.1}\" y=\"{:.1}\">{number}</text>",
            label,
            top - 3.0
        );
    }
    svg
}

/// What each step came to, behind its number: one element for each line.
fn told(steps: &[StepRow], below: f64) -> String {
    let (mut svg, mut y) = (String::new(), below + LINE * 0.5);
    for (number, step) in (1..).zip(steps) {
        let _ = write!(svg, "<text class=\"number\" x=\"{LEFT}\" y=\"{y:.1}\">{number}</text>");
        for line in broken(&format!("{}: {}", step.title, step.sentence), CHARACTERS) {
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{y:.1}\">{}</text>", LEFT + INDENT, escaped(&line));
            y += LINE;
        }
    }
    svg
}

struct Panel {
    title: &'static str,
    class: &'static str,
    /// Base units in one that is shown.
    unit: i64,
    pick: fn(&Sample) -> Level,
}

impl Panel {
    fn draw(&self, svg: &mut String, samples: &[Sample], y: f64) {
        let top = y + TITLE;
        let peak = samples.iter().map(|sample| (self.pick)(sample).used_ratio()).fold(0.0, f64::max);
        let _ = writeln!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"{:.0}\">{}</text>", y + 32.0, self.title);
        let (end, peak) = (WIDTH - RIGHT, percent(peak));
        let _ = writeln!(svg, "<text x=\"{end}\" y=\"{:.0}\" text-anchor=\"end\">peak {peak}</text>", y + 32.0);
        let thinned = thinned(samples);
        let largest =
            thinned.iter().map(|sample| self.value(sample, Line::Wanted).max(self.value(sample, Line::Capacity)));
        let scale = Scale { top, most: round_up(largest.fold(0.0, f64::max)), lasts: lasts(samples) };
        scale.grid(svg);
        let [kept, used, wanted, capacity] = [Line::Kept, Line::Used, Line::Wanted, Line::Capacity]
            .map(|line| scale.path(&thinned, |sample| self.value(sample, line)));
        let (floor, class) = (top + PLOT, self.class);
        let (first, last) = (scale.x(Duration::ZERO), scale.x(scale.lasts));
        let area = |path: &str| format!("M{first:.1} {floor:.1}L{path}L{last:.1} {floor:.1}Z");
        if !thinned.is_empty() {
            let _ = writeln!(svg, "<path class=\"wanted\" d=\"{}\"/>", area(&wanted));
            let _ = writeln!(svg, "<path class=\"{class} back\" d=\"{}\"/>", area(&used));
            let _ = writeln!(svg, "<path class=\"{class}\" d=\"{}\"/>", area(&kept));
            let _ = writeln!(svg, "<path class=\"demand\" d=\"M{wanted}\"/>");
            let _ = writeln!(svg, "<path class=\"capacity\" d=\"M{capacity}\"/>");
        }
    }

    fn value(&self, sample: &Sample, line: Line) -> f64 {
        let Level { capacity, used, preemptible, demand } = (self.pick)(sample);
        let amount = match line {
            Line::Kept => used.minus(preemptible),
            Line::Used => used,
            Line::Wanted => used + demand,
            Line::Capacity => capacity,
        };
        amount.units() as f64 / self.unit as f64
    }
}

#[derive(Clone, Copy)]
enum Line {
    /// What is used and cannot be taken back.
    Kept,
    Used,
    /// What is used and what is waited for, together.
    Wanted,
    Capacity,
}

struct Scale {
    /// The y of the largest value.
    top: f64,
    most: f64,
    lasts: Duration,
}

impl Scale {
    fn x(&self, at: Duration) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * at.as_secs_f64() / self.lasts.as_secs_f64().max(0.001)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + PLOT * (1.0 - value / self.most)
    }

    fn grid(&self, svg: &mut String) {
        for part in 0..=4 {
            let value = self.most * f64::from(part) / 4.0;
            let (y, end, text) = (self.y(value), WIDTH - RIGHT, grouped(value.round() as u64));
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{end}\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 8.0,
                y + 4.5
            );
        }
        for part in 0..=4 {
            let at = self.lasts * part / 4;
            let anchor = ["start", "middle", "middle", "middle", "end"][part as usize];
            let (x, y, text) = (self.x(at), self.top + PLOT + 20.0, clock(at));
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
        }
    }

    /// `x y x y …` of a line.
    fn path(&self, samples: &[&Sample], value: impl Fn(&Sample) -> f64) -> String {
        let point = |sample: &&Sample| format!("{:.1} {:.1}", self.x(sample.at), self.y(value(sample)));
        samples.iter().map(point).collect::<Vec<_>>().join(" ")
    }
}

/// At most about [`POINTS`] samples, the first and the last among them.
fn thinned(samples: &[Sample]) -> Vec<&Sample> {
    let step = samples.len().div_ceil(POINTS).max(1);
    let last = samples.len().saturating_sub(1);
    samples.iter().enumerate().filter(|(at, _)| at % step == 0 || *at == last).map(|(_, sample)| sample).collect()
}

fn lasts(samples: &[Sample]) -> Duration {
    samples.last().map_or(Duration::ZERO, |sample| sample.at)
}

/// The next number that divides by four into readable ones: 1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8 or 10 times a power
/// of ten, 4 at the least.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|&step| step >= value).unwrap_or(value).max(4.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn the_picture_shows_allocation_demand_and_capacity_of_both_kinds_of_hosts() {
        let svg = chart(&example::run());
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
        for class in ["wanted", "demand", "capacity"] {
            assert_eq!(
                svg.matches(&format!("<path class=\"{class}\" d=\"M")).count(),
                if class == "wanted" { 2 } else { 3 }
            );
        }
        assert!(svg.contains(">GPUs</text>") && svg.contains(">Cores of CPU hosts</text>"));
        assert!(svg.contains("peak 88 %") && svg.contains("peak 25 %"), "{svg}");
        assert!(svg.contains(">0:20</text>"));
    }

    #[test]
    fn the_acts_are_marked_where_they_begin_and_told_below() {
        let svg = chart(&example::with_story());
        assert_eq!(svg.matches("<path class=\"act\"").count(), 2);
        assert!(
            svg.contains(">1</text><text x=\"86\" y=\"543.0\">production returns: labs-production uses 0 → 6 GPUs")
        );
        // no sentence is cut off
        assert!(svg.contains(">2</text><text x=\"86\" y=\"579.0\">a node is drained: "), "{svg}");
        assert!(svg.contains("viewBox=\"0 0 960 597\""), "{svg}");
    }

    #[test]
    fn a_title_cannot_break_the_picture() {
        assert!(chart(&example::run()).contains(">two hosts &lt;small&gt; &amp; four pods</text>"));
    }

    #[test]
    fn a_run_that_never_began_gives_an_empty_chart_without_a_number_that_is_none() {
        let svg = chart(&RunState::new());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!svg.contains("class=\"wanted\" d"));
    }

    #[test]
    fn the_axis_ends_at_a_number_that_four_divides_well() {
        assert_eq!([0.0, 3.0, 8.0, 9.0, 6_242.0, 9_920.0].map(round_up), [4.0, 4.0, 8.0, 10.0, 8_000.0, 10_000.0]);
    }

    #[test]
    fn many_samples_are_thinned_and_the_last_is_kept() {
        let levels = crate::cluster_state::levels::Levels::default();
        let samples: Vec<Sample> = (0..1000).map(|at| Sample { at: Duration::from_secs(at), levels }).collect();
        let thinned = thinned(&samples);
        assert_eq!((thinned.len(), thinned[0].at, lasts(&samples)), (334, Duration::ZERO, Duration::from_secs(999)));
        assert_eq!(thinned[333].at, Duration::from_secs(999));
    }
}
