//! The runbooks on the demo: what looks first, then what mends, with the names that an alert would have in its labels.

use crate::book::Book;
use p861_tests::book::{Line, Page, Span};
use p861_tests::install::root;
use std::fs;

/// What is read last: these pages disturb more than what they are about.
const LAST: [&str; 5] = ["P861RepositoryDamaged", "P861SiteNodesNotReady", "P861NoLeader", "P861OperatorStarved", "P861OperatorDown"];

/// What the reader has read in the alert, besides `DISTRICT` and `APPLICATION`, and has typed as the list of runbooks says.
const LABELS: &str = "export PLAN=shinan-core REPOSITORY=shinan SITE=xinxi-dasha KIND=Application ROSTER=night PERSON=shift-leader-a";

type Result<T> = std::result::Result<T, String>;

/// Commands that a reader has typed before a page's section, or types after it, for what it speaks of.
struct Around {
    page: &'static str,
    sections: &'static [&'static str],
    before: &'static [&'static str],
    after: &'static [&'static str],
}

const DIAGNOSIS: &str = "Diagnosis";
const MITIGATION: &str = "Mitigation";
const STANDBY: &str = "export SITE=laoshan-dr";
const PRIMARY: &str = "export SITE=xinxi-dasha";

const AROUND: [Around; 9] = [
    Around {
        page: "P861BackupOverdue",
        sections: &[DIAGNOSIS, MITIGATION],
        before: &["export NAME=$(p861 -d shinan backup list approval -o name | head -1 | cut -d/ -f2) APPLICATION=portal"],
        after: &["export APPLICATION=approval"],
    },
    // A drill's copies stand on the standby.
    Around { page: "P861CleanUpFailed", sections: &[DIAGNOSIS], before: &[STANDBY], after: &[PRIMARY] },
    Around {
        page: "P861CleanUpFailed",
        sections: &[MITIGATION],
        before: &[STANDBY, "export DRILL=$(p861 -d shinan drill run shinan-core --no-wait -o name | cut -d/ -f2)"],
        after: &["p861 -d shinan drill watch \"$DRILL\"", PRIMARY],
    },
    Around { page: "P861DrillFailed", sections: &[MITIGATION], before: &[STANDBY], after: &[PRIMARY] },
    Around { page: "P861InvalidObject", sections: &[MITIGATION], before: &["export NAME=portal"], after: &[] },
    Around {
        page: "P861RepositoryDamaged",
        sections: &[MITIGATION],
        before: &["export BACKUP=$(p861 -d shinan backup list portal -o name | tail -1 | cut -d/ -f2)"],
        after: &[],
    },
    Around {
        page: "P861SiteNodesNotReady",
        sections: &[MITIGATION],
        before: &["export NODE=$(kubectl --context \"$SITE\" get nodes -o jsonpath='{.items[0].metadata.name}')"],
        after: &[],
    },
    Around {
        page: "P861NoLeader",
        sections: &[MITIGATION],
        before: &[],
        after: &["kubectl -n p861-system rollout status deployment/p861-operator --timeout=5m"],
    },
    Around {
        page: "P861TicketOverdue",
        sections: &[MITIGATION],
        before: &["export TICKET=$(p861 -d shinan ticket open \"Lights out in rack 3\" -o name | cut -d/ -f2)"],
        after: &["p861 -d shinan ticket resolve \"$TICKET\""],
    },
];

/// Every command in the sections *Diagnosis*.
pub fn diagnoses(book: &mut Book) -> Result<()> {
    begin(book)?;
    let read = pages()?.iter().try_for_each(|page| read(book, page, DIAGNOSIS));
    end(book, read)
}

/// Every command in the sections *Mitigation*.
pub fn mitigations(book: &mut Book) -> Result<()> {
    begin(book)?;
    let mut pages = pages()?;
    pages.sort_by_key(|page| LAST.iter().position(|last| page.path.contains(last)));
    let read = pages.iter().try_for_each(|page| read(book, page, MITIGATION));
    end(book, read)
}

/// The reader sits in a folder with the charts, and has what the other pages have set.
fn begin(book: &mut Book) -> Result<()> {
    book.typist.shows_bad_things = true;
    let text = |name: &str| Page::read(name);
    book.typist.type_own("eval \"$(make -s demo-env)\"")?;
    book.typist.read(&text("docs/FIRST-HOUR.md")?, |block| block.lines.iter().any(|line| line.text.starts_with("export RESTIC_REPOSITORY=")))?;
    book.typist.read(&text("runbooks/README.md")?, |_| true)?;
    book.typist.type_own(LABELS)?;
    book.typist.type_own(&format!("cd \"$(mktemp -d)\" && ln -s '{}/charts' charts", root().display())).map(drop)
}

fn end(book: &mut Book, read: Result<()>) -> Result<()> {
    book.typist.shows_bad_things = false;
    let back = book.typist.type_own(&format!("rm -r \"$PWD\"; cd '{}'", root().display())).map(drop);
    let done = book.typist.done();
    read.and(back).and(done)
}

/// A page's commands of a section: its blocks, then those in running text.
fn read(book: &mut Book, page: &Page, section: &str) -> Result<()> {
    let around = AROUND.iter().find(|around| page.path.contains(around.page) && around.sections.contains(&section));
    let (before, after) = around.map(|around| (around.before, around.after)).unwrap_or_default();
    before.iter().try_for_each(|command| book.typist.type_own(command).map(drop))?;
    book.typist.read(page, |block| block.section == section)?;
    for span in page.spans.iter().filter(|span| span.section == section && span.is_command()) {
        book.typist.type_span(&page.path, &with_names(span))?;
    }
    after.iter().try_for_each(|command| book.typist.type_own(command).map(drop))
}

/// In running text a word in capitals stands for a name that the reader has before him.
fn with_names(span: &Span) -> Line {
    let named = |word: &str| {
        let name = word.len() > 2 && word.chars().all(|letter| letter.is_ascii_uppercase());
        if name { format!("\"${word}\"") } else { word.to_owned() }
    };
    Line { number: span.line.number, text: span.line.text.split_whitespace().map(named).collect::<Vec<_>>().join(" ") }
}

/// The runbooks in the order of their names.
fn pages() -> Result<Vec<Page>> {
    let folder = fs::read_dir(root().join("runbooks")).map_err(|error| format!("runbooks: {error}"))?;
    let mut names: Vec<String> = folder.filter_map(|file| Some(file.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.retain(|name| name.starts_with("P861"));
    names.sort();
    names.iter().map(|name| Page::read(&format!("runbooks/{name}"))).collect()
}
