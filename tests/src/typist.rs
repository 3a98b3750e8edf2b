//! A reader who types what a page says, block by block, in shells as people have them, and compares what is printed with what the page promises.

use crate::book::{Block, Exit, Line, Page, exit_said};
use crate::plain_shell::{Answer, Ended, PlainShell};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a command may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(15);
/// How long a command may take to ask a question, or to reach what another shell waits for.
const SHOWN: Duration = Duration::from_mins(10);

/// The reader.
pub struct Typist {
    folder: PathBuf,
    environment: Vec<(String, OsString)>,
    first: PlainShell,
    second: Option<PlainShell>,
    wrong: Vec<String>,
    /// How long the next commands may take.
    pub limit: Duration,
    /// Whether each command is told when it is typed.
    pub tells: bool,
    /// Whether a command that shows something may find it bad: an exit code 4 of p861.
    pub shows_bad_things: bool,
}

/// Where a command stands.
struct At<'a> {
    path: &'a str,
    line: &'a Line,
}

impl Typist {
    /// A reader in a folder, with this in the environment.
    pub fn sit_down(folder: &Path, environment: &[(&str, OsString)]) -> Result<Self, String> {
        let environment: Vec<(String, OsString)> = environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let first = open(folder, &environment)?;
        let folder = folder.to_owned();
        Ok(Self { folder, environment, first, second: None, wrong: Vec::new(), limit: LIMIT, tells: false, shows_bad_things: false })
    }

    /// Types the blocks of a page that are chosen, and of those all that have no reason against it. An error is the end of reading; what is merely wrong is told by
    /// [`Typist::done`].
    pub fn read(&mut self, page: &Page, chosen: impl Fn(&Block) -> bool) -> Result<(), String> {
        let blocks: Vec<&Block> = page.blocks.iter().filter(|block| block.marks.not_here.is_none() && chosen(block)).collect();
        let mut blocks = blocks.into_iter().peekable();
        while let Some(block) = blocks.next() {
            match blocks.next_if(|next| next.marks.second_shell.is_some()) {
                Some(beside) => self.type_beside(page, block, beside)?,
                None => self.type_block(page, block)?,
            }
        }
        Ok(())
    }

    /// Types a command that stands on no page: what is prepared for one, or looked at after it. It must end with 0.
    pub fn type_own(&mut self, command: &str) -> Result<String, String> {
        let ended = self.first.run(command, self.limit).map_err(|why| format!("`{command}`: {why}"))?;
        if ended.code == 0 && ended.ran { Ok(ended.printed) } else { Err(format!("`{command}` ended with {}:\n{}", ended.code, ended.printed)) }
    }

    /// Types code of a page's running text.
    pub fn type_span(&mut self, path: &str, line: &Line) -> Result<(), String> {
        self.type_lines(path, std::slice::from_ref(line), Which::First).map(drop)
    }

    /// What was wrong since the last time.
    pub fn done(&mut self) -> Result<(), String> {
        let wrong = std::mem::take(&mut self.wrong);
        if wrong.is_empty() { Ok(()) } else { Err(format!("{} of the page's commands are not what it says\n{}", wrong.len(), wrong.join("\n"))) }
    }

    fn type_block(&mut self, page: &Page, block: &Block) -> Result<(), String> {
        let lines = if block.marks.types_name { self.type_but_last(page, block)? } else { self.type_lines(&page.path, &block.lines, Which::First)? };
        self.compare(page, block, &lines);
        Ok(())
    }

    /// A block whose last command asks for the name that it is about.
    fn type_but_last(&mut self, page: &Page, block: &Block) -> Result<String, String> {
        let (before, last) = split(block)?;
        let mut printed = self.type_lines(&page.path, before, Which::First)?;
        let at = At { path: &page.path, line: last };
        self.tell(&at);
        self.first.type_line(&last.text)?;
        self.first.until("anything else to stop: ", SHOWN).map_err(|why| at.told(&why))?;
        let shown = self.first.shown();
        let name = shown.rsplit_once("Type ").and_then(|(_, rest)| rest.split_whitespace().next()).unwrap_or_default();
        self.first.press(&format!("{name}\r"))?;
        let ended = self.end(&at)?;
        self.judge(&at, exit_said(&last.text), &ended);
        join(&mut printed, &ended.printed);
        Ok(printed)
    }

