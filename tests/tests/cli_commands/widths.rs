//! What fits a terminal: every list and every page at the usual widths, in both languages.

use super::{
    scenes::rest,
    tables::{columns, full},
    terminal::plain,
};

const NARROW: usize = 60;
const USUAL: usize = 80;
const BROAD: usize = 140;

const SHOWN: [&str; 34] = [
    "status",
    "site list",
    "site show laoshan-dr",
    "district list",
    "app list",
    "app status approval",
    "repository list",
    "repository show main",
    "policy list",
    "policy show critical",
    "backup calendar",
    "backup list",
    "backup show approval-1",
    "plan list",
    "plan show core",
    "plan check core --steps --graph",
    "drill list",
    "drill show core-20261115-0900",
    "restore list",
    "restore show approval-1-look",
    "profile list",
    "platform status",
    "platform gaps",
    "platform forecast",
    "window list",
    "window show night",
    "template list",
    "template show replace-a-disk",
    "ticket list",
    "ticket show inc-20261124-ab12",
    "ticket show upgrade-bulletin",
    "duty now",
    "explain",
    "explain KeyWrong",
];

#[tokio::test(flavor = "multi_thread")]
async fn fault_h21_every_list_and_every_page_fits_the_terminal_and_no_name_and_no_command_is_cut() {
    let hub = full("widths").await;
    hub.steps().await;
    rest(&hub).await;
    for words in SHOWN {
        for language in ["en", "zh"] {
            let arguments: Vec<&str> = words.split(' ').chain(["--lang", language]).collect();
            let whole = hub.p861(&arguments).out;
            for width in [NARROW, USUAL, BROAD] {
                let said = hub.at_terminal_of(width, &arguments).end();
                assert!(matches!(said.code, 0 | 4), "{words}: {said:?}");
                let shown = plain(&said.out);
                for line in shown.lines() {
                    let command = ["p861 ", "kubectl "].iter().any(|program| line.trim_start().starts_with(program));
                    assert!(columns(line).len() <= width || command, "{words} at {width} columns, {language}: {line:?} in\n{shown}");
                }
                for command in whole.split("  ").map(str::trim).filter(|cell| cell.starts_with("p861 ")) {
                    let command = command.lines().next().unwrap_or_default();
                    assert!(shown.lines().any(|line| line.contains(command)), "{words} at {width} columns, {language}: {command} is cut in\n{shown}");
                }
                let first = whole.lines().nth(1).and_then(|row| row.split("  ").next()).filter(|_| words.ends_with(" list"));
                assert!(first.is_none_or(|name| shown.contains(name)), "{words} at {width} columns, {language}: {first:?} is cut in\n{shown}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h21_who_asks_for_every_column_gets_it_on_one_line_and_others_are_told_how_many_are_missing() {
    let hub = full("columns").await;
    let narrow = plain(&hub.at_terminal_of(NARROW, &["backup", "list"]).end().out);
    assert!(!narrow.contains("ADDED") && narrow.contains("approval-1") && narrow.contains("more columns: --wide"), "{narrow}");
    let wide = plain(&hub.at_terminal_of(NARROW, &["backup", "list", "--wide"]).end().out);
    assert_eq!(wide, hub.p861(&["backup", "list", "-o", "wide"]).out, "--wide is -o wide, whatever the terminal");
    assert!(wide.contains("ADDED") && wide.contains("SNAPSHOT") && !wide.contains("more column"), "{wide}");
    let both = hub.p861(&["backup", "list", "--wide", "-o", "json"]);
    assert_eq!(both.code, 2, "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h16_a_column_that_says_nothing_of_any_object_is_shown_only_with_wide() {
    let hub = full("silent").await;
    for (words, column) in [("site list", "AGENT"), ("repository list", "ESCROW")] {
        let arguments: Vec<&str> = words.split(' ').collect();
        assert!(!hub.p861(&arguments).out.contains(column), "{words}");
        assert!(hub.p861(&[&arguments[..], &["--wide"]].concat()).out.contains(column), "{words} --wide");
    }
    assert!(hub.p861(&["plan", "list"]).out.contains("EPOCH"), "a column that says something is shown");
}
