//! The whole page: the header, and below it the panels that fit.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::layout::{self, Panel, Wanted};
use super::theme::Theme;
use super::{header, panels};
use crate::cluster_state::{hosts, pool_tree, queue};
use crate::run_state::{Phase, RunState};

/// Draws the run as it is.
pub fn draw(frame: &mut Frame<'_>, run: &RunState, theme: Theme) {
    let area = frame.area();
    let header = header::draw(frame, area, run, theme);
    let body = Rect { y: area.y + header, height: area.height.saturating_sub(header), ..area };
    match run.clock().phase() {
        Phase::SettingUp => panels::setup_steps(frame, body, run, theme),
        Phase::Replaying | Phase::Ended => draw_panels(frame, body, run, theme),
    }
}

fn draw_panels(frame: &mut Frame<'_>, area: Rect, run: &RunState, theme: Theme) {
    let (cluster, steps) = (run.cluster(), run.steps());
    let (models, refusals, pools) = (hosts::models(cluster), queue::refusals(cluster), pool_tree::rows(cluster));
    let queue = panels::Queue { reasons: queue::reasons(cluster), gangs: queue::gangs(cluster) };
    let wanted = Wanted {
        models: models.len() + usize::from(hosts::special(cluster).is_some()),
        plugins: run.plugins().len(),
        refusals: refusals.len(),
        pools: pools.len(),
        queue: queue.rows(),
        steps: steps.len(),
    };
    for (panel, place) in layout::arrange(area, wanted) {
        match panel {
            Panel::Gpus => panels::gpus(frame, place, run, theme),
            Panel::Cpus => panels::cpus(frame, place, run, theme),
            Panel::Steps => panels::steps(frame, place, run, &steps, theme),
            Panel::Models => panels::models(frame, place, run, &models, theme),
            Panel::Refusals => panels::refusals(frame, place, &refusals, theme),
            Panel::Pools => panels::pools(frame, place, &pools, theme),
            Panel::Queue => panels::queue(frame, place, run, &queue, theme),
            Panel::Plugins => panels::plugins(frame, place, run, theme),
            Panel::Feed => panels::feed(frame, place, run, theme),
        }
    }
}
