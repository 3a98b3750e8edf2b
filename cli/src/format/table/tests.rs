use super::{
    super::{fitted, line::width},
    *,
};

const TICKET: Word = Word { en: "TICKET", zh: "工单" };
const STATE: Word = Word { en: "STATE", zh: "状态" };
const AGENT: Word = Word { en: "AGENT", zh: "代理" };
const TITLE: Word = Word { en: "TITLE", zh: "标题" };
const REMEDY: Word = Word { en: "REMEDY", zh: "措施" };

const COMMAND: &str = "p861 ticket approve chg-20261124-envoy-gateway -d shinan";

fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

fn at(lines: &[Line], columns: usize) -> Vec<String> {
    texts(&fitted(lines, Room { columns: Some(columns), every_column: false }))
}

fn tickets(language: Language) -> Vec<Line> {
    let mut table = Table::new(language, &[TICKET, STATE, AGENT, TITLE]).spare(&[AGENT, STATE]);
    let (title, state) = match language {
        Language::En => ("Upgrade the gateway of the district to its declared version", "Scheduled"),
        Language::Zh => ("将本区网关升级到声明的版本，升级前先做备份", "已排期"),
    };
    for (name, agent) in [("chg-20261124-envoy-gateway", "0.1.0"), ("inc-20261208-3f9a", "-")] {
        table.row(vec![Line::of(name), Line::of(state), Line::of(agent), Line::of(title)]);
    }
    table.lines()
}

fn needs(language: Language) -> Vec<Line> {
    let mut table = Table::bare();
    let said = match language {
        Language::En => "Recoverable: last Probed 2026-11-15, allowed 168h; the newest backup was never restored",
        Language::Zh => "可恢复：最近一次探测为 2026-11-15，允许 168 小时；最近的备份从未恢复过",
    };
    table.row(vec![Line::of("✗ app portal"), Line::of(said), Line::toned(Tone::Strong, "p861 drill run core -d shinan")]);
    table.row(vec![Line::of("! ticket chg-20261124-envoy-gateway"), Line::of("waits for 1 approval"), Line::of(COMMAND)]);
    table.lines()
}

#[test]
fn a_long_sentence_pushes_only_its_own_row() {
    let mut table = Table::bare();
    table.row(vec![Line::of("short"), Line::of("p861 status")]);
    table.row(vec![Line::of("x".repeat(SENTENCE + 1)), Line::of("p861 status")]);
    assert_eq!(texts(&table.lines()), ["short  p861 status".to_owned(), format!("{}  p861 status", "x".repeat(SENTENCE + 1))]);
}

#[test]
fn chinese_and_latin_cells_stand_under_each_other() {
    let mut table = Table::new(Language::Zh, &[Word { en: "LEVEL", zh: "级别" }, Word { en: "WHO", zh: "值班人" }, Word { en: "NOTE", zh: "备注" }]);
    table.row(vec![Line::of("duty"), Line::of("甲"), Line::of("已接班")]);
    table.row(vec![Line::of("值班长"), Line::of("shift-leader-a"), Line::of("-")]);
    assert_eq!(texts(&table.lines()), ["级别    值班人          备注", "duty    甲              已接班", "值班长  shift-leader-a  -"]);
}

#[test]
fn fault_h21_a_table_gives_up_its_spare_columns_in_order_and_then_breaks_its_sentences() {
    let english = tickets(Language::En);
    assert_eq!(at(&english, 140)[0], "TICKET                      STATE      AGENT  TITLE", "where there is room, nothing is missing");
    assert_eq!(
        at(&english, 100),
        [
            "TICKET                      STATE      TITLE",
            "chg-20261124-envoy-gateway  Scheduled  Upgrade the gateway of the district to its declared version",
            "inc-20261208-3f9a           Scheduled  Upgrade the gateway of the district to its declared version",
            "1 more column: --wide",
        ]
    );
    assert_eq!(
        at(&english, 60),
        [
            "TICKET                      TITLE",
            "chg-20261124-envoy-gateway  Upgrade the gateway of the",
            "                            district to its declared version",
            "inc-20261208-3f9a           Upgrade the gateway of the",
            "                            district to its declared version",
            "2 more columns: --wide",
        ]
    );
    assert_eq!(
        at(&tickets(Language::Zh), 60),
        [
            "工单                        标题",
            "chg-20261124-envoy-gateway  将本区网关升级到声明的版本，升级",
            "                            前先做备份",
            "inc-20261208-3f9a           将本区网关升级到声明的版本，升级",
            "                            前先做备份",
            "另有 2 列：--wide",
        ]
    );
}

