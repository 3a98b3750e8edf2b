#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use super::*;
use jiff::SignedDuration;
use p861_core::engine::{Limits, Step, StepId};
use p861_crds::Reason;

/// A plan of so many claims, with what a step of a backup holds.
fn plan(claims: u32) -> Plan<Action> {
    let action =
        |claim: u32| Action::RemoveMovers { site: format!("site-{claim}").into(), namespaces: vec![format!("department-{claim}-{}", "n".repeat(900))] };
    let step = |claim: u32| Step::new(StepId::new(format!("backup/volume/claim-{claim}")).unwrap(), action(claim), SignedDuration::from_hours(1));
    Plan::with_limits((0..claims).map(step).collect(), Limits::default()).unwrap()
}

#[test]
fn a_plan_of_two_thousand_claims_fits_into_a_config_map_and_is_read_again() {
    for claims in [1, 50, 900, 2_000] {
        let plan = plan(claims);
        let text = plan_text(&plan).unwrap();
        let mut map = ConfigMap::default();
        put_text(&mut map, PLAN, text.clone()).unwrap();
        put_text(&mut map, RECORDS, String::new()).unwrap();
        assert_eq!(map.binary_data.is_some(), text.len() > MAX_PLAIN_BYTES, "{claims} claims");
        let read = read_plan(&text_of(&map, PLAN).unwrap().unwrap()).unwrap();
        assert_eq!(read.digest(), plan.digest());
        // A short text in its place is plain again, and the packed one is gone.
        put_text(&mut map, PLAN, "{}".to_owned()).unwrap();
        assert_eq!((text_of(&map, PLAN).unwrap().as_deref(), map.binary_data), (Some("{}"), None));
    }
}

#[test]
fn more_than_a_config_map_holds_is_refused_with_what_to_do() {
    // Not to be packed: each character is another.
    let mut seed = 1_u64;
    let noise: String = (0..2_000_000)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + u8::try_from((seed >> 33) % 94).unwrap())
        })
        .collect();
    let error = put_text(&mut ConfigMap::default(), PLAN, noise).unwrap_err();
    assert_eq!((error.reason(), error.category()), (Reason::JournalFull, Category::NeedsPerson));
    assert!(error.to_string().contains("split the application"), "{error}");
}

#[test]
fn a_plan_of_another_format_is_not_read() {
    let text = plan_text(&plan(1)).unwrap();
    assert!(text.starts_with(r#"{"format":1,"#), "{text}");
    let newer = text.replacen(r#""format":1"#, r#""format":2"#, 1);
    assert_eq!(read_plan(&newer).unwrap_err(), "its format is 2, this release reads 1; go on with the release that began the run");
    let none = text.replacen(r#""format":1,"#, "", 1);
    assert!(read_plan(&none).unwrap_err().contains("missing field `format`"));
}

#[test]
fn fault_d7_a_backup_of_900_claims_can_begin() {
    use p861_core::protection::backup::{self, BackupFacts, Claim};
    let spec = serde_json::from_value(serde_json::json!({"department": "d", "namespaces": ["shinan-archive"]})).unwrap();
    let claims: Vec<Claim> = (0..900)
        .map(|number| Claim { namespace: "shinan-archive".into(), name: format!("data-archive-of-the-department-{number}-{}", "n".repeat(40)) })
        .collect();
    let facts = BackupFacts {
        backup: "archive-1",
        application: "archive",
        district: "shinan",
        site: &"west".into(),
        spec: &spec,
        claims: &claims,
        missing: &[],
        snapshots: &[],
        half_restored: None,
        parent: None,
        deadline: SignedDuration::from_hours(6),
    };
    let plan = backup::compile(&facts).unwrap();
    assert!(plan.steps().len() > 900);
    let mut map = ConfigMap::default();
    put_text(&mut map, PLAN, plan_text(&plan).unwrap()).unwrap();
    let size = map.binary_data.iter().flatten().map(|(_, packed)| packed.0.len()).sum::<usize>();
    assert!(size > 0 && size < MAX_MAP_BYTES / 4, "{size} bytes leave no room for its records");
    assert_eq!(read_plan(&text_of(&map, PLAN).unwrap().unwrap()).unwrap().digest(), plan.digest());
}
