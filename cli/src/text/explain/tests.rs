use super::{ROOMS, Todo, alerts::ALERTS, explain};
use crate::{args, text::Language};
use p861_crds::{Reason, generate::definitions};
use regex::Regex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A folder of the repository.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Every reason with its prose in both languages, English first.
fn prose() -> impl Iterator<Item = (&'static Reason, [&'static str; 2], [&'static str; 2])> {
    Reason::ALL.iter().map(|reason| {
        let (_, said) = explain(reason).unwrap_or_else(|| panic!("{reason} is not explained"));
        let todo = said.todo.words();
        (reason, [reason.meaning(), todo.en], [said.meaning, todo.zh])
    })
}

#[test]
fn every_reason_is_explained_in_both_languages_in_one_room() {
    for (reason, english, chinese) in prose() {
        for text in english {
            assert!(text.is_ascii() && text.ends_with('.'), "{reason}: {text}");
        }
        for text in chinese {
            assert!(text.ends_with('。') && !text.contains([',', ';', '!', '?']), "{reason}: {text}");
        }
        let rooms: Vec<&str> = ROOMS.iter().filter(|room| room.explain(reason).is_some()).map(|room| room.key).collect();
        assert_eq!(rooms.len(), 1, "{reason}: {rooms:?}");
    }
    let order: Vec<usize> = Reason::ALL.iter().filter_map(|reason| ROOMS.iter().position(|room| room.explain(reason).is_some())).collect();
    assert!(order.is_sorted(), "a reason stands in the room in which crds has it");
    assert!(explain(&Reason::from_text("FromTheFuture")).is_none());
}

/// Names, abbreviations and words of the field that are the same in Chinese.
const TERMS: &str = "Alertmanager API ConfigMap DNS Files GitOps HelmRelease If Kubernetes Match Merge None Pod Prometheus RPO RTO Replace Secret Skip Webhook allowEgress chart \
    Approval LimitRange Normal ReadWriteOncePod Warning config emptyDir finalizer https key kubeconfig operator passwd profileItem resourcequota restic smtp token url \
    webhook";

#[test]
fn no_english_word_stands_in_the_chinese() {
    let terms: BTreeSet<&str> = TERMS.split_whitespace().collect();
    // What is spelled so in a YAML, on the command line or in a cluster.
    let spelled = Regex::new(r"--[a-z-]+|platform861\.io/[a-z=]+|[a-z][A-Za-z0-9]*(\.[A-Za-z0-9]+)+(=[a-z]+)?|p861(-[a-z]+)*").unwrap();
    let word = Regex::new("[A-Za-z]{2,}").unwrap();
    for (reason, _, chinese) in prose() {
        for text in chinese {
            let rest = spelled.replace_all(text, "");
            let english: Vec<&str> = word.find_iter(&rest).map(|found| found.as_str()).filter(|found| !terms.contains(found)).collect();
            assert!(english.is_empty(), "{reason}: {english:?} in {text}");
        }
    }
}

#[test]
fn every_command_is_one_that_can_be_typed_and_none_hides_in_the_prose() {
    let command = args::command(Language::En, false);
    let nouns: Vec<String> = command.get_subcommands().map(|noun| format!("p861 {} ", noun.get_name())).collect();
    for (reason, english, chinese) in prose() {
        for text in english.into_iter().chain(chinese) {
            assert!(!text.contains("kubectl") && !nouns.iter().any(|noun| text.contains(noun.as_str())), "{reason}: {text}");
        }
        let (_, said) = explain(reason).unwrap();
        for line in said.commands {
            if let Some(rest) = line.strip_prefix("kubectl ") {
                kubectl(rest).unwrap_or_else(|why| panic!("{reason}: {line}: {why}"));
            } else {
                assert!(args::understands(line), "{reason}: {line}");
            }
        }
    }
}

