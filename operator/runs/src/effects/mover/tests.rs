use super::*;

#[test]
fn what_is_found_before_anything_is_changed_is_refused_and_a_failure_after_it_is_one() {
    let objects = |mode: &str| -> MoverTask {
        let rules = json!({"namespaces": {}, "isolated": false, "stopped": false});
        serde_json::from_value(json!({"task": "restoreObjects", "snapshot": "5a1f", "rules": rules, "conflict": {"Policy": "Refuse"}, "mode": mode})).unwrap()
    };
    let (compares, writes, previews) = (objects("Compare"), objects("Write"), objects("Preview"));
    let verifies = MoverTask::VerifyStored { snapshot: None };
    for (case, task, reason, untouched, refused) in [
        ("what is there differs", &compares, Reason::Conflicts, false, true),
        ("the same while it is written", &writes, Reason::Conflicts, true, false),
        ("a path isn't in the backup", &compares, Reason::PathMissing, false, true),
        ("an object isn't in the backup", &previews, Reason::NotFound, false, true),
        ("nor is anything else that was selected", &writes, Reason::NotFound, true, true),
        ("and others were written", &writes, Reason::NotFound, false, false),
        ("of another task", &verifies, Reason::NotFound, true, false),
        ("another reason", &previews, Reason::Damaged, true, false),
    ] {
        let failure = Failure::permanent(reason.clone(), "m").and_untouched(untouched);
        let EffectOutcome::Failed(failure, None) = as_refusal(task, EffectOutcome::Failed(failure, None)) else { panic!("{case}: it has failed") };
        let class = if refused { FailureClass::Refused } else { FailureClass::Permanent };
        assert_eq!((failure.class, failure.reason, failure.message.as_str()), (class, reason.clone(), "m"), "{case}");
        let again = Failure::transient(reason, "m").and_untouched(untouched);
        let EffectOutcome::Failed(again, None) = as_refusal(task, EffectOutcome::Failed(again, None)) else { panic!("{case}: it has failed") };
        assert_eq!(again.class, FailureClass::Transient, "{case}: it is tried again");
    }
}
