//! The shape of a message: its fixed words, and the holes for names, numbers and other messages.

/// The hole that takes digits only.
const NUMBER: &str = "number";
/// The hole that takes a workload only, for example `Deployment/cms`.
const WORKLOAD: &str = "workload_ref";
/// What takes nothing but a workload says as much as so many bytes of words.
const WORKLOAD_BYTES: usize = 10;

/// A part of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Fixed words.
    Words(&'static str),
    /// A hole of that name.
    Hole(&'static str),
}

/// A message in both languages, with the same holes.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    english: Vec<Piece>,
    chinese: Vec<Piece>,
    /// Bytes of the fixed English words, and of what is as good as them.
    pub(super) words: usize,
}

/// What stands in the holes of a message.
pub(super) type Captures<'t> = Vec<(&'static str, &'t str)>;

impl Shape {
    pub(super) fn new((english, chinese): (&'static str, &'static str)) -> Self {
        let english = pieces(english);
        let bytes = |piece: &Piece| match piece {
            Piece::Words(words) => words.len(),
            Piece::Hole(WORKLOAD) => WORKLOAD_BYTES,
            Piece::Hole(_) => 0,
        };
        let words = english.iter().map(bytes).sum();
        Self { english, chinese: pieces(chinese), words }
    }

    /// What stands in the holes if the message has this shape. A hole is as short as it can be, and only one that ends the message may be empty; `{number}` takes
    /// digits only, `{workload_ref}` a workload.
    pub(super) fn captures<'t>(&self, message: &'t str) -> Option<Captures<'t>> {
        let mut captures = Vec::new();
        fits(&self.english, message, &mut captures).then_some(captures)
    }

    /// The message in Chinese, with what stands in its holes told by `tell`.
    pub(super) fn fill(&self, mut tell: impl FnMut(&str) -> String) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Words(words) => (*words).to_owned(),
            Piece::Hole(name) => tell(name),
        };
        self.chinese.iter().map(text).collect()
    }
}

fn fits<'t>(pieces: &[Piece], text: &'t str, captures: &mut Captures<'t>) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return text.is_empty() };
    let name = match piece {
        Piece::Words(words) => return text.strip_prefix(words).is_some_and(|after| fits(rest, after, captures)),
        Piece::Hole(name) => *name,
    };
    let is_welcome = |inside: &str| match name {
        NUMBER => !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_digit()),
        WORKLOAD => is_workload(inside),
        _ => true,
    };
    let ends = match rest.first() {
        Some(Piece::Words(words)) => text.match_indices(words).map(|(at, _)| at).filter(|at| *at > 0).collect(),
        // Of holes side by side the last has all: they stand side by side in Chinese as well.
        Some(Piece::Hole(_)) => vec![0],
        None => vec![text.len()],
    };
    for at in ends {
        let (inside, after) = text.split_at(at);
        if !is_welcome(inside) {
            continue;
        }
        captures.push((name, inside));
        if fits(rest, after, captures) {
            return true;
        }
        captures.pop();
    }
    false
}

fn is_workload(text: &str) -> bool {
    text.split_once('/').is_some_and(|(kind, name)| {
        let is_kind = kind.starts_with(|first: char| first.is_ascii_uppercase()) && kind.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_kind && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
    })
}

fn pieces(text: &'static str) -> Vec<Piece> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((words, after)) = rest.split_once('{') {
        if !words.is_empty() {
            pieces.push(Piece::Words(words));
        }
        let Some((name, after)) = after.split_once('}') else { break };
        pieces.push(Piece::Hole(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Words(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_shape_if_its_fixed_words_follow_each_other() {
        let shape = Shape::new(("{n} of {all} checks fail ({names})", "{all} 项检查中 {n} 项未通过（{names}）"));
        assert_eq!(shape.captures("1 of 7 checks fail (a, b)"), Some(vec![("n", "1"), ("all", "7"), ("names", "a, b")]));
        assert_eq!(shape.captures("1 of 7 checks fail"), None);
        assert_eq!(shape.captures(" of 7 checks fail (a)"), None, "a hole before words is not empty");
        assert_eq!(shape.fill(str::to_uppercase), "ALL 项检查中 N 项未通过（NAMES）");
    }

    #[test]
    fn a_hole_is_widened_until_the_rest_fits() {
        let shape = Shape::new(("{what} on {site}: gone", "{site}：{what}"));
        assert_eq!(shape.captures("pods on duty on laoshan: gone"), Some(vec![("what", "pods"), ("site", "duty on laoshan")]));
        let several = Shape::new(("and {number} more", "另有 {number} 项"));
        assert_eq!((several.captures("and 3 more").is_some(), several.captures("and 3 kinds more")), (true, None));
        let exact = Shape::new(("a {x} b", "{x}"));
        assert_eq!(exact.captures("a 1 b 2 b"), Some(vec![("x", "1 b 2")]));
    }
}
