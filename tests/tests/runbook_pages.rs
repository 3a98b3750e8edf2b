//! Runbooks: one for each alert, always the same four parts, and every command in them does what it is for on a real API server.

use crate::support::{
    access::{Place, may},
    lone::{Lone, SYSTEM},
    pages::{Page, pages},
    programs, text,
};
use p861_tests::install::program;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

/// Alerts by name, with their severity.
fn alerts() -> BTreeMap<String, String> {
    let rules: Value = serde_saphyr::from_str(&text("charts/p861/files/p861.rules.yaml")).expect("YAML");
    let all = rules["groups"].as_array().expect("groups").iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    all.map(|rule| (rule["alert"].as_str().expect("an alert").to_owned(), rule["labels"]["severity"].as_str().expect("a severity").to_owned())).collect()
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    assert_eq!(pages().into_keys().collect::<BTreeSet<_>>(), alerts().into_keys().collect::<BTreeSet<_>>());
}

#[test]
fn a_runbook_says_what_was_seen_what_it_costs_how_to_look_and_how_to_mend() {
    for (name, page) in pages() {
        assert!(page.text.starts_with(&format!("# {name}\n")), "{name}: the title is the alert's name");
        let heads: Vec<&str> = page.sections.iter().map(|(head, _)| head.as_str()).collect();
        assert_eq!(heads, ["Meaning", "Impact", "Diagnosis", "Mitigation"], "{name}");
        for (head, body) in &page.sections {
            assert!(body.trim().len() > 40, "{name}: {head} says nothing: {body:?}");
        }
        assert!(page.sections[2].1.contains("```sh"), "{name}: a diagnosis begins with commands");
        assert!(!page.blocks().is_empty());
    }
}

#[test]
fn the_list_of_runbooks_is_whole_and_an_alert_that_a_page_speaks_of_exists() {
    let list = text("runbooks/README.md");
    for (name, severity) in alerts() {
        let row = format!("| [{name}]({name}.md) | {severity} |");
        assert!(list.lines().any(|line| line.starts_with(&row)), "runbooks/README.md has no line {row}");
    }
    let listed = list.lines().filter(|line| line.starts_with("| [")).count();
    assert_eq!(listed, alerts().len(), "runbooks/README.md lists one that is none");
    for page in pages().values() {
        let words = page.text.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| word.starts_with("P861") && word.len() > 4);
        words.for_each(|word| assert!(alerts().contains_key(word), "{} speaks of {word}, which is no alert", page.name));
    }
}

/// A hub with a district in the state that the pages speak of, a folder to work in, and the programs that they call.
struct Desk {
    server: Lone,
    folder: tempfile::TempDir,
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const NOW: &str = "2026-11-24T00:00:00Z";

impl Desk {
    fn new() -> Self {
        let server = Lone::bare();
        server.install(&[]);
        server.helm(&["upgrade", "p861", "p861", "--reuse-values"]).expect("there is a revision to go back to");
        let desk = Self { server, folder: tempfile::tempdir().expect("a folder") };
        desk.declare();
        desk.people();
        desk.platform();
        desk.equip();
        desk
    }

