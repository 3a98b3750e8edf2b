//! The runbooks as what they are: pages with sections, and commands to paste.

use super::{root, text};
use p861_tests::book;
use std::collections::BTreeMap;

/// A runbook.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its name, which is its alert's.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Sections in their order: head and text.
    pub sections: Vec<(String, String)>,
}

impl Page {
    fn new(name: String, text: String) -> Self {
        let (mut sections, mut fenced): (Vec<(String, String)>, bool) = (Vec::new(), false);
        for line in text.lines() {
            fenced ^= line.trim_start().starts_with("```");
            match line.strip_prefix("## ") {
                Some(head) if !fenced => sections.push((head.to_owned(), String::new())),
                _ => {
                    if let Some((_, body)) = sections.last_mut() {
                        body.push_str(line);
                        body.push('\n');
                    }
                }
            }
        }
        Self { name, text, sections }
    }

    /// A page of this name with nothing on it.
    pub fn empty(name: &str) -> Self {
        Self::new(name.to_owned(), String::new())
    }

    /// The lines of the page's blocks of shell commands, block by block.
    pub fn blocks(&self) -> Vec<Vec<String>> {
        let lines = |block: book::Block| block.lines.into_iter().map(|line| line.text.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        self.book().blocks.into_iter().map(lines).collect()
    }

    /// Commands that stand in the running text, between single backquotes.
    pub fn spans(&self) -> Vec<String> {
        self.book().spans.into_iter().filter(book::Span::is_command).map(|span| span.line.text).collect()
    }

    fn book(&self) -> book::Page {
        book::Page::parse(&self.name, &self.text).unwrap_or_else(|why| panic!("{why}"))
    }
}

/// Every runbook, by name.
pub fn pages() -> BTreeMap<String, Page> {
    let names = std::fs::read_dir(root().join("runbooks")).expect("runbooks").map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    names
        .filter(|file| file != "README.md")
        .map(|file| {
            let name = file.strip_suffix(".md").unwrap_or_else(|| panic!("runbooks/{file} is no page")).to_owned();
            (name.clone(), Page::new(name, text(&format!("runbooks/{file}"))))
        })
        .collect()
}
