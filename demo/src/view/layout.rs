//! Where each panel goes, for every size of a terminal.
//!
//! Panels stand in columns, and a column holds as many as its height allows: the least important go first,
//! and what is left over is shared by weight. A new panel is one variant, one [`Slot`] in each arrangement
//! and one function that draws it.

use ratatui::layout::Rect;

/// A part of the screen below the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panel {
    Gpus,
    Cpus,
    Steps,
    Models,
    Pools,
    Queue,
    Refusals,
    Plugins,
    Feed,
}

/// A panel's claim on a column.
struct Slot {
    panel: Panel,
    /// Rows without which it says nothing, borders included.
    least: u16,
    /// Rows above which it has nothing more to say.
    most: u16,
    /// Its part of the rows that are left over.
    weight: u16,
    /// What goes first when there is no room: the highest.
    rank: u8,
}

/// How much the panels have to say, which bounds their heights.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// Rows of the table of GPU models.
    pub(super) models: usize,
    /// Rows of the table of plugins.
    pub(super) plugins: usize,
    /// Rows of the table of reasons.
    pub(super) refusals: usize,
    /// Rows of the tree of pools; without any, neither it nor the queue is shown.
    pub(super) pools: usize,
    /// Rows of the queue.
    pub(super) queue: usize,
    /// Steps of the story.
    pub(super) steps: usize,
}

/// The panels that fit, each with its place.
pub(super) fn arrange(area: Rect, wanted: Wanted) -> Vec<(Panel, Rect)> {
    let columns = columns(area.width, wanted);
    let parts: u16 = columns.iter().map(|(part, _)| part).sum();
    let (mut placed, mut x, mut seen) = (Vec::new(), area.x, 0);
    for (part, slots) in columns {
        seen += part;
        let right = area.x + (u32::from(area.width) * u32::from(seen) / u32::from(parts)) as u16;
        let column = Rect { x, width: right - x, ..area };
        stack(column, slots, &mut placed);
        x = right;
    }
    placed
}

/// The columns for a width, each with its part of it.
fn columns(width: u16, wanted: Wanted) -> Vec<(u16, Vec<Slot>)> {
    let table = |rows: usize| u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(3).max(4);
    let slot = |panel, least, most, weight, rank| Slot { panel, least, most, weight, rank };
    let gpus = slot(Panel::Gpus, 8, u16::MAX, 3, 0);
    let cpus = slot(Panel::Cpus, 4, 24, 2, 4);
    let refusals = slot(Panel::Refusals, table(wanted.refusals).min(6), table(wanted.refusals).max(6), 1, 2);
    let models = slot(Panel::Models, table(wanted.models).min(10), table(wanted.models), 1, 1);
    let plugins = slot(Panel::Plugins, table(wanted.plugins).min(7), table(wanted.plugins), 1, 3);
    let feed = slot(Panel::Feed, 5, u16::MAX, 1, 5);
    if wanted.pools == 0 {
        return match width {
            0..160 => vec![(55, vec![gpus, cpus, refusals]), (45, vec![models, plugins, feed])],
            160.. => vec![(42, vec![gpus, cpus]), (33, vec![refusals, feed]), (25, vec![models, plugins])],
        };
    }
    let pools = slot(Panel::Pools, table(wanted.pools).min(12), table(wanted.pools), 1, 1);
    let queue = slot(Panel::Queue, table(wanted.queue).min(6), table(wanted.queue).max(6), 2, 0);
    let refusals = Slot { least: 4, rank: 4, ..refusals };
    // A head and three lines say what a step came to.
    let tall = u16::try_from(wanted.steps * 4 + 2).unwrap_or(u16::MAX);
    let steps = (wanted.steps > 0).then(|| slot(Panel::Steps, tall.min(8), tall, 3, 0));
    let with_steps = |others: Vec<Slot>| steps.into_iter().chain(others).collect::<Vec<Slot>>();
    match width {
        0..160 => vec![(55, vec![gpus, pools, cpus]), (45, with_steps(vec![queue, models, refusals, plugins, feed]))],
        160.. => vec![
            (38, vec![gpus, cpus]),
            (38, with_steps(vec![pools, queue, feed])),
            (24, vec![models, plugins, refusals]),
        ],
    }
}

