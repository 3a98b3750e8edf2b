//! Messages in Chinese.
//!
//! Conditions, failures and outcomes are written in English, as `kubectl` shows them; a page in Chinese tells them by the shapes of this catalogue, whatever release wrote
//! them. A message is read in the way that leaves the fewest English words: as one shape, whose holes may hold messages themselves, or as parts between `; `, `: `, `, `,
//! `. ` and brackets. Names, commands and field paths stay as they are, and what other programs have said stays in their words, in quotation marks.
//!
//! `told` of `core_suites` reads every text of the operator's source, and fails at one that leaves an English word.

mod counted;
mod maintenance;
mod objects;
mod platform;
mod protection;
mod reasons;
mod recovery;
mod repository;
mod runs;
mod shape;
mod sites;
mod value;
mod words;

pub use counted::Noun;
pub use reasons::{Word, reason};
pub(crate) use value::chinese_units;
pub use value::{span, word};

use shape::Shape;
use std::{collections::HashMap, sync::LazyLock};

/// The pairs of a room: a message in English and in Chinese, with the same names for what it holds.
type Pairs = &'static [(&'static str, &'static str)];

/// All rooms.
const ROOMS: [Pairs; 8] =
    [maintenance::PAIRS, objects::PAIRS, platform::PAIRS, protection::PAIRS, recovery::PAIRS, repository::PAIRS, runs::PAIRS, sites::PAIRS];

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| pairs().map(Shape::new).collect());

/// All pairs.
pub fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROOMS.into_iter().flatten().copied()
}

/// A message as it is told in Chinese.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The text.
    pub chinese: String,
    /// How many English words it still has that are neither names nor commands.
    pub foreign_words: usize,
}

/// The message in Chinese, and what of it could not be told.
pub fn tell(message: &str) -> Told {
    let message = message.trim();
    if let Some(shape) = SHAPES.iter().find(|shape| shape.captures(message).is_some_and(|captures| captures.is_empty())) {
        return Told { chinese: shape.fill(str::to_owned), foreign_words: 0 };
    }
    let reading = Teller::default().read(message, 0);
    // Nothing of it is known: no quotation marks around the whole.
    let chinese = if reading.is_foreign { message.to_owned() } else { reading.chinese };
    Told { chinese, foreign_words: reading.foreign_words }
}

/// The message in Chinese.
pub fn in_chinese(message: &str) -> String {
    tell(message).chinese
}

/// Messages in messages; deeper ones are left as they are.
const MAX_DEPTH: u8 = 10;
/// Parts of a message that are read; the others are left as they are. A real message has a few hundred, and a text that somebody made of separators has as many as he likes.
const MAX_READINGS: usize = 1_000;
/// A shape with fewer fixed bytes, such as `read {what}`, says too little to fit what could be anybody's words: all that it holds must be told.
const MIN_SURE_BYTES: usize = 14;

/// Doubts about a text that nothing reads.
const FOREIGN: usize = 50;

/// What separates messages, and how the parts are joined in Chinese.
const SEPARATORS: [(&str, &str); 7] = [("; ", "；"), (". ", "。"), (": ", "："), (", ", "，"), (" → ", " → "), (" × ", " × "), (" and ", "和")];

/// One way to tell a text.
#[derive(Clone, Debug)]
struct Reading {
    chinese: String,
    foreign_words: usize,
    /// How far-fetched it is, among those that leave as many words.
    doubts: usize,
    /// Bytes of fixed words that were recognised.
    known: usize,
    is_foreign: bool,
    /// A name, a number, or a list of those.
    is_name: bool,
}

impl Reading {
    fn name(chinese: String) -> Self {
        Self { chinese, foreign_words: 0, doubts: 0, known: 0, is_foreign: false, is_name: true }
    }

    fn rank(&self) -> (usize, usize, usize) {
        (self.foreign_words, self.doubts, usize::MAX - self.known)
    }
}

#[derive(Default)]
struct Teller<'t> {
    read: HashMap<&'t str, Reading>,
    /// Parts whose reading has begun.
    begun: usize,
}

impl<'t> Teller<'t> {
    fn read(&mut self, text: &'t str, depth: u8) -> Reading {
        if let Some(known) = self.read.get(text) {
            return known.clone();
        }
        if self.begun >= MAX_READINGS {
            return Self::foreign(text);
        }
        self.begun += 1;
        let reading = self.best(text, depth);
        self.read.insert(text, reading.clone());
        reading
    }

    /// In the words of another program, as far as is known.
    fn foreign(text: &str) -> Reading {
        Reading { chinese: format!("“{text}”"), foreign_words: value::words(text), doubts: FOREIGN, known: 0, is_foreign: true, is_name: false }
    }

