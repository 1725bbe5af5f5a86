//! The panels of GPUs and of CPU: gauges, and the chart over time.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use weir_model::Amount;

use crate::cluster_state::levels::{Level, Levels};
use crate::format::{clock, grouped, percent, rough};
use crate::run_state::RunState;
use crate::view::chart::{Chart, Moment};
use crate::view::pieces::{bar, framed, split};
use crate::view::theme::Theme;

/// GPUs of all models: a gauge and the chart.
pub(in crate::view) fn gpus(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let inner = framed(frame, area, "GPUs", theme);
    let gauges = [Gauge { name: "in use", level: run.levels().gpu, style: theme.gpu() }];
    measured(frame, inner, run, &gauges, |levels| levels.gpu, |amount| amount, theme);
}

/// CPU: the chart is of CPU hosts, because pods without GPUs run nowhere else.
pub(in crate::view) fn cpus(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let inner = framed(frame, area, "CPU cores", theme);
    let Levels { gpu: _, cpu, gpu_host_cpu } = run.levels();
    let gauges = [
        Gauge { name: "CPU hosts", level: cores(cpu), style: theme.cpu() },
        Gauge { name: "GPU hosts", level: cores(gpu_host_cpu), style: theme.quiet() },
    ];
    measured(frame, inner, run, &gauges, |levels| levels.cpu, |milli| milli.scale(1, 1000), theme);
}

/// A level in cores.
fn cores(Level { capacity, used, preemptible, demand }: Level) -> Level {
    let [capacity, used, preemptible, demand] = [capacity, used, preemptible, demand].map(|milli| milli.scale(1, 1000));
    Level { capacity, used, preemptible, demand }
}

struct Gauge {
    name: &'static str,
    level: Level,
    style: Style,
}

/// Gauges above, the chart of the first one below with its axes.
fn measured(
    frame: &mut Frame<'_>,
    area: Rect,
    run: &RunState,
    gauges: &[Gauge],
    pick: impl Fn(&Levels) -> Level,
    shown: impl Fn(Amount) -> Amount,
    theme: Theme,
) {
    let height = (gauges.len() as u16).min(area.height);
    let lines: Vec<Line<'_>> = gauges.iter().map(|gauge| gauge_line(gauge, area.width, theme)).collect();
    frame.render_widget(Paragraph::new(lines), Rect { height, ..area });
    let area = Rect { y: area.y + height, height: area.height - height, ..area };
    let Some(first) = gauges.first().filter(|_| area.height >= 3 && area.width >= 20) else { return };
    let moments: Vec<Moment> = run
        .history()
        .samples()
        .iter()
        .map(|sample| pick(&sample.levels))
        .map(|Level { capacity, used, preemptible, demand }| {
            let amounts = [used.minus(preemptible), used, used + demand, capacity];
            let [kept, used, wanted, capacity] = amounts.map(|amount| shown(amount).units() as f64);
            Moment { kept, used, wanted, capacity }
        })
        .collect();
    let chart = Chart { moments: &moments, used: first.style, wanted: theme.demand(), capacity: theme.quiet() };
    let axis = 7;
    let place = Rect { x: area.x + axis, width: area.width - axis, height: area.height - 1, ..area };
    let capacity = first.level.capacity.units().unsigned_abs();
    let marks = [(0, place.height - 1), (capacity, chart.row_of(capacity as f64, place.height))];
    for (value, row) in marks {
        let text = format!("{:>6}", if value < 100_000 { grouped(value) } else { rough(value) });
        let mark = Rect { y: place.y + row, height: 1, width: axis, ..area };
        frame.render_widget(Span::styled(text, theme.quiet()), mark);
    }
    frame.render_widget(chart, place);
    let legend = legend(first.style, place.width, theme);
    let time = vec![Span::styled(clock(run.clock().replayed()), theme.quiet())];
    let bottom = Rect { y: place.bottom(), height: 1, ..place };
    frame.render_widget(split(legend, time, place.width), bottom);
}

/// What the chart's shapes mean, in as many words as there is room for.
fn legend(used: Style, width: u16, theme: Theme) -> Vec<Span<'static>> {
    let (used_name, back_name, demand_name) = match width {
        0..48 => (" used ", "", " demand "),
        _ => (" in use ", " may be taken back  ", " + demand  "),
    };
    vec![
        Span::styled("⣿", used),
        Span::styled(used_name, theme.quiet()),
        Span::styled(if back_name.is_empty() { "" } else { "⡪" }, used),
        Span::styled(back_name, theme.quiet()),
        Span::styled("⠉", theme.demand()),
        Span::styled(demand_name, theme.quiet()),
        Span::styled("⠒ capacity", theme.quiet()),
    ]
}

/// A bar with its figures: as many as leave the bar a few columns.
fn gauge_line(Gauge { name, level, style }: &Gauge, width: u16, theme: Theme) -> Line<'static> {
    const SHORTEST_BAR: u16 = 8;
    let Level { capacity, used, preemptible: _, demand } = level;
    let [capacity, used, demand] = [capacity, used, demand].map(|amount| amount.units().unsigned_abs());
    let part = percent(level.used_ratio());
    let more = |text: String| if demand == 0 { String::new() } else { text };
    let choices = [
        (
            format!(" {part:>4}  {} of {}", grouped(used), grouped(capacity)),
            more(format!("  + {} demand", grouped(demand))),
        ),
        (format!(" {part:>4}  {} of {}", rough(used), rough(capacity)), more(format!("  + {}", rough(demand)))),
        (format!(" {part:>4}"), more(format!(" + {}", rough(demand)))),
    ];
    let taken = |(figures, demand): &(String, String)| {
        (name.chars().count() + 1 + figures.chars().count() + demand.chars().count()) as u16
    };
    let [_, _, least] = &choices;
    let chosen = choices.iter().find(|choice| taken(choice) + SHORTEST_BAR <= width).unwrap_or(least);
    let mut spans = vec![Span::styled(format!("{name} "), theme.quiet())];
    spans.extend(bar(level.used_ratio(), width.saturating_sub(taken(chosen)), *style, theme));
    spans.push(Span::styled(chosen.0.clone(), theme.strong()));
    spans.push(Span::styled(chosen.1.clone(), theme.demand()));
    Line::from(spans)
}
