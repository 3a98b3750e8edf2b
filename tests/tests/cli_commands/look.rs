//! Pages that only look: status, applications, backups, plans.

use super::{
    hub::{Hub, condition},
    scenes::{asking, core_steps, failed, running},
};
use serde_json::{Value, json};

fn proven() -> Value {
    condition("Recoverable", "True", "Proven", "approval-20261124-0230 was restored and probed")
}

fn unproven() -> Value {
    condition("Recoverable", "False", "VerificationTooOld", "last Probed 2026-11-15, allowed 168h: p861 drill run core")
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_one_page_that_ends_with_what_needs_a_person() {
    let hub = Hub::of("status").await;
    hub.repository().await;
    hub.application("approval", 3, proven()).await;
    hub.application("portal", 5, unproven()).await;
    hub.plan(false).await;
    hub.drill("waits", "WaitingForPerson", json!([asking("waits", "announce"), running("restore/portal/volume/site-files", "under way")])).await;
    let said = hub.p861(&["status"]);
    let lines = said.lines();
    assert!(lines[0].starts_with("Shinan District 市南区 370202 · hub on laoshan-dr · 20") && lines[0].ends_with(" +08:00"), "{}", lines[0]);
    assert_eq!(
        lines[1..],
        [
            "SITES       xinxi-dasha Primary, Ready, 18/18 nodes, 1 plan active · laoshan-dr Standby, Ready, 9/9 nodes",
            "PROTECTION  2 of 2 Protected, 1 Recoverable; oldest recovery point 5h",
            "RECOVERY    0 of 1 plans pass their checks; core drilled 9d ago (passed), predicted 9m40s of 30m",
            "NEEDS YOU",
            "✗ app portal   Recoverable: last Probed 2026-11-15, allowed 168h      p861 drill run core -d status",
            "✗ plan core    ReadyToFailover: 1 of 4 checks fail (RecoverableData)  p861 plan check core -d status",
            "! drill waits  WaitingForPerson: announce: Was the hotline called?    p861 drill answer waits announce --yes -d status",
        ],
        "{}",
        said.out
    );
    assert_eq!((said.code, said.err.as_str()), (4, ""));

    let answer = hub.p861(&["status", "-o", "json", "--lang", "zh"]);
    assert_eq!(answer.code, 4, "the form of the answer changes nothing");
    let page = answer.json();
    assert_eq!((&page["apiVersion"], &page["kind"], &page["namespace"]), (&json!("cli.platform861.io/v1"), &json!("Status"), &json!("status")));
    assert_eq!(
        page["needs"][0],
        json!({"object": "application.platform861.io/portal", "condition": "Recoverable", "message": "last Probed 2026-11-15, allowed 168h", "command": "p861 drill run core -d status"}),
        "what programs read is never translated"
    );
    assert_eq!(page["sites"].as_array().map(Vec::len), Some(2), "the district's sites");
    assert_eq!(
        hub.p861(&["status", "-o", "name"]).lines(),
        ["application.platform861.io/portal", "recoveryplan.platform861.io/core", "drill.platform861.io/waits"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h15_what_is_only_advised_stands_apart_and_needs_nobody() {
    let hub = Hub::of("advised").await;
    let conditions = [
        condition("Ready", "True", "AsDeclared", "every layer is as declared"),
        condition("Balanced", "False", "Excess", "Storage supports 17 applications, Network 62; strengthen Storage first: p861 platform gaps"),
    ];
    let balance = json!({"running": 2, "supportable": 17, "shortestLayer": "Storage", "excessLayers": ["Network"]});
    let items = [json!({"key": "knowledge", "state": "Missing", "reason": "NoApplication"})];
    let status = json!({"conditions": conditions, "balance": balance, "items": items});
    hub.put("Platform", "advised", json!({"network": {"isolation": "Department"}}), status).await;
    let said = hub.p861(&["status"]);
    let lines = said.lines();
    let head = lines.iter().position(|line| *line == "ADVICE").unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!((said.code, lines[head - 1]), (0, "Nothing needs you."), "{said:?}");
    assert_eq!(
        lines[head + 1..],
        [
            "· platform advised  Balanced: Storage supports 17 applications, Network 62; strengthen Storage first  p861 platform gaps -d advised",
            "· platform advised  Items: the profile expects knowledge, and no application provides it; declare spec.profileItem: knowledge in the Application that does  p861 platform gaps -d advised",
        ]
    );
    let page = hub.p861(&["status", "-o", "json"]).json();
    assert_eq!((&page["needs"], page["advice"].as_array().map(Vec::len)), (&json!([]), Some(2)));
    for words in [["platform", "gaps"], ["platform", "status"]] {
        assert_eq!(hub.p861(&words).code, 0, "{words:?}: the same truth has the same code");
    }
    let weak = condition("Ready", "False", "LayerWeak", "Storage is weak: p861 platform gaps");
    hub.write("Platform", "advised", json!({"conditions": [weak]})).await;
    for words in [&["platform", "gaps"][..], &["platform", "status"], &["status"]] {
        assert_eq!(hub.p861(words).code, 4, "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h19_an_object_has_one_exit_code_whoever_shows_it() {
    let hub = Hub::of("codes").await;
    hub.repository().await;
    hub.application("approval", 3, proven()).await;
    hub.application("portal", 5, unproven()).await;
    hub.plan(false).await;
    hub.ended_drill("passed", true).await;
    hub.ended_drill("failed", false).await;
    hub.backup("approval-1", "approval", 3, "Probed").await;
    let refused = condition("Succeeded", "False", "NoRepository", "namespace codes has no BackupRepository: create one");
    hub.put("Backup", "refused", json!({"applicationRef": {"name": "approval"}}), json!({"phase": "Refused", "conditions": [refused]})).await;
    hub.drill("asks", "WaitingForPerson", json!([asking("asks", "announce")])).await;
    for (name, code, commands) in [
        ("passed", 0, &["drill show", "drill watch", "drill watch --no-wait", "drill report"][..]),
        ("failed", 4, &["drill show", "drill watch", "drill watch --no-wait", "drill report"]),
        ("asks", 5, &["drill show", "drill watch", "drill watch --no-wait"]),
        ("refused", 3, &["backup show", "backup watch"]),
        ("approval-1", 0, &["backup show", "backup watch"]),
        ("approval", 0, &["app status"]),
        ("portal", 4, &["app status"]),
        ("core", 4, &["plan show", "plan check"]),
        ("main", 0, &["repository show"]),
        ("laoshan-dr", 0, &["site show"]),
    ] {
        for command in commands {
            let words: Vec<&str> = command.split(' ').chain([name]).collect();
            for form in ["table", "json"].into_iter().filter(|form| *form == "table" || !command.starts_with("drill report")) {
                let said = hub.p861(&[&words[..], &["-o", form]].concat());
                assert_eq!(said.code, code, "{command} {name} -o {form}: {said:?}");
            }
        }
    }
    assert_eq!(hub.p861(&["drill", "list"]).code, 0, "a list says what there is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_district_where_all_is_well_needs_nobody_and_one_that_nobody_looks_at_does() {
    let hub = Hub::of("well").await;
    hub.repository().await;
    hub.application("approval", 3, proven()).await;
    hub.plan(true).await;
    let well = hub.p861(&["status"]);
    assert_eq!((well.code, well.lines().last()), (0, Some(&"Nothing needs you.")), "{well:?}");

    // Where no operator renews its lease, what was good is only old.
    let silent = hub.p861(&["status", "--operator-namespace", "default"]);
    assert_eq!(silent.code, 4);
    assert!(
        silent.out.contains("✗ operator p861-operator  Alive: no operator leads: nothing is reconciled, and nothing goes on until one does"),
        "{}",
        silent.out
    );

    hub.declare("Application", "fresh", json!({"department": "approval-bureau", "namespaces": ["well-fresh"]})).await;
    let fresh = hub.p861(&["status"]);
    assert_eq!(fresh.code, 4);
    assert!(fresh.out.contains("! app fresh  Ready: the operator has not checked it yet  kubectl -n p861-system get pods"), "{}", fresh.out);
    assert!(fresh.out.contains("1 of 2 Protected, 1 Recoverable; oldest recovery point 3h; 1 without a backup"), "{}", fresh.out);
    let page = hub.p861(&["app", "status", "fresh"]);
    assert_eq!((page.code, page.lines().last()), (4, Some(&"! the operator has not checked it yet")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_good_only_if_every_condition_is() {
    let hub = Hub::of("apps").await;
    hub.application("approval", 3, proven()).await;
    hub.application("portal", 5, unproven()).await;
    assert_eq!(
        hub.p861(&["app", "list"]).lines(),
        [
            "APPLICATION  DEPARTMENT       SITE         HEALTHY  PROTECTED  RECOVERABLE  LAST BACKUP",
            "approval     approval-bureau  xinxi-dasha  True     True       True         3h",
            "portal       approval-bureau  xinxi-dasha  True     True       False        5h",
        ]
    );
    let good = hub.p861(&["app", "status", "approval"]);
    assert_eq!(good.code, 0, "{good:?}");
    // No failover is claimed that the product lacks (FAULTS A12).
    assert!(
        good.out
            .contains("· ReadyToFailover  failover comes with a later release. A drill proves that plan core can be recovered  p861 drill run core -d apps\n"),
        "{}",
        good.out
    );
    let zh = hub.p861(&["app", "status", "approval", "--lang", "zh"]);
    assert!(zh.out.contains("可切换") && zh.out.contains("本版本尚不支持"), "{}", zh.out);
    let bad = hub.p861(&["app", "status", "portal"]);
    assert_eq!((bad.code, bad.lines()[0]), (4, "Application portal · Online approval 网上审批"));
    assert!(bad.out.contains("✗ Recoverable      last Probed 2026-11-15, allowed 168h  p861 drill run core -d apps\n"), "{}", bad.out);
    let absent = hub.p861(&["app", "status", "nobody"]);
    assert_eq!((absent.code, absent.err.as_str()), (3, "error: there is no app nobody in namespace apps: p861 app list -d apps\n"));
    assert_eq!(hub.p861(&["app", "status", "portal", "-o", "json"]).json()["kind"], "Application");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_backups_and_the_newest_of_each_level_are_listed() {
    let hub = Hub::of("backups").await;
    hub.application("approval", 2, proven()).await;
    for (name, hours, level) in
        [("approval-5", 2, "Stored"), ("approval-4", 3, "Stored"), ("approval-3", 4, "Stored"), ("approval-2", 30, "Probed"), ("approval-1", 40, "Probed")]
    {
        hub.backup(name, "approval", hours, level).await;
    }
    hub.backup("portal-1", "portal", 1, "Stored").await;
    let said = hub.p861(&["backup", "list", "approval"]);
    let columns = |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = said.lines().into_iter().map(columns).collect();
    assert_eq!(rows[0], ["BACKUP", "PHASE", "DATA AS OF", "AGE", "SIZE", "ADDED", "VERIFIED"]);
    let told: Vec<(&str, &str, &str)> = rows[1..].iter().map(|row| (row[0].as_str(), row[3].as_str(), row[6].as_str())).collect();
    assert_eq!(told, [("approval-5", "2h", "Stored"), ("approval-4", "3h", "Stored"), ("approval-2", "30h", "Probed")]);
    assert_eq!((said.code, said.err.as_str()), (0, "3 of 5 (newest, and newest of each level); --all for all\n"));

    let names = |arguments: &[&str]| -> Vec<String> {
        let list = hub.p861(&[&["backup", "list"], arguments, &["-o", "json"]].concat()).json();
        assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("List")));
        list["items"].as_array().expect("items").iter().map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&["approval"]), ["approval-5", "approval-4", "approval-2"], "programs are shown the same, in the same order");
    assert_eq!(names(&["approval", "--all"]), ["approval-5", "approval-4", "approval-3", "approval-2", "approval-1"]);
    assert_eq!(names(&[]), ["portal-1", "approval-5", "approval-4", "approval-2"], "of each application");

    let slip = hub.p861(&["backup", "list", "aproval"]);
    assert_eq!(
        (slip.code, slip.err.as_str()),
        (3, "error: there is no app aproval in namespace backups, perhaps approval: p861 -d backups backup list approval\n")
    );
    hub.application("portal-2", 2, proven()).await;
    let none = hub.p861(&["backup", "list", "portal-2"]);
    assert_eq!(
        (none.code, none.out.as_str(), none.err.as_str()),
        (0, "", "There are no backups of portal-2 in backups: p861 backup now portal-2 -d backups\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_shown_as_damaged_and_needs_a_person() {
    let hub = Hub::of("damaged").await;
    hub.backup("approval-1", "approval", 5, "Probed").await;
    let message = "pack 12ab34 is missing in repository main: p861 backup now approval";
    hub.write(
        "Backup",
        "approval-1",
        json!({"conditions": [condition("Succeeded", "True", "Complete", ""), condition("Verified", "False", "Damaged", message)]}),
    )
    .await;
    assert!(hub.p861(&["backup", "list"]).lines()[1].ends_with("  damaged"));
    let status = hub.p861(&["status"]);
    assert_eq!(status.code, 4);
    assert!(
        status.out.contains("✗ backup approval-1  Verified: pack 12ab34 is missing in repository main  p861 backup now approval -d damaged"),
        "{}",
        status.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_check_shows_each_check_and_fails_if_one_does() {
    let hub = Hub::of("plans").await;
    hub.plan(false).await;
    hub.steps().await;
    let said = hub.p861(&["plan", "check", "core"]);
    let digest: String = core_steps().digest().trim_start_matches("sha256:").chars().take(12).collect();
    let head = format!("Plan core · xinxi-dasha → laoshan-dr · epoch 7 · 41 steps · predicted 9m40s of 30m (5 drills) · digest {digest}");
    assert_eq!(
        said.lines(),
        [
            head.as_str(),
            "✓ StandbyReachable  laoshan-dr, 9 nodes",
            "✓ KeyAccess         repository main opened",
            "✗ RecoverableData   never restored and probed: portal  p861 drill run core -d plans",
            "✓ JournalWritable   repository main opened",
            "Not ready: 1 of 4 fails. --steps prints the steps, --graph the order.",
        ]
    );
    assert_eq!((said.code, said.err.as_str()), (4, ""));
    let graph = hub.p861(&["plan", "check", "core", "--graph"]);
    assert_eq!(
        graph.lines()[6..],
        ["  1  preflight", "  2  isolate", "  3  approval stream approval-db, portal volume site-files", "  4  approval check login-page", "  5  clean up"]
    );
    let answer = hub.p861(&["plan", "check", "core", "--steps", "-o", "json"]);
    let page = answer.json();
    assert_eq!((answer.code, &page["kind"], &page["ready"], &page["checks"][2]["result"]), (4, &json!("PlanCheck"), &json!(false), &json!("Fail")));
    assert_eq!(page["steps"][1], json!({"id": "isolate", "after": ["preflight"], "deadline": "2m"}));

    hub.plan(true).await;
    let ready = hub.p861(&["plan", "check", "core"]);
    assert_eq!((ready.code, ready.lines().last()), (0, Some(&"Ready for a drill: 4 of 4 pass. --steps prints the steps, --graph the order.")), "{ready:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_check_says_nothing_of_a_plan_that_was_not_looked_at_or_does_not_compile() {
    let hub = Hub::of("unplanned").await;
    hub.plan(true).await;
    let groups = json!([{"name": "all", "members": [{"applicationRef": {"name": "approval"}}]}]);
    hub.declare("RecoveryPlan", "core", json!({"repositoryRef": {"name": "main"}, "groups": groups})).await;
    let stale = hub.p861(&["plan", "check", "core"]);
    assert_eq!((stale.code, stale.out.as_str()), (3, ""), "what was checked is another plan than the one that stands there: {stale:?}");
    assert!(stale.err.starts_with("error: plan core has not been checked in its present form: "), "{}", stale.err);

    let broken = condition("Ready", "False", "NoRecoveryPoint", "application approval has no backup that succeeded: p861 backup now approval");
    hub.write("RecoveryPlan", "core", json!({"observedGeneration": 2, "conditions": [broken]})).await;
    let broken = hub.p861(&["plan", "check", "core"]);
    assert_eq!(broken.code, 4);
    assert_eq!(
        broken.lines()[1..],
        ["✗ Ready  application approval has no backup that succeeded  p861 backup now approval -d unplanned", "Not ready: the plan does not compile."]
    );
    let page = hub.p861(&["plan", "check", "core", "-o", "json"]).json();
    assert_eq!(
        (&page["ready"], &page["reason"], &page["checks"]),
        (&json!(false), &json!("NoRecoveryPoint"), &json!([])),
        "checks of before are of another plan"
    );
    let missing = hub.p861(&["plan", "check", "core", "--steps"]);
    assert_eq!(missing.code, 4, "a plan that does not compile has no steps to miss: {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_are_asked_for_and_not_there_are_not_left_out_silently() {
    let hub = Hub::of("stepless").await;
    hub.plan(true).await;
    let said = hub.p861(&["plan", "check", "core", "--steps"]);
    assert_eq!((said.code, said.err.as_str()), (3, "error: the steps of plan core are not on the hub (ConfigMap core-steps): wait for the operator\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_district_is_the_option_or_the_kubeconfigs_namespace_and_never_a_guess() {
    let hub = Hub::of("placed").await;
    hub.application("portal", 5, unproven()).await;
    let at = |namespace: &str, arguments: &[&str]| {
        let kubeconfig =
            hub.kubeconfig(&format!("kubeconfig-{namespace}"), |text| text.replace("user: lone}}]", &format!("user: lone, namespace: {namespace}}}}}]")));
        hub.with_kubeconfig(&kubeconfig, arguments)
    };
    let here = at("placed", &["app", "status", "portal"]);
    assert!(
        here.out.contains("✗ Recoverable      last Probed 2026-11-15, allowed 168h  p861 drill run core\n"),
        "no option is needed to come here again: {here:?}"
    );
    let nowhere = at("kube-system", &["app", "list"]);
    assert_eq!((nowhere.code, nowhere.out.as_str()), (2, ""));
    assert!(
        nowhere.err.starts_with("error: namespace kube-system of the kubeconfig belongs to no district: add -d DISTRICT; available: ")
            && nowhere.err.contains("placed"),
        "{}",
        nowhere.err
    );
    assert_eq!(at("kube-system", &["site", "list"]).code, 0, "sites are no district's");
    for words in [&["status"][..], &["app", "list"], &["drill", "list"], &["ticket", "list", "-o", "json"], &["platform", "gaps"], &["drill", "run", "core"]] {
        let named = at("placed", &[&["-n", "default"], words].concat());
        assert_eq!((named.code, named.out.as_str()), (2, ""), "{words:?}: {named:?}");
        assert!(
            named.err.starts_with("error: namespace default belongs to no district: use -d DISTRICT instead of -n; available: "),
            "{words:?}: {}",
            named.err
        );
    }
    assert_eq!(at("kube-system", &["-n", "placed", "app", "list"]).code, 0, "the namespace of a district means it");
    let unknown = at("placed", &["-d", "jimo", "app", "list"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.err.starts_with("error: there is no district jimo; available: "), "{}", unknown.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_a_namespace_only_works_in_it_and_is_told_what_is_missing() {
    let hub = Hub::of("narrow").await;
    hub.application("approval", 3, proven()).await;
    hub.apply(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: viewers, namespace: narrow}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: p861-role-viewer}, \
         subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: shinan-viewers}]}",
    );
    let kubeconfig = hub.kubeconfig("kubeconfig-viewer", |text| text.replace("lone-administrator", "token-of-viewer-zhou"));
    let of_viewer = |arguments: &[&str]| hub.with_kubeconfig(&kubeconfig, arguments);
    let list = of_viewer(&["-n", "narrow", "app", "list"]);
    let remark = "! you may not read the District of narrow: times are in Asia/Shanghai; its administrator gives that right by hub.clusterReaders\n";
    assert_eq!((list.code, list.err.as_str()), (0, remark));
    assert!(list.out.contains("approval     approval-bureau"), "{}", list.out);
    let takes = of_viewer(&["-n", "narrow", "backup", "now", "approval"]);
    assert_eq!(takes.code, 3, "{takes:?}");
    assert!(takes.err.contains("you may not create backup approval-") && takes.err.contains("spec.roleBindings"), "{}", takes.err);
    let by_district = of_viewer(&["-d", "narrow", "app", "list"]);
    assert_eq!((by_district.code, by_district.err.as_str(), by_district.out), (0, remark, list.out), "nobody needs to list districts to name one");
    let page = of_viewer(&["-d", "narrow", "status"]);
    assert!(page.out.contains("PROTECTION") && !page.out.contains("SITES") && [0, 4].contains(&page.code), "{page:?}");
    assert!(page.err.contains("! you may not list sites: this page says nothing of them"), "{}", page.err);
    assert_eq!(of_viewer(&["-d", "narrow", "status", "-o", "json"]).json()["sites"], json!(null), "unknown is not none");
    let sites = of_viewer(&["-d", "narrow", "site", "list"]);
    assert!(sites.code == 3 && sites.err.contains("hub.clusterReaders") && !sites.err.contains("roleBindings"), "{}", sites.err);
    let unknown = hub.with_kubeconfig(&hub.kubeconfig("kubeconfig-unknown", |text| text.replace("lone-administrator", "nobody")), &["site", "list"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.err.contains("did not accept your credentials: renew them") && !unknown.err.contains("nobody"), "{}", unknown.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_for_a_person_to_decide_is_told_by_its_failure() {
    let hub = Hub::of("decide").await;
    hub.drill("stuck", "WaitingForPerson", json!([failed("stuck", "check/approval/login-page")])).await;
    let said = hub.p861(&["status"]);
    assert!(
        said.out.contains("! drill stuck  WaitingForPerson: check/approval/login-page: failed: the page answered 500; retry, skip or abort"),
        "{}",
        said.out
    );
    let zh = hub.p861(&["status", "--lang", "zh"]);
    assert!(zh.out.contains("等待人工：check/approval/login-page：失败：the page answered 500；请重试、跳过或中止"), "{}", zh.out);
}
