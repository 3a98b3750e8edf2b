//! Ids are read back as what was written.

use super::*;
use proptest::prelude::*;

/// A key of each kind with these names in it.
fn keys(first: &str, second: &str, third: &str) -> Vec<StepKey> {
    let site = SiteName::from(first);
    vec![
        StepKey::Preflight,
        StepKey::Isolate,
        StepKey::ProveIsolation,
        StepKey::Prepare,
        StepKey::Hold,
        StepKey::Manual,
        StepKey::CleanUp,
        StepKey::Forget,
        StepKey::Prune,
        StepKey::quiesce(first),
        StepKey::snapshot(first),
        StepKey::remove_snapshots(first),
        StepKey::resume(first),
        StepKey::save_objects(first),
        StepKey::save_volume(first, second),
        StepKey::save_stream(first, second),
        StepKey::seal(first),
        StepKey::verify(first),
        StepKey::restore_objects(first),
        StepKey::restore_objects_again(first),
        StepKey::restore_volume(first, second),
        StepKey::restore_stream(first, second),
        StepKey::compare(first),
        StepKey::compare_volume(first, second),
        StepKey::stop(first),
        StepKey::start_tier(first, second),
        StepKey::start_rest(first),
        StepKey::marker(first),
        StepKey::check(first, second),
        StepKey::backup(first),
        StepKey::silence(&site),
        StepKey::end_silence(&site),
        StepKey::inspect(&site, second),
        StepKey::cordon(&site, second),
        StepKey::drain(&site, second),
        StepKey::uncordon(&site, second),
        StepKey::install(&site, second),
        StepKey::health(&site, second, third),
        StepKey::watch(&site, second),
        StepKey::end_install(&site, second),
        StepKey::extra(first),
    ]
}

/// Names of Kubernetes objects, and the words of the grammar itself: an application may be called `volume`.
fn name() -> impl Strategy<Value = String> {
    let words = ["volume", "tier", "rest", "objects", "stream", "start", "hold", "clean-up", "check"].map(str::to_owned).to_vec();
    prop_oneof![4 => "[A-Za-z0-9]([-_.:@A-Za-z0-9]{0,40}[A-Za-z0-9])?", 1 => proptest::sample::select(words)]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_as_the_same_step(first in name(), second in name(), third in name()) {
        for key in keys(&first, &second, &third) {
            match key.id() {
                Ok(id) => {
                    prop_assert_eq!(StepKey::of(&id), Some(key.clone()));
                    prop_assert!(id == key);
                }
                // An extra step can't take the name of a step of the run.
                Err(error) => prop_assert!(matches!(&key, StepKey::Extra { name } if ["hold", "clean-up"].contains(&name.as_str())), "{key:?}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_read_is_written_back_as_the_same_text(text in "([a-z-]{1,9}/){0,3}[a-z-]{1,9}", known in 0..41_usize, cut in 0..40_usize) {
        let whole = keys("a", "b", "c")[known].to_string();
        for text in [text.as_str(), &whole[..cut.min(whole.len())]] {
            if let Ok(key) = text.parse::<StepKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }
}

#[test]
fn two_steps_never_have_one_id() {
    let ids: std::collections::BTreeSet<String> = keys("a", "b", "c").iter().map(ToString::to_string).collect();
    assert_eq!(ids.len(), keys("a", "b", "c").len());
}

#[test]
fn a_name_that_would_change_what_the_step_means_is_refused() {
    for (key, problem) in [
        (StepKey::extra("hold"), "another step"),
        (StepKey::extra("verify/portal"), "another step"),
        (StepKey::check("portal", "a/b"), "another step"),
        (StepKey::check("portal", ""), "empty part"),
        (StepKey::save_volume("portal", "a claim"), "not allowed"),
        (StepKey::restore_volume("portal", &"c".repeat(253)), "longer"),
    ] {
        let error = key.id().expect_err("refused").to_string();
        assert!(error.contains(problem), "{key:?}: {error}");
    }
}

#[test]
fn a_text_that_names_no_step_of_any_run_is_refused() {
    for text in [
        "",
        "/",
        "restore",
        "restore/portal",
        "restore/portal/volume",
        "restore/portal/objects/x",
        "save/portal/objects-again",
        "start/portal/data",
        "work/hands",
        "verify/",
    ] {
        let expected = (text == "restore").then(|| StepKey::extra("restore"));
        assert_eq!(text.parse::<StepKey>().ok(), expected, "{text}");
    }
}

#[test]
fn a_failure_of_the_backup_is_looked_for_where_it_is_read() {
    let of_portal: Vec<String> = keys("portal", "b", "c").iter().filter(|key| key.reads_backup_of("portal")).map(ToString::to_string).collect();
    assert_eq!(of_portal, ["verify/portal", "restore/portal/objects", "restore/portal/objects-again", "restore/portal/volume/b", "restore/portal/stream/b"]);
    assert!(!StepKey::verify("portal").reads_backup_of("port"));
}