    fn best(&mut self, text: &'t str, depth: u8) -> Reading {
        if let Some(value) = value::in_chinese(text) {
            return Reading::name(value);
        }
        let foreign = Self::foreign(text);
        if depth >= MAX_DEPTH {
            return foreign;
        }
        let mut best = foreign;
        for reading in self.trimmed(text, depth).into_iter().chain(self.shaped(text, depth)).chain(self.parted(text, depth)) {
            if reading.rank() < best.rank() {
                best = reading;
            }
        }
        best
    }

    /// A part that was cut out with the mark before it or behind it.
    fn trimmed(&mut self, text: &'t str, depth: u8) -> Option<Reading> {
        let around = |inside: Reading, before: &str, after: &str| Reading { chinese: format!("{before}{}{after}", inside.chinese), ..inside };
        for (mark, before) in [("; ", "；"), (", ", "，"), (": ", "："), (". ", "。"), (" ", "")] {
            if let Some(inside) = text.strip_prefix(mark) {
                let inside = self.read(inside, depth + 1);
                return (!inside.is_foreign).then(|| around(inside, before, ""));
            }
        }
        if let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            let inside = self.read(inside, depth + 1);
            return (!inside.is_foreign).then(|| around(inside, "（", "）"));
        }
        let (inside, after) = text.strip_suffix('.').map(|inside| (inside, "。")).or_else(|| text.strip_suffix([',', ':', ' ']).map(|inside| (inside, "")))?;
        let inside = self.read(inside, depth + 1);
        (!inside.is_foreign).then(|| around(inside, "", after))
    }

    /// As one shape.
    fn shaped(&mut self, text: &'t str, depth: u8) -> Vec<Reading> {
        let fitting = SHAPES.iter().filter_map(|shape| Some((shape, shape.captures(text)?)));
        let mut readings = Vec::new();
        for (shape, captures) in fitting {
            let (mut foreign_words, mut doubts, mut known, mut told) = (0, 0, shape.words, HashMap::new());
            let mut is_sure = true;
            for (name, inside) in captures {
                let reading = self.read(inside, depth + 1);
                is_sure &= reading.foreign_words == 0 || shape.words >= MIN_SURE_BYTES;
                foreign_words += reading.foreign_words;
                // What separates messages stands between them rather than in one.
                doubts += reading.doubts + 1 + 10 * usize::from(["; ", ": ", ". "].iter().any(|mark| inside.contains(mark)));
                known += reading.known;
                told.insert(name, reading.chinese);
            }
            if is_sure {
                let chinese = shape.fill(|hole| told.get(hole).cloned().unwrap_or_default());
                readings.push(Reading { chinese, foreign_words, doubts, known, is_foreign: false, is_name: false });
            }
        }
        readings
    }

    /// As two parts, at each place where it can be parted.
    fn parted(&mut self, text: &'t str, depth: u8) -> Vec<Reading> {
        let mut readings = Vec::new();
        for (mark, joint) in SEPARATORS {
            for (at, _) in text.match_indices(mark).filter(|(at, _)| *at > 0) {
                let (Some(left), Some(right)) = (text.get(..at), text.get(at + mark.len()..)) else { continue };
                readings.extend(self.joined(left, right, mark, joint, depth));
            }
        }
        // Brackets at the end, or within.
        if let Some((left, rest)) = text.split_once(" (")
            && let Some((inside, right)) = rest.rsplit_once(')')
        {
            let (left, inside, right) = (self.read(left, depth + 1), self.read(inside, depth + 1), self.read(right, depth + 1));
            if !left.is_foreign && !right.is_foreign {
                readings.push(Reading {
                    chinese: format!("{}（{}）{}", left.chinese, inside.chinese, right.chinese),
                    foreign_words: left.foreign_words + inside.foreign_words + right.foreign_words,
                    doubts: left.doubts + inside.doubts + right.doubts + 2,
                    known: left.known + inside.known + right.known,
                    is_foreign: false,
                    is_name: left.is_name && inside.is_name && right.is_name,
                });
            }
        }
        readings
    }

    fn joined(&mut self, left: &'t str, right: &'t str, mark: &str, joint: &str, depth: u8) -> Option<Reading> {
        let (left, right) = (self.read(left, depth + 1), self.read(right, depth + 1));
        let are_names = left.is_name && right.is_name;
        if (left.is_foreign && right.is_foreign) || (mark == " and " && !are_names) {
            return None;
        }
        let joint = if mark == ", " && are_names { "、" } else { joint };
        Some(Reading {
            chinese: format!("{}{joint}{}", left.chinese, right.chinese),
            foreign_words: left.foreign_words + right.foreign_words,
            doubts: left.doubts + right.doubts + 2,
            known: left.known + right.known,
            is_foreign: false,
            is_name: are_names,
        })
    }
}

#[cfg(test)]
mod tests;