    /// Two blocks: while the last command of the first goes on, the second is typed in another shell.
    fn type_beside(&mut self, page: &Page, block: &Block, beside: &Block) -> Result<(), String> {
        let (before, last) = split(block)?;
        let mut printed = self.type_lines(&page.path, before, Which::First)?;
        let at = At { path: &page.path, line: last };
        self.tell(&at);
        self.first.type_line(&last.text)?;
        let wanted = beside.marks.second_shell.as_deref().unwrap_or_default();
        self.first.until(wanted, SHOWN).map_err(|why| at.told(&why))?;
        if self.second.is_none() {
            self.second = Some(open(&self.folder, &self.environment)?);
        }
        let typed = self.type_lines(&page.path, &beside.lines, Which::Second)?;
        self.compare(page, beside, &typed);
        let ended = self.end(&at)?;
        self.judge(&at, exit_said(&last.text), &ended);
        join(&mut printed, &ended.printed);
        self.compare(page, block, &printed);
        Ok(())
    }

    /// Types lines, each command when the one before has ended. Gives what was printed.
    fn type_lines(&mut self, path: &str, lines: &[Line], which: Which) -> Result<String, String> {
        let (mut printed, mut first): (String, Option<&Line>) = (String::new(), None);
        for line in lines {
            // A shell answers neither an empty line nor a comment, unless they are part of a command.
            let nothing = line.text.trim().is_empty() || line.text.trim_start().starts_with('#');
            if first.is_none() && nothing {
                continue;
            }
            let at = At { path, line: first.unwrap_or(line) };
            if first.is_none() {
                self.tell(&at);
            }
            let begun = Instant::now();
            let limit = self.limit;
            let shell = self.shell(which)?;
            let answer = shell.type_line(&line.text).and_then(|()| shell.answer(limit)).map_err(|why| at.told(&why))?;
            match answer {
                Answer::Continued => first = Some(at.line),
                Answer::Ended(ended) => {
                    self.judge(&at, exit_said(&at.line.text), &ended);
                    self.tell_end(&ended, begun.elapsed());
                    join(&mut printed, &ended.printed);
                    first = None;
                }
            }
        }
        match first {
            Some(line) => Err(At { path, line }.told("the command has no end on the page")),
            None => Ok(printed),
        }
    }

    fn shell(&mut self, which: Which) -> Result<&mut PlainShell, String> {
        match which {
            Which::First => Ok(&mut self.first),
            Which::Second => self.second.as_mut().ok_or_else(|| "there is no second shell".to_owned()),
        }
    }

    /// The end of a command that goes on in the first shell.
    fn end(&mut self, at: &At<'_>) -> Result<Ended, String> {
        match self.first.answer(self.limit).map_err(|why| at.told(&why))? {
            Answer::Ended(ended) => Ok(ended),
            Answer::Continued => Err(at.told("the command has no end on the page")),
        }
    }

    fn judge(&mut self, at: &At<'_>, said: Option<Exit>, ended: &Ended) {
        let shows = [" status", " show ", " check ", " gaps", "duty now"].iter().any(|verb| at.line.text.contains(verb));
        let shown = self.shows_bad_things && ended.code == 4 && at.line.text.starts_with("p861 ") && shows;
        let expected = match said {
            _ if !ended.ran => false,
            Some(Exit { code, or_zero }) => ended.code == code || (or_zero && ended.code == 0),
            None => ended.code == 0 || shown,
        };
        if !expected {
            let page = said.map_or("the page says nothing of that".to_owned(), |exit| format!("the page says {}", exit.code));
            self.wrong.push(at.told(&format!("it ended with {}, and {page}; it printed:\n{}", ended.code, ended.printed)));
        }
    }