#[test]
fn fault_h21_a_command_stands_whole_below_its_sentence_where_both_do_not_fit() {
    assert_eq!(
        at(&needs(Language::En), 80),
        [
            "✗ app portal                         Recoverable: last Probed 2026-11-15,",
            "                                     allowed 168h; the newest backup was never",
            "                                     restored",
            "                                     p861 drill run core -d shinan",
            "! ticket chg-20261124-envoy-gateway  waits for 1 approval",
            "                                     p861 ticket approve chg-20261124-envoy-gateway -d shinan",
        ]
    );
    assert_eq!(
        at(&needs(Language::Zh), 60),
        [
            "✗ app portal",
            "    可恢复：最近一次探测为 2026-11-15，允许 168 小时；最近的",
            "    备份从未恢复过",
            "    p861 drill run core -d shinan",
            "! ticket chg-20261124-envoy-gateway",
            "    waits for 1 approval",
            "    p861 ticket approve chg-20261124-envoy-gateway -d shinan",
        ]
    );
    let natural = texts(&needs(Language::En));
    assert_eq!(at(&needs(Language::En), 200), natural, "where there is room, a row is a line");
    assert_eq!(texts(&fitted(&needs(Language::En), Room::default())), natural, "a program gets a row a line, however long");
}

#[test]
fn fault_h21_a_command_in_a_table_that_is_too_narrow_for_it_stands_below_its_row() {
    let mut table = Table::new(Language::En, &[TICKET, STATE, REMEDY]);
    table.row(vec![Line::of("chg-1"), Line::of("waits for one approval of a shift leader"), Line::of(COMMAND)]);
    table.row(vec![Line::of("inc-2"), Line::of("open")]);
    assert_eq!(
        at(&table.lines(), 60),
        [
            "TICKET  STATE",
            "    REMEDY",
            "chg-1   waits for one approval of a shift leader",
            "    p861 ticket approve chg-20261124-envoy-gateway -d shinan",
            "inc-2   open",
        ]
    );
}

#[test]
fn fault_h21_at_every_width_no_line_is_too_long_and_every_word_is_there() {
    for columns in 60..=140 {
        for lines in [tickets(Language::En), tickets(Language::Zh), needs(Language::En), needs(Language::Zh)] {
            let shown = at(&lines, columns);
            for line in &shown {
                assert!(width(line) <= columns || line.trim_start().starts_with("p861 "), "{columns}: {line:?} of\n{}", shown.join("\n"));
            }
            let shown = shown.join("\n");
            let words = texts(&lines).join(" ");
            // Chinese sentences are broken between characters; names and commands never.
            for word in words.split_whitespace().filter(|word| word.is_ascii() && !["0.1.0", "-", "AGENT", "STATE", "Scheduled"].contains(word)) {
                assert!(shown.contains(word), "{columns}: {word} is missing in\n{shown}");
            }
        }
    }
}

#[test]
fn fault_h16_a_column_that_says_nothing_is_shown_only_if_every_column_is() {
    let mut table = Table::new(Language::En, &[TICKET, AGENT, STATE]);
    table.row(vec![Line::of("a"), Line::of("-"), Line::of("open")]);
    table.row(vec![Line::of("b"), Line::of(""), Line::of("-")]);
    let lines = table.lines();
    assert_eq!(texts(&fitted(&lines, Room::default())), ["TICKET  STATE", "a       open", "b       -"]);
    assert_eq!(texts(&fitted(&lines, Room { columns: None, every_column: true }))[0], "TICKET  AGENT  STATE");
    let empty = Table::new(Language::En, &[TICKET, AGENT]).lines();
    assert_eq!(texts(&fitted(&empty, Room::default())), ["TICKET  AGENT"], "a table without rows says nothing of its columns");
}

#[test]
fn lines_that_are_no_table_are_broken_under_their_own_indentation_and_tables_stand_apart() {
    let lines: Vec<Line> = [Line::of("Plan core · xinxi-dasha → laoshan-dr · epoch 7")]
        .into_iter()
        .chain(tickets(Language::En))
        .chain([Line::of("  data.mode: live → maintenance")])
        .collect();
    let shown = at(&lines, 30);
    assert_eq!(shown[..2], ["Plan core · xinxi-dasha →", "  laoshan-dr · epoch 7"]);
    assert_eq!(shown[shown.len() - 2..], ["  data.mode: live →", "    maintenance"]);
}
