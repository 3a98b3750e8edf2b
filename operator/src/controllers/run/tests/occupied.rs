//! A restore fills no namespace of another application: neither when it begins, nor once it is under way.

use super::*;

/// The restore of application approval, whose namespace goes to `target`.
fn into(target: &str, mode: &str) -> Value {
    let mapping = json!([{"from": "shinan-approval", "to": target}]);
    ours("Restore", "run", "shinan", json!({"source": {"applicationRef": {"name": "approval"}}, "mode": mode, "target": {"namespaceMappings": mapping}}))
}

fn application(name: &str, namespace: &str) -> Value {
    ours("Application", name, "shinan", json!({"names": {"en": name}, "department": "any", "namespaces": [namespace]}))
}

/// Phase, reason and message.
fn ending(status: &Value) -> (String, String, String) {
    let succeeded = &status["conditions"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&status["phase"]), text(&succeeded["reason"]), text(&succeeded["message"]))
}

#[tokio::test]
async fn fault_i1_a_restore_or_its_preview_into_the_namespace_of_another_application_is_refused_and_nothing_is_made_or_stopped() {
    let (bed, [_, kind, _]) = (Bed::new(), kinds());
    bed.hub.put("applications", &application("portal", "shinan-portal"));
    for mode in ["Execute", "Preview"] {
        bed.hub.put(kind.plural, &into("shinan-portal", mode));
        let context = bed.process();
        bed.until(&context, &kind, "it is refused", |bed| bed.status(&kinds()[1])["phase"].is_string()).await;
        let (phase, reason, message) = ending(&bed.status(&kind));
        assert_eq!((phase.as_str(), reason.as_str()), ("Refused", "NamespaceTaken"), "{mode}: {message}");
        assert!(message.contains("namespace shinan-portal of site here belongs to application portal"), "{mode}: {message}");
        let (jobs, namespaces) = (bed.hub.of("jobs"), bed.hub.of("namespaces"));
        assert!(jobs.is_empty() && namespaces.len() == 1, "{mode}: {jobs:?} {namespaces:?}");
        bed.hub.delete(kind.plural, "run");
    }
}

#[tokio::test]
async fn fault_i1_an_application_that_is_declared_meanwhile_ends_the_restore_before_its_next_effect() {
    let (bed, [_, kind, _]) = (Bed::new(), kinds());
    bed.hub.put(kind.plural, &into("shinan-look", "Execute"));
    let context = bed.process();
    bed.until(&context, &kind, "a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
    bed.hub.put("applications", &application("look", "shinan-look"));
    // What the process has read is good for half a minute; another reads anew.
    let context = bed.process();
    bed.until(&context, &kind, "the run ends", |bed| bed.status(&kinds()[1])["completionTime"].is_string()).await;
    let (phase, reason, message) = ending(&bed.status(&kind));
    assert_eq!((phase.as_str(), reason.as_str()), ("Failed", "NamespaceTaken"), "{message}");
    assert!(message.contains("belongs to application look") && bed.hub.of("jobs").is_empty(), "{message}");
}
