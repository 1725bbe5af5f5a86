//! What the experiments share: how arguments are read and figures are written.

use std::ops::RangeInclusive;

use clap::ValueEnum;
use weir_simulator::pack::Statistic;

/// How to answer.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table with means and standard deviations
    Table,
    /// One JSON document with every number
    Json,
}

/// A cell of a table: mean and deviation, 15 characters wide.
pub(super) fn cell(statistic: &Statistic) -> String {
    match (statistic.mean, statistic.sd) {
        (Some(mean), Some(sd)) => format!("{mean:>7.2} ± {sd:>5.2}"),
        _ => format!("{:>15}", "none"),
    }
}

/// Reads `42..51`, both ends included, or a single number.
pub(super) fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| format!("{text:?} is not a whole number"));
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (number(first)?, number(last.trim_start_matches('='))?),
        None => (number(text)?, number(text)?),
    };
    match last.checked_sub(first) {
        None => Err(format!("{last} is below {first}; write the smaller one first")),
        Some(more) if more >= 1000 => Err("more than 1000 seeds; take fewer".into()),
        Some(_) => Ok(first..=last),
    }
}

/// Reads a load such as `1.3` as a whole percentage.
pub(super) fn load(text: &str) -> Result<u32, String> {
    let times: f64 = text.trim().parse().map_err(|_| format!("{text:?} is not a number such as 1.3"))?;
    // Below 1 there would be no figure for 100 %; above 10 the answer does not change any more.
    if !(1.0..=10.0).contains(&times) {
        return Err(format!("{text} is not between 1 and 10 times what there is"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 100 and 1000")]
    let percent = (times * 100.0).round() as u32;
    Ok(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_range_with_both_ends() {
        assert_eq!(seeds("42..51"), Ok(42..=51));
        assert_eq!(seeds("42..=51"), Ok(42..=51));
        assert_eq!(seeds("7"), Ok(7..=7));
        assert_eq!(seeds("51..42"), Err("42 is below 51; write the smaller one first".into()));
        assert_eq!(seeds("a..2"), Err("\"a\" is not a whole number".into()));
        assert_eq!(seeds("0..1000"), Err("more than 1000 seeds; take fewer".into()));
        assert_eq!(seeds(&format!("0..{}", u64::MAX)), Err("more than 1000 seeds; take fewer".into()));
    }

    #[test]
    fn a_load_is_read_in_whole_percent() {
        assert_eq!(load("1.3"), Ok(130));
        assert_eq!(load("1"), Ok(100));
        assert_eq!(load("0.9"), Err("0.9 is not between 1 and 10 times what there is".into()));
        assert_eq!(load("NaN"), Err("NaN is not between 1 and 10 times what there is".into()));
        assert_eq!(load("much"), Err("\"much\" is not a number such as 1.3".into()));
    }
}
