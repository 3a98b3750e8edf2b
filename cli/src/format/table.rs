//! Tables: columns two blanks apart, as wide as their widest cell, no lines. A table is laid out when it is printed, for the room that there is.

use super::{
    fit::Room,
    line::{Line, Tone},
    wrap::{narrowest, wrapped},
};
use crate::text::{self, Language, Word};
use std::sync::Arc;

/// Sentences up to this width stand in columns.
const SENTENCE: usize = 64;
/// Blanks between columns.
const GAP: usize = 2;
/// Columns that a sentence keeps, however narrow the terminal is.
const LEAST: usize = 16;
/// Indentation of a cell that stands below its row.
const BELOW: usize = 4;

/// A table under construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    language: Language,
    heads: Vec<String>,
    rows: Vec<Vec<Line>>,
    /// Heads of the columns that a narrow terminal does without, the first one first.
    spare: Vec<String>,
}

/// A row of a table, as the line that it is printed as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) table: Arc<Table>,
    /// Its number, the heads' being 0.
    pub(super) number: usize,
}

impl Table {
    /// A table with these heads.
    pub fn new(language: Language, heads: &[Word]) -> Self {
        Self::headed(language, heads.iter().map(|head| head.pick(language).to_owned()).collect())
    }

    /// A table whose heads are names, too.
    pub fn headed(language: Language, heads: Vec<String>) -> Self {
        Self { language, heads, rows: Vec::new(), spare: Vec::new() }
    }

    /// A table without heads, for sentences: a long one does not push all others apart. Where they don't fit, each is broken, and what follows it stands below.
    pub fn bare() -> Self {
        Self::headed(Language::default(), Vec::new())
    }

    /// The columns that a narrow terminal does without, the first one first. The others stay, and their sentences are broken.
    #[must_use]
    pub fn spare(mut self, heads: &[Word]) -> Self {
        self.spare = heads.iter().map(|head| head.pick(self.language).to_owned()).collect();
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Line>) {
        self.rows.push(cells);
    }

    /// Whether no row was added.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its lines, as wide as they are; the printer lays them out for the terminal.
    pub fn lines(self) -> Vec<Line> {
        let rows = self.all_rows();
        let lines = in_one_line_each(&rows, &self.natural_widths(&rows));
        let table = Arc::new(self);
        lines.into_iter().enumerate().map(|(number, line)| line.in_row(Row { table: table.clone(), number })).collect()
    }

    /// Some of its rows, by number, laid out for the room that there is.
    pub(super) fn fitted(&self, numbers: &[usize], room: Room) -> Vec<Line> {
        let all = self.all_rows();
        let rows: Vec<Vec<Line>> = numbers.iter().filter_map(|number| all.get(*number)).cloned().collect();
        if self.heads.is_empty() { sentences(&rows, &self.natural_widths(&all), room.columns) } else { self.columns_for(&rows, room) }
    }

    fn all_rows(&self) -> Vec<Vec<Line>> {
        let heads = (!self.heads.is_empty()).then(|| self.heads.iter().map(|head| Line::toned(Tone::Strong, head)).collect());
        heads.into_iter().chain(self.rows.iter().cloned()).collect()
    }

    fn natural_widths(&self, rows: &[Vec<Line>]) -> Vec<usize> {
        widths(rows, if self.heads.is_empty() { SENTENCE } else { usize::MAX })
    }

    /// The columns that there is room for. Those in which no row says anything are shown only if every column is.
    fn columns_for(&self, rows: &[Vec<Line>], room: Room) -> Vec<Line> {
        let mut kept: Vec<usize> = (0..self.heads.len()).filter(|column| room.every_column || *column == 0 || self.is_filled(*column)).collect();
        let Some(columns) = room.columns else {
            let rows = of_columns(rows, &kept);
            return in_one_line_each(&rows, &widths(&rows, usize::MAX));
        };
        let filled = kept.len();
        for head in &self.spare {
            if total(&widths(&of_columns(rows, &kept), usize::MAX)) <= columns {
                break;
            }
            kept.retain(|column| *column == 0 || self.heads.get(*column) != Some(head));
        }
        let mut lines = squeezed(&of_columns(rows, &kept), columns);
        if kept.len() < filled {
            lines.push(Line::toned(Tone::Dim, text::columns_left_out(filled - kept.len()).pick(self.language)));
        }
        lines
    }

    fn is_filled(&self, column: usize) -> bool {
        self.rows.is_empty() || self.rows.iter().filter_map(|row| row.get(column)).any(|cell| !matches!(cell.to_string().as_str(), "" | "-"))
    }
}

fn of_columns(rows: &[Vec<Line>], kept: &[usize]) -> Vec<Vec<Line>> {
    rows.iter().map(|row| kept.iter().map(|column| row.get(*column).cloned().unwrap_or_default()).collect()).collect()
}

