//! Lengths of time as people read them.

use jiff::Timestamp;

/// A length of time in its two largest units, such as `3h12m`.
pub(crate) fn age(now: Timestamp, since: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ages =
            [5, 65, 3 * 3600 + 720, 90_000].map(|ago| age(now, Timestamp::from_second(1_000_000 - ago).unwrap()));
        assert_eq!(ages, ["5s", "1m5s", "3h12m", "1d1h"]);
    }
}
