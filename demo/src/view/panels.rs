//! The panels: each shows one part of the story in the place that it is given.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph, Row, Table};
use weir_model::Amount;

mod admission;
mod steps;

pub(super) use admission::{Queue, pools, queue};
pub(super) use steps::steps;

use super::chart::{Chart, Moment};
use super::{Theme, bar, split};
use crate::format::{clock, digest, fit, grouped, percent, rough, seconds, special};
use crate::run_state::{Level, Levels, ModelRow, Reason, RunState, SetupState, Special, Tone};

/// GPUs of all models: a gauge and the chart.
pub(super) fn gpus(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let inner = framed(frame, area, "GPUs", theme);
    let gauges = [Gauge { name: "in use", level: run.levels().gpu, style: theme.gpu() }];
    measured(frame, inner, run, &gauges, |levels| levels.gpu, |amount| amount, theme);
}

/// CPU: the chart is of CPU hosts, because pods without GPUs run nowhere else.
pub(super) fn cpus(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
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
    let time = vec![Span::styled(clock(run.replayed()), theme.quiet())];
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

/// GPU hosts by model: how many are free as a whole, and how full the model is; below, who holds special ones.
pub(super) fn models(frame: &mut Frame<'_>, area: Rect, run: &RunState, rows: &[ModelRow], theme: Theme) {
    let free: usize = rows.iter().map(|row| row.free_hosts).sum();
    let all: usize = rows.iter().map(|row| row.hosts).sum();
    let title = format!("GPU hosts: {} of {} free", grouped(free as u64), grouped(all as u64));
    let mut inner = framed(frame, area, &title, theme);
    if let Some(held) = run.special().filter(|_| inner.height > 2) {
        inner.height -= 1;
        let last = Rect { y: inner.bottom(), height: 1, ..inner };
        let style = if held.general.is_zero() { theme.good() } else { theme.bad() };
        frame.render_widget(Line::from(Span::styled(special_line(&held, inner.width), style)), last);
    }
    let names = rows.iter().map(|row| marked(&row.model, row.special).chars().count());
    let widest = names.max().unwrap_or(0).clamp(5, 14) as u16;
    let columns = [Constraint::Length(widest), Constraint::Length(11), Constraint::Length(11), Constraint::Fill(1)];
    let bar_width = inner.width.saturating_sub(widest + 11 + 11 + 3);
    let body = rows.iter().map(|ModelRow { model, special, hosts, free_hosts, gpus }| {
        let of = |part: u64, all: u64| right(format!("{} / {}", grouped(part), grouped(all)));
        Row::new([
            Line::from(fit(&marked(model, *special), widest.into())),
            of(*free_hosts as u64, *hosts as u64),
            of(gpus.used.units().unsigned_abs(), gpus.capacity.units().unsigned_abs()),
            Line::from(bar(gpus.used_ratio(), bar_width, theme.gpu(), theme)),
        ])
    });
    let head = [Line::from("model"), right("free hosts".into()), right("GPUs used".into()), Line::default()];
    frame.render_widget(Table::new(body, columns).header(Row::new(head).style(theme.quiet())), inner);
}

/// A model's name, with a mark where it is special.
fn marked(model: &str, special: bool) -> String {
    if special { format!("{model} {SPECIAL}") } else { model.to_owned() }
}

/// What special hardware is marked with.
const SPECIAL: char = '◆';

/// Who holds the special GPUs, in as many words as there is room for.
fn special_line(held: &Special, width: u16) -> String {
    let Special { gpus, named, general } = held;
    let long = format!("{SPECIAL} {}", special(held));
    let short = format!("{SPECIAL} {gpus} special: {named} named, {general} general");
    if long.chars().count() <= width.into() { long } else { short }
}

/// Why pods wait.
pub(super) fn refusals(frame: &mut Frame<'_>, area: Rect, rows: &[Reason], theme: Theme) {
    let inner = framed(frame, area, "Refused, and why", theme);
    if rows.is_empty() {
        let text = Span::styled("no pod is refused", theme.quiet());
        return frame.render_widget(text, inner);
    }
    let columns = [Constraint::Length(6), Constraint::Length(6), Constraint::Fill(1)];
    let room = usize::from(inner.width.saturating_sub(6 + 6 + 2));
    let body = rows.iter().map(|Reason { text, pods, nodes }| {
        Row::new([
            right(grouped(*pods as u64)).style(theme.warn()),
            right(nodes.map_or_else(|| "–".to_owned(), grouped)),
            Line::from(fit(text, room)),
        ])
    });
    let head = [right("pods".into()), right("nodes".into()), Line::from("reason")];
    frame.render_widget(Table::new(body, columns).header(Row::new(head).style(theme.quiet())), inner);
}

/// What the scheduler's plugins did.
pub(super) fn plugins(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let inner = framed(frame, area, "Plugins (WebAssembly)", theme);
    if run.plugins().len() == 0 {
        return frame.render_widget(Span::styled("no figures yet", theme.quiet()), inner);
    }
    // A narrow panel keeps the names and shows less of the digests.
    let shown = if inner.width < 42 { 5 } else { 12 };
    let columns = [Constraint::Fill(1), Constraint::Length(5), Constraint::Length(shown)];
    let body = run.plugins().map(|plugin| {
        Row::new([
            Line::from(plugin.name.as_str()),
            right(rough(plugin.calls)).style(theme.strong()),
            right(digest(&plugin.digest).chars().take(shown.into()).collect()).style(theme.quiet()),
        ])
    });
    let head = [Line::from("plugin"), right("calls".into()), right(if shown < 6 { "sha" } else { "sha256" }.into())];
    frame.render_widget(Table::new(body, columns).header(Row::new(head).style(theme.quiet())), inner);
}

/// What happened, the newest last.
pub(super) fn feed(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let inner = framed(frame, area, "What happens", theme);
    let lines = run.feed().lines();
    let skipped = lines.len().saturating_sub(inner.height.into());
    let lines: Vec<Line<'_>> = lines
        .skip(skipped)
        .map(|line| {
            // What was before the replay has no time on its clock.
            let time = format!("{:>5} ", run.into_replay(line.at).map_or_else(|| "–".to_owned(), clock));
            let room = usize::from(inner.width).saturating_sub(time.chars().count());
            Line::from(vec![
                Span::styled(time, theme.quiet()),
                Span::styled(fit(&line.text, room), toned(line.tone, theme)),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn toned(tone: Tone, theme: Theme) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => theme.good(),
        Tone::Warn => theme.warn(),
        Tone::Bad => theme.bad(),
    }
}

/// The steps of the set-up, the newest at the bottom when there are more than fit.
pub(super) fn setup_steps(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let inner = framed(frame, area, "Setting up", theme);
    let widest = run.setup_steps().iter().map(|step| step.name.chars().count()).max().unwrap_or(0).min(44);
    let skipped = run.setup_steps().len().saturating_sub(inner.height.into());
    let lines: Vec<Line<'_>> = run.setup_steps()[skipped..]
        .iter()
        .map(|step| {
            let name = format!("{:widest$}  ", fit(&step.name, widest));
            match &step.state {
                SetupState::Planned => Line::from(Span::styled(format!("· {name}"), theme.quiet())),
                SetupState::Done { took } => Line::from(vec![
                    Span::styled("✓ ", theme.good()),
                    Span::raw(name),
                    Span::styled(format!("{:>7}", seconds(*took)), theme.quiet()),
                ]),
                SetupState::Failed { why } => Line::from(vec![
                    Span::styled("✗ ", theme.bad()),
                    Span::raw(name),
                    Span::styled(why.as_str(), theme.bad()),
                ]),
                SetupState::Running { elapsed, expected } => {
                    let mut spans = vec![
                        Span::styled(format!("{} ", spinner(run)), theme.warn()),
                        Span::styled(name, theme.strong()),
                        Span::raw(format!("{:>7}", seconds(*elapsed))),
                    ];
                    if let Some(expected) = expected {
                        spans.push(Span::styled(format!(" of about {}  ", seconds(*expected)), theme.quiet()));
                        let ratio = elapsed.as_secs_f64() / expected.as_secs_f64().max(0.1);
                        spans.extend(bar(ratio.min(0.99), 20, theme.good(), theme));
                    }
                    Line::from(spans)
                }
            }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Turns with the story's time, so that a step that says nothing is seen to live.
fn spinner(run: &RunState) -> char {
    const TURN: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
    TURN[(run.now().as_millis() / 100 % 10) as usize]
}

fn framed(frame: &mut Frame<'_>, area: Rect, title: &str, theme: Theme) -> Rect {
    let title = Line::from(vec![Span::raw(" "), Span::styled(title.to_owned(), theme.strong()), Span::raw(" ")]);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.quiet())
        .title(title)
        .padding(ratatui::widgets::Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

fn right(text: String) -> Line<'static> {
    Line::from(text).alignment(Alignment::Right)
}
