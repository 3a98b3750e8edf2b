//! Breaking lines: at blanks and between Chinese characters, never within a name or a command.

use super::line::{Line, Tone};
use unicode_width::UnicodeWidthChar as _;

/// No line begins with one of these.
const CLOSING: &str = "，。；：、！？）】」』》…,.;:!?)]}%";
/// No line ends with one of these.
const OPENING: &str = "（【「『《([{";
/// A command goes to the end of its line, and is copied from there.
const COMMANDS: [&str; 2] = ["p861 ", "kubectl "];

/// What is never broken: a word, a Chinese character with its punctuation, a command.
struct Piece {
    blanks: Vec<(char, Tone)>,
    characters: Vec<(char, Tone)>,
}

impl Piece {
    fn width(&self) -> usize {
        self.characters.iter().map(|(c, _)| columns_of(*c)).sum()
    }
}

fn columns_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Whether a line may end after one character and go on with another.
fn may_break(before: char, blanks: usize, after: char) -> bool {
    if blanks > 0 {
        // What separates stays with what it follows.
        return after != '·';
    }
    (columns_of(before) == 2 || columns_of(after) == 2) && !CLOSING.contains(after) && !OPENING.contains(before)
}

fn is_command(characters: &[(char, Tone)]) -> bool {
    COMMANDS.iter().any(|command| command.chars().eq(characters.iter().map(|(c, _)| *c).take(command.len())))
}

fn pieces(line: &Line) -> Vec<Piece> {
    let characters = line.characters();
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut rest, mut blanks) = (characters.as_slice(), Vec::new());
    while let Some(((c, tone), after)) = rest.split_first() {
        if *c == ' ' {
            blanks.push((*c, *tone));
            rest = after;
            continue;
        }
        let last = pieces.last().and_then(|piece| piece.characters.last());
        let begins = last.is_none_or(|(before, _)| may_break(*before, blanks.len(), *c));
        if begins && is_command(rest) {
            pieces.push(Piece { blanks, characters: rest.to_vec() });
            break;
        }
        match pieces.last_mut().filter(|_| !begins) {
            Some(piece) => {
                piece.characters.append(&mut blanks);
                piece.characters.push((*c, *tone));
            }
            None => pieces.push(Piece { blanks: std::mem::take(&mut blanks), characters: vec![(*c, *tone)] }),
        }
        rest = after;
    }
    pieces
}

/// Columns of the widest part that is never broken.
pub(super) fn narrowest(line: &Line) -> usize {
    pieces(line).iter().map(Piece::width).max().unwrap_or(0)
}

/// A line as lines of at most so many columns; those after the first begin at column `hang`. A piece that is wider than that has a line of its own, whole.
pub(super) fn wrapped(line: &Line, columns: usize, hang: usize) -> Vec<Line> {
    if line.width() <= columns {
        return vec![line.clone()];
    }
    let mut lines = Vec::new();
    let (mut current, mut used, mut is_empty) = (Line::new(), 0, true);
    for piece in pieces(line) {
        let width = piece.width();
        if !is_empty && used + piece.blanks.len() + width > columns {
            lines.push(std::mem::replace(&mut current, Line::new().pad(hang, 0)));
            used = hang + width;
        } else {
            used += piece.blanks.len() + width;
            piece.blanks.into_iter().for_each(|(c, tone)| current.push(c, tone));
        }
        piece.characters.into_iter().for_each(|(c, tone)| current.push(c, tone));
        is_empty = false;
    }
    lines.push(current);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &Line, columns: usize, hang: usize) -> Vec<String> {
        wrapped(line, columns, hang).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_sentence_is_broken_at_blanks_and_goes_on_where_it_hangs() {
        let line = Line::of("never restored and probed: portal, approval");
        assert_eq!(told(&line, 20, 2), ["never restored and", "  probed: portal,", "  approval"]);
        assert_eq!(told(&line, 200, 2), ["never restored and probed: portal, approval"]);
    }

    #[test]
    fn fault_h21_no_name_and_no_command_is_ever_cut() {
        let line = Line::of("backup approval-20261124-0230 is too old: p861 backup now approval -d shinan");
        assert_eq!(told(&line, 24, 2), ["backup", "  approval-20261124-0230", "  is too old:", "  p861 backup now approval -d shinan"]);
        assert_eq!(told(&Line::of("执行：p861 restore run approval-1 --site laoshan-dr"), 16, 0), ["执行：", "p861 restore run approval-1 --site laoshan-dr"]);
        assert_eq!(narrowest(&Line::of("see: kubectl -n p861-system get pods")), "kubectl -n p861-system get pods".len());
    }

    #[test]
    fn chinese_is_broken_between_characters_by_columns_and_keeps_its_punctuation() {
        let line = Line::of("已动用储备，请先补存储（短板）");
        assert_eq!(told(&line, 12, 0), ["已动用储备，", "请先补存储", "（短板）"]);
        for columns in 4..40 {
            let lines = wrapped(&line, columns, 0);
            assert!(lines.iter().all(|line| line.width() <= columns), "{columns}: {lines:?}");
            assert_eq!(lines.iter().map(ToString::to_string).collect::<String>(), line.to_string());
        }
    }

    #[test]
    fn a_separator_stays_with_what_it_follows_and_tones_are_kept() {
        let line = Line::toned(Tone::Strong, "Plan core").with(" · epoch 7 · 41 steps");
        assert_eq!(told(&line, 13, 2), ["Plan core ·", "  epoch 7 ·", "  41 steps"]);
        assert_eq!(wrapped(&line, 13, 2)[0].render(true), "\u{1b}[1mPlan core\u{1b}[0m ·");
    }
}