/// The width of each column. Cells wider than `longest` push only their own row.
fn widths(rows: &[Vec<Line>], longest: usize) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest =
        |column: usize| rows.iter().filter_map(|row: &Vec<Line>| row.get(column)).map(Line::width).filter(|width| *width <= longest).max().unwrap_or(0);
    (0..columns).map(widest).collect()
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// A line of cells, each at its column, or behind the one before it if that is too wide.
fn side_by_side(cells: &[Line], widths: &[usize]) -> Line {
    let (mut line, mut start) = (Line::new(), 0);
    for (cell, width) in cells.iter().zip(widths) {
        if cell.width() > 0 {
            line = line.pad(start, if start == 0 { 0 } else { GAP }).then(cell.clone());
        }
        start += width + GAP;
    }
    line
}

fn in_one_line_each(rows: &[Vec<Line>], widths: &[usize]) -> Vec<Line> {
    rows.iter().map(|row| side_by_side(row, widths)).collect()
}

/// Rows whose cells are broken to the widths of their columns.
fn broken(rows: &[Vec<Line>], widths: &[usize]) -> Vec<Line> {
    let mut lines = Vec::new();
    for row in rows {
        let cells: Vec<Vec<Line>> = row.iter().zip(widths).map(|(cell, width)| wrapped(cell, *width, 0)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        lines.extend((0..height).map(|at| side_by_side(&cells.iter().map(|cell| cell.get(at).cloned().unwrap_or_default()).collect::<Vec<_>>(), widths)));
    }
    lines
}

/// Widths with which rows fit, the widest sentences having given way; none if names and commands are too wide for that.
fn narrowed(rows: &[Vec<Line>], columns: usize) -> Option<Vec<usize>> {
    let mut widths = widths(rows, usize::MAX);
    let least: Vec<usize> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| rows.iter().filter_map(|row| row.get(column)).map(narrowest).max().unwrap_or(0).max(LEAST.min(*width)))
        .collect();
    while total(&widths) > columns {
        let (width, _) = widths.iter_mut().zip(&least).filter(|(width, least)| **width > **least).max_by_key(|(width, _)| **width)?;
        *width -= 1;
    }
    Some(widths)
}

/// Rows in so many columns. Where they can't be, the last cell of each row stands below it, and what is wider even then is left to the terminal.
fn squeezed(rows: &[Vec<Line>], columns: usize) -> Vec<Line> {
    if let Some(widths) = narrowed(rows, columns) {
        return broken(rows, &widths);
    }
    let (firsts, lasts): (Vec<Vec<Line>>, Vec<Option<Line>>) = rows.iter().cloned().map(without_last).unzip();
    if firsts.iter().all(Vec::is_empty) {
        return in_one_line_each(rows, &widths(rows, usize::MAX));
    }
    let widths = narrowed(&firsts, columns).unwrap_or_else(|| widths(&firsts, usize::MAX));
    let below = |last: Line| wrapped(&Line::new().pad(BELOW, 0).then(last), columns, BELOW);
    firsts
        .iter()
        .zip(lasts)
        .flat_map(|(row, last)| broken(std::slice::from_ref(row), &widths).into_iter().chain(last.filter(|last| last.width() > 0).into_iter().flat_map(below)))
        .collect()
}

fn without_last(mut row: Vec<Line>) -> (Vec<Line>, Option<Line>) {
    let last = row.pop();
    (row, last)
}

/// Rows of sentences: side by side if all of them fit; else each sentence is broken, and what follows it stands below.
fn sentences(rows: &[Vec<Line>], widths: &[usize], columns: Option<usize>) -> Vec<Line> {
    let lines = in_one_line_each(rows, widths);
    let Some(columns) = columns.filter(|columns| lines.iter().any(|line| line.width() > *columns)) else { return lines };
    let head = widths.first().copied().unwrap_or(0) + GAP;
    // Where the heads leave too little, the sentences stand below them.
    let start = if head * 2 <= columns { head } else { BELOW };
    rows.iter().flat_map(|row| stacked(row, start, columns)).collect()
}

fn stacked(row: &[Line], start: usize, columns: usize) -> Vec<Line> {
    let Some((head, cells)) = row.split_first() else { return Vec::new() };
    let mut lines = wrapped(head, columns, GAP);
    for (number, cell) in cells.iter().filter(|cell| cell.width() > 0).enumerate() {
        let mut parts = wrapped(cell, columns.saturating_sub(start), 0).into_iter();
        if number == 0
            && let Some(last) = lines.last_mut().filter(|last| last.width() + GAP <= start)
            && let Some(first) = parts.next()
        {
            *last = std::mem::take(last).pad(start, GAP).then(first);
        }
        lines.extend(parts.map(|part| Line::new().pad(start, 0).then(part)));
    }
    lines
}

#[cfg(test)]
mod tests;
