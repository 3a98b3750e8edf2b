//! `p861 explain`: what a reason or an alert means and what to do about it. It asks nobody, so it works when nothing else does.

use crate::{
    args::Explainable,
    error::Result,
    exit::ExitStatus,
    format::{Line, Table, Tone},
    hub::typed,
    printer::{Output, Printer},
    text::{
        self, Language,
        explain::{self, Explained, ROOMS, Room, alerts::Alert},
    },
};
use p861_crds::Reason;
use serde_json::{Value, json};

/// Version of what programs read.
const API_VERSION: &str = "cli.platform861.io/v1";

/// Shows one reason or alert, or lists all reasons. `place` has the options that lead to the district.
pub fn show(what: Option<&Explainable>, printer: &Printer, place: &str) -> Result<ExitStatus> {
    let reason = match what {
        Some(Explainable::Alert(alert)) => return show_alert(alert, printer, place),
        Some(Explainable::Reason(reason)) => Some(reason),
        None => None,
    };
    let asked: Vec<&Reason> = reason.map_or_else(|| Reason::ALL.iter().collect(), |one| vec![one]);
    let found: Vec<_> = asked.into_iter().filter_map(|reason| explain::explain(reason).map(|(room, said)| (reason, room, said))).collect();
    let of_programs = |(reason, room, said): &(&Reason, &Room, Explained)| structured(reason, room, said);
    match (printer.output, found.as_slice()) {
        (Output::Json | Output::Yaml, [one]) => printer.structure(&of_programs(one))?,
        (Output::Json | Output::Yaml, all) => {
            let items: Vec<Value> = all.iter().map(of_programs).collect();
            printer.structure(&json!({"apiVersion": API_VERSION, "kind": "ExplanationList", "items": items}))?;
        }
        (Output::Name, all) => all.iter().for_each(|(reason, ..)| printer.line(&Line::of(reason.as_str()))),
        (Output::Table | Output::Wide | Output::Html, [(reason, _, said)]) => printer.lines(&page(reason, said, place, printer.language)),
        (Output::Table | Output::Wide | Output::Html, _) => printer.lines(&list(printer.output == Output::Wide, printer.language)),
    }
    Ok(ExitStatus::Good)
}

/// The reasons whose explanations name the runbook of an alert.
fn reasons_of(alert: &Alert) -> impl Iterator<Item = &'static Reason> {
    Reason::ALL.iter().filter(move |reason| explain::explain(reason).is_some_and(|(_, said)| said.runbooks.contains(&alert.name)))
}

fn show_alert(alert: &'static Alert, printer: &Printer, place: &str) -> Result<ExitStatus> {
    match printer.output {
        Output::Json | Output::Yaml => printer.structure(&json!({
            "apiVersion": API_VERSION,
            "kind": "AlertExplanation",
            "alert": alert.name,
            "severity": alert.severity,
            "meaning": {"en": alert.meaning.en, "zh": alert.meaning.zh},
            "reasons": reasons_of(alert).collect::<Vec<_>>(),
            "runbooks": [runbook(alert.name)],
        }))?,
        Output::Name => printer.line(&Line::of(alert.name)),
        Output::Table | Output::Wide | Output::Html => printer.lines(&alert_page(alert, place, printer.language)),
    }
    Ok(ExitStatus::Good)
}

/// One alert: its meaning, the page that says what to do, and the reasons that may be behind it.
fn alert_page(alert: &Alert, place: &str, language: Language) -> Vec<Line> {
    let mut table = Table::bare();
    table.row(vec![Line::toned(Tone::Dim, explain::MEANING.pick(language)), Line::of(alert.meaning.pick(language))]);
    table.row(vec![Line::toned(Tone::Dim, explain::RUNBOOK.pick(language)), Line::of(runbook(alert.name))]);
    for (at, reason) in reasons_of(alert).enumerate() {
        let command = Line::toned(Tone::Strong, typed(&format!("p861 explain {reason}"), place)).with(" · ").with(word(reason, language));
        table.row(vec![Line::toned(Tone::Dim, if at == 0 { explain::REASONS.pick(language) } else { "" }), command]);
    }
    let mut lines = vec![Line::toned(Tone::Strong, alert.name).with(" · ").with(alert.severity)];
    lines.extend(table.lines());
    lines
}

fn structured(reason: &Reason, room: &Room, said: &Explained) -> Value {
    let todo = said.todo.words();
    json!({
        "apiVersion": API_VERSION,
        "kind": "Explanation",
        "reason": reason,
        "room": room.key,
        "meaning": {"en": reason.meaning(), "zh": said.meaning},
        "needsPerson": said.todo.is_act(),
        "todo": {"en": todo.en, "zh": todo.zh},
        "commands": said.commands,
        "runbooks": said.runbooks.iter().copied().map(runbook).collect::<Vec<_>>(),
    })
}

