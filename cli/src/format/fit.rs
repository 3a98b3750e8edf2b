//! Laying lines out for the place where they are printed.

use super::{line::Line, wrap::wrapped};
use std::sync::Arc;
use unicode_width::UnicodeWidthChar as _;

/// Columns by which the rest of a broken line is indented.
const HANG: usize = 2;

/// What there is room for. Only the printer knows it, so lines are laid out when they are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Columns of the terminal; none where lines may have any length.
    pub columns: Option<usize>,
    /// Whether every column of a table is shown.
    pub every_column: bool,
}

/// Lines as they are printed: tables with the columns that there is room for, sentences broken at blanks. No name and no command is cut.
pub fn fitted(lines: &[Line], room: Room) -> Vec<Line> {
    let mut fitted = Vec::new();
    let mut rest = lines;
    while let Some((line, after)) = rest.split_first() {
        let Some(row) = line.row() else {
            fitted.extend(room.columns.map_or_else(|| vec![line.clone()], |columns| broken(line, columns)));
            rest = after;
            continue;
        };
        let of_table = |line: &Line| line.row().filter(|other| Arc::ptr_eq(&other.table, &row.table)).map(|row| row.number);
        let numbers: Vec<usize> = rest.iter().map_while(of_table).collect();
        fitted.extend(row.table.fitted(&numbers, room));
        rest = rest.get(numbers.len()..).unwrap_or_default();
    }
    fitted
}

/// A line as lines of a screen that is so many columns wide: broken at blanks, its rest beginning at column `hang`. Nothing is cut off, so what is wider than the screen is
/// broken within.
pub fn on_screen(line: &Line, columns: usize, hang: usize) -> Vec<Line> {
    wrapped(line, columns, hang).iter().flat_map(|line| chopped(line, columns)).collect()
}

fn chopped(line: &Line, columns: usize) -> Vec<Line> {
    if line.width() <= columns {
        return vec![line.clone()];
    }
    let (mut lines, mut current, mut used) = (Vec::new(), Line::new(), 0);
    for (c, tone) in line.characters() {
        let wide = c.width().unwrap_or(0);
        if used > 0 && used + wide > columns {
            lines.push(std::mem::take(&mut current));
            used = 0;
        }
        current.push(c, tone);
        used += wide;
    }
    lines.push(current);
    lines
}

/// A line that is no table's: its rest stands under its own indentation.
fn broken(line: &Line, columns: usize) -> Vec<Line> {
    let indentation = line.characters().iter().take_while(|(c, _)| *c == ' ').count();
    wrapped(line, columns, indentation + HANG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_screen_nothing_is_cut_off_however_narrow_it_is() {
        let line = Line::of("? hold      Clean up now? No keeps the copy until 09:41: p861 drill cleanup shinan-core-20261115-0900 -d shinan 现在清理吗？");
        let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
        for columns in 2..120 {
            let lines = on_screen(&line, columns, 12.min(columns / 2));
            assert!(lines.iter().all(|line| line.width() <= columns), "{columns}: {lines:#?}");
            assert_eq!(letters(&lines.iter().map(ToString::to_string).collect::<String>()), letters(&line.to_string()), "{columns}");
        }
    }
}
