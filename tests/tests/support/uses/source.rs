//! The operator's source, by file and function.

use super::{Right, verbs};
use crate::support::root;
use regex::Regex;
use std::path::Path;

/// A file of the operator's source, without its tests.
pub struct Source {
    pub file: String,
    pub text: String,
    /// Where each function begins, and its name.
    functions: Vec<(usize, String)>,
}

impl Source {
    pub fn line(&self, at: usize) -> usize {
        self.text[..at].lines().count()
    }

    /// The function around a place, where it begins and where it ends.
    pub fn around(&self, at: usize) -> (&str, usize, usize) {
        let next = self.functions.partition_point(|(start, _)| *start <= at);
        let (start, name) = next.checked_sub(1).map_or((0, ""), |index| (self.functions[index].0, self.functions[index].1.as_str()));
        (name, start, self.functions.get(next).map_or(self.text.len(), |(start, _)| *start))
    }

    /// The function around a place, and where it ends.
    pub fn function(&self, at: usize) -> (&str, usize) {
        let (name, _, end) = self.around(at);
        (name, end)
    }

    /// What stands between the bracket at `open` and the one that closes it.
    pub fn inside(&self, open: usize) -> &str {
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        for (offset, character) in self.text[open..].char_indices() {
            match character {
                '"' if !escaped => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                _ => {}
            }
            escaped = character == '\\' && !escaped;
            if depth == 0 {
                return &self.text[open + 1..open + offset];
            }
        }
        panic!("{}:{}: a bracket is not closed", self.file, self.line(open))
    }

    /// What a call needs whose bracket opens there.
    pub fn needed(&self, method: &str, open: usize) -> Vec<Right> {
        let (_, start, _) = self.around(open);
        verbs(method, self.inside(open), &self.text[start..open], &self.file)
    }
}

/// The calls on a variable: the method, and where its bracket opens. A field of the same name is another thing.
pub fn calls<'a>(text: &'a str, variable: &str) -> Vec<(&'a str, usize)> {
    let pattern = Regex::new(&format!(r"(^|[^.\w]){variable}\s*\.(\w+)\(")).expect("a pattern");
    pattern.captures_iter(text).map(|call| (call.get(2).expect("a method").as_str(), call.get(0).expect("all").end() - 1)).collect()
}

/// The source of the operator and of its runs.
pub fn sources() -> Vec<Source> {
    fn walk(folder: &Path, base: &Path, heads: &Regex, found: &mut Vec<Source>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, base, heads, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                let whole = std::fs::read_to_string(&path).expect("a source");
                let text = whole.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
                let functions = heads.captures_iter(&text).map(|head| (head.get(0).expect("all").start(), head[1].to_owned())).collect();
                found.push(Source { file: path.strip_prefix(base).expect("inside").to_string_lossy().into_owned(), text, functions });
            }
        }
    }
    let heads = Regex::new(r"(?m)^\s*(?:pub(?:\([a-z]+\))?\s+)?(?:async\s+)?fn\s+(\w+)").expect("a pattern");
    let mut found = Vec::new();
    for base in ["operator/src", "operator/runs/src"].map(|base| root().join(base)) {
        walk(&base, &base, &heads, &mut found);
    }
    found
}
