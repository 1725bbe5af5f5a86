//! Numbers, times and texts as people read them; used by the view and the report alike.

use std::time::Duration;

/// A time as a clock shows it.
///
/// ```
/// use std::time::Duration;
/// use weir_demo::format::clock;
/// assert_eq!(clock(Duration::from_secs(62)), "1:02");
/// assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
/// ```
#[must_use]
pub fn clock(time: Duration) -> String {
    let (hours, minutes, seconds) = (time.as_secs() / 3600, time.as_secs() / 60 % 60, time.as_secs() % 60);
    if hours == 0 { format!("{minutes}:{seconds:02}") } else { format!("{hours}:{minutes:02}:{seconds:02}") }
}

/// A length of time in seconds, with a tenth where that matters.
///
/// ```
/// use std::time::Duration;
/// use weir_demo::format::seconds;
/// assert_eq!(seconds(Duration::from_millis(2_340)), "2.3 s");
/// assert_eq!(seconds(Duration::from_millis(9_960)), "10 s");
/// assert_eq!(seconds(Duration::from_secs(120)), "120 s");
/// ```
#[must_use]
pub fn seconds(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    if tenths < 100 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        format!("{} s", (time.as_millis() + 500) / 1000)
    }
}

/// A number with its thousands apart.
///
/// ```
/// use weir_demo::format::grouped;
/// assert_eq!(grouped(1_523), "1,523");
/// assert_eq!(grouped(12), "12");
/// ```
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A large number in few characters.
///
/// ```
/// use weir_demo::format::rough;
/// assert_eq!([999, 1_523, 45_600, 3_046_000].map(rough), ["999", "1.5k", "46k", "3.0M"]);
/// ```
#[must_use]
pub fn rough(number: u64) -> String {
    let (unit, letter) = match number {
        0..1_000 => return number.to_string(),
        1_000..999_500 => (1e3, 'k'),
        999_500..999_500_000 => (1e6, 'M'),
        _ => (1e9, 'G'),
    };
    let value = number as f64 / unit;
    if value < 9.95 { format!("{value:.1}{letter}") } else { format!("{value:.0}{letter}") }
}

/// A part of one as a percentage without decimals, except that what is not everything never says 100 %.
///
/// ```
/// use weir_demo::format::percent;
/// assert_eq!([0.0, 0.678, 0.9999, 1.0, 1.25].map(percent), ["0 %", "68 %", "99 %", "100 %", "125 %"]);
/// ```
#[must_use]
pub fn percent(ratio: f64) -> String {
    let rounded = (ratio * 100.0).round();
    let honest = if ratio < 1.0 { rounded.min(99.0) } else { rounded };
    format!("{honest:.0} %")
}

/// The beginning of a text that is too long, with an ellipsis.
///
/// ```
/// use weir_demo::format::fit;
/// assert_eq!(fit("Insufficient cpu", 8), "Insuffi…");
/// assert_eq!(fit("cpu", 8), "cpu");
/// ```
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

/// A text in lines of at most a width, broken at spaces; a word that is longer has a line of its own.
///
/// ```
/// use weir_demo::format::broken;
/// assert_eq!(broken("one two three", 8), ["one two", "three"]);
/// assert_eq!(broken("", 8), [""; 0]);
/// ```
#[must_use]
pub fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_ascii_whitespace() {
        let fits = |line: &&mut String| line.chars().count() + 1 + word.chars().count() <= width;
        match lines.last_mut().filter(fits) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The end of a text that is too long, with an ellipsis: for names that differ in their ends.
///
/// ```
/// use weir_demo::format::fit_end;
/// assert_eq!(fit_end("research-gang-12", 8), "…gang-12");
/// assert_eq!(fit_end("trio", 8), "trio");
/// ```
#[must_use]
pub fn fit_end(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let end = text.chars().skip(length - width.saturating_sub(1));
    if width == 0 { String::new() } else { std::iter::once('…').chain(end).collect() }
}

/// The first characters of a digest, enough to tell two modules apart by eye.
///
/// ```
/// use weir_demo::format::digest;
/// assert_eq!(digest("sha256:0123456789abcdef"), "0123456789ab");
/// ```
#[must_use]
pub fn digest(digest: &str) -> String {
    digest.rsplit(':').next().unwrap_or(digest).chars().take(12).collect()
}
