//! The page of a report: one file, both languages, nothing loaded from anywhere, fit for A4.

mod bars;
mod proofs;
mod sections;
mod timeline;
mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::words::{Clock, shown, t};
use super::report::{DrillReport, Objective};
use p861_crds::recovery::drill::DrillResult;

/// Languages of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

/// The page of a report, opening in Chinese; English is one click away.
pub fn render_html(report: &DrillReport) -> String {
    page(report, None, Language::Zh)
}

/// The same, opening in the language asked for.
pub fn render_html_in(report: &DrillReport, language: Language) -> String {
    page(report, None, language)
}

/// The page; with the digest of the data if that was written beside it.
pub(super) fn page(report: &DrillReport, digest: Option<&str>, language: Language) -> String {
    let clock = Clock::east(report.utc_offset_minutes);
    let (tag, title) = match language {
        Language::Zh => ("zh-CN", "灾备演练报告"),
        Language::En => ("en", "Drill report"),
    };
    let markup = html! {
        (DOCTYPE)
        html lang=(tag) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Even if something slipped through, the browser would neither load nor run it.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) " " (shown(&report.drill)) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                // The switch is two radio buttons and a style: it needs no script.
                input type="radio" name="language" id="show-zh" checked[language == Language::Zh];
                input type="radio" name="language" id="show-en" checked[language == Language::En];
                nav { label for="show-zh" { "中文" } label for="show-en" { "English" } }
                main {
                    (head(report, clock))
                    (tiles(report))
                    (sections::conclusion(report, clock))
                    (sections::particulars(report, clock))
                    (sections::objectives(report))
                    (sections::times(report))
                    (sections::checks(report, clock))
                    (sections::data(report, clock))
                    (sections::deviations(report, clock))
                    (sections::clean_up(report))
                    (sections::proof(report, clock, digest))
                    (sections::signatures(report))
                    (sections::steps(report, clock))
                }
            }
        }
    };
    markup.into_string()
}

fn head(report: &DrillReport, clock: Clock) -> Markup {
    let class = match report.result {
        DrillResult::Passed => "good",
        DrillResult::Failed => "bad",
        DrillResult::Incomplete => "doubt",
    };
    html! {
        header {
            p.house { (words::name(&report.district)) span.sep { "·" } (t("861 平台", "Platform 861")) }
            h1 { (t("灾备演练报告", "Disaster-recovery drill report")) }
            p.subject { (words::name(&report.plan)) span.sep { "·" } (words::drill_type(report.drill_type)) span.sep { "·" } (clock.date(report.start_time)) }
            p.id { (shown(&report.drill)) }
            div.verdict.(class) { (words::result(report.result)) }
        }
    }
}

/// Four figures that answer most questions.
fn tiles(report: &DrillReport) -> Markup {
    let worst = report.applications.iter().map(|application| application.rpo).max_by_key(|rpo| (rpo.met() == Some(false), rpo.measured));
    let checks: Vec<_> = report.applications.iter().flat_map(|application| &application.checks).collect();
    let passed = checks.iter().filter(|check| check.outcome == super::report::CheckOutcome::Passed).count();
    let grade = |objective: Option<Objective>| match objective.and_then(Objective::met) {
        Some(true) => "good",
        Some(false) => "bad",
        None => "plain",
    };
    let figure = |objective: Option<Objective>| words::took_or(objective.and_then(|objective| objective.measured), t("未测得", "not measured"));
    let target = |objective: Option<Objective>| match objective.and_then(|objective| objective.target) {
        Some(target) => {
            let target = words::took(target);
            t(format!("目标 {}", target.zh), format!("target {}", target.en))
        }
        None => t("未定目标", "no target stated"),
    };
    html! {
        section.tiles {
            div.(grade(Some(report.rto))) { h2 { (t("恢复用时 RTO", "RTO of the plan")) } p.figure { (figure(Some(report.rto))) } p.of { (target(Some(report.rto))) } }
            div.(grade(worst)) { h2 { (t("数据损失 RPO（最差）", "RPO, worst application")) } p.figure { (figure(worst)) } p.of { (target(worst)) } }
            div.(if checks.is_empty() { "plain" } else if passed == checks.len() { "good" } else { "bad" }) {
                h2 { (t("应用检查", "Checks")) }
                p.figure { (passed) " / " (checks.len()) }
                p.of { (t("项通过", "passed")) }
            }
            div.(if report.clean_up.complete { "good" } else { "bad" }) {
                h2 { (t("清理", "Clean-up")) }
                p.figure { @if report.clean_up.complete { (t("已清空", "complete")) } @else { (t("有残留", "not complete")) } }
                p.of { @if report.clean_up.complete { (t("无残留", "nothing is left")) } @else { (t(format!("{} 项残留", report.clean_up.left.len()), format!("{} left", report.clean_up.left.len()))) } }
            }
        }
    }
}
