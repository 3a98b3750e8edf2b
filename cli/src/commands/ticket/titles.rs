//! Words that say what kind of ticket is meant, and are no title.

use crate::{
    args::TicketOpen,
    error::{Failure, Result},
    text::{self, Bilingual},
};
use p861_crds::ChangeTemplateSpec;

/// The first positional argument that means an upgrade.
pub const UPGRADE: &str = "upgrade";

/// What a word means where a title belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Work: a component is upgraded.
    Upgrade,
    /// Work: a node is drained.
    Drain,
    /// A change, by its class or as such; its work is done by hand.
    Change(&'static str),
    /// An incident.
    Incident,
}

/// The words, as they are typed and as the API spells them.
const WORDS: &[(&str, Kind)] = &[
    (UPGRADE, Kind::Upgrade),
    ("upgradeComponent", Kind::Upgrade),
    ("drain", Kind::Drain),
    ("drainNode", Kind::Drain),
    ("manual", Kind::Change("Normal")),
    ("change", Kind::Change("Normal")),
    ("Normal", Kind::Change("Normal")),
    ("Standard", Kind::Change("Standard")),
    ("Emergency", Kind::Change("Emergency")),
    ("incident", Kind::Incident),
];

/// Whether a title means an upgrade.
pub fn is_upgrade(title: &str) -> bool {
    title.eq_ignore_ascii_case(UPGRADE)
}

/// Refuses a title that only says what kind of ticket is meant: what belongs to the kind was forgotten. `place` has the options that lead to the district.
pub fn refuse_kind(what: &TicketOpen, followed: Option<&ChangeTemplateSpec>, place: &str) -> Result<()> {
    let Some(title) = what.title.as_deref().map(str::trim) else { return Ok(()) };
    let Some((_, kind)) = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(title)) else { return Ok(()) };
    let work = followed.map(|template| &template.work);
    let is_whole = match kind {
        Kind::Upgrade => is_upgrade(title) && (what.component.is_some() || work.is_some_and(|work| work.upgrade_component.is_some())),
        Kind::Drain => what.component.is_none() && (what.drain.is_some() || work.is_some_and(|work| work.drain_node.is_some())),
        Kind::Change(_) | Kind::Incident => false,
    };
    if is_whole { Ok(()) } else { Err(Failure::usage(missing(title, *kind, place))) }
}

fn missing(title: &str, kind: Kind, place: &str) -> Bilingual {
    match kind {
        Kind::Upgrade => text::upgrade_of_nothing(title, place),
        Kind::Drain => text::drain_of_nothing(title, place),
        Kind::Change(class) => text::change_without_title(title, class, place),
        Kind::Incident => text::incident_without_title(title, place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        args::{self, Command, TicketCommand},
        exit::ExitStatus,
        text::Language,
    };
    use clap::ValueEnum;
    use p861_crds::maintenance::change::Work;
    use serde_json::json;
    use std::ffi::OsString;

    fn typed(line: &[&str]) -> TicketOpen {
        let words = ["p861", "ticket", "open"].iter().chain(line).map(OsString::from);
        match args::parse(words, Language::En, false).expect("a command").command {
            Command::Ticket(TicketCommand::Open(what)) => *what,
            other => panic!("{other:?}"),
        }
    }

    fn template(work: &serde_json::Value) -> ChangeTemplateSpec {
        let title = json!({"zh": "模板", "en": "a template"});
        serde_json::from_value(json!({"title": title, "work": work})).expect("a template")
    }

    #[test]
    fn a_title_that_is_the_name_of_a_kind_is_refused_with_what_is_missing() {
        for (line, example) in [
            (&["upgrade"][..], "p861 ticket open upgrade COMPONENT -d shinan"),
            (&["UPGRADE"], "p861 ticket open upgrade COMPONENT -d shinan"),
            (&["upgrade", "--change", "Normal"], "p861 ticket open upgrade COMPONENT -d shinan"),
            (&["upgradeComponent", "bulletin"], "p861 ticket open upgrade COMPONENT -d shinan"),
            (&["drain"], "p861 ticket open \"TITLE\" --change Normal --drain SITE/NODE -d shinan"),
            (&["Drain", "xinxi-dasha/node-1"], "p861 ticket open \"TITLE\" --change Normal --drain SITE/NODE -d shinan"),
            (&["manual", "--change", "Normal"], "p861 ticket open \"TITLE\" --change Normal -d shinan"),
            (&["change"], "p861 ticket open \"TITLE\" --change Normal -d shinan"),
            (&["emergency"], "p861 ticket open \"TITLE\" --change Emergency -d shinan"),
            (&["standard"], "p861 ticket open \"TITLE\" --template TEMPLATE -d shinan"),
            (&["Incident"], "p861 ticket open \"TITLE\" -d shinan"),
        ] {
            let failure = refuse_kind(&typed(line), None, " -d shinan").expect_err("no title");
            assert_eq!(failure.exit, ExitStatus::Usage, "{line:?}");
            assert!(failure.text.en.ends_with(&format!("type {example}")), "{line:?}: {}", failure.text.en);
            assert!(failure.text.zh.contains(example) && !failure.text.zh.contains("type"), "{line:?}: {}", failure.text.zh);
        }
    }

    #[test]
    fn a_kind_with_its_arguments_and_a_title_of_more_words_are_taken() {
        for line in [
            &["upgrade", "bulletin"][..],
            &["Upgrade", "bulletin"],
            &["drain", "--change", "Normal", "--drain", "a/n"],
            &["Upgrade the portal"],
            &["The portal is down"],
            &["--template", "t"],
        ] {
            assert_eq!(refuse_kind(&typed(line), None, ""), Ok(()), "{line:?}");
        }
        let upgrades = template(
            &json!({"upgradeComponent": {"components": ["bulletin"], "versions": {"atLeast": "1.0.0", "below": "2.0.0"}, "bundles": [{"image": "b"}]}}),
        );
        assert_eq!(refuse_kind(&typed(&["upgrade", "--template", "t"]), Some(&upgrades), ""), Ok(()), "the template names the component");
        assert!(refuse_kind(&typed(&["drain", "--template", "t"]), Some(&upgrades), "").is_err());
    }

    #[test]
    fn every_kind_of_work_and_class_of_change_is_known_as_no_title() {
        let whole = json!({"upgradeComponent": {"component": "c", "version": "1"}, "drainNode": {"siteRef": {"name": "s"}, "nodeName": "n"}, "manual": {}});
        let work: Work = serde_json::from_value(whole).expect("work");
        let known = serde_json::to_value(work).expect("work");
        let kinds = known.as_object().expect("kinds of work").keys().cloned();
        let classes = args::ClassWord::value_variants().iter().filter_map(ValueEnum::to_possible_value).map(|value| value.get_name().to_owned());
        for word in kinds.chain(classes) {
            assert!(WORDS.iter().any(|(known, _)| known.eq_ignore_ascii_case(&word)), "{word}");
        }
    }
}
