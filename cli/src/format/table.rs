//! Tables: columns two blanks apart, as wide as their widest cell, no lines.

use super::line::{Line, Tone};
use crate::text::{Language, Word};

/// Sentences up to this width stand in columns.
const SENTENCE: usize = 64;

/// A table under construction.
#[derive(Clone, Debug)]
pub struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<Line>>,
    /// Cells wider than this push only their own row.
    longest: usize,
}

impl Table {
    /// A table with these heads.
    pub fn new(language: Language, heads: &[Word]) -> Self {
        Self { heads: heads.iter().map(|head| head.pick(language).to_owned()).collect(), rows: Vec::new(), longest: usize::MAX }
    }

    /// A table without heads, for sentences: a long one does not push all others apart.
    pub fn bare() -> Self {
        Self { heads: Vec::new(), rows: Vec::new(), longest: SENTENCE }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Line>) {
        self.rows.push(cells);
    }

    /// Whether no row was added.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its lines.
    pub fn lines(self) -> Vec<Line> {
        let mut all: Vec<Vec<Line>> = Vec::new();
        if !self.heads.is_empty() {
            all.push(self.heads.iter().map(|head| Line::toned(Tone::Strong, head)).collect());
        }
        all.extend(self.rows);
        let columns = all.iter().map(Vec::len).max().unwrap_or(0);
        let widest: Vec<usize> = (0..columns)
            .map(|column| all.iter().filter_map(|row| row.get(column)).map(Line::width).filter(|width| *width <= self.longest).max().unwrap_or(0))
            .collect();
        all.into_iter()
            .map(|row| {
                let last = row.len().saturating_sub(1);
                let mut line = Line::new();
                for (column, cell) in row.into_iter().enumerate() {
                    let gap = widest.get(column).copied().unwrap_or(0).saturating_sub(cell.width()) + 2;
                    line = line.then(cell);
                    if column < last {
                        line = line.with(" ".repeat(gap));
                    }
                }
                line
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sentence_pushes_only_its_own_row() {
        let mut table = Table::bare();
        table.row(vec![Line::of("short"), Line::of("p861 status")]);
        table.row(vec![Line::of("x".repeat(SENTENCE + 1)), Line::of("p861 status")]);
        let lines: Vec<String> = table.lines().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["short  p861 status".to_owned(), format!("{}  p861 status", "x".repeat(SENTENCE + 1))]);
    }

    #[test]
    fn chinese_and_latin_cells_stand_under_each_other() {
        let mut table = Table::new(Language::Zh, &[Word { en: "LEVEL", zh: "级别" }, Word { en: "WHO", zh: "值班人" }, Word { en: "NOTE", zh: "备注" }]);
        table.row(vec![Line::of("duty"), Line::of("甲"), Line::of("已接班")]);
        table.row(vec![Line::of("值班长"), Line::of("shift-leader-a"), Line::of("-")]);
        let lines: Vec<String> = table.lines().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["级别    值班人          备注", "duty    甲              已接班", "值班长  shift-leader-a  -"]);
    }
}
