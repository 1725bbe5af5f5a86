//! What is being waited for, one line for each step: what, how long so far, how long it takes from nothing.
//!
//! Several steps may run at once. On a terminal the lines of the running steps are drawn over themselves, below those
//! of the finished ones. Elsewhere a step has the same two lines below each other: one when it begins, unless it is
//! over at once, and one when it ends.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How often a terminal is drawn.
const REDRAW: Duration = Duration::from_millis(200);
/// A step that is over sooner has no line for its beginning.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Where progress lines go; a clone writes to the same place.
#[derive(Clone)]
pub struct Progress {
    board: Arc<Mutex<Board>>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Terminal,
    Lines,
}

/// The lines of all steps that run.
struct Board {
    out: Box<dyn Write + Send>,
    running: Vec<Running>,
    /// How many lines at the bottom of the terminal are drawn over.
    drawn: usize,
}

/// A step that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Running {
    what: String,
    begun: Instant,
    expected: Duration,
}

impl Progress {
    /// To standard error, which leaves standard output to results.
    #[must_use]
    pub fn to_stderr() -> Self {
        let kind = if io::stderr().is_terminal() { Kind::Terminal } else { Kind::Lines };
        Self::to(Box::new(io::stderr()), kind)
    }

    /// To nowhere.
    #[must_use]
    pub fn silent() -> Self {
        Self::to(Box::new(io::sink()), Kind::Lines)
    }

    fn to(out: Box<dyn Write + Send>, kind: Kind) -> Self {
        Self { board: Arc::new(Mutex::new(Board { out, running: Vec::new(), drawn: 0 })), kind }
    }

    /// Does `work` as one step, which takes `expected` from nothing, and tells about it.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn step<T, E>(&self, what: &str, expected: Duration, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let step = Running { what: what.to_owned(), begun: Instant::now(), expected };
        self.update(|board| board.running.push(step.clone()));
        let result = thread::scope(|scope| {
            let (over, ticks) = mpsc::channel();
            let step = &step;
            scope.spawn(move || self.show(step, &ticks));
            let result = work();
            drop(over);
            result
        });
        let time = human(step.begun.elapsed());
        let line = if result.is_ok() { format!("✓ {what}: {time}") } else { format!("✗ {what}: after {time}") };
        self.update(|board| board.finish(&step, &line));
        result
    }

    /// Says nothing from now on: what ends now does so because something else failed.
    pub fn hush(&self) {
        self.update(|board| {
            board.clear();
            board.out = Box::new(io::sink());
        });
    }

    /// Shows that a step runs, until it is over.
    fn show(&self, step: &Running, over: &mpsc::Receiver<()>) {
        let pause = if self.kind == Kind::Terminal { REDRAW } else { AT_ONCE };
        while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            match self.kind {
                Kind::Terminal => self.update(Board::draw),
                Kind::Lines => return self.update(|board| board.line(&format!("· {}", step.at_its_beginning()))),
            }
        }
    }

    /// A line that cannot be written, or another thread's panic, is no reason to stop working.
    fn update(&self, change: impl FnOnce(&mut Board)) {
        if let Ok(mut board) = self.board.lock() {
            change(&mut board);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Board {
    fn finish(&mut self, step: &Running, line: &str) {
        self.running.retain(|running| running != step);
        let drawn = self.drawn > 0;
        self.clear();
        self.line(line);
        if drawn {
            self.draw();
        }
    }

    /// Draws the running steps over themselves. Lines that are longer than the terminal is wide are cut, because one
    /// that goes on below would not be drawn over.
    fn draw(&mut self) {
        self.clear();
        let lines: Vec<_> = self.running.iter().map(|step| format!("· {}\n", step.so_far())).collect();
        let _ = write!(self.out, "\x1b[?7l{}\x1b[?7h", lines.concat()).and_then(|()| self.out.flush());
        self.drawn = lines.len();
    }

    fn clear(&mut self) {
        if self.drawn > 0 {
            let _ = write!(self.out, "\x1b[{}A\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
    }
}

impl Running {
    fn at_its_beginning(&self) -> String {
        format!("{}: from nothing about {}", self.what, human(self.expected))
    }

    fn so_far(&self) -> String {
        format!("{}: {}, from nothing about {}", self.what, human(self.begun.elapsed()), human(self.expected))
    }
}

/// `0.4 s`, `12 s`, `4 min`, `4 min 5 s`.
fn human(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, 0..10) => format!("{:.1} s", time.as_secs_f64()),
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written, readable while the progress still has the other end.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    const MINUTES: Duration = Duration::from_secs(300);

    /// The text without times, which no machine is the same in, and without the lines of steps that took long.
    fn timeless(text: &str) -> String {
        let ended = text.lines().filter(|line| !line.starts_with('·')).map(|line| line.rsplit_once(' '));
        ended
            .map(|line| line.map_or("", |(line, _)| line.trim_end_matches(|c: char| !c.is_alphabetic())))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn begun(what: &str) -> Running {
        Running { what: what.to_owned(), begun: Instant::now(), expected: MINUTES }
    }

    #[test]
    fn a_step_ends_with_a_line_that_says_how() {
        let page = Page::default();
        let progress = Progress::to(Box::new(page.clone()), Kind::Lines);
        progress.step("kwok", MINUTES, || Ok::<_, ()>(())).unwrap();
        progress.step("etcd", MINUTES, || Err::<(), _>(())).unwrap_err();
        assert_eq!(timeless(&page.text()), "✓ kwok\n✗ etcd: after");
    }

    #[test]
    fn a_step_says_at_its_beginning_what_to_expect() {
        assert_eq!(begun("kwok").at_its_beginning(), "kwok: from nothing about 5 min");
    }

    #[test]
    fn on_a_terminal_running_steps_are_drawn_over_and_stay_below_the_finished_ones() {
        let page = Page::default();
        let (kwok, etcd) = (begun("kwok"), begun("etcd"));
        let mut board = Board { out: Box::new(page.clone()), running: vec![kwok, etcd.clone()], drawn: 0 };
        board.draw();
        board.finish(&etcd, "✓ etcd: 1 min");
        let lines: Vec<_> = page.text().lines().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
        assert_eq!(lines, ["\x1b[?7l· kwok", "· etcd", "\x1b[?7h\x1b[2A\x1b[J✓ etcd", "\x1b[?7l· kwok", "\x1b[?7h"]);
    }

    #[test]
    fn what_ends_because_something_else_failed_says_nothing() {
        let page = Page::default();
        let progress = Progress::to(Box::new(page.clone()), Kind::Lines);
        let failed = progress.step("kwok", MINUTES, || {
            progress.hush();
            Err::<(), _>("etcd failed")
        });
        assert_eq!((failed, page.text()), (Err("etcd failed"), String::new()));
    }

    #[test]
    fn times_are_short_to_read() {
        let shown = [400, 12_000, 240_000, 245_000].map(|millis| human(Duration::from_millis(millis)));
        assert_eq!(shown, ["0.4 s", "12 s", "4 min", "4 min 5 s"]);
    }
}
