//! The pages as what a reader meets: blocks of shell commands in their order, and what the page promises of each. Every `sh` block is typed by a test, or says why not.
//!
//! The `text` block right after an `sh` block is its promise: what is printed, line by line. `…` in a line stands for anything, a line of `…` alone for any lines, and
//! spaces for any number of them. A comment `# exits 4` says how a command ends that does not end with 0; `# exits 4 if …` and `# exits 4 while …` that it may.
//!
//! A comment of HTML before a block is for the test, and no reader sees it; the names are those of [`Marks`].

use crate::install::root;
use std::fs;

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its path in the project.
    pub path: String,
    /// Its blocks of shell commands, in their order.
    pub blocks: Vec<Block>,
    /// Code in its running text, in its order.
    pub spans: Vec<Span>,
}

/// A block of shell commands.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// The section that it stands in: its heading.
    pub section: String,
    /// What is pasted.
    pub lines: Vec<Line>,
    /// What is printed, if the page says it.
    pub promise: Vec<Line>,
    /// What the test must know.
    pub marks: Marks,
}

/// A line of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub number: usize,
    /// What it says.
    pub text: String,
}

/// Code in running text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The section that it stands in: its heading.
    pub section: String,
    /// Where it begins, and what it says.
    pub line: Line,
}

/// What a block says to the test alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `not here: REASON`: it is not typed.
    pub not_here: Option<String>,
    /// `second shell, once the first shows: TEXT`: it is typed in another shell, while the last command of the block before goes on.
    pub second_shell: Option<String>,
    /// `types the name that is asked for`: its last command asks for a name, as `Type NAME to …`, and gets it.
    pub types_name: bool,
    /// `at the very end`: it takes away what all pages need.
    pub very_end: bool,
}

/// How a command may end, besides with 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: i32,
    /// Whether 0 is as good.
    pub or_zero: bool,
}

impl Page {
    /// A page of the project.
    pub fn read(path: &str) -> Result<Self, String> {
        let text = fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))?;
        Self::parse(path, &text)
    }

    /// A page with this text.
    pub fn parse(path: &str, text: &str) -> Result<Self, String> {
        let mut parser = Parser::default();
        for (number, line) in (1..).zip(text.lines()) {
            parser.take(&Line { number, text: line.to_owned() }).map_err(|why| format!("{path}:{number}: {why}"))?;
        }
        let spans = spans(text);
        match parser {
            Parser { open: Some(_), .. } => Err(format!("{path}: a block is not closed")),
            Parser { marks: Some(_), .. } => Err(format!("{path}: a comment for the test has no block")),
            Parser { blocks, .. } => Ok(Self { path: path.to_owned(), blocks, spans }),
        }
    }
}

/// What a fence opens.
enum Fence {
    Shell { indent: usize },
    Promise { indent: usize },
    Other,
}

#[derive(Default)]
struct Parser {
    blocks: Vec<Block>,
    section: String,
    open: Option<Fence>,
    marks: Option<Marks>,
    /// Nothing but empty lines since the last block of commands.
    right_after: bool,
}

impl Parser {
    fn take(&mut self, line: &Line) -> Result<(), String> {
        let trimmed = line.text.trim();
        match (&self.open, trimmed.strip_prefix("```")) {
            (Some(_), Some("")) => self.close(),
            (Some(fence), _) => {
                let (Fence::Shell { indent } | Fence::Promise { indent }) = *fence else { return Ok(()) };
                let text = line.text.get(indent..).unwrap_or_default().trim_end().to_owned();
                let line = Line { number: line.number, text };
                let block = self.blocks.last_mut().ok_or("a promise of nothing")?;
                if matches!(fence, Fence::Shell { .. }) { block.lines.push(line) } else { block.promise.push(line) }
            }
            (None, Some(language)) => return self.open(language, line.text.len() - line.text.trim_start().len()),
            (None, None) => return self.prose(trimmed),
        }
        Ok(())
    }

    fn open(&mut self, language: &str, indent: usize) -> Result<(), String> {
        let marks = self.marks.take();
        self.open = Some(match language {
            "sh" => {
                self.blocks.push(Block { section: self.section.clone(), marks: marks.unwrap_or_default(), ..Block::default() });
                Fence::Shell { indent }
            }
            "text" if marks.is_some() => return Err("a comment for the test stands before no commands".to_owned()),
            "text" if self.right_after => Fence::Promise { indent },
            "text" => Fence::Other,
            other => return Err(format!("a block is of commands, `sh`, or shows what is printed, `text`; this one is `{other}`")),
        });
        Ok(())
    }

    fn close(&mut self) {
        self.right_after = matches!(self.open, Some(Fence::Shell { .. }));
        self.open = None;
    }

    fn prose(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        self.right_after = false;
        if let Some(comment) = line.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) {
            return self.marks.get_or_insert_default().add(comment.trim());
        }
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut self.section);
        }
        if self.marks.is_some() { Err("a comment for the test stands before no commands".to_owned()) } else { Ok(()) }
    }
}