    fn declare(&self) {
        self.server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shinan}}");
        for file in ["sites", "shinan"] {
            self.server.apply(
                &text(&format!("tests/district/{file}.yaml")).replace("@S3_ENDPOINT@", "http://127.0.0.1:9").replace("@ALERTMANAGER@", "http://127.0.0.1:9"),
            );
        }
        self.server.apply("{apiVersion: v1, kind: Node, metadata: {name: node-1, labels: {kubernetes.io/os: linux}}}");
        self.server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shinan-approval--drill-1, labels: {platform861.io/drill: '1'}}}");
        self.server.apply(&format!(
            "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: p861-operator, namespace: {SYSTEM}}}, spec: {{holderIdentity: gone}}}}"
        ));
        let run = |kind: &str, name: &str, spec: Value| {
            json!({"apiVersion": "platform861.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "shinan"}, "spec": spec}).to_string()
        };
        self.server.apply(&run("Backup", "approval-1", json!({"applicationRef": {"name": "approval"}, "requestedBy": "administrator"})));
        self.server.apply(&run("Restore", "approval-1-restore", json!({"source": {"backupRef": {"name": "approval-1"}}, "requestedBy": "administrator"})));
        self.server.apply(&run("Backup", "damaged", json!({"applicationRef": {"name": "portal"}, "requestedBy": "administrator"})));
        self.server.apply(&run("BackupPolicy", "critical", json!({"repositoryRef": {"name": "shinan"}, "schedule": "0 2 * * *", "defaultFor": ["Critical"]})));
        for name in ["ended", "running"] {
            self.server.apply(&run("Drill", name, json!({"planRef": {"name": "shinan-core"}, "type": "Isolated", "requestedBy": "administrator"})));
        }
        let good = |kind: &str| json!({"type": kind, "status": "True", "reason": "AsDeclared", "message": "in order", "lastTransitionTime": NOW});
        for site in ["xinxi-dasha", "laoshan-dr"] {
            self.status("site", site, &json!({"conditions": [good("Ready"), good("Reachable")]}));
        }
        self.status("application", "approval", &json!({"conditions": [good("Ready"), good("Protected")]}));
        self.status("backuprepository", "shinan", &json!({"conditions": [good("Ready")]}));
        let late =
            json!({"type": "Ready", "status": "False", "reason": "BackupMissed", "message": "the backup of approval is late: ", "lastTransitionTime": NOW});
        self.status("backuppolicy", "critical", &json!({"conditions": [late], "waitingSlots": 1,
            "waiting": [{"application": "approval", "slotTime": NOW, "reason": "BackupRunning", "message": "backup approval-1 has not ended yet: p861 backup show approval-1"}]}));
        self.status("backup", "approval-1", &json!({"phase": "Succeeded", "startTime": NOW, "completionTime": NOW, "conditions": [good("Succeeded")]}));
        self.status(
            "drill",
            "running",
            &json!({"phase": "Running", "startTime": NOW, "targetSite": "laoshan-dr", "currentSteps": [{"id": "clean-up", "phase": "CleaningUp"}]}),
        );
        let report = r#"{"kind":"DrillReport"}"#;
        self.server.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ended-report", "namespace": "shinan"}, "data": {"report.json": report, "report.html": "<!doctype html><title>ended</title>"}}).to_string());
        self.status(
            "drill",
            "ended",
            &json!({"phase": "Failed", "result": "Failed", "startTime": NOW, "completionTime": NOW, "conditions": [good("CleanedUp")]}),
        );
        self.status(
            "recoveryplan",
            "shinan-core",
            &json!({"observedGeneration": 1, "conditions": [good("Ready")], "preflight": {"changedTime": NOW, "checks": [{"name": "StandbyReachable", "result": "Pass", "message": "laoshan-dr: 1 of 1 node ready"}]},
                "lastDrill": {"name": "ended", "type": "Isolated", "result": "Failed", "completionTime": NOW}}),
        );
    }

    /// A roster, and an incident that nobody has acknowledged and whose message is not delivered yet.
    fn people(&self) {
        self.server.apply(
            r"{apiVersion: platform861.io/v1alpha1, kind: DutyRoster, metadata: {name: shinan, namespace: shinan},
                spec: {timeZone: Asia/Shanghai, people: [{name: duty-engineer-a}, {name: shift-leader-a}],
                  levels: [{name: duty, escalateAfter: 10m, rotations: [{name: always, people: [duty-engineer-a]}]}, {name: leader, rotations: [{name: always, people: [shift-leader-a]}]}]}}",
        );
        self.server.apply(
            r"{apiVersion: platform861.io/v1alpha1, kind: MaintenanceTicket, metadata: {name: inc-1, namespace: shinan},
                spec: {type: Incident, title: {zh: 站点失联, en: Site unreachable}, impact: High, urgency: High, incident: {}, requestedBy: administrator}}",
        );
        let condition =
            |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": NOW});
        self.status(
            "dutyroster",
            "shinan",
            &json!({"observedActions": 0, "current": [{"level": "duty", "person": "duty-engineer-a"}, {"level": "leader", "person": "shift-leader-a"}],
                "conditions": [condition("Ready", "True", "Covered"), condition("AlertsArrive", "True", "HeartbeatSeen"), condition("PeopleReachable", "True", "Delivered")]}),
        );
        self.status(
            "maintenanceticket",
            "inc-1",
            &json!({"observedActions": 0, "phase": "Open", "priority": "P1", "clocks": [{"name": "Acknowledge", "state": "Overdue", "dueTime": NOW}],
                "notifications": [{"person": "duty-engineer-a", "channel": "mail", "level": "duty", "state": "Pending", "time": NOW, "dueTime": NOW, "attempts": 3, "message": "mail server mail.example:25: no connection"}],
                "conditions": [condition("WithinClocks", "False", "AcknowledgeOverdue")]}),
        );
    }

    /// The district's platform in order, what was recorded of it, and the kind that cert-manager brings to a site.
    fn platform(&self) {
        self.server.apply(
            "{apiVersion: platform861.io/v1alpha1, kind: Platform, metadata: {name: shinan, namespace: shinan}, spec: {network: {isolation: Department}}}",
        );
        let sites = json!([{"site": "xinxi-dasha", "state": "Ready"}, {"site": "laoshan-dr", "state": "Ready"}]);
        let layers: Vec<Value> = ["Network", "Servers", "Storage", "Security", "BaseSoftware"]
            .iter()
            .zip([62, 42, 17, 50, 50])
            .map(|(layer, supportable)| json!({"layer": layer, "state": "Ready", "supportable": supportable, "sites": sites}))
            .collect();
        self.status(
            "platform",
            "shinan",
            &json!({"layers": layers, "conditions": [{"type": "Ready", "status": "True", "reason": "AsDeclared", "message": "", "lastTransitionTime": NOW}],
                "balance": {"running": 2, "supportable": 17, "shortestLayer": "Storage",
                    "forecast": [{"layer": "Storage", "shortTime": "2027-06-01T00:00:00Z", "basis": {"method": "Linear", "days": 40}, "advice": "order 4Ti before 2027-03"}]}}),
        );
        let history = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shinan-platform-history", "namespace": "shinan"}, "data": {"samples.json": "[]"}});
        self.server.apply(&history.to_string());
        self.server.apply(
            r"{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: certificates.cert-manager.io},
                spec: {group: cert-manager.io, scope: Namespaced, names: {kind: Certificate, plural: certificates, singular: certificate, listKind: CertificateList},
                  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}",
        );
        self.server.kubectl(&["wait", "--for=condition=Established", "crd/certificates.cert-manager.io", "--timeout=60s"]).expect("the kind is served");
    }

    /// What the operator does when it is asked for the token of Alertmanager and there is none.
    fn token(&self) {
        self.server.apply(&format!("{{apiVersion: v1, kind: Secret, metadata: {{name: p861-alerts, namespace: {SYSTEM}}}, stringData: {{token: '{TOKEN}'}}}}"));
    }

    fn status(&self, kind: &str, name: &str, status: &Value) {
        let patch = json!({"status": status}).to_string();
        self.server
            .kubectl(&["patch", kind, name, "--namespace", "shinan", "--subresource=status", "--type=merge", "--patch", &patch])
            .unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// The programs that pages call, and a kubeconfig with a context for the site.
    fn equip(&self) {
        let bin = self.folder.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        let put = |name: &str, script: &str| {
            fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).expect("written");
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).expect("executable");
        };
        let call = |path: &Path| format!("exec '{}'", path.display());
        put("kubectl", &format!("{} \"$@\"", call(&programs().kubectl)));
        put("helm", &format!("{} \"$@\"", call(&programs().helm)));
        put("restic", &format!("{} --no-cache \"$@\"", call(&programs().restic)));
        // No operator runs here: a run that is started is not waited for. What is shown is bad: that is what the page is about.
        let p861 = program("p861").expect("p861 is built");
        put(
            "p861",
            &format!("'{}' --no-wait \"$@\"\ncode=$?\ncase \" $* \" in *' show '* | *' status '*) [ $code = 4 ] && exit 0 ;; esac\nexit $code", p861.display()),
        );
        let kubeconfig = fs::read_to_string(self.server.kubeconfig()).expect("a kubeconfig");
        let kubeconfig = kubeconfig.replace("contexts: [", "contexts: [{name: laoshan-dr, context: {cluster: lone, user: lone}}, ");
        fs::write(self.folder.path().join("kubeconfig"), kubeconfig).expect("written");
        let made = self.shell(&Page::empty("init"), &["restic -r \"$RESTIC_REPOSITORY\" init".to_owned()]);
        assert_eq!(made, Vec::<String>::new());
    }

    /// The labels of each alert, and the names that a person puts in.
    fn labels(page: &str) -> Vec<(&'static str, &'static str)> {
        let (name, drill) = (if page == "P861InvalidObject" { "portal" } else { "approval-1" }, "running");
        vec![
            ("DISTRICT", "shinan"),
            ("APPLICATION", "approval"),
            ("PLAN", "shinan-core"),
            ("REPOSITORY", "shinan"),
            ("SITE", "laoshan-dr"),
            ("KIND", "Application"),
            ("NAME", name),
            ("NODE", "node-1"),
            ("DRILL", drill),
            ("BACKUP", "damaged"),
            ("ROSTER", "shinan"),
            ("TICKET", "inc-1"),
            ("POLICY", "critical"),
            ("PERSON", "shift-leader-a"),
        ]
    }

    /// Runs lines one after the other in one shell, as they are pasted. Gives those that failed, with what they said.
    fn shell(&self, page: &Page, lines: &[String]) -> Vec<String> {
        let work = self.folder.path().join("work");
        fs::create_dir_all(&work).expect("a folder");
        let mut script = "set -u\n".to_owned();
        for (number, line) in lines.iter().enumerate() {
            writeln!(script, "exec 2>'{}/stderr-{number}'\n{line}\necho \"{number} $?\" >> \"$CODES\"", self.folder.path().display()).expect("written");
        }
        let codes = self.folder.path().join("codes");
        let _ = fs::remove_file(&codes);
        let mut command = Command::new("bash");
        command.args(["-c", &script]).current_dir(&work).stdin(Stdio::null()).env("CODES", &codes);
        command.env("PATH", format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap_or_default()));
        command.env("KUBECONFIG", self.folder.path().join("kubeconfig")).env("HOME", self.folder.path()).env("P861_LANG", "en").env("EDITOR", "true");
        command.env("RESTIC_REPOSITORY", self.folder.path().join("restic")).env("RESTIC_PASSWORD", "test");
        // Pages that name a chart by its path are read in the project's folder.
        std::os::unix::fs::symlink(crate::support::root().join("charts"), work.join("charts"))
            .or_else(|error| if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
            .expect("the charts");
        let output = command.envs(Self::labels(&page.name)).output().expect("bash");
        let codes = fs::read_to_string(&codes).unwrap_or_default();
        let ended: BTreeMap<usize, &str> =
            codes.lines().filter_map(|line| line.split_once(' ')).map(|(number, code)| (number.parse().expect("a number"), code)).collect();
        let said = |number: usize| fs::read_to_string(self.folder.path().join(format!("stderr-{number}"))).unwrap_or_default();
        let failed = lines.iter().enumerate().filter(|(number, _)| ended.get(number) != Some(&"0"));
        failed
            .map(|(number, line)| {
                format!("{}: `{line}` ended with {:?}: {}{}", page.name, ended.get(&number), said(number), String::from_utf8_lossy(&output.stdout))
            })
            .collect()
    }
}

