//! The string literals of Rust source, without those that no person reads.

use std::path::Path;

/// A string literal, unescaped.
pub struct Literal {
    pub file: String,
    pub line: usize,
    pub text: String,
}

/// Macros and calls whose texts are for logs and for those who read a crash.
const FOR_PROGRAMMERS: [&str; 12] =
    ["trace!", "debug!", "info!", "warn!", "error!", "panic!", "assert!", "assert_eq!", "unreachable!", "println!", "eprintln!", ".expect"];

/// What a bracket opens.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Code,
    Programmers,
    Attribute,
    ErrorText,
}

/// The literals of all source below a folder. Files that end in `tests.rs` and modules of tests are left out, and so are the `skipped` ones.
pub fn literals(folder: &Path, skipped: &[&str]) -> Vec<Literal> {
    let mut found = Vec::new();
    walk(folder, folder, skipped, &mut found);
    found
}

fn walk(folder: &Path, base: &Path, skipped: &[&str], found: &mut Vec<Literal>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).expect("a folder of source").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let file = path.strip_prefix(base).expect("inside").to_string_lossy().into_owned();
        if skipped.iter().any(|part| file.contains(part)) {
            continue;
        }
        if path.is_dir() {
            walk(&path, base, skipped, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !file.ends_with("tests.rs") {
            let whole = std::fs::read_to_string(&path).expect("a source");
            let source = whole.split("\n#[cfg(test)]\n").next().unwrap_or_default();
            found.extend(of_source(source).into_iter().map(|(line, text)| Literal { file: file.clone(), line, text }));
        }
    }
}

fn of_source(source: &str) -> Vec<(usize, String)> {
    let (mut found, mut open, mut at) = (Vec::new(), Vec::<Inside>::new(), 0);
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().expect("a character");
        let before = &source[..at];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some((text, length)) = string(rest, before) {
            if !open.contains(&Inside::Programmers) && (!open.contains(&Inside::Attribute) || open.contains(&Inside::ErrorText)) {
                found.push((before.lines().count(), text));
            }
            at += length;
        } else if let Some(length) = character(rest) {
            at += length;
        } else {
            match first {
                '(' | '[' | '{' => open.push(opened(first, before, open.last().copied())),
                ')' | ']' | '}' => drop(open.pop()),
                _ => {}
            }
            at += first.len_utf8();
        }
    }
    found
}

fn opened(bracket: char, before: &str, around: Option<Inside>) -> Inside {
    let before = before.trim_end();
    match (bracket, around) {
        ('(', _) if FOR_PROGRAMMERS.iter().any(|name| before.ends_with(name)) => Inside::Programmers,
        ('[', _) if before.ends_with('#') || before.ends_with("#!") => Inside::Attribute,
        ('(', Some(Inside::Attribute)) if before.ends_with("error") => Inside::ErrorText,
        (_, Some(around @ (Inside::Attribute | Inside::ErrorText))) => around,
        _ => Inside::Code,
    }
}

/// The string literal that begins here, and its length.
fn string(rest: &str, before: &str) -> Option<(String, usize)> {
    if let Some(raw) = rest.strip_prefix('r')
        && !before.ends_with(|last: char| last.is_alphanumeric() || last == '_')
    {
        let hashes = raw.bytes().take_while(|byte| *byte == b'#').count();
        let body = raw.get(hashes..)?.strip_prefix('"')?;
        let end = body.find(&format!("\"{}", "#".repeat(hashes)))?;
        return Some((body[..end].to_owned(), 1 + hashes + 1 + end + 1 + hashes));
    }
    let body = rest.strip_prefix('"')?;
    let (mut text, mut characters) = (String::new(), body.char_indices().peekable());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, at + 2)),
            '\\' => match characters.next()?.1 {
                '\n' => while characters.next_if(|(_, next)| next.is_whitespace()).is_some() {},
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'u' => while characters.next()?.1 != '}' {},
                escaped => text.push(escaped),
            },
            other => text.push(other),
        }
    }
    None
}

/// The length of the character literal that begins here; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    if let Some(escaped) = body.strip_prefix('\\') {
        return Some(2 + escaped.get(1..)?.find('\'')? + 2);
    }
    let one = body.chars().next()?;
    body[one.len_utf8()..].starts_with('\'').then(|| 1 + one.len_utf8() + 1)
}
