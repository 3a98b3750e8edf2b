//! Applications in which a restore ended half way. Their data is a mixture of what was there and what the backup had: a backup of it is no recovery point that
//! anybody would want without knowing.
//!
//! A restore of the whole application in its place that succeeds makes it whole again, and so does a person's word: the annotation `platform861.io/whole-since` of
//! the Application, with the time since which it is.

use jiff::Timestamp;
use p861_crds::{
    Application, Restore, Time,
    common::RunPhase,
    names::WHOLE_SINCE_ANNOTATION,
    platform::application::HalfRestored,
    protection::restore::{RestoredData, RestoredInPlace},
};

/// The restore that ended half way and since which nothing has made the application whole. What its status says of an earlier one counts, also once that Restore is
/// gone.
pub fn half_restored(application: &Application, restores: &[Restore], now: Timestamp) -> Option<HalfRestored> {
    let name = application.metadata.name.as_deref().unwrap_or_default();
    let known = application.status.as_ref().and_then(|status| status.half_restored.clone());
    let of_application = restores.iter().filter_map(|restore| {
        let in_place = restore.status.as_ref()?.in_place.as_ref()?;
        (in_place.application == name).then_some((restore, in_place))
    });
    let ended_half = of_application.clone().filter_map(|(restore, in_place)| half_way(restore, in_place));
    let newest = known.into_iter().chain(ended_half).max_by(|a, b| (a.time.0, &a.restore).cmp(&(b.time.0, &b.restore)))?;
    let restored = of_application.filter_map(|(restore, in_place)| whole_at(restore, in_place)).max();
    let declared = declared_whole(application).filter(|time| *time <= now);
    let is_whole = restored.is_some_and(|time| time > newest.time.0) || declared.is_some_and(|time| time >= newest.time.0);
    (!is_whole).then_some(newest)
}

/// The Restore that makes a backup of the application a mixture, if it is taken now: also one that is under way, which may end at this moment.
pub fn mixed_by(application: &Application, restores: &[Restore], now: Timestamp) -> Option<String> {
    let name = application.metadata.name.as_deref().unwrap_or_default();
    let under_way = restores.iter().find(|restore| {
        let Some(status) = restore.status.as_ref() else { return false };
        let writes = status.in_place.as_ref().is_some_and(|in_place| in_place.application == name && in_place.data == RestoredData::Partly);
        writes && !status.phase.is_some_and(RunPhase::is_end)
    });
    match under_way {
        Some(restore) => restore.metadata.name.clone(),
        None => half_restored(application, restores, now).map(|half| half.restore),
    }
}

/// The Restore, if it has ended, or is being deleted, before everything was written.
fn half_way(restore: &Restore, in_place: &RestoredInPlace) -> Option<HalfRestored> {
    let status = restore.status.as_ref()?;
    let ended = status.completion_time.as_ref().filter(|_| status.phase.is_some_and(RunPhase::is_end)).or(restore.metadata.deletion_timestamp.as_ref())?;
    (in_place.data == RestoredData::Partly).then(|| HalfRestored { restore: restore.metadata.name.clone().unwrap_or_default(), time: ended.clone() })
}

/// When the Restore had made the application whole.
fn whole_at(restore: &Restore, in_place: &RestoredInPlace) -> Option<Timestamp> {
    let status = restore.status.as_ref().filter(|status| status.phase == Some(RunPhase::Succeeded) && in_place.data == RestoredData::Whole)?;
    status.completion_time.as_ref().map(|time| time.0)
}

/// Since when the application is whole, as a person says.
fn declared_whole(application: &Application) -> Option<Timestamp> {
    application.metadata.annotations.as_ref()?.get(WHOLE_SINCE_ANNOTATION)?.parse().ok()
}

/// What is to be done, for messages.
pub fn remedy(namespace: &str, application: &str) -> String {
    format!(
        "restore it as a whole, or, if its data is as it should be: kubectl annotate application {application} --namespace {namespace} --overwrite {WHOLE_SINCE_ANNOTATION}=$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    )
}

/// The Restores of an application that [`half_restored`] follows from: the newest that ended half way, and the newest that made it whole.
pub fn deciding<'a>(application: &str, restores: &'a [Restore]) -> Vec<&'a str> {
    let of_application = || {
        restores.iter().filter_map(|restore| {
            let in_place = restore.status.as_ref()?.in_place.as_ref()?;
            (in_place.application == application).then_some((restore, in_place))
        })
    };
    let name = |restore: &'a Restore| restore.metadata.name.as_deref();
    let half = of_application().filter_map(|(restore, in_place)| Some((half_way(restore, in_place)?.time.0, name(restore)?))).max();
    let whole = of_application().filter_map(|(restore, in_place)| Some((whole_at(restore, in_place)?, name(restore)?))).max();
    half.into_iter().chain(whole).map(|(_, name)| name).collect()
}