#[test]
fn every_command_of_every_page_works_as_it_is_pasted() {
    let desk = Desk::new();
    let (mut failed, mut ran) = (Vec::new(), 0);
    for page in pages().values() {
        desk.token();
        for block in page.blocks() {
            failed.extend(desk.shell(page, &block));
            ran += block.len();
        }
        // In running text a word in capitals stands for a name that the reader has before him.
        let named = |word: &str| {
            let name = word.len() > 2 && word.chars().all(|letter| letter.is_ascii_uppercase());
            if name { format!("\"${word}\"") } else { word.to_owned() }
        };
        let spans: Vec<String> = page.spans().iter().map(|span| span.split(' ').map(named).collect::<Vec<_>>().join(" ")).collect();
        failed.extend(desk.shell(page, &spans));
        ran += spans.len();
    }
    assert!(failed.is_empty(), "{} of {ran} commands failed\n{}", failed.len(), failed.join("\n"));
    assert!(ran > 60, "only {ran} commands");
    // They did what they are for.
    let made = |kind: &str| desk.server.get(&[kind, "--namespace", "shinan"])["items"].as_array().expect("a list").len();
    assert!(made("backups") >= 2 && made("drills") >= 3, "backups and drills were started: {} and {}", made("backups"), made("drills"));
    let skipped = desk.server.get(&["drill", "running", "--namespace", "shinan"])["spec"]["actions"].clone();
    assert_eq!((&skipped[0]["action"], &skipped[0]["step"], &skipped[0]["by"]), (&json!("Skip"), &json!("clean-up"), &json!("administrator")));
    desk.token();
    for page in ["P861AlertPostsRefused", "P861AlertsNotArriving"].map(|name| pages().remove(name).expect("the page")) {
        let shows = page.blocks().concat().into_iter().find(|line| line.contains("get secret p861-alerts")).expect("the page shows the token");
        assert_eq!(desk.shell(&page, &[format!("[ \"$({shows})\" = {TOKEN} ]")]), Vec::<String>::new());
    }
    let actions = desk.server.get(&["maintenanceticket", "inc-1", "--namespace", "shinan"])["spec"]["actions"].clone();
    let told: Vec<(&Value, &Value)> = actions.as_array().expect("actions").iter().map(|action| (&action["action"], &action["by"])).collect();
    let by = json!("administrator");
    assert_eq!(told, [(&json!("Acknowledge"), &by), (&json!("Assign"), &by), (&json!("Note"), &by)]);
    assert_eq!((&actions[1]["assignee"], &actions[2]["reported"]), (&json!("shift-leader-a"), &json!(true)));
    assert!(desk.server.kubectl(&["get", "lease", "p861-operator", "--namespace", SYSTEM]).is_err(), "the lease was deleted");
    assert_eq!(desk.server.get(&["node", "node-1"])["spec"]["unschedulable"], json!(null), "the node was drained, and takes pods again");
    assert!(fs::read_to_string(desk.folder.path().join("work/ended.html")).expect("the report").contains("<title>ended</title>"));
}