/// Stacks the slots that fit into a column.
fn stack(column: Rect, mut slots: Vec<Slot>, placed: &mut Vec<(Panel, Rect)>) {
    let least = |slots: &[Slot]| slots.iter().map(|slot| slot.least).sum::<u16>();
    while slots.len() > 1 && least(&slots) > column.height {
        let last = slots.iter().enumerate().max_by_key(|(_, slot)| slot.rank).map_or(0, |(at, _)| at);
        slots.remove(last);
    }
    let mut heights: Vec<u16> = slots.iter().map(|slot| slot.least.min(column.height)).collect();
    let mut left = column.height.saturating_sub(heights.iter().sum());
    // Row by row to the panel that is furthest below its weight: a few dozen rows, and no rounding to repair.
    while left > 0 {
        let hungry = (0..slots.len()).filter(|&at| heights[at] < slots[at].most);
        let Some(next) = hungry.min_by_key(|&at| {
            let extra = u32::from(heights[at].saturating_sub(slots[at].least));
            extra * 100 / u32::from(slots[at].weight.max(1))
        }) else {
            break;
        };
        heights[next] += 1;
        left -= 1;
    }
    let mut y = column.y;
    for (slot, height) in slots.iter().zip(heights) {
        placed.push((slot.panel, Rect { y, height, ..column }));
        y += height;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { models: 7, plugins: 4, refusals: 5, pools: 0, queue: 0, steps: 0 };
    const DIVIDED: Wanted = Wanted { pools: 9, queue: 4, ..WANTED };
    const ACTED: Wanted = Wanted { steps: 3, ..DIVIDED };

    fn panels(width: u16, height: u16) -> Vec<Panel> {
        of(WANTED, width, height)
    }

    fn of(wanted: Wanted, width: u16, height: u16) -> Vec<Panel> {
        arrange(Rect { x: 0, y: 3, width, height }, wanted).into_iter().map(|(panel, _)| panel).collect()
    }

    #[test]
    fn a_divided_cluster_shows_its_pools_and_its_queue_at_every_size() {
        use Panel::{Cpus, Feed, Gpus, Models, Plugins, Pools, Queue, Refusals};
        assert_eq!(of(DIVIDED, 80, 20), [Gpus, Pools, Queue, Models]);
        assert_eq!(of(DIVIDED, 120, 36), [Gpus, Pools, Cpus, Queue, Models, Refusals, Plugins, Feed]);
        assert_eq!(of(DIVIDED, 200, 52), [Gpus, Cpus, Pools, Queue, Feed, Models, Plugins, Refusals]);
    }

    #[test]
    fn the_story_is_shown_at_every_size_once_it_has_begun() {
        use Panel::{Cpus, Feed, Gpus, Models, Plugins, Pools, Queue, Refusals, Steps};
        assert_eq!(of(ACTED, 80, 20), [Gpus, Pools, Steps, Queue]);
        assert_eq!(of(ACTED, 120, 40), [Gpus, Pools, Cpus, Steps, Queue, Models, Refusals, Plugins, Feed]);
        assert_eq!(of(ACTED, 200, 52), [Gpus, Cpus, Steps, Pools, Queue, Feed, Models, Plugins, Refusals]);
    }

    #[test]
    fn a_small_terminal_keeps_what_matters_most() {
        assert_eq!(panels(80, 20), [Panel::Gpus, Panel::Cpus, Panel::Refusals, Panel::Models, Panel::Plugins]);
        assert_eq!(panels(80, 15), [Panel::Gpus, Panel::Refusals, Panel::Models]);
        assert_eq!(panels(80, 9), [Panel::Gpus, Panel::Models]);
    }

    #[test]
    fn a_large_terminal_shows_everything() {
        use Panel::{Cpus, Feed, Gpus, Models, Plugins, Refusals};
        assert_eq!(panels(120, 36), [Gpus, Cpus, Refusals, Models, Plugins, Feed]);
        assert_eq!(panels(200, 56), [Gpus, Cpus, Refusals, Feed, Models, Plugins]);
    }

    #[test]
    fn panels_never_overlap_nor_leave_the_screen() {
        for (width, height) in (1..=220).flat_map(|width| (1..=70).map(move |height| (width, height))) {
            for wanted in [WANTED, DIVIDED, ACTED] {
                let area = Rect { x: 0, y: 3, width, height };
                let placed = arrange(area, wanted);
                for (at, &(panel, rect)) in placed.iter().enumerate() {
                    assert_eq!(rect.intersection(area), rect, "{panel:?} at {width}×{height}");
                    let others = placed[..at].iter().map(|&(_, other)| other);
                    assert!(others.clone().all(|other| !other.intersects(rect)), "{panel:?} at {width}×{height}");
                }
            }
        }
    }
}