impl Span {
    /// Whether it is a command of the programs that pages use, with arguments.
    pub fn is_command(&self) -> bool {
        ["p861 ", "kubectl ", "helm ", "restic "].iter().any(|program| self.line.text.starts_with(program))
    }
}

impl Marks {
    fn add(&mut self, comment: &str) -> Result<(), String> {
        match comment.split_once(": ").unwrap_or((comment, "")) {
            ("not here", reason) if !reason.is_empty() => self.not_here = Some(reason.to_owned()),
            ("second shell, once the first shows", text) if !text.is_empty() => self.second_shell = Some(text.to_owned()),
            ("types the name that is asked for", "") => self.types_name = true,
            ("at the very end", "") => self.very_end = true,
            _ => return Err(format!("the test knows no comment \"{comment}\"")),
        }
        Ok(())
    }
}

impl Block {
    /// What is wrong with the promise, if it is not what was printed.
    pub fn broken_promise(&self, printed: &str) -> Option<String> {
        let printed: Vec<&str> = printed.lines().collect();
        // Which beginnings of what was printed the lines so far can stand for.
        let mut ends: Vec<usize> = vec![0];
        for line in &self.promise {
            let next: Vec<usize> = if line.text.trim() == "…" {
                ends.first().map(|first| (*first..=printed.len()).collect()).unwrap_or_default()
            } else {
                ends.iter().filter(|end| printed.get(**end).is_some_and(|found| fits(&line.text, found))).map(|end| end + 1).collect()
            };
            if next.is_empty() {
                return Some(format!("line {} of the page is not printed: {}", line.number, line.text));
            }
            ends = next;
        }
        let more = ends.last().and_then(|end| printed.get(*end)).filter(|_| !self.promise.is_empty() && !ends.contains(&printed.len()));
        more.map(|line| format!("the page does not promise this line: {line}"))
    }
}

/// Whether a line that was printed is one that was promised.
fn fits(promised: &str, printed: &str) -> bool {
    let one_space = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (promised, printed) = (one_space(promised), one_space(printed));
    let parts: Vec<&str> = promised.split('…').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return promised == printed };
    let Some(mut rest) = printed.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    middle.iter().all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// How a command ends, if its line says so to the reader.
pub fn exit_said(line: &str) -> Option<Exit> {
    let (_, comment) = line.rsplit_once(" # ")?;
    let (_, said) = comment.split_once("exits ")?;
    let digits = said.chars().take_while(char::is_ascii_digit).count();
    let or_zero = ["if ", "while "].iter().any(|word| said[digits..].trim_start().starts_with(word));
    Some(Exit { code: said[..digits].parse().ok()?, or_zero })
}

