//! A chart of allocation, demand and capacity over time, in braille dots: two across and four down in each
//! cell, so that forty columns show eighty moments.
//!
//! Allocation is a filled area, the part of it that may be taken back stippled, what is wanted on top of it a
//! line, capacity a dashed one: shapes, not colours, tell them apart.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget;

/// One moment in the unit of the axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moment {
    /// What is used and stays.
    pub(super) kept: f64,
    /// What is used, all of it.
    pub(super) used: f64,
    /// What is used and what is waited for, together.
    pub(super) wanted: f64,
    pub(super) capacity: f64,
}

/// The chart; what it is drawn from is spread evenly over its width.
pub(super) struct Chart<'a> {
    pub(super) moments: &'a [Moment],
    pub(super) used: Style,
    pub(super) wanted: Style,
    pub(super) capacity: Style,
}

impl Chart<'_> {
    /// The value at the top: a little more than the largest, so that no line hides in the border.
    fn top(&self) -> f64 {
        let largest = self.moments.iter().map(|moment| moment.capacity.max(moment.wanted)).fold(0.0, f64::max);
        if largest > 0.0 { largest * 1.04 } else { 1.0 }
    }

    /// The row, from the top, in which a value is drawn when the chart is `height` rows high.
    pub(super) fn row_of(&self, value: f64, height: u16) -> u16 {
        let from_below = (dots_up(value, self.top(), usize::from(height) * 4).saturating_sub(1) / 4) as u16;
        height.saturating_sub(1).saturating_sub(from_below)
    }
}

impl Widget for Chart<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        if area.is_empty() || self.moments.is_empty() {
            return;
        }
        let mut dots = Dots::new(area);
        let (wide, high) = (dots.wide, dots.high);
        let top = self.top();
        let row = |value: f64| dots_up(value, top, high);
        let mut before = None;
        for x in 0..wide {
            let moment = self.moments[(x * self.moments.len() / wide).min(self.moments.len() - 1)];
            let kept = row(moment.kept);
            for y in (0..row(moment.used)).filter(|&y| y < kept || (x + y) % 2 == 0) {
                dots.set(x, y, Layer::Used);
            }
            let wanted = row(moment.wanted);
            if wanted > row(moment.used) {
                let from = before.unwrap_or(wanted).max(row(moment.used) + 1);
                for y in wanted.min(from)..=wanted.max(from) {
                    dots.set(x, y.saturating_sub(1), Layer::Wanted);
                }
            }
            before = Some(wanted);
            if x % 4 < 2 && moment.capacity > 0.0 {
                dots.set(x, row(moment.capacity).saturating_sub(1), Layer::Capacity);
            }
        }
        dots.draw(area, buffer, |layer| match layer {
            Layer::Used => self.used,
            Layer::Wanted => self.wanted,
            Layer::Capacity => self.capacity,
        });
    }
}

/// How many of `high` dots a value is when the whole height is `top`.
fn dots_up(value: f64, top: f64, high: usize) -> usize {
    (value / top * high as f64).round().clamp(0.0, high as f64) as usize
}

/// What a dot belongs to. A cell has one colour: that of the highest here that has a dot in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Capacity,
    Used,
    Wanted,
}

struct Dots {
    /// Dots across.
    wide: usize,
    /// Dots up.
    high: usize,
    /// For each cell, row by row from the top: its dots and what they belong to.
    cells: Vec<(u8, Option<Layer>)>,
}

impl Dots {
    fn new(area: Rect) -> Self {
        let cells = vec![(0, None); area.area() as usize];
        Self { wide: usize::from(area.width) * 2, high: usize::from(area.height) * 4, cells }
    }

    /// Sets the dot `x` from the left and `y` from the bottom.
    fn set(&mut self, x: usize, y: usize, layer: Layer) {
        /// Unicode's order of braille dots, by row from the top and column.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if x >= self.wide || y >= self.high {
            return;
        }
        let from_top = self.high - 1 - y;
        let (bits, owner) = &mut self.cells[from_top / 4 * (self.wide / 2) + x / 2];
        *bits |= BITS[from_top % 4][x % 2];
        *owner = (*owner).max(Some(layer));
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, style: impl Fn(Layer) -> Style) {
        for (at, &(bits, owner)) in self.cells.iter().enumerate() {
            let Some(layer) = owner else { continue };
            let (x, y) = (at % usize::from(area.width), at / usize::from(area.width));
            let dots = char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' ');
            if let Some(cell) = buffer.cell_mut((area.x + x as u16, area.y + y as u16)) {
                cell.set_char(dots).set_style(style(layer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(moments: &[Moment], width: u16, height: u16) -> Vec<String> {
        let area = Rect { x: 0, y: 0, width, height };
        let mut buffer = Buffer::empty(area);
        let style = Style::new();
        Chart { moments, used: style, wanted: style, capacity: style }.render(area, &mut buffer);
        (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect()).collect()
    }

    fn moment(used: f64, wanted: f64, capacity: f64) -> Moment {
        Moment { kept: used, used, wanted, capacity }
    }

    #[test]
    fn what_is_used_fills_the_chart_from_below() {
        let rising: Vec<Moment> = (0..8).map(|used| moment(f64::from(used), f64::from(used), 0.0)).collect();
        assert_eq!(drawn(&rising, 4, 2), ["  ⢀⣾", "⢀⣴⣿⣿"]);
    }

    #[test]
    fn what_may_be_taken_back_is_stippled() {
        let steady = [Moment { kept: 4.0, used: 8.0, wanted: 8.0, capacity: 0.0 }];
        assert_eq!(drawn(&steady, 4, 2), ["⡪⡪⡪⡪", "⣿⣿⣿⣿"]);
    }

    #[test]
    fn demand_is_a_line_above_and_capacity_a_dashed_one() {
        let steady = [moment(4.0, 8.0, 12.0)];
        assert_eq!(drawn(&steady, 4, 3), ["⠉ ⠉ ", "⠉⠉⠉⠉", "⣿⣿⣿⣿"]);
    }

    #[test]
    fn nothing_to_draw_or_nowhere_to_draw_it_is_no_error() {
        assert_eq!(drawn(&[], 3, 1), ["   "]);
        assert_eq!(drawn(&[moment(0.0, 0.0, 0.0)], 3, 1), ["   "]);
        assert_eq!(drawn(&[moment(1.0, 1.0, 1.0)], 0, 0), Vec::<String>::new());
    }
}
