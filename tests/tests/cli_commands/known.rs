//! What a command names is there, or nothing is created.

use super::hub::{Hub, condition};
use serde_json::json;

fn proven() -> serde_json::Value {
    condition("Recoverable", "True", "Proven", "x")
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h18_a_ticket_that_names_what_is_not_there_is_not_opened() {
    let hub = Hub::of("opens").await;
    hub.application("approval", 12, proven()).await;
    let component = json!({"name": "bulletin", "version": "1.1.0", "bundle": {"configMapRef": {"name": "bulletin-bundle"}}});
    let site = |name: &str| json!({"site": name, "installed": "1.1.0", "state": "Ready"});
    let seen = json!([{"name": "bulletin", "version": "1.1.0", "sites": [site("laoshan-dr"), site("xinxi-dasha")]}]);
    hub.put("Platform", "opens", json!({"baseSoftware": {"components": [component]}}), json!({"components": seen})).await;
    hub.put("MaintenanceWindow", "always", json!({"recurrences": [{"schedule": "* * * * *", "duration": "1h"}]}), json!({})).await;
    let change = ["ticket", "open", "Replace the disk", "--change", "Normal", "--plan", "one by one"];
    for (more, code, words) in [
        (&["--window", "allways"][..], 3, "there is no window allways in namespace opens or p861-system: p861 window list -d opens; nothing was created"),
        (&["--app", "aproval"], 3, "there is no app aproval in namespace opens"),
        (&["--site", "laoshan"], 3, "district opens has no site laoshan; it has xinxi-dasha, laoshan-dr; nothing was created"),
        (&["--drain", "laoshan/n1"], 3, "district opens has no site laoshan"),
        (&["--from", "drill/nobody"], 3, "there is no drill nobody in namespace opens"),
        (&["--from", "dril/nobody"], 2, "\"dril\" is no kind of run: write backup/NAME, restore/NAME, drill/NAME or ticket/NAME"),
    ] {
        let said = hub.p861(&[&change[..], more].concat());
        assert_eq!(said.code, code, "{more:?}: {said:?}");
        assert!(said.err.contains(words), "{more:?}: {}", said.err);
    }
    let installed = hub.p861(&["ticket", "open", "upgrade", "bulletin"]);
    let words = "bulletin 1.1.0 is installed on laoshan-dr, xinxi-dasha already: raise its version in the Platform first; nothing was created";
    assert!(installed.code == 3 && installed.err.contains(words), "{installed:?}");
    assert_eq!(hub.names("MaintenanceTicket").await, Vec::<String>::new(), "nothing was created");

    hub.ended_drill("d", true).await;
    let said = hub.p861(&[&change[..], &["--window", "always", "--app", "approval", "--site", "laoshan-dr", "--from", "drill/d"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let ticket = hub.names("MaintenanceTicket").await.remove(0);
    assert_eq!(hub.get("MaintenanceTicket", &ticket).await["spec"]["from"], json!({"kind": "Drill", "name": "d"}), "as the API spells the kind");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h18_runs_that_name_what_is_not_there_are_not_created() {
    let hub = Hub::of("begins").await;
    hub.application("approval", 12, proven()).await;
    hub.plan(true).await;
    hub.backup("approval-1", "approval", 5, "Probed").await;
    for (typed, words) in [
        (&["backup", "now", "approval", "--repository", "man"][..], "there is no repository man in namespace begins"),
        (&["drill", "run", "core", "--site", "laoshan"], "district begins has no site laoshan"),
        (&["restore", "preview", "approval-1", "--site", "laoshan"], "district begins has no site laoshan"),
        (&["restore", "run", "approval-1", "--site", "laoshan", "--yes", "--backup", "approval-1"], "district begins has no site laoshan"),
        (&["restore", "get", "approval-1", "--site", "laoshan"], "district begins has no site laoshan"),
    ] {
        let said = hub.p861(typed);
        assert!(said.code == 3 && said.err.contains(words), "{typed:?}: {said:?}");
    }
    for kind in ["Drill", "Restore"] {
        assert_eq!(hub.names(kind).await, Vec::<String>::new(), "no {kind} was created");
    }
    assert_eq!(hub.names("Backup").await, ["approval-1"], "no Backup was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h14_how_long_a_copy_is_kept_is_said_and_has_an_end() {
    let hub = Hub::of("keeps").await;
    hub.plan(true).await;
    let said = hub.p861(&["drill", "run", "core", "--keep-for", "99h", "--no-wait"]);
    let name = hub.names("Drill").await.remove(0);
    let words = format!("The copy, with production's data, stands for 99h after the checks; to remove it earlier: p861 drill cleanup {name} -d keeps\n");
    assert!(said.code == 0 && said.out.contains(&words), "{said:?}");
    let long = hub.p861(&["drill", "run", "core", "--keep-for", "721h", "--no-wait"]);
    assert!(long.code == 2 && long.err.contains("--keep-for 721h is more than 720h (30 days)"), "{long:?}");
    assert_eq!(hub.names("Drill").await.len(), 1, "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_i1_a_restore_into_the_namespace_of_another_application_is_not_created() {
    let hub = Hub::of("neighbours").await;
    for name in ["approval", "portal"] {
        hub.application(name, 12, proven()).await;
    }
    hub.backup("approval-1", "approval", 5, "Probed").await;
    let to = |target: &str| format!("neighbours-approval={target}");
    for (target, code) in [("neighbours-portal", 3), ("neighbours-look", 0), ("neighbours-approval", 0)] {
        for typed in [&["restore", "preview", "approval-1"][..], &["restore", "run", "approval-1", "--yes", "--backup", "approval-1"]] {
            let said = hub.p861(&[typed, &["--map", &to(target), "--no-wait"]].concat());
            assert_eq!(said.code, code, "{target}: {said:?}");
            let words = "belongs to application portal: a restore there would stop it and overwrite its data";
            assert_eq!(said.err.contains(words), code == 3, "{target}: {said:?}");
        }
    }
    assert_eq!(hub.names("Restore").await.len(), 4, "of the other application none was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_h12_a_restore_that_makes_a_second_writer_says_so_before() {
    let hub = Hub::of("twice").await;
    hub.application("approval", 12, proven()).await;
    hub.backup("approval-1", "approval", 5, "Probed").await;
    let words = "TWO WRITERS: approval runs on xinxi-dasha; the copy on laoshan-dr runs beside it";
    for (typed, warned) in [
        (&["restore", "preview", "approval-1", "--site", "laoshan-dr", "--no-wait"][..], true),
        (&["restore", "run", "approval-1", "--site", "laoshan-dr", "--yes", "--backup", "approval-1", "--no-wait"], true),
        (&["restore", "preview", "approval-1", "--site", "xinxi-dasha", "--no-wait"], false),
        (&["restore", "preview", "approval-1", "--site", "laoshan-dr", "--map", "twice-approval=twice-look", "--no-wait"], false),
    ] {
        let said = hub.p861(typed);
        assert_eq!((said.code, said.err.contains(words)), (0, warned), "{typed:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_assigned_to_somebody_of_a_roster() {
    let hub = Hub::of("assigned").await;
    let spec = json!({"type": "Incident", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "incident": {}});
    hub.put("MaintenanceTicket", "inc", spec, json!({"phase": "Open"})).await;
    let anybody = hub.p861(&["ticket", "assign", "inc", "vendor", "--no-wait"]);
    assert_eq!(anybody.code, 0, "without a roster nobody knows better: {anybody:?}");
    let levels = json!([{"name": "duty", "rotations": [{"name": "always", "people": ["duty-engineer-a"]}]}]);
    let people = json!([{"name": "duty-engineer-a"}, {"name": "shift-leader-a"}]);
    hub.put("DutyRoster", "shifts", json!({"timeZone": "Asia/Shanghai", "people": people, "levels": levels}), json!({})).await;
    let slip = hub.p861(&["ticket", "assign", "inc", "duty-enginer-a", "--no-wait"]);
    assert_eq!(
        (slip.code, slip.err.as_str()),
        (
            3,
            "error: no duty roster of the district has duty-enginer-a, perhaps duty-engineer-a; nothing was requested; people: duty-engineer-a, shift-leader-a; type p861 -d assigned ticket assign inc duty-engineer-a --no-wait\n"
        )
    );
    assert_eq!(hub.p861(&["ticket", "assign", "inc", "shift-leader-a", "--no-wait"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tickets_page_says_what_it_affects_how_it_ended_and_when_each_alert_did() {
    let hub = Hub::of("endings").await;
    let spec = json!({"type": "Incident", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "incident": {}, "affects": {"applicationRefs": [{"name": "portal"}]}});
    let alert = |name: &str, state: &str, end: Option<&str>| json!({"fingerprint": name, "alertName": name, "state": state, "startTime": "2026-11-24T00:00:00Z", "endTime": end});
    let alerts = [alert("Over", "Resolved", Some("2026-11-24T00:40:00Z")), alert("Fires", "Firing", None)];
    let status = json!({"phase": "Closed", "resolution": "Duplicate", "completionTime": "2026-11-24T01:00:00Z", "alerts": alerts});
    hub.put("MaintenanceTicket", "inc", spec, status).await;
    let page = hub.p861(&["ticket", "show", "inc"]);
    for words in ["affects", "portal", "resolution", "Duplicate", "Over resolved · 2026-11-24 08:40", "Fires firing · 2026-11-24 08:00", "Closed · Duplicate"]
    {
        assert!(page.out.contains(words), "{words:?} is not on the page:\n{}", page.out);
    }
    let change = json!({"type": "Change", "title": {"en": "t"}, "impact": "Low", "urgency": "Low", "change": {"class": "Normal", "work": {"manual": {}}, "plan": {"en": "so"}}});
    hub.put("MaintenanceTicket", "chg", change, json!({"phase": "Planned"})).await;
    assert!(hub.p861(&["ticket", "show", "chg"]).out.contains("no application or site is named: none is backed up, silenced or checked"));
}
