//! The runbooks as what they are: pages with sections, and commands to paste.

use super::{root, text};
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
        let (mut blocks, mut open): (Vec<Vec<String>>, bool) = (Vec::new(), false);
        for line in self.text.lines().map(str::trim) {
            match (open, line) {
                (false, "```sh") => {
                    open = true;
                    blocks.push(Vec::new());
                }
                (true, "```") => open = false,
                (false, fence) if fence.starts_with("```") => panic!("{}: a block that is not marked as sh: {fence}", self.name),
                (true, command) if !command.is_empty() => blocks.last_mut().expect("a block").push(command.to_owned()),
                _ => {}
            }
        }
        assert!(!open, "{}: a block is not closed", self.name);
        blocks
    }

    /// Commands that stand in the running text, between single backquotes.
    pub fn spans(&self) -> Vec<String> {
        let mut open = false;
        let prose = self.text.lines().filter(|line| {
            let fence = line.trim_start().starts_with("```");
            open ^= fence;
            !open && !fence
        });
        let prose = prose.collect::<Vec<_>>().join("\n");
        prose
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|span| ["p861 ", "kubectl ", "helm ", "restic "].iter().any(|program| span.starts_with(program)))
            .map(ToOwned::to_owned)
            .collect()
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
