//! Runs whose journal somebody else has changed, and runs that name sites of others.

use super::*;
use p861_crds::common::RunPhase;
use p861_runs::KEY_SECRET;

fn drills() -> Kind {
    let [_, _, drills] = kinds();
    drills
}

impl Bed {
    /// The drill's folder in the repository.
    fn journal(&self) -> PathBuf {
        let uid = self.hub.get("drills", "run").expect("the drill")["metadata"]["uid"].as_str().expect("a UID").to_owned();
        self.folder.path().join("journal/core").join(uid)
    }

    fn newest_record(&self) -> PathBuf {
        let records = fs::read_dir(self.journal().join("records")).expect("a folder");
        records.map(|entry| entry.expect("an entry").path()).max().expect("a record")
    }

    /// What is on the sites.
    fn made(&self) -> Vec<Value> {
        ["namespaces", "jobs", "networkpolicies", "serviceaccounts", "rolebindings"].into_iter().flat_map(|plural| self.hub.of(plural)).collect()
    }

    /// The status was not written before the process died.
    fn lose_status(&self, kind: &Kind) {
        let mut run = self.hub.get(kind.plural, "run").expect("the run");
        run["status"] = Value::Null;
        self.hub.put(kind.plural, &run);
    }

    /// The drill ends as failed, and nothing on the sites changes.
    async fn is_stopped(&self, context: &Context, case: &str) {
        let (kind, made) = (drills(), self.made());
        self.until(context, &kind, case, |bed| bed.status(&kind)["phase"] == json!(RunPhase::Failed)).await;
        let status = self.status(&kind);
        let condition =
            |kind: &str| status["conditions"].as_array().expect("conditions").iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default();
        for kind in ["Succeeded", "CleanedUp"] {
            assert_eq!((&condition(kind)["status"], &condition(kind)["reason"]), (&json!("False"), &json!("JournalTampered")), "{case}: {status:#}");
        }
        assert!(condition("CleanedUp")["message"].as_str().is_some_and(|message| message.contains("kubectl get namespaces -l platform861.io/drill")), "{case}");
        assert_eq!((&status["result"], status["completionTime"].is_string()), (&json!("Failed"), true), "{case}");
        // It stays as it is: a person decides.
        for _ in 0..3 {
            let run = self.hub.get("drills", "run").expect("the drill");
            (kind.pass)(context.clone(), run).await.expect("a look at what has ended");
        }
        assert_eq!(self.made(), made, "{case}: something was done or undone");
        let run = self.hub.get("drills", "run").expect("the drill");
        assert!(run["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty), "{case}: its object can be deleted");
        let held: Vec<Value> = self.hub.of("configmaps").into_iter().filter(|map| map.to_string().contains(CLEANUP_FINALIZER)).collect();
        assert_eq!(held, Vec::<Value>::new(), "{case}");
    }
}

/// Does something to what a bed's bucket holds.
type Change = fn(&Bed);

#[tokio::test]
async fn fault_e2_a_drill_whose_bucket_serves_another_plan_or_journal_ends_and_nothing_of_it_is_done() {
    let changes: [(&str, Change); 4] = [
        ("another site in the plan", |bed| {
            let plan = bed.journal().join("plan.json");
            let text = fs::read_to_string(&plan).expect("a plan");
            assert!(text.contains("\"there\""), "{text}");
            fs::write(plan, text.replace("\"there\"", "\"here\"")).expect("written");
        }),
        ("the newest record is gone", |bed| fs::remove_file(bed.newest_record()).expect("removed")),
        ("a record says something else", |bed| {
            let text = fs::read_to_string(bed.newest_record()).expect("a record");
            fs::write(bed.newest_record(), text.replacen("\"token\":1", "\"token\":2", 1)).expect("written");
        }),
        ("no records at all", |bed| fs::remove_dir_all(bed.journal().join("records")).expect("removed")),
    ];
    for (case, change) in changes {
        let (bed, kind) = (Bed::new(), drills());
        bed.begin(&bed.process(), &kind).await;
        change(&bed);
        bed.is_stopped(&bed.process(), case).await;
    }
    // The same if the process died before it wrote the status: the run's record says so.
    let (bed, kind) = (Bed::new(), drills());
    bed.begin(&bed.process(), &kind).await;
    bed.lose_status(&kind);
    fs::remove_dir_all(bed.journal().join("records")).expect("removed");
    bed.is_stopped(&bed.process(), "no status, and no records").await;
}

#[tokio::test]
async fn fault_e2_a_drill_does_not_begin_with_a_plan_that_lies_in_its_bucket() {
    let (bed, kind) = (Bed::new(), drills());
    let other = Bed::new();
    other.begin(&other.process(), &kind).await;
    bed.hub.put(kind.plural, &ours(kind.name, "run", "shinan", (kind.spec)()));
    fs::create_dir_all(bed.journal()).expect("a folder");
    fs::copy(other.journal().join("plan.json"), bed.journal().join("plan.json")).expect("a plan of another drill");
    bed.is_stopped(&bed.process(), "a plan of another drill").await;
}

#[tokio::test]
async fn fault_e2_a_journal_that_is_gone_is_not_begun_again_although_no_status_knows_of_it() {
    let (bed, kind) = (Bed::new(), drills());
    bed.begin(&bed.process(), &kind).await;
    bed.lose_status(&kind);
    fs::remove_dir_all(bed.journal()).expect("removed");
    let (next, made) = (bed.process(), bed.made());
    bed.until(&next, &kind, "it says so", |bed| bed.status(&kind).to_string().contains("JournalMissing")).await;
    assert_eq!(bed.made(), made);
}

#[tokio::test]
async fn fault_e2_the_status_pins_the_plan_and_the_last_record_and_no_role_of_a_district_has_the_key() {
    let (bed, kind) = (Bed::new(), drills());
    let context = bed.process();
    bed.begin(&context, &kind).await;
    let journal = bed.status(&kind)["journal"].clone();
    assert!(journal["plan"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{journal}");
    assert_eq!(journal["seal"].as_str().map(str::len), Some(64), "{journal}");
    let pinned = bed.hub.of("configmaps").into_iter().find_map(|map| map["data"]["pin.json"].as_str().map(str::to_owned)).expect("a pin");
    let pinned: Value = serde_json::from_str(&pinned).expect("JSON");
    assert_eq!((&pinned["plan"], pinned["head"]["sequence"].as_u64()), (&journal["plan"], Some(1)), "{pinned}");
    let keys: Vec<Value> = bed.hub.of("secrets").into_iter().filter(|secret| secret["metadata"]["name"] == KEY_SECRET).collect();
    assert_eq!(keys.iter().map(|key| &key["metadata"]["namespace"]).collect::<Vec<_>>(), ["p861-system"]);
}

#[tokio::test]
async fn fault_e2_a_drill_whose_key_is_lost_says_so_and_goes_on_with_it() {
    let (bed, kind) = (Bed::new(), drills());
    bed.begin(&bed.process(), &kind).await;
    let key = bed.hub.get("secrets", KEY_SECRET).expect("the key");
    let mut other = key.clone();
    other["stringData"] = json!({"key": "5a".repeat(32)});
    bed.hub.put("secrets", &other);
    let next = bed.process();
    bed.until(&next, &kind, "it says so", |bed| bed.status(&kind).to_string().contains("JournalKeyLost")).await;
    bed.hub.put("secrets", &key);
    bed.abort(&kind);
    bed.ends_clean(&next, &kind).await;
}

#[tokio::test]
async fn fault_e3_a_run_that_names_a_site_of_another_district_is_refused_and_makes_nothing() {
    let foreign = || json!({"name": "laoshan-site"});
    let [backup, restore, drill] = kinds();
    for (case, kind, spec, sites) in [
        ("a restore", &restore, json!({"source": {"backupRef": {"name": "sound"}}, "target": {"siteRef": foreign()}}), None),
        ("a preview", &restore, json!({"source": {"backupRef": {"name": "sound"}}, "target": {"siteRef": foreign()}, "mode": "Preview"}), None),
        ("a drill", &drill, json!({"planRef": {"name": "core"}, "type": "Isolated", "siteRef": foreign()}), None),
        ("a tabletop drill", &drill, json!({"planRef": {"name": "core"}, "type": "Tabletop", "siteRef": foreign()}), None),
        ("the plan of a drill", &drill, json!({"planRef": {"name": "core"}, "type": "Isolated"}), Some(("here", "laoshan-site"))),
        ("the plan of a backup", &backup, json!({"applicationRef": {"name": "approval"}}), Some(("laoshan-site", "there"))),
        ("the plan of a restore", &restore, json!({"source": {"backupRef": {"name": "sound"}}}), Some(("laoshan-site", "there"))),
    ] {
        let bed = Bed::new();
        bed.hub.put("sites", &ours("Site", "laoshan-site", "", json!({"names": {"en": "x"}, "failureDomain": "x", "access": {"inCluster": {}}})));
        if let Some((home, standby)) = sites {
            let mut plan = bed.hub.get("recoveryplans", "core").expect("a plan");
            plan["spec"]["sites"] = json!({"homeSiteRef": {"name": home}, "standbySiteRefs": [{"name": standby}]});
            bed.hub.put("recoveryplans", &plan);
        }
        let made = bed.made();
        bed.hub.put(kind.plural, &ours(kind.name, "run", "shinan", spec));
        let context = bed.process();
        bed.until(&context, kind, case, |bed| bed.status(kind)["phase"] == "Refused").await;
        let conditions = bed.status(kind)["conditions"].to_string();
        assert!(conditions.contains("SiteNotAllotted") && conditions.contains("site laoshan-site is not one of the sites of shinan"), "{case}: {conditions}");
        assert_eq!(bed.made(), made, "{case}");
    }
}
