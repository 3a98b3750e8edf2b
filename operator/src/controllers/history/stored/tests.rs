//! What ended drills have left in a repository, against an API server in memory and a repository in a folder.

use super::super::{
    collect, ended,
    tests::{Bed, LIMITS, now, ours},
};
use serde_json::json;
use std::{fs, path::Path};

fn write(path: &Path) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, b"{}").expect("a file");
}

impl Bed {
    /// A drill of a plan with its journal and report, which ended in that minute of an hour long ago; one that goes on without a result.
    fn drill(&self, plan: &str, number: u8, result: Option<&str>) {
        let name = format!("{plan}-{number}");
        let status = match result {
            Some(result) => {
                json!({"phase": if result == "Passed" { "Succeeded" } else { "Failed" }, "result": result, "completionTime": format!("2026-11-27T08:{number:02}:00Z"), "repository": "main"})
            }
            None => json!({"phase": "Running"}),
        };
        let mut drill = ours("Drill", &name, &json!({"planRef": {"name": plan}, "type": "Isolated"}), &status);
        drill["metadata"]["uid"] = json!(format!("u-{name}"));
        self.hub.put("drills", &drill);
        for file in ["plan.json", "records/00000000000000000001.jsonl", "compacted/00000000000000000009.jsonl"] {
            write(&self.folder.path().join(format!("journal/{plan}/u-{name}/{file}")));
        }
        for ending in ["html", "json"] {
            write(&self.folder.path().join(format!("reports/{name}-u-{name}.{ending}")));
        }
    }

    /// One look of an operator at the district.
    async fn look(&self) {
        let context = self.process();
        let gone = ended(&context, "shinan", LIMITS, now()).await.expect("it can be read");
        collect(&context, "shinan", &gone).await;
    }

    /// The drills, by name, of which a journal, a report and a document are there.
    fn kept(&self) -> [Vec<String>; 3] {
        let names = |paths: Vec<String>, name: &dyn Fn(&str) -> Option<String>| {
            let mut names: Vec<String> = paths.iter().filter_map(|path| name(path)).collect();
            names.dedup();
            names
        };
        let journal = |path: &str| Some(path.split('/').nth(2)?.strip_prefix("u-")?.to_owned());
        let report = |path: &str| Some(path.strip_prefix("reports/")?.split_once("-u-")?.0.to_owned());
        let document = |path: &str| Some(path.split('_').nth(1)?.to_owned());
        [names(self.files("journal"), &journal), names(self.files("reports"), &report), names(self.files("history"), &document)]
    }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn fault_f8_journals_reports_and_documents_of_drills_go_by_the_limits_of_their_plan_and_result() {
    let bed = Bed::empty();
    (1..=7).for_each(|number| bed.drill("core", number, Some("Passed")));
    (21..=24).for_each(|number| bed.drill("core", number, Some("Failed")));
    (1..=4).for_each(|number| bed.drill("other", number, Some("Passed")));
    bed.drill("core", 30, None);
    // A journal of which the hub knows nothing: whose it is, and whether its run has ended, nothing says. Its name begins as that of one that goes.
    let foreign = bed.folder.path().join("journal/core/u-core-10/plan.json");
    write(&foreign);
    bed.look().await;
    assert_eq!(bed.left("drills"), ["core-23", "core-24", "core-30", "core-6", "core-7", "other-3", "other-4"]);
    // Two objects on the hub, and as many documents in the repository, of each plan and result.
    let on_hub = ["core-23", "core-24", "core-30", "core-6", "core-7", "other-3", "other-4"];
    let stored = ["core-21", "core-22", "core-4", "core-5", "other-1", "other-2"];
    let mut both: Vec<&str> = on_hub.into_iter().chain(stored).collect();
    both.sort_unstable();
    let [journals, reports, mut documents] = bed.kept();
    documents.sort();
    let mut with_foreign = both.clone();
    with_foreign.push("core-10");
    with_foreign.sort_unstable();
    assert_eq!((journals, reports, documents), (texts(&with_foreign), texts(&both), texts(&stored)));
    assert_eq!(bed.files("journal/core/u-core-7").len(), 3, "a journal is whole, or gone");
    assert_eq!(bed.files("journal/core/u-core-1"), Vec::<String>::new());
}

#[tokio::test]
async fn fault_f8_what_was_interrupted_while_it_was_removed_goes_at_the_next_occasion() {
    let bed = Bed::empty();
    (1..=5).for_each(|number| bed.drill("core", number, Some("Passed")));
    // What is in the way can't be deleted.
    let report = bed.folder.path().join("reports/core-1-u-core-1.html");
    fs::remove_file(&report).expect("removed");
    fs::create_dir(&report).expect("a folder");
    bed.look().await;
    assert_eq!(bed.left("drills"), ["core-4", "core-5"], "the objects go all the same");
    let [journals, _, documents] = bed.kept();
    assert_eq!(
        (journals, documents),
        (texts(&["core-2", "core-3", "core-4", "core-5"]), texts(&["core-1", "core-2", "core-3"])),
        "the document leads to the rest"
    );
    fs::remove_dir(&report).expect("removed");
    bed.drill("core", 6, Some("Passed"));
    bed.look().await;
    let [journals, reports, documents] = bed.kept();
    let left = texts(&["core-3", "core-4", "core-5", "core-6"]);
    assert_eq!((journals, reports, documents), (left.clone(), left, texts(&["core-3", "core-4"])));
}

#[tokio::test]
async fn fault_f8_a_document_that_names_a_run_on_the_hub_removes_nothing_of_it() {
    let bed = Bed::empty();
    (1..=5).for_each(|number| bed.drill("core", number, Some("Passed")));
    bed.drill("core", 30, None);
    // Somebody with write access to the bucket says that it ended long ago, under another name.
    let forged = "history/drill/Isolated/core/succeeded/20200101T000000Z_elsewhere_u-core-30.json";
    write(&bed.folder.path().join(forged));
    bed.look().await;
    let [journals, reports, _] = bed.kept();
    let left = texts(&["core-2", "core-3", "core-30", "core-4", "core-5"]);
    assert_eq!((journals, reports), (left.clone(), left), "the others go as ever");
    assert!(bed.folder.path().join(forged).exists());
}

#[tokio::test]
async fn fault_f8_two_operators_at_once_remove_no_more_than_one() {
    let bed = Bed::empty();
    (1..=7).for_each(|number| bed.drill("core", number, Some("Passed")));
    tokio::join!(bed.look(), bed.look());
    let [journals, reports, documents] = bed.kept();
    let left = texts(&["core-4", "core-5", "core-6", "core-7"]);
    assert_eq!((journals, reports, documents), (left.clone(), left, texts(&["core-4", "core-5"])));
}