/// Kinds by the names that kubectl knows, and whether they are in a namespace.
fn kinds() -> BTreeMap<String, bool> {
    let mut kinds: BTreeMap<String, bool> = BTreeMap::new();
    for definition in definitions() {
        let (names, namespaced) = (definition.spec.names, definition.spec.scope == "Namespaced");
        kinds.extend([Some(names.plural), names.singular].into_iter().flatten().map(|name| (name, namespaced)));
    }
    let of_cluster =
        "apiservices namespace namespaces nodes storageclasses validatingadmissionpolicies validatingadmissionpolicybindings volumesnapshotclasses";
    // KIND is the reader's own.
    let of_namespace = "configmap deployment events gateway gateways lease persistentvolumeclaims pods poddisruptionbudgets resourcequotas secret secrets \
        volumesnapshots KIND";
    for (names, namespaced) in [(of_cluster, false), (of_namespace, true)] {
        kinds.extend(names.split_whitespace().map(|name| (name.to_owned(), namespaced)));
    }
    kinds
}

/// Whether a line of kubectl has a form that is known to work: what it does, to a kind that there is, in a namespace if the kind has one.
fn kubectl(line: &str) -> Result<(), String> {
    let (mut plain, mut somewhere, mut selects) = (Vec::new(), false, false);
    let mut words = line.split(' ');
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} has no value"));
        match word {
            "--context" if value()? == "SITE" => {}
            "-n" => somewhere = !value()?.is_empty(),
            "-A" | "--all-namespaces" => somewhere = true,
            "-o" if ["yaml", "wide"].contains(&value()?) => {}
            "-l" | "--field-selector" => selects = !value()?.is_empty(),
            "--prefix" => {}
            _ if word.starts_with("--tail=") => {}
            _ if word.starts_with('-') => return Err(format!("{word} is not known")),
            _ => plain.push(word),
        }
    }
    let (kind, name) = match plain.as_slice() {
        ["logs"] if somewhere && selects => return Ok(()),
        ["get", kind] => (*kind, None),
        // Nothing is deleted but an approval that is of no use any more.
        ["get" | "describe" | "edit", kind, name] | ["delete", kind @ "approval", name] => (*kind, Some(*name)),
        other => return Err(format!("{other:?} is not a form that is known")),
    };
    let namespaced = *kinds().get(kind).ok_or_else(|| format!("there is no kind {kind}"))?;
    if namespaced != somewhere {
        return Err(format!("{kind} is in a namespace: {namespaced}"));
    }
    let is_name = |name: &str| name.starts_with("p861-") || name.starts_with(|c: char| c.is_ascii_uppercase());
    if name.is_some_and(|name| !is_name(name)) { Err(format!("{name:?} is no name")) } else { Ok(()) }
}

#[test]
fn a_line_of_kubectl_in_another_form_is_noticed() {
    for (line, works) in [
        ("get sites", true),
        ("--context SITE get pods -n NAMESPACE", true),
        ("get approvals", false),
        ("get site SITE -n DISTRICT", false),
        ("get frobs -n DISTRICT", false),
        ("delete backup BACKUP -n DISTRICT", false),
        ("--context hub get nodes", false),
        ("get secrets -n", false),
    ] {
        assert_eq!(kubectl(line).is_ok(), works, "{line}");
    }
}

/// Reasons that a runbook names: in the first column of a table, or set off as a reason is.
fn named_in(page: &str) -> BTreeSet<Reason> {
    let (column, set_off) = (Regex::new(r"\b[A-Z][A-Za-z]+\b").unwrap(), Regex::new("[*`]([A-Z][A-Za-z]+)[*`]").unwrap());
    let mut names: BTreeSet<String> = BTreeSet::new();
    for line in page.lines() {
        if let Some(first) = line.trim_start().strip_prefix('|').and_then(|row| row.split('|').next()) {
            names.extend(column.find_iter(first).map(|found| found.as_str().to_owned()));
        }
        names.extend(set_off.captures_iter(line).map(|found| found[1].to_owned()));
    }
    Reason::ALL.iter().filter(|reason| names.contains(reason.as_str())).cloned().collect()
}

