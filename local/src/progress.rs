//! What is being waited for, one line for each step: what, how long so far, how long it usually takes.
//!
//! On a terminal the line of the current step is drawn over itself; elsewhere a step that takes long says so
//! every half minute, so that a log shows that it lives.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Where progress lines go.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    out: Out,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    Terminal,
    Lines,
    Nowhere,
}

impl Progress {
    /// To standard error, which leaves standard output to results.
    #[must_use]
    pub fn to_stderr() -> Self {
        let out = if std::io::stderr().is_terminal() { Out::Terminal } else { Out::Lines };
        Self { out }
    }

    /// To nobody.
    #[must_use]
    pub const fn silent() -> Self {
        Self { out: Out::Nowhere }
    }

    /// Does `work` as one step that usually takes `expected`, and tells about it.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn step<T, E>(
        &self,
        what: &str,
        expected: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let every = if self.out == Out::Terminal { Duration::from_millis(200) } else { Duration::from_secs(30) };
        let mut tick = tokio::time::interval(every);
        let mut work = std::pin::pin!(work);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = tick.tick() => self.running(what, begun.elapsed(), expected),
            }
        };
        match &result {
            Ok(_) => self.finished(&format!("✓ {what} ({})", human(begun.elapsed()))),
            Err(_) => self.finished(&format!("✗ {what} (after {})", human(begun.elapsed()))),
        }
        result
    }

    /// One line that stands for itself.
    pub fn say(&self, line: &str) {
        self.finished(line);
    }

    fn running(self, what: &str, elapsed: Duration, expected: Duration) {
        let line = format!("{what}: {} of about {}", human(elapsed), human(expected));
        let mut stderr = std::io::stderr().lock();
        // A progress line that cannot be written is no reason to stop working.
        let _ = match self.out {
            Out::Terminal => write!(stderr, "\r\x1b[2K· {line}").and_then(|()| stderr.flush()),
            Out::Lines => writeln!(stderr, "· {line}"),
            Out::Nowhere => Ok(()),
        };
    }

    fn finished(self, line: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = match self.out {
            Out::Terminal => writeln!(stderr, "\r\x1b[2K{line}"),
            Out::Lines => writeln!(stderr, "{line}"),
            Out::Nowhere => Ok(()),
        };
    }
}

/// `0.4s`, `12s`, `4m05s`.
fn human(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds}s"),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_to_read() {
        let shown = [400, 12_000, 245_000].map(|millis| human(Duration::from_millis(millis)));
        assert_eq!(shown, ["0.4s", "12s", "4m05s"]);
    }
}