/// Where a runbook is, as the alerts' own annotations have it.
fn runbook(alert: &str) -> String {
    format!("runbooks/{alert}.md")
}

fn word(reason: &Reason, language: Language) -> &'static str {
    text::reason(reason).map_or("", |word| word.pick(language))
}

fn meaning(reason: &Reason, said: &Explained, language: Language) -> &'static str {
    match language {
        Language::En => reason.meaning(),
        Language::Zh => said.meaning,
    }
}

/// One reason.
fn page(reason: &Reason, said: &Explained, place: &str, language: Language) -> Vec<Line> {
    let mut todo = vec![Line::of(said.todo.words().pick(language))];
    todo.extend(said.commands.iter().map(|command| Line::toned(Tone::Strong, typed(command, place))));
    let runbooks = said.runbooks.iter().map(|alert| Line::of(runbook(alert))).collect();
    let mut table = Table::bare();
    for (head, lines) in [(explain::MEANING, vec![Line::of(meaning(reason, said, language))]), (explain::WHAT_TO_DO, todo), (explain::RUNBOOK, runbooks)] {
        for (at, line) in lines.into_iter().enumerate() {
            table.row(vec![Line::toned(Tone::Dim, if at == 0 { head.pick(language) } else { "" }), line]);
        }
    }
    let mut lines = vec![Line::toned(Tone::Strong, reason.as_str()).with(" · ").with(word(reason, language))];
    lines.extend(table.lines());
    lines
}

/// All reasons, by room.
fn list(wide: bool, language: Language) -> Vec<Line> {
    let mut lines = Vec::new();
    for room in &ROOMS {
        if !lines.is_empty() {
            lines.push(Line::new());
        }
        lines.push(Line::toned(Tone::Strong, room.name.pick(language)));
        let mut table = Table::bare();
        for (reason, said) in Reason::ALL.iter().filter_map(|reason| Some((reason, room.explain(reason)?))) {
            let mut row = vec![Line::of(reason.as_str()), Line::of(word(reason, language))];
            row.extend(wide.then(|| Line::of(meaning(reason, &said, language))));
            table.row(row);
        }
        lines.extend(table.lines());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reason: &str, place: &str, language: Language) -> Vec<String> {
        let reason = Reason::from_text(reason);
        let (_, said) = explain::explain(&reason).expect("it is known");
        page(&reason, &said, place, language).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_reason_is_explained_with_what_to_do_and_the_runbook() {
        assert_eq!(
            told("DrillOverdue", " -d shinan", Language::En),
            [
                "DrillOverdue · the newest drill is too old",
                "Meaning     The newest drill is too old.",
                "What to do  Drill the plan again: a drill counts for 31 days.",
                "            p861 drill run PLAN -d shinan",
                "Runbook     runbooks/P861DrillOverdue.md",
            ]
        );
        assert_eq!(
            told("DrillOverdue", "", Language::Zh),
            [
                "DrillOverdue · 演练已过期",
                "含义      最近一次演练距今过久。",
                "处理      请再次演练：一次演练的有效期为 31 天。",
                "          p861 drill run PLAN",
                "处置手册  runbooks/P861DrillOverdue.md",
            ]
        );
        assert_eq!(told("Passed", "", Language::En)[2], "What to do  Nothing: this is not a problem.");
    }

    #[test]
    fn an_alert_is_explained_with_its_runbook_and_the_reasons_that_lead_to_it() {
        let alert = explain::alerts::ALERTS.iter().find(|alert| alert.name == "P861DrillOverdue").expect("an alert");
        let page = |language| alert_page(alert, " -d shinan", language).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            page(Language::En),
            [
                "P861DrillOverdue · warning",
                "Meaning  A plan has not been drilled for 31 days.",
                "Runbook  runbooks/P861DrillOverdue.md",
                "Reasons  p861 explain DrillOverdue -d shinan · the newest drill is too old",
                "         p861 explain NeverDrilled -d shinan · never drilled",
            ]
        );
        assert_eq!(page(Language::Zh)[1], "含义      恢复预案已超过 31 天未演练。");
    }

    #[test]
    fn the_list_has_every_reason_once_in_the_order_of_the_api() {
        let lines: Vec<String> = list(false, Language::En).iter().map(ToString::to_string).collect();
        let listed: Vec<&str> =
            lines.iter().filter_map(|line| line.split("  ").next()).filter(|name| Reason::ALL.iter().any(|reason| reason == name)).collect();
        assert_eq!(listed, Reason::ALL.iter().map(Reason::as_str).collect::<Vec<_>>());
    }
}