#[test]
fn a_command_that_is_wrong_is_noticed() {
    let desk = Desk::new();
    let lines = ["p861 -d \"$DISTRICT\" backup noow", "kubectl get backupz -n \"$DISTRICT\"", "kubectl get \"$UNSET\"", "true"].map(ToOwned::to_owned);
    let failed = desk.shell(&Page::empty("wrong"), &lines[..2]);
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(
        failed[0].contains("ended with Some(\"2\")") && failed[0].contains("no command noow") && failed[1].contains("doesn't have a resource type \"backupz\""),
        "{failed:?}"
    );
    assert_eq!(desk.shell(&Page::empty("wrong"), &lines[2..]).len(), 2, "a label that no alert has ends the shell");
}

/// The page of P861NoLeader: rights that were changed by hand are put back.
#[tokio::test(flavor = "multi_thread")]
async fn rights_that_were_changed_by_hand_are_put_back_by_the_page_s_command() {
    let desk = tokio::task::spawn_blocking(Desk::new).await.expect("a desk");
    let page = pages().remove("P861NoLeader").expect("the page");
    let mend: Vec<String> = page.blocks().concat().into_iter().filter(|line| line.starts_with("helm ")).collect();
    assert!(!mend.is_empty(), "the page has a command that puts rights back");
    let operator = Place { user: "system:serviceaccount:p861-system:p861-operator", group: "", namespace: SYSTEM };
    let holds = async || {
        may(&desk.server, operator, "update", "leases.coordination.k8s.io", "p861-operator").await
            && may(&desk.server, operator, "list", "drills.platform861.io", "").await
    };
    assert!(holds().await);
    desk.server.kubectl(&["delete", "rolebinding", "p861-operator", "--namespace", SYSTEM]).expect("deleted");
    desk.server
        .kubectl(&["patch", "clusterrole", "p861-hub", "--type=json", "--patch", r#"[{"op": "replace", "path": "/rules", "value": []}]"#])
        .expect("changed");
    let seen = async |wanted: bool| {
        for _ in 0..1200 {
            if holds().await == wanted {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        false
    };
    assert!(seen(false).await, "the rights are gone");
    assert_eq!(desk.shell(&page, &mend), Vec::<String>::new());
    assert!(seen(true).await, "the rights are back");
}
