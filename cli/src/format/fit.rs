//! Laying lines out for the place where they are printed.

use super::{line::Line, wrap::wrapped};
use std::sync::Arc;

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

/// A line that is no table's: its rest stands under its own indentation.
fn broken(line: &Line, columns: usize) -> Vec<Line> {
    let indentation = line.characters().iter().take_while(|(c, _)| *c == ' ').count();
    wrapped(line, columns, indentation + HANG)
}
