use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::{Theme, draw};
use crate::example;
use crate::run_state::setup::{SetupState, SetupStep};
use crate::run_state::{Event, RunState};

fn screen(run: &RunState, width: u16, height: u16, theme: Theme) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, run, theme)).unwrap();
    terminal.backend().clone()
}

fn lines(run: &RunState, width: u16, height: u16) -> Vec<String> {
    let screen = screen(run, width, height, Theme::Colour);
    let buffer = screen.buffer();
    (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>()).collect()
}

fn assert_shows(lines: &[String], expected: &[&str]) {
    for text in expected {
        assert!(lines.iter().any(|line| line.contains(text)), "{text:?} is not in\n{}", lines.join("\n"));
    }
}

#[test]
fn the_view_shows_where_the_run_is_how_full_it_is_and_why_pods_wait() {
    let lines = lines(&example::run(), 120, 40);
    assert_shows(
        &lines,
        &[
            "weir  two hosts <small> & four pods  2 nodes",
            "ended  0:20  q stops",
            "4 of 4 pods created  100 %",
            "placed 3 (2 GPU, 1 CPU)   waiting 1 (1 refused)   violations 1   pods/s 0 (peak 3)   running 2",
            "13 %  1 of 8  + 8 demand",
            "25 %  8 of 32",
            "GPU hosts: 0 of 1 free",
            "T4          0 / 1       1 / 8 ━━╸──",
            "     1      1 Insufficient nvidia.com/gpu",
            "     1      1 pod asks for GPUs, node has none",
            "GPUFilter                           8 0123456789ab",
            "0:02 large waits: Insufficient nvidia.com/gpu",
            "0:20 all pods of the trace had their turn",
        ],
    );
}

#[test]
fn while_it_is_set_up_the_view_lists_the_steps() {
    let mut run = RunState::new();
    let at = std::time::Duration::from_secs;
    for (name, state) in [
        ("building etcd", SetupState::Done { took: at(12) }),
        ("building kube-apiserver", SetupState::Running { elapsed: at(34), expected: Some(at(120)) }),
        ("starting etcd", SetupState::Failed { why: "port 2379 is in use".into() }),
        ("creating nodes", SetupState::Planned),
    ] {
        run.tell(at(46), Event::SetUp(SetupStep { name: name.into(), state }));
    }
    assert_shows(
        &lines(&run, 80, 24),
        &[
            "setting up  0:46",
            "1 of 4 steps  25 %",
            "✓ building etcd               12 s",
            "⠋ building kube-apiserver     34 s of about 120 s  ━━━━━╸──────────────",
            "✗ starting etcd            port 2379 is in use",
            "· creating nodes",
        ],
    );
}

#[test]
fn on_a_small_terminal_nothing_that_is_shown_is_cut_off() {
    assert_shows(
        &lines(&example::run(), 80, 24),
        &[
            "violations 1",
            "13 %  1 of 8  + 8 demand │",
            "GPU hosts: 0 of 1 free",
            "Insufficient nvidia.com/g…",
            "GPUFilter",
            "all pods of the trace had",
        ],
    );
}

#[test]
fn a_divided_cluster_shows_what_each_pool_uses_of_what_and_who_waits_for_what() {
    assert_shows(
        &lines(&example::divided(), 120, 40),
        &[
            "waiting 3 (3 in the queue, 0 refused)",
            "Pools: used of entitled",
            "   GPU    of  +dem  borr │",
            "│ labs                                       7     8    10     · │",
            "│ ├ production                               0     1     2     · │",
            "│ └ research                                 7     7     8     2 │",
            "Queue: 3 wait for admission",
            "     2 WaitingForGang",
            "     1 WaitingForQuota",
            "gang trio                                2/3  1:01 │",
        ],
    );
}

#[test]
fn the_story_shows_its_acts_and_what_came_of_each() {
    let lines = |width, height| lines(&example::with_story(), width, height);
    assert_shows(
        &lines(120, 44),
        &[
            "╭ Story ",
            "│ ✓ production returns  1:10",
            "│   labs-production uses 0 → 6 GPUs of its own;",
            "│   research brought back: labs-research 7 → 1 ",
            "│   (entitled to 1), 1 pod evicted",
            "a node is drained  1:14",
        ],
    );
    // Where there is too little room, what came first is said in one line.
    let small = lines(80, 18);
    assert_shows(
        &small,
        &["✓ production returns  1:10", "a node is drained  1:14", "g1 is cordoned, 0 pods  ", "GPUs to give"],
    );
}

#[test]
fn special_hardware_is_marked_and_it_is_said_who_holds_it() {
    let mut run = example::divided();
    run.tell(std::time::Duration::from_secs(66), Event::Cluster(example::host("g2", Some("G3"), 8, 96)));
    assert_shows(&lines(&run, 120, 40), &["G3 ◆        1 / 1       0 / 8", "◆ 8 special: 0 named, 0 general"]);
    let wide = "◆ 8 special: 0 held by pods that name them, 0 by others, 8 free";
    assert_shows(&lines(&run, 300, 60), &[wide]);
}

#[test]
fn a_small_terminal_shows_pools_and_queue_too() {
    assert_shows(
        &lines(&example::divided(), 80, 24),
        &[
            "│ └ research           7     7     8     2 │",
            "     2 WaitingForGang",
            "gang trio              2/3  1:01 │",
        ],
    );
}

#[test]
fn every_size_can_be_drawn() {
    for run in [RunState::new(), example::run(), example::divided(), example::with_story()] {
        for width in [1, 2, 3, 7, 20, 40, 79, 80, 100, 159, 160, 200, 300] {
            for height in [1, 2, 3, 5, 8, 12, 24, 40, 60, 100] {
                assert_eq!(lines(&run, width, height).len(), usize::from(height));
            }
        }
    }
}

#[test]
fn without_colour_nothing_is_coloured_and_every_word_stays() {
    let (plain, coloured) =
        (screen(&example::run(), 120, 40, Theme::Plain), screen(&example::run(), 120, 40, Theme::Colour));
    assert!(plain.buffer().content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let symbols =
        |screen: &TestBackend| -> String { screen.buffer().content().iter().map(|cell| cell.symbol()).collect() };
    assert_eq!(symbols(&plain), symbols(&coloured));
}

#[test]
fn colours_are_readable_on_light_and_on_dark() {
    let screen = screen(&example::run(), 120, 40, Theme::Colour);
    let unreadable = [Color::Black, Color::White, Color::Gray, Color::DarkGray, Color::Yellow, Color::LightYellow];
    assert!(screen.buffer().content().iter().all(|cell| !unreadable.contains(&cell.fg) && cell.bg == Color::Reset));
}
