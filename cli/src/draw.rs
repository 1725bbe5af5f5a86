//! What the drawings of the command line share: colours, amounts as people read them, trees, bars and
//! columns. What is drawn, and in which words, is each command's own.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use weir_model::Amount;
use weir_model::dimension::{
    CPU, EPHEMERAL_STORAGE, GPU_HOSTS_PREFIX, MEMORY, SKU_CPU_PREFIX, SKU_DISK_PREFIX, SKU_MEMORY_PREFIX,
};

/// Whether to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Coloured,
}

/// How wide the bar of the whole cluster is.
const WIDTH: usize = 30;
/// How many items a line names.
const LISTED: usize = 4;

/// A table of which the first column is a tree and the second a bar.
pub(crate) struct Section {
    /// Stands above the tree.
    pub(crate) title: String,
    /// Stand above the numbers, which are right-aligned.
    pub(crate) heads: Vec<&'static str>,
    pub(crate) lines: Vec<Line>,
}

/// One line of a [`Section`] before its columns are aligned.
pub(crate) struct Line {
    pub(crate) label: String,
    /// Already as wide as [`bar`] makes it; empty where the section has no bars.
    pub(crate) bar: String,
    pub(crate) numbers: Vec<String>,
    /// What follows the numbers.
    pub(crate) why: String,
}

impl Section {
    /// Adds the section to a page.
    pub(crate) fn draw(&self, page: &mut String, paint: Paint) {
        let Self { title, heads, lines } = self;
        let columns = |text: &str| text.chars().count();
        let label = lines.iter().map(|line| columns(&line.label)).chain([columns(title)]).max().unwrap_or(0);
        let width = |at: usize| {
            let numbers = lines.iter().filter_map(|line| line.numbers.get(at)).map(|number| columns(number));
            numbers.chain([columns(heads[at])]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let bars = lines.iter().any(|line| !line.bar.is_empty());
        let mut head = format!("{title:label$}{}", if bars { " ".repeat(WIDTH + 2) } else { String::new() });
        for (word, width) in heads.iter().zip(&widths) {
            let _ = write!(head, "  {word:>width$}");
        }
        let _ = writeln!(page, "{}", paint.bold(head.trim_end()));
        for Line { label: name, bar, numbers, why } in lines {
            let mut line = format!("{name:label$}");
            if bars {
                let _ = write!(line, "  {bar}");
            }
            for (number, width) in numbers.iter().zip(&widths) {
                let _ = write!(line, "  {number:>width$}");
            }
            let _ = writeln!(page, "{}", format!("{line}  {why}").trim_end());
        }
    }
}

/// Each item of a tree with the branches that stand before it, depth first, as one draws a tree.
pub(crate) fn branches<T: Copy>(root: T, children: impl Fn(T) -> Vec<T>) -> Vec<(String, T)> {
    let mut drawn = Vec::new();
    let mut open = vec![(root, String::new(), String::new())];
    while let Some((item, lead, below)) = open.pop() {
        drawn.push((lead, item));
        let children = children(item);
        for (at, &child) in children.iter().enumerate().rev() {
            let (branch, trunk) = if at + 1 == children.len() { ("└ ", "  ") } else { ("├ ", "│ ") };
            open.push((child, format!("{below}{branch}"), format!("{below}{trunk}")));
        }
    }
    drawn
}

/// Three amounts one after the other on the scale of `whole`: thick, half, thin.
pub(crate) fn bar(parts: [Amount; 3], whole: Amount, paint: Paint) -> String {
    let whole = whole.units().max(1);
    let cells = |amount: Amount| {
        // Rounded to the nearest cell.
        let doubled = i128::from(amount.units()) * 2 * WIDTH as i128 / i128::from(whole);
        usize::try_from((doubled + 1) / 2).unwrap_or(WIDTH).min(WIDTH)
    };
    let [thick, half, thin] = parts;
    let ends = [thick, thick + half, thick + half + thin].map(cells);
    let part = |letter: &str, from: usize, to: usize| letter.repeat(to.saturating_sub(from));
    [
        paint.green(&part("█", 0, ends[0])),
        paint.yellow(&part("▓", ends[0], ends[1])),
        paint.dim(&part("░", ends[1], ends[2])),
        " ".repeat(WIDTH - ends[2].min(WIDTH)),
    ]
    .concat()
}

/// The first few and how many more there are: a line is read at a glance, `-o json` has them all.
pub(crate) fn listed(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(LISTED);
    let mut shown: Vec<_> = items.take(LISTED).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// Cores for milli-CPU, binary units for bytes, everything else as it is.
pub(crate) fn quantity(resource: &str, amount: Amount) -> String {
    let units = amount.units();
    let of_sku = [(SKU_CPU_PREFIX, CPU), (SKU_MEMORY_PREFIX, MEMORY), (SKU_DISK_PREFIX, EPHEMERAL_STORAGE)];
    let kind = match of_sku.into_iter().find(|(prefix, _)| resource.starts_with(prefix)) {
        Some((_, kind)) => kind,
        None => resource.strip_prefix(GPU_HOSTS_PREFIX).unwrap_or(resource),
    };
    match kind {
        CPU if units % 1000 == 0 => (units / 1000).to_string(),
        CPU => format!("{units}m"),
        MEMORY | EPHEMERAL_STORAGE => bytes(units),
        _ => units.to_string(),
    }
}

/// In the largest binary unit that is not more than the number, to a tenth.
fn bytes(units: i64) -> String {
    let step = ["Ei", "Pi", "Ti", "Gi", "Mi", "Ki"].iter().zip([60, 50, 40, 30, 20, 10]);
    match step.into_iter().find(|&(_, shift)| units >> shift > 0) {
        None => units.to_string(),
        Some((suffix, shift)) => {
            let tenths = (i128::from(units) * 10) >> shift;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            if tenth == 0 { format!("{whole}{suffix}") } else { format!("{whole}.{tenth}{suffix}") }
        }
    }
}

impl Paint {
    /// Colours are for people: not into a pipe, and not where NO_COLOR says so.
    pub(crate) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if io::stdout().is_terminal() && !unwanted { Self::Coloured } else { Self::Plain }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Coloured if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_in_the_unit_people_use() {
        let shown = [
            ("cpu", 32_000),
            ("gpu-hosts.weir.dev/cpu", 1500),
            ("sku-cpu.weir.dev/NVIDIA_H100_80GB_HBM3", 96_000),
            ("memory", 64 << 30),
            ("sku-memory.weir.dev/NVIDIA_H100_80GB_HBM3", 3 << 39),
            ("ephemeral-storage", 1000),
            ("nvidia.com/gpu", 8000),
            ("example.com/memory-slots", 2048),
        ]
        .map(|(resource, units)| quantity(resource, Amount::new(units)));
        assert_eq!(shown, ["32", "1500m", "96", "64Gi", "1.5Ti", "1000", "8000", "2048"]);
    }
}
