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
        self.chinese.iter().fold(String::new(), |text, piece| match piece {
            Piece::Words(words) => joined(text, words),
            Piece::Hole(name) => joined(text, &tell(name)),
        })
    }
}

/// One text behind another, without a blank between two Chinese characters: the blanks around a hole are for names and numbers.
fn joined(mut text: String, more: &str) -> String {
    let is_wide = |character: char| matches!(character, '\u{3000}'..='\u{303f}' | '\u{4e00}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}');
    if text.strip_suffix(' ').is_some_and(|before| before.ends_with(is_wide)) && more.starts_with(is_wide) {
        text.pop();
    }
    let is_needless = text.ends_with(is_wide) && more.strip_prefix(' ').is_some_and(|rest| rest.starts_with(is_wide));
    text.push_str(more.get(usize::from(is_needless)..).unwrap_or_default());
    text
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
    fn blanks_around_a_hole_are_for_names_and_not_for_chinese() {
        let shape = Shape::new(("{what} not within {limit} of {site}", "{what} 未能在 {limit} 内在 {site} 完成"));
        let told = |limit: &str| shape.fill(|hole| if hole == "limit" { limit.to_owned() } else { format!("<{hole}>") });
        assert_eq!((told("2分"), told("2m")), ("<what> 未能在 2分内在 <site> 完成".into(), "<what> 未能在 2m 内在 <site> 完成".into()));
        let lists = Shape::new(("{a}: {b}", "列出 {a}：{b} 内"));
        assert_eq!(lists.fill(|hole| if hole == "a" { "名称".into() } else { "（一）".into() }), "列出名称：（一）内");
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