/// A time as a status has it.
pub fn told(half: &HalfRestored) -> String {
    let Time(time) = half.time;
    format!("Restore {} ended half way at {time:.0}", half.restore)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(minute: u8) -> String {
        format!("2026-11-15T01:{minute:02}:00Z")
    }

    /// A Restore of application `a` that ended at that minute.
    fn restore(name: &str, phase: &str, minute: u8, data: &str) -> Restore {
        let status = json!({"phase": phase, "completionTime": at(minute), "inPlace": {"application": "a", "data": data}});
        from(name, &status)
    }

    fn from(name: &str, status: &Value) -> Restore {
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Restore", "metadata": {"name": name},
            "spec": {"source": {"backupRef": {"name": "b"}}}, "status": status}))
        .expect("a Restore")
    }

    fn application(whole_since: Option<&str>, known: Option<(&str, u8)>) -> Application {
        let annotations = whole_since.map(|time| json!({"platform861.io/whole-since": time}));
        let status = known.map(|(restore, minute)| json!({"halfRestored": {"restore": restore, "time": at(minute)}}));
        serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": "a", "annotations": annotations},
            "spec": {"department": "d", "namespaces": ["n"]}, "status": status}))
        .expect("an Application")
    }

    #[test]
    fn fault_c9_an_application_is_half_restored_until_a_whole_restore_has_succeeded_or_a_person_says_that_it_is_whole() {
        let half = || restore("half", "Failed", 10, "Partly");
        let nobody = || application(None, None);
        let wrote_nothing = from("refused", &json!({"phase": "Failed", "completionTime": at(10)}));
        let of_other = from("other", &json!({"phase": "Failed", "completionTime": at(10), "inPlace": {"application": "b", "data": "Partly"}}));
        let running = from("running", &json!({"phase": "Running", "inPlace": {"application": "a", "data": "Partly"}}));
        let mut going = running.clone();
        going.metadata.deletion_timestamp = Some(Time(at(20).parse().expect("a time")));
        for (case, application, restores, expected) in vec![
            ("no restore", nobody(), vec![], None),
            ("one that failed half way", nobody(), vec![half()], Some("half")),
            ("aborted", nobody(), vec![restore("half", "Aborted", 10, "Partly")], Some("half")),
            ("one that wrote nothing, another application's, one under way", nobody(), vec![wrote_nothing, of_other, running], None),
            ("one that is deleted while it runs", nobody(), vec![going], Some("running")),
            ("a whole one since", nobody(), vec![half(), restore("whole", "Succeeded", 20, "Whole")], None),
            ("a whole one before", nobody(), vec![restore("whole", "Succeeded", 5, "Whole"), half()], Some("half")),
            ("again since", nobody(), vec![half(), restore("whole", "Succeeded", 20, "Whole"), restore("again", "Failed", 25, "Partly")], Some("again")),
            ("a whole one that failed in the end", nobody(), vec![half(), restore("whole", "Failed", 20, "Whole")], Some("half")),
            ("a person's word since", application(Some(&at(11)), None), vec![half()], None),
            ("a person's word of before", application(Some(&at(9)), None), vec![half()], Some("half")),
            ("a word about the future", application(Some(&at(59)), None), vec![half()], Some("half")),
            ("a word that is no time", application(Some("yes"), None), vec![half()], Some("half")),
            ("known, and its Restore is gone", application(None, Some(("half", 10))), vec![], Some("half")),
            ("known, and whole since", application(None, Some(("half", 10))), vec![restore("whole", "Succeeded", 20, "Whole")], None),
            ("known, and a person's word", application(Some(&at(11)), Some(("half", 10))), vec![], None),
        ] {
            let found = half_restored(&application, &restores, at(30).parse().expect("a time"));
            assert_eq!(found.as_ref().map(|half| half.restore.as_str()), expected, "{case}");
        }
    }

    #[test]
    fn fault_c9_a_backup_beside_a_restore_that_writes_is_a_mixture_whatever_becomes_of_it() {
        let running = from("running", &json!({"phase": "Running", "inPlace": {"application": "a", "data": "Partly"}}));
        let stops = from("stops", &json!({"phase": "Running"}));
        let whole = || restore("whole", "Succeeded", 20, "Whole");
        for (case, restores, expected) in [
            ("it stops what runs", vec![stops], None),
            ("it writes", vec![whole(), running], Some("running")),
            ("it has ended half way", vec![restore("half", "Failed", 10, "Partly")], Some("half")),
            ("it was restored since", vec![restore("half", "Failed", 10, "Partly"), whole()], None),
        ] {
            assert_eq!(mixed_by(&application(None, None), &restores, at(30).parse().expect("a time")).as_deref(), expected, "{case}");
        }
    }

    #[test]
    fn the_restores_that_decide_are_the_newest_of_each_sort() {
        let restores = [
            restore("half-1", "Failed", 1, "Partly"),
            restore("whole-1", "Succeeded", 2, "Whole"),
            restore("half-2", "Failed", 3, "Partly"),
            restore("whole-2", "Succeeded", 4, "Whole"),
            from("preview", &json!({"phase": "Succeeded", "completionTime": at(5)})),
        ];
        assert_eq!(deciding("a", &restores), ["half-2", "whole-2"]);
        assert_eq!(deciding("b", &restores), [""; 0]);
    }
}
