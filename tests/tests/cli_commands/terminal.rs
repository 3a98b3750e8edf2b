//! With a person at a terminal: the view that lives, the keys, and what is asked. The terminal is a real one, made by `script`.

use super::{
    hub::{Hub, Running, condition},
    scenes::{drill_status, running},
};
use serde_json::json;
use std::process::{Command, Stdio};

impl Hub {
    /// A command of the district at a terminal of 100 columns.
    pub fn at_terminal(&self, arguments: &[&str]) -> Running {
        self.at_terminal_of(100, arguments)
    }

    /// A command of the district at a terminal of so many columns.
    pub fn at_terminal_of(&self, columns: usize, arguments: &[&str]) -> Running {
        self.at_terminal_after("", columns, arguments)
    }

    /// The same, after other commands of the shell, each with a semicolon behind it.
    fn at_terminal_after(&self, before: &str, columns: usize, arguments: &[&str]) -> Running {
        let plain = self.command(arguments);
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"));
        let words: Vec<String> = std::iter::once(plain.get_program()).chain(plain.get_args()).map(quoted).collect();
        let mut command = Command::new("script");
        // Who runs the tests in the background has Ctrl-C ignored, and so would all that they start; a person's terminal hasn't.
        let line = format!("stty rows 24 cols {columns}; {before}exec env --default-signal=INT {}", words.join(" "));
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]).env_remove("COLUMNS");
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(command)
    }
}

