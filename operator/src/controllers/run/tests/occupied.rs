//! A restore fills no namespace of another application: neither when it begins, nor once it is under way.

use super::*;
use http::StatusCode;

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

#[tokio::test]
async fn fault_i1_while_the_hub_does_not_say_whose_a_namespace_is_what_works_goes_on_and_where_it_refuses_that_is_stopped_first() {
    for (code, ends) in [(StatusCode::INTERNAL_SERVER_ERROR, false), (StatusCode::TOO_MANY_REQUESTS, false), (StatusCode::FORBIDDEN, true)] {
        let (bed, [_, kind, _]) = (Bed::new(), kinds());
        bed.hub.put(kind.plural, &into("shinan-look", "Execute"));
        let context = bed.process();
        bed.until(&context, &kind, "a mover works", |bed| !bed.hub.of("jobs").is_empty()).await;
        let jobs = |bed: &Bed| bed.hub.of("jobs").into_iter().map(|job| job["metadata"]["name"].to_string()).collect::<Vec<_>>();
        let before = jobs(&bed);
        bed.hub.refuse_lists("applications", Some(code));
        // It has read nothing yet.
        let context = bed.process();
        if ends {
            bed.until(&context, &kind, "the run ends", |bed| bed.status(&kinds()[1])["completionTime"].is_string()).await;
            let (phase, _, message) = ending(&bed.status(&kind));
            assert!(phase == "Failed" && jobs(&bed).is_empty(), "{code}: {phase} {message} {:?}", jobs(&bed));
            continue;
        }
        let says = |bed: &Bed| bed.status(&kinds()[1])["currentSteps"].to_string();
        bed.until(&context, &kind, "it says why it waits", |bed| says(bed).contains("no lists of these")).await;
        assert_eq!((jobs(&bed), bed.status(&kind)["phase"].clone()), (before.clone(), json!("Running")), "{code}: {}", says(&bed));
        assert!(!says(&bed).contains("\"attempt\":2"), "{code}: no second attempt beside the first: {}", says(&bed));
        bed.hub.refuse_lists("applications", None);
        bed.until(&context, &kind, "it goes on", |bed| !says(bed).contains("no lists of these")).await;
        assert_eq!(jobs(&bed), before, "{code}");
    }
}