#[test]
fn the_runbooks_that_name_a_reason_are_named_by_it_and_all_are_there() {
    let pages: BTreeMap<String, BTreeSet<Reason>> = fs::read_dir(folder("runbooks"))
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let alert = path.file_stem()?.to_str()?.to_owned();
            alert.starts_with("P861").then(|| (alert, named_in(&fs::read_to_string(&path).unwrap())))
        })
        .collect();
    for reason in Reason::ALL {
        let (_, said) = explain(reason).unwrap();
        for alert in said.runbooks {
            assert!(pages.contains_key(*alert), "{reason}: there is no runbook {alert}");
        }
        for (alert, named) in &pages {
            assert!(!named.contains(reason) || said.runbooks.contains(&alert.as_str()), "{alert} names {reason}, which doesn't name the runbook");
        }
        assert!(said.runbooks.is_empty() || said.todo.is_act(), "{reason} has a runbook and nothing to do");
    }
}

#[test]
fn the_runbook_that_another_one_leads_to_stands_before_it() {
    let mut seen = 0;
    for (reason, said) in Reason::ALL.iter().filter_map(|reason| Some((reason, explain(reason)?.1))) {
        let place = |alert: &str| said.runbooks.iter().position(|runbook| *runbook == alert);
        // What is to be done when a repository refuses or does not answer stands in the repository's runbook; that of a backup that failed refers to it.
        let (Some(repository), Some(backup)) = (place("P861RepositoryNotReady"), place("P861BackupFailed")) else { continue };
        assert!(repository < backup, "{reason}: {:?}", said.runbooks);
        seen += 1;
    }
    assert!(seen >= 4, "only {seen}");
}

#[test]
fn every_alert_is_explained_as_the_list_of_runbooks_and_the_rules_have_it() {
    let list = fs::read_to_string(folder("runbooks/README.md")).unwrap();
    let row = Regex::new(r"(?m)^\| \[(P861\w+)\]\(\w+\.md\) \| (\w+) \| (.+) \|$").unwrap();
    let listed: Vec<[String; 3]> = row.captures_iter(&list).map(|found| [1, 2, 3].map(|at| found[at].to_lowercase())).collect();
    let told = ALERTS.iter().map(|alert| [alert.name, alert.severity, alert.meaning.en.trim_end_matches('.')].map(str::to_lowercase));
    assert_eq!(told.collect::<Vec<_>>(), listed);
    let rules = fs::read_to_string(folder("charts/p861/files/p861.rules.yaml")).unwrap();
    let ruled = Regex::new(r"alert: (P861\w+)").unwrap().captures_iter(&rules).map(|found| found[1].to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ALERTS.iter().map(|alert| alert.name.to_owned()).collect::<BTreeSet<_>>(), ruled);
    for alert in &ALERTS {
        assert!(alert.meaning.zh.ends_with('。') && !alert.meaning.zh.contains([',', ';']), "{}", alert.name);
    }
}

/// Every name behind `::`, or alone in quotes, in the operator's code without its tests.
fn written(folder: &Path, names: &mut BTreeSet<String>) {
    let name = Regex::new(r#"(?:::|")([A-Z]\w+)\b"#).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let last = path.file_name().and_then(|last| last.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() {
            // Nor where its word stands: every reason has one.
            if !["tests", "benches", "examples", "target", "told"].contains(&last.as_str()) {
                written(&path, names);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && !last.ends_with("tests.rs") && last != "samples.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            names.extend(name.captures_iter(code).map(|found| found[1].to_owned()));
        }
    }
}

#[test]
fn only_reasons_that_the_operator_never_gives_are_called_so() {
    let mut names = BTreeSet::new();
    written(&folder("operator"), &mut names);
    for reason in Reason::ALL {
        let (_, said) = explain(reason).unwrap();
        assert_eq!(said.todo == Todo::Unset, !names.contains(reason.as_str()), "{reason}");
    }
}