const CTRL_C: &str = "\u{3}";

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_asks_for_the_backups_name_in_full() {
    let hub = Hub::of("typed").await;
    hub.application("approval", 12, condition("Recoverable", "True", "Proven", "x")).await;
    hub.backup("approval-1", "approval", 5, "Probed").await;
    for wrong in ["yes\n", "approval\n", "\n"] {
        let mut asks = hub.at_terminal(&["restore", "run", "approval-1", "--conflict", "Merge"]);
        asks.until("Type approval-1 to continue, anything else to stop: ");
        asks.press(wrong);
        let said = asks.end();
        assert_eq!(said.code, 3, "{wrong:?}: {said:?}");
        assert!(said.out.contains("approval-1 was not typed: nothing was done"), "{said:?}");
        assert!(
            said.out.contains("RESTORE of approval-1") && said.out.contains("Merge: existing ones are updated from the backup"),
            "what will happen is said first: {said:?}"
        );
    }
    assert_eq!(hub.names("Restore").await, Vec::<String>::new(), "nothing was done");
    for (more, head) in [
        (&[][..], "it stops the running application approval and overwrites it"),
        (&["--map", "typed-approval=typed-look"], "it writes beside application approval, which it doesn't touch"),
        (&["--site", "laoshan-dr"], "application approval runs on xinxi-dasha, where it is not touched"),
    ] {
        let mut asks = hub.at_terminal_of(200, &[&["restore", "run", "approval-1"], more].concat());
        asks.until("anything else to stop: ");
        asks.press("no\n");
        let said = asks.end();
        assert!(said.out.contains(head), "fault_i1: what it touches is said as it is: {said:?}");
        assert_eq!(said.out.contains("typed-look (no application's; made if it isn't there)"), head.contains("beside"), "{said:?}");
    }
    let mut asks = hub.at_terminal(&["restore", "run", "approval-1", "--no-wait"]);
    asks.until("anything else to stop: ");
    asks.press("approval-1\n");
    let said = asks.end();
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(hub.names("Restore").await.len(), 1);
    let stopped = {
        let mut asks = hub.at_terminal(&["restore", "run", "approval-1"]);
        asks.until("anything else to stop: ");
        asks.press(CTRL_C);
        asks.end()
    };
    assert_eq!(stopped.code, 130, "Ctrl-C is no answer: {stopped:?}");
    assert_eq!(hub.names("Restore").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_shows_each_step_what_it_waits_for_and_how_long_it_took_before() {
    let hub = Hub::of("views").await;
    hub.plan(true).await;
    hub.steps().await;
    hub.ended_drill("core-20261115-0900", true).await;
    hub.drill(
        "d",
        "Running",
        json!([running("restore/approval/stream/approval-db", "1.3 GiB of 1.8 GiB"), running("restore/portal/volume/site-files", "its mover starts")]),
    )
    .await;
    let mut view = hub.at_terminal(&["drill", "watch", "d"]);
    view.until("check login-page");
    view.until("RTO target 30:00");
    hub.write("Drill", "d", drill_status("Running", 3, json!([running("restore/portal/volume/site-files", "3.8 GiB of 19 GiB")]))).await;
    view.until("20%");
    view.press("q");
    let said = view.end();
    assert_eq!(said.code, 0, "{said:?}");
    let shown = plain(&said.out);
    for words in [
        "✓ preflight, isolate",
        "▸ approval",
        "stream approval-db",
        "█",
        "72%",
        "/1:31",
        "check login-page",
        "waits for approval stream approval-db",
        "· clean up",
        "always runs, even if this terminal closes",
        "about ",
        "q leave (the drill continues)",
    ] {
        assert!(shown.contains(words), "{words:?} is not shown:\n{shown}");
    }
    assert!(shown.trim_end().ends_with("drill d continues: p861 drill watch d -d views"), "{shown}");
    assert!(said.out.contains("\u{1b}[?1049l") && said.out.contains("\u{1b}[?25h"), "the terminal is given back");
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"], json!([]), "looking asks nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_pasted_block_presses_no_keys_of_the_view() {
    let hub = Hub::of("pasted").await;
    hub.steps().await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    // The shell takes the first line. The second one is in the terminal when the view begins: its p would pause the drill, and its s skip a step.
    let mut view = hub.at_terminal_after("read -r FIRST; ", 100, &["drill", "watch", "d"]);
    view.press("p861 -d shinan drill watch d\rp861 -d shinan backup list\r");
    view.until("q leave");
    view.press("q");
    let said = view.end();
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"], json!([]), "nothing was asked of the drill");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_view_asks_whether_the_view_or_the_run_is_meant() {
    let hub = Hub::of("leaves").await;
    hub.steps().await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let mut view = hub.at_terminal(&["drill", "watch", "d"]);
    view.until("q leave");
    view.press(CTRL_C);
    view.until("Leave? The drill continues.");
    view.press(CTRL_C);
    let said = view.end();
    assert_eq!(said.code, 130, "{said:?}");
    assert!(plain(&said.out).trim_end().ends_with("drill d continues: p861 drill watch d -d leaves"), "{said:?}");
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"], json!([]), "the run was left alone");

    let mut view = hub.at_terminal(&["drill", "watch", "d"]);
    view.until("q leave");
    view.press(CTRL_C);
    view.until("Leave? The drill continues.");
    view.press("a");
    view.until("Abort: why?");
    view.press("wrong day\r");
    hub.wait("the action stands there", "Drill", "d", |drill| {
        drill["spec"]["actions"] == json!([{"action": "Abort", "reason": "wrong day", "by": "administrator"}])
    })
    .await;
    hub.ended_drill("d", false).await;
    let said = view.end();
    assert_eq!(said.code, 4, "the view ends with the run, and tells how: {said:?}");
    assert!(plain(&said.out).contains("Drill d FAILED"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_a_reason_that_is_missing_is_asked_for() {
    let hub = Hub::of("reasons").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let mut asks = hub.at_terminal(&["drill", "abort", "d", "--no-wait", "--lang", "zh"]);
    asks.until("原因？");
    asks.press("演练日期有误\n");
    let said = asks.end();
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(hub.get("Drill", "d").await["spec"]["actions"][0]["reason"], "演练日期有误");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_cannot_be_drawn_on_gets_lines() {
    let hub = Hub::of("dumb").await;
    hub.drill("d", "Running", json!([running("isolate", "under way")])).await;
    let plain = hub.command(&["drill", "watch", "d", "--timeout", "1s"]);
    let words: Vec<String> = std::iter::once(plain.get_program()).chain(plain.get_args()).map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--flush", "--command", &words.join(" "), "/dev/null"])
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TERM", "dumb").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let said = Running::start(command).end();
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.out.contains("started   isolate") && !said.out.contains('\u{1b}'), "{said:?}");
}

/// What was printed, without the sequences that a terminal obeys.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                let _ = rest.by_ref().find(char::is_ascii_alphabetic);
            }
            '\r' => {}
            c => plain.push(c),
        }
    }
    plain
}