/// Code in running text, between single backquotes.
fn spans(text: &str) -> Vec<Span> {
    let (mut open, mut section, mut sections) = (false, String::new(), Vec::new());
    let prose: Vec<&str> = text
        .lines()
        .map(|line| {
            let fence = line.trim_start().starts_with("```");
            open ^= fence;
            if let Some(heading) = line.strip_prefix("## ").filter(|_| !open) {
                heading.clone_into(&mut section);
            }
            sections.push(section.clone());
            if open || fence { "" } else { line }
        })
        .collect();
    let (mut number, mut spans) = (1, Vec::new());
    for (at, part) in prose.join("\n").split('`').enumerate() {
        if at % 2 == 1 {
            let section = sections.get(number - 1).cloned().unwrap_or_default();
            spans.push(Span { section, line: Line { number, text: part.to_owned() } });
        }
        number += part.matches('\n').count();
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [&str; 5] = ["README.md", "docs/FIRST-HOUR.md", "docs/FIRST-DAY.md", "docs/FIRST-NIGHT.md", "docs/INSTALL.md"];

    fn runbooks() -> Vec<String> {
        let files = fs::read_dir(root().join("runbooks")).unwrap().map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
        files.filter(|file| std::path::Path::new(file).extension().is_some_and(|extension| extension == "md")).map(|file| format!("runbooks/{file}")).collect()
    }

    #[test]
    fn every_block_of_the_pages_and_the_runbooks_is_typed_or_says_why_not() {
        let (mut typed, mut not_here) = (0, 0);
        for path in PAGES.map(str::to_owned).into_iter().chain(runbooks()) {
            let page = Page::read(&path).unwrap();
            assert!(!page.blocks.is_empty(), "{path} has nothing to type");
            for block in &page.blocks {
                assert!(block.lines.iter().any(|line| !line.text.is_empty()), "{path}: an empty block");
                match &block.marks.not_here {
                    Some(reason) => {
                        not_here += 1;
                        assert!(reason.len() > 20, "{path}: \"{reason}\" is no reason");
                        assert!(block.promise.is_empty(), "{path}:{}: a promise that nobody tries", block.promise[0].number);
                    }
                    None => typed += 1,
                }
            }
        }
        assert!(typed > 90 && not_here < typed / 8, "{typed} blocks are typed, and {not_here} are not");
    }

    #[test]
    fn a_placeholder_in_capitals_stands_in_no_block() {
        for path in PAGES.map(str::to_owned).into_iter().chain(runbooks()) {
            for block in Page::read(&path).unwrap().blocks.iter().filter(|block| block.marks.not_here.is_none()) {
                for line in block.lines.iter().filter(|line| !line.text.contains("<<")) {
                    let command = line.text.split(" #").next().unwrap_or_default();
                    let placeholder = command
                        .split([' ', '"', '/'])
                        .find(|word| word.len() > 2 && word.chars().all(|letter| letter.is_ascii_uppercase()) && !["EOF", "YAML", "TODO"].contains(word));
                    assert_eq!(placeholder, None, "{path}:{}: {}", line.number, line.text);
                }
            }
        }
    }

    const TEXT: &str = "# A page\n\nProse with `code`.\n\n## One\n\n```sh\nfirst   # exits 4: there are gaps\n  second\n```\n\n```text\none …\n…\n```\n\n\
        1. A list:\n   <!-- not here: it needs a registry -->\n   ```sh\n   third\n   ```\n\n## Two\n\n<!-- second shell, once the first shows: ? hold -->\n```sh\nfourth\n```\n\nIt `p861\nprints`:\n\n```text\nno promise\n```\n";

    #[test]
    fn a_page_is_read_as_a_reader_reads_it() {
        let page = Page::parse("page.md", TEXT).unwrap();
        let line = |number: usize, text: &str| Line { number, text: text.to_owned() };
        let lines: Vec<&[Line]> = page.blocks.iter().map(|block| block.lines.as_slice()).collect();
        assert_eq!(lines, [&[line(8, "first   # exits 4: there are gaps"), line(9, "  second")][..], &[line(20, "third")], &[line(27, "fourth")]]);
        assert_eq!(page.blocks[0].promise, [line(13, "one …"), line(14, "…")]);
        assert!(page.blocks[1].promise.is_empty() && page.blocks[2].promise.is_empty(), "what follows prose is no promise");
        assert_eq!(page.blocks.iter().map(|block| block.section.as_str()).collect::<Vec<_>>(), ["One", "One", "Two"]);
        assert_eq!(page.blocks[1].marks.not_here.as_deref(), Some("it needs a registry"));
        assert_eq!(page.blocks[2].marks.second_shell.as_deref(), Some("? hold"));
        let span = |section: &str, number: usize, text: &str| Span { section: section.to_owned(), line: line(number, text) };
        assert_eq!(page.spans, [span("", 3, "code"), span("Two", 30, "p861\nprints")]);
    }

    #[test]
    fn a_page_that_a_test_would_misread_is_refused() {
        for (text, why) in [
            ("```bash\nx\n```\n", "page.md:1: a block is of commands"),
            ("```sh\nx\n", "a block is not closed"),
            ("<!-- not there: x -->\n```sh\nx\n```\n", "the test knows no comment"),
            ("<!-- at the very end -->\nprose\n", "stands before no commands"),
            ("<!-- at the very end -->\n", "has no block"),
        ] {
            assert!(Page::parse("page.md", text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn what_a_line_says_of_its_end_is_read() {
        let exit = |code, or_zero| Some(Exit { code, or_zero });
        for (line, expected) in [
            ("p861 platform gaps   # exits 4: there are gaps", exit(4, false)),
            ("p861 status  # one page; exits 4 while something needs you", exit(4, true)),
            ("kubectl auth can-i list x # no, and it exits 1", exit(1, false)),
            ("p861 status   # one page", None),
            ("echo exits 4", None),
        ] {
            assert_eq!(exit_said(line), expected, "{line}");
        }
    }

    #[test]
    fn a_promise_is_kept_line_by_line() {
        let broken = |promise: &str, printed: &str| {
            let promise = (1..).zip(promise.lines()).map(|(number, text)| Line { number, text: text.to_owned() }).collect();
            Block { promise, ..Block::default() }.broken_promise(printed)
        };
        for (promise, printed) in [
            ("NAME  AGE\nportal  …", "NAME     AGE\nportal   3m\n"),
            ("…\nDrill …: Passed, … of … steps.\n…", "a\nb\nDrill x: Passed, 3 of 3 steps.\nc"),
            ("…\nlast", "last"),
            ("first\n…", "first"),
            ("…\na\n…\na", "a\nb\na\na"),
            ("", "anything"),
        ] {
            assert_eq!(broken(promise, printed), None, "{promise:?} of {printed:?}");
        }
        for (promise, printed, why) in [
            ("yes", "no", "line 1 of the page is not printed: yes"),
            ("yes\nno", "yes", "line 2 of the page is not printed: no"),
            ("yes", "yes\nmore", "the page does not promise this line: more"),
            ("…\nDrill … PASSED", "Drill x FAILED", "line 2 of the page is not printed: Drill … PASSED"),
            ("a …a", "a", "line 1 of the page is not printed"),
        ] {
            assert!(broken(promise, printed).is_some_and(|said| said.contains(why)), "{promise:?} of {printed:?}: {:?}", broken(promise, printed));
        }
    }
}