    fn compare(&mut self, page: &Page, block: &Block, printed: &str) {
        if let (Some(why), Some(line)) = (block.broken_promise(printed), block.lines.first()) {
            let promise: Vec<&str> = block.promise.iter().map(|line| line.text.as_str()).collect();
            let told = format!("{why}\n--- promised:\n{}\n--- printed:\n{printed}", promise.join("\n"));
            self.wrong.push(At { path: &page.path, line }.told(&told));
        }
    }

    #[expect(clippy::print_stdout, reason = "whoever waits for a page sees how far it is")]
    fn tell(&self, at: &At<'_>) {
        if self.tells {
            println!("{}:{} $ {}", at.path, at.line.number, at.line.text);
        }
    }

    #[expect(clippy::print_stdout, reason = "whoever waits for a page sees how far it is")]
    fn tell_end(&self, ended: &Ended, took: Duration) {
        if self.tells {
            println!("  {} after {:.1} s\n  | {}", ended.code, took.as_secs_f64(), ended.printed.replace('\n', "\n  | "));
        }
    }
}

/// One of a reader's shells.
#[derive(Clone, Copy)]
enum Which {
    First,
    Second,
}

impl At<'_> {
    fn told(&self, what: &str) -> String {
        format!("{}:{}: `{}`: {what}", self.path, self.line.number, self.line.text.trim())
    }
}

fn open(folder: &Path, environment: &[(String, OsString)]) -> Result<PlainShell, String> {
    PlainShell::open(folder, |command| {
        command.envs(environment.iter().map(|(name, value)| (name, value)));
    })
}

/// The last line of a block, which is a command of its own, and those before.
fn split(block: &Block) -> Result<(&[Line], &Line), String> {
    block.lines.split_last().map(|(last, before)| (before, last)).ok_or_else(|| "an empty block".to_owned())
}

fn join(printed: &mut String, more: &str) {
    if !printed.is_empty() && !more.is_empty() {
        printed.push('\n');
    }
    printed.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(), String> {
        let mut typist = Typist::sit_down(&std::env::temp_dir(), &[("GREETING", "hello".into())]).unwrap();
        typist.read(&Page::parse("page.md", text).unwrap(), |_| true)?;
        typist.done()
    }

    #[test]
    fn a_page_that_says_what_happens_is_right() {
        read("```sh\nX=1\n# what is set\necho \"$GREETING $X\"\n\nfalse   # exits 1\ncat <<EOF\n$X\nEOF\n```\n\n```text\nhello …\n1\n```\n\n```sh\necho \"$X\"\n```\n\n```text\n1\n```\n")
            .unwrap();
    }

    #[test]
    fn a_page_that_says_something_else_is_told_with_its_lines() {
        let said = read("```sh\nfalse\ntrue   # exits 4: never\n(exit 4)   # exits 4 if it must\necho )\n```\n\n```sh\necho one\n```\n\n```text\ntwo\n```\n")
            .unwrap_err();
        for words in [
            "4 of the page's commands",
            "page.md:2: `false`: it ended with 1, and the page says nothing of that",
            "page.md:3: `true   # exits 4: never`: it ended with 0, and the page says 4",
            "page.md:5: `echo )`: it ended with 2",
            "page.md:9: `echo one`: line 13 of the page is not printed: two\n--- promised:\ntwo\n--- printed:\none",
        ] {
            assert!(said.contains(words), "{words:?} is not in\n{said}");
        }
        assert!(read("```sh\ncat <<EOF\n```\n").unwrap_err().contains("the command has no end on the page"));
    }

    #[test]
    fn a_second_shell_acts_while_the_first_waits_and_a_name_is_typed_where_one_is_asked_for() {
        let pipe = std::env::temp_dir().join(format!("p861-typist-{}", std::process::id()));
        let text = format!(
            "```sh\nmkfifo '{0}'; echo it holds; cat '{0}'\n```\n\n```text\nit holds\ngo on\n```\n\n<!-- second shell, once the first shows: it holds -->\n```sh\necho go on >'{0}'\n```\n\n\
            <!-- types the name that is asked for -->\n```sh\nread -r -p 'Type inc-1 to continue, anything else to stop: ' X && [ \"$X\" = inc-1 ] && rm '{0}'\n```\n",
            pipe.display()
        );
        read(&text).unwrap();
    }
}
