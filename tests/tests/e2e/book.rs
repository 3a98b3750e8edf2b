//! The pages for newcomers and the runbooks, as a reader meets them: typed line by line in a plain shell, in their order, on one demo that the first of them brings up.
//! Each command ends as its page says, and prints what the page promises.

use crate::backups::backed_up_within;
use crate::installation::installation;
use crate::runbooks;
use p861_testbed::bed::{self, BedError, Place, Result};
use p861_testbed::report::{Report, seconds};
use p861_tests::book::{Block, Page};
use p861_tests::install::root;
use p861_tests::scenes::Scene;
use p861_tests::stage::DISTRICT;
use p861_tests::typist::Typist;
use p861_tests::{Stage, rooms};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One of the pages, for every run of the suite.
pub const SCENES: &[Scene] = &[("the page of a district's first day does what it says, as it is typed in a plain shell", first_day)];

/// A cold `make demo` compiles everything.
const DEMO: Duration = Duration::from_hours(1);

/// The reader of all pages, at the demo.
pub struct Book {
    /// Who types.
    pub typist: Typist,
    bed: String,
    /// The demo was up before, and stays.
    standing: bool,
}

type Chapter = (&'static str, fn(&mut Book) -> std::result::Result<(), String>);

const CHAPTERS: &[Chapter] = &[
    ("README.md: the demo comes up, and says what it has measured", readme),
    ("docs/FIRST-HOUR.md does what it says", |book| book.read("docs/FIRST-HOUR.md", |block| !block.marks.very_end)),
    ("docs/FIRST-DAY.md does what it says", |book| book.read("docs/FIRST-DAY.md", |_| true)),
    ("docs/FIRST-NIGHT.md does what it says", |book| book.read("docs/FIRST-NIGHT.md", |_| true)),
    ("runbooks: every command of every diagnosis works on the demo", runbooks::diagnoses),
    ("runbooks: every command of every mitigation works on the demo", runbooks::mitigations),
    ("docs/INSTALL.md leads from the files of a release to a first backup, and away again", |book| {
        installation(&book.stage()?).map_err(|error| error.to_string())
    }),
    ("docs/FIRST-HOUR.md takes the demo down, and nothing is left of it", the_end),
];

/// Plays the chapters whose names contain the first argument. With `P861_BOOK=NAME` on a demo of this name that is up already, and stays.
#[expect(clippy::print_stdout, reason = "it is what a test harness does")]
pub fn play() -> ExitCode {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let chapters: Vec<&Chapter> = CHAPTERS.iter().filter(|(name, _)| name.contains(&filter)).collect();
    println!("\nrunning {} tests", chapters.len());
    let (start, mut failed) = (Instant::now(), Vec::new());
    match Book::open() {
        Ok(mut book) => {
            for (name, chapter) in &chapters {
                let begun = Instant::now();
                let outcome = chapter(&mut book);
                let took = seconds(begun.elapsed());
                match outcome {
                    Ok(()) => println!("test {name} ... ok ({took})"),
                    Err(why) => {
                        println!("test {name} ... FAILED ({took})\n---- {name}\n{why}");
                        failed.push((*name).to_owned());
                    }
                }
            }
            if let Err(error) = book.close(!failed.is_empty()) {
                println!("the demo could not be taken down: {error}");
                failed.push("taking the demo down".to_owned());
            }
        }
        Err(why) => {
            println!("no shell: {why}");
            failed.extend(chapters.iter().map(|(name, _)| (*name).to_owned()));
        }
    }
    for name in &failed {
        println!("failed: {name}");
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        chapters.len().saturating_sub(failed.len()),
        failed.len(),
        CHAPTERS.len() - chapters.len(),
        start.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Book {
    fn open() -> std::result::Result<Self, String> {
        let standing = std::env::var("P861_BOOK").ok();
        let bed = standing.clone().unwrap_or_else(|| format!("book-{}", std::process::id()));
        let mut typist = reader_of(&bed)?;
        typist.tells = true;
        Ok(Self { typist, bed, standing: standing.is_some() })
    }

    /// Types a page's blocks.
    pub fn read(&mut self, path: &str, chosen: impl Fn(&Block) -> bool) -> std::result::Result<(), String> {
        let read = Page::read(path).and_then(|page| self.typist.read(&page, chosen));
        // Both what kept a page from being read to its end, and what was wrong before.
        match (read, self.typist.done()) {
            (Ok(()), done) => done,
            (Err(why), Ok(())) => Err(why),
            (Err(why), Err(wrong)) => Err(format!("{wrong}\n{why}")),
        }
    }

    fn stage(&self) -> std::result::Result<Stage, String> {
        let found = Stage::find(&self.bed, &Report::stderr()).map_err(|error| error.to_string())?;
        found.ok_or_else(|| format!("the demo {} is not up", self.bed))
    }

    fn close(self, failed: bool) -> Result<()> {
        let stays = self.standing || (failed && std::env::var("P861_KEEP").is_ok_and(|value| value == "1"));
        if stays { Ok(()) } else { bed::down(&self.bed, &Report::stderr()) }
    }
}

/// A reader in the project's folder, for whom the demo is this bed.
fn reader_of(bed: &str) -> std::result::Result<Typist, String> {
    let beds = std::env::var_os("P861_BEDS").map(|beds| ("P861_BEDS", beds));
    let environment: Vec<_> = beds.into_iter().chain([("P861_DEMO", bed.into())]).collect();
    Typist::sit_down(&root(), &environment)
}

fn readme(book: &mut Book) -> std::result::Result<(), String> {
    let (standing, usual) = (book.standing, book.typist.limit);
    book.typist.limit = DEMO;
    let read = book.read("README.md", |block| !(standing && block.lines.iter().any(|line| line.text.starts_with("make demo"))));
    book.typist.limit = usual;
    read
}

fn the_end(book: &mut Book) -> std::result::Result<(), String> {
    if book.standing {
        return Ok(());
    }
    let found = || Place::find(&book.bed).map_err(|error| error.to_string());
    let place = found()?;
    book.read("docs/FIRST-HOUR.md", |block| block.marks.very_end)?;
    let left = place.map(|place| bed::remains(&place)).transpose().map_err(|error| error.to_string())?.unwrap_or_default();
    if left.is_empty() { Ok(()) } else { Err(format!("left of the demo: {left:?}")) }
}

fn first_day(stage: &Stage) -> Result<()> {
    // What the demo has done before.
    backed_up_within(stage, Duration::MAX)?;
    rooms::declare_platform(stage)?;
    let read = reader_of(stage.bed.name()).and_then(|mut typist| {
        typist.read(&Page::read("docs/FIRST-DAY.md")?, |_| true)?;
        typist.done()
    });
    // The stage as it was. What is declared is kept, also if somebody deletes it: so that goes first.
    stage.delete("platform", DISTRICT)?;
    stage.delete("changetemplate", "bulletin-patch")?;
    for site in [stage.primary()?, stage.standby()?] {
        site.kubectl(&["delete", "namespace", "shinan-bulletin", "--ignore-not-found", "--timeout=110s"])?;
    }
    read.map_err(BedError::Refused)
}
