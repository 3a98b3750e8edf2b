//! Starting runs: what is created, what is asked before, and what stays undone.

use super::{
    hub::{Hub, Running, condition},
    scenes::running,
};
use serde_json::{Value, json};

fn proven() -> Value {
    condition("Recoverable", "True", "Proven", "x")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_created_under_a_name_of_its_own_by_who_asked() {
    let hub = Hub::of("takes").await;
    hub.application("approval", 12, proven()).await;
    let said = hub.p861(&["backup", "now", "approval", "--reason", "before the upgrade", "--keep-until", "2027-01-31", "--no-wait"]);
    assert_eq!((said.code, said.out.as_str()), (0, "Backup of approval. The application keeps running.\n"));
    let name = hub.names("Backup").await.remove(0);
    assert!(name.starts_with("approval-20") && name.len() == "approval-20261124-0800".len(), "{name}");
    assert_eq!(said.err, format!("backup {name} was started: p861 backup watch {name} -d takes\n"));
    let spec = hub.get("Backup", &name).await["spec"].clone();
    assert_eq!((&spec["requestedBy"], &spec["reason"]), (&json!("administrator"), &json!("before the upgrade")));
    assert_eq!(spec["keepUntilTime"], "2027-01-30T16:00:00Z", "midnight in the district");

    // Until the minute is over, a second one needs another name; the first is never run again.
    let second = hub.p861(&["backup", "now", "approval", "--no-wait", "-o", "name"]);
    assert!(second.out.starts_with("backup.platform861.io/approval-20"), "{second:?}");
    assert_eq!(hub.names("Backup").await.len(), 2);
    let slip = hub.p861(&["backup", "now", "aproval"]);
    assert_eq!(slip.code, 3);
    let day = hub.p861(&["backup", "now", "approval", "--keep-until", "tomorrow"]);
    assert_eq!((day.code, day.out.as_str()), (2, ""));
    assert_eq!(hub.names("Backup").await.len(), 2, "a slip creates nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_watched_to_its_end() {
    let hub = Hub::of("watches").await;
    hub.application("approval", 12, proven()).await;
    let watch = Running::start(hub.command(&["backup", "now", "approval"]));
    let name = hub.wait_for_new("Backup", &[]).await;
    hub.write("Backup", &name, json!({"phase": "Running", "startTime": "2026-11-24T00:00:00Z", "steps": {"total": 3, "done": 1}, "currentSteps": [running("save/approval/stream/approval-db", "under way")]})).await;
    watch.until("started   stream approval-db");
    hub.backup(&name, "approval", 0, "Stored").await;
    let said = watch.end();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains(&format!("Backup {name} succeeded\n")) && said.out.contains("size         1.8 GiB, +11 MiB\n"), "{}", said.out);

    let watch = Running::start(hub.command(&["backup", "now", "approval"]));
    let second = hub.wait_for_new("Backup", &[name]).await;
    let refused = condition("Succeeded", "False", "NoRepository", "namespace watches has no BackupRepository: create one");
    hub.write("Backup", &second, json!({"phase": "Refused", "conditions": [refused]})).await;
    let said = watch.end();
    assert_eq!(said.code, 3, "a run that was refused changed nothing: {said:?}");
    assert!(said.out.contains("✗ Succeeded  namespace watches has no BackupRepository: create one  p861 explain NoRepository\n"), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_says_what_it_will_do_and_is_created_as_it_was_typed() {
    let hub = Hub::of("rehearses").await;
    hub.plan(true).await;
    let said = hub.p861(&["drill", "run", "core", "--no-wait"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "Isolated drill of core on laoshan-dr. xinxi-dasha is not touched, backups continue, and everything created is removed.\n")
    );
    let before = hub.names("Drill").await;
    let typed = [
        "drill",
        "run",
        "core",
        "--type",
        "Isolated",
        "--site",
        "laoshan-dr",
        "--not-after",
        "2026-11-20 00:00",
        "--scenario",
        "勒索软件",
        "--keep-for",
        "1h",
        "--no-wait",
        "-o",
        "json",
        "--lang",
        "zh",
    ];
    let answer = hub.p861(&typed).json();
    assert_eq!((&answer["kind"], &answer["spec"]["requestedBy"]), (&json!("Drill"), &json!("administrator")));
    let name = hub.wait_for_new("Drill", &before).await;
    let spec = hub.get("Drill", &name).await["spec"].clone();
    assert_eq!(
        spec,
        json!({"planRef": {"name": "core"}, "type": "Isolated", "siteRef": {"name": "laoshan-dr"}, "recoveryPoint": {"notAfterTime": "2026-11-19T16:00:00Z"}, "scenario": {"zh": "勒索软件"},
            "keepFor": "1h", "deadline": "4h", "requestedBy": "administrator", "actions": []})
    );
    let slip = hub.p861(&["drill", "run", "cor"]);
    assert_eq!((slip.code, slip.err.as_str()), (3, "error: there is no plan cor in namespace rehearses, perhaps core: p861 -d rehearses drill run core\n"));
    let refused = hub.p861(&["drill", "run", "core", "--scenario", &"x".repeat(600)]);
    assert_eq!(refused.code, 3, "what admission refuses is refused: {refused:?}");
    assert!(refused.err.starts_with("error: the hub refused to create drill core-20") && refused.err.lines().count() == 1, "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_can_only_miss_an_rpo_says_so_before_it_starts() {
    let hub = Hub::of("ages").await;
    hub.plan(true).await;
    hub.application("approval", 12, proven()).await;
    let said = hub.p861(&["drill", "run", "core", "--no-wait"]);
    assert_eq!(said.code, 0, "{said:?}");
    let warned = said.err.lines().next().unwrap_or_default();
    assert!(warned.starts_with("! the newest backup of approval is 12h") && warned.contains(" and its RPO is 15m: this drill will miss it;"), "{warned}");
    assert!(warned.ends_with(": p861 backup now approval -d ages"), "{warned}");
    let by_choice = hub.p861(&["drill", "run", "core", "--no-wait", "--not-after", "2026-11-20 00:00", "-o", "name"]);
    assert!(by_choice.code == 0 && by_choice.err.starts_with("! the recovery point of approval is at least "), "{by_choice:?}");
    let at_the_table = hub.p861(&["drill", "run", "core", "--no-wait", "--type", "Tabletop", "--lang", "zh"]);
    assert!(at_the_table.code == 0 && !at_the_table.err.contains("RPO"), "nothing is recovered: {at_the_table:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_without_a_terminal_needs_the_backup_by_name_twice() {
    let hub = Hub::of("restores").await;
    hub.application("approval", 12, proven()).await;
    hub.backup("approval-1", "approval", 5, "Probed").await;
    let unasked = hub.p861(&["restore", "run", "approval-1"]);
    assert_eq!(
        (unasked.code, unasked.err.as_str()),
        (3, "error: p861 restore run changes live data and there is no terminal for confirmation: add --yes --backup approval-1\n")
    );
    let other = hub.p861(&["restore", "run", "approval-1", "--yes", "--backup", "approval-2"]);
    assert_eq!((other.code, other.err.as_str()), (3, "error: --backup approval-2 is not approval-1: nothing was done\n"));
    let bare = hub.p861(&["restore", "run", "approval-1", "--yes"]);
    assert_eq!(bare.code, 2, "{bare:?}");
    assert_eq!(hub.names("Restore").await, Vec::<String>::new(), "nothing was done");

    let typed = [
        "restore",
        "run",
        "approval-1",
        "--site",
        "laoshan-dr",
        "--map",
        "restores-approval=restores-look",
        "--files",
        "attachments:/2026",
        "--files",
        "attachments:/2025",
        "--prefix",
        "/back",
        "--conflict",
        "Merge",
        "--yes",
        "--backup",
        "approval-1",
        "--no-wait",
    ];
    let said = hub.p861(&typed);
    assert_eq!(said.code, 0, "{said:?}");
    let name = hub.names("Restore").await.remove(0);
    assert_eq!(
        hub.get("Restore", &name).await["spec"],
        json!({"source": {"backupRef": {"name": "approval-1"}}, "mode": "Execute", "conflictPolicy": "Merge", "deadline": "6h", "requestedBy": "administrator", "actions": [],
            "target": {"siteRef": {"name": "laoshan-dr"}, "namespaceMappings": [{"from": "restores-approval", "to": "restores-look"}], "pathPrefix": "/back"},
            "select": {"files": [{"claim": "attachments", "paths": ["/2026", "/2025"]}]}})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_names_what_is_in_the_way_and_offers_no_command_that_would_fail() {
    let hub = Hub::of("previews").await;
    hub.backup("approval-1", "approval", 5, "Probed").await;
    let watch = Running::start(hub.command(&["restore", "preview", "approval-1", "--site", "laoshan-dr"]));
    let name = hub.wait_for_new("Restore", &[]).await;
    let listed = json!([
        {"action": "change", "kind": "ConfigMap", "namespace": "previews-approval", "name": "approval-config", "why": "data.mode: live → maintenance"},
        {"action": "refused", "kind": "Ingress", "namespace": "previews-approval", "name": "approval-old", "why": "networking.k8s.io/v1beta1 is not served"},
    ]);
    hub.map(&format!("{name}-preview"), json!({"preview.json": listed.to_string()})).await;
    let done = condition("Succeeded", "True", "Previewed", "would create 137, change 1; 5 same, 1 refused");
    hub.write("Restore", &name, json!({"phase": "Succeeded", "backup": "approval-1", "site": "laoshan-dr", "changes": {"create": 137, "change": 1, "same": 5, "refused": 1}, "conditions": [done]})).await;
    let said = watch.end();
    assert_eq!(said.code, 4, "{said:?}");
    let page: Vec<&str> = said.lines().into_iter().skip_while(|line| !line.starts_with("ACTION")).collect();
    assert_eq!(
        page,
        [
            "ACTION   KIND                         NAME             WHY",
            "create   137 objects                  -",
            "change   ConfigMap                    approval-config  data.mode: live → maintenance",
            "refused  Ingress                      approval-old     networking.k8s.io/v1beta1 is not served",
            "same     5 objects                    -",
            "data     1 stream, 1 volume, 1.8 GiB",
            "Blocked by: 1 exist and differ, and the conflict policy is Refuse: nothing would be written",
        ]
    );
    assert_eq!(hub.get("Restore", &name).await["spec"]["mode"], "Preview", "a preview writes nothing");
    let again = hub.p861(&["restore", "show", &name, "--lang", "zh"]);
    assert!(again.out.contains("approval-config") && !again.out.contains("p861 restore run"), "{}", again.out);
    let free = json!({"phase": "Succeeded", "backup": "approval-1", "site": "laoshan-dr", "changes": {"create": 137, "change": 0, "same": 5, "refused": 0}});
    hub.write("Restore", &name, free).await;
    let again = hub.p861(&["restore", "show", &name, "--lang", "zh"]);
    assert!(again.out.contains("执行：p861 restore run approval-1 --site laoshan-dr -d previews"), "{}", again.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_object_of_a_backup_is_printed_as_it_was_saved_and_a_secret_without_its_values() {
    let hub = Hub::of("gets").await;
    hub.backup("approval-1", "approval", 5, "Probed").await;
    let named =
        |kind: &str, name: &str, manifest: Value| json!({"action": "same", "kind": kind, "namespace": "gets-approval", "name": name, "manifest": manifest});
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "gets-approval"}, "data": {"mode": "live"}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "gets-approval"}, "data": {"password": "(hidden)"}});
    for (arguments, selector, listed, code, out, err) in [
        (
            &["cm", "settings"][..],
            json!({"kind": "ConfigMap", "name": "settings"}),
            json!([named("ConfigMap", "settings", settings.clone())]),
            0,
            "apiVersion: v1\ndata:\n  mode: live\nkind: ConfigMap\n",
            "",
        ),
        (
            &["secret", "db"],
            json!({"kind": "Secret", "name": "db"}),
            json!([named("Secret", "db", secret)]),
            0,
            "password: (hidden)",
            "--resource Secret/db --map",
        ),
        (&["cm", "nothing"], json!({"kind": "ConfigMap", "name": "nothing"}), json!([]), 4, "", "approval-1 has no ConfigMap/nothing"),
        (&["cm"], json!({"kind": "ConfigMap"}), json!([named("ConfigMap", "settings", Value::Null)]), 0, "gets-approval  ConfigMap  settings", ""),
    ] {
        let known = hub.names("Restore").await;
        let command = Running::start(hub.command(&[&["restore", "get", "approval-1"], arguments].concat()));
        let name = hub.wait_for_new("Restore", &known).await;
        let spec = hub.get("Restore", &name).await["spec"].clone();
        assert_eq!((&spec["mode"], &spec["select"]["resources"]), (&json!("Preview"), &json!([selector])), "it writes nothing");
        hub.map(&format!("{name}-preview"), json!({"preview.json": listed.to_string()})).await;
        hub.write("Restore", &name, json!({"phase": "Succeeded", "backup": "approval-1", "changes": {"same": 1}})).await;
        let said = command.end();
        assert_eq!(said.code, code, "{said:?}");
        assert!(said.out.contains(out) && said.err.contains(err), "{arguments:?} {said:?}");
    }
}
