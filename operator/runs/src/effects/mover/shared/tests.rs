use super::*;
use p861_core::engine::{StepProgress, StoredObject};
use p861_crds::Reason;
use std::collections::BTreeMap;

fn stored(byte: &str) -> StoredObject {
    StoredObject { sha256: byte.repeat(64), bytes: 1 }
}

fn failed() -> MoverAnswer {
    MoverAnswer::Failed { reason: Reason::SnapshotMissing, message: "it is gone".into(), permanent: true, untouched: false }
}

#[test]
fn fault_g2_a_step_takes_from_a_shared_mover_what_that_says_of_it_and_nothing_else() {
    let line = |done: &[(&str, StoredObject)], waits: Option<&str>| MoverLine {
        progress: StepProgress::message("p"),
        done: done.iter().map(|(step, stored)| ((*step).to_owned(), stored.clone())).collect(),
        waits: waits.map(str::to_owned),
        wants_keys: false,
    };
    let answer = |then: &[(&str, MoverAnswer)]| {
        let then: BTreeMap<String, MoverAnswer> = then.iter().map(|(step, answer)| ((*step).to_owned(), answer.clone())).collect();
        Said::Answer(MoverAnswer::Done { evidence: stored("a"), then })
    };
    let (saved, sealed) = (("save", stored("a")), ("seal", stored("b")));
    let works = |line: MoverLine| (Said::Line(line.clone()), Ruling::Works(line));
    for (name, (said, expected)) in [
        ("it has said nothing yet", works(MoverLine::under_way())),
        ("it is at the step", works(line(std::slice::from_ref(&saved), None))),
        ("it waits for the step", (Said::Line(line(std::slice::from_ref(&saved), Some("seal"))), Ruling::Tell)),
        ("it waits for another", works(line(std::slice::from_ref(&saved), Some("verify")))),
        ("it is done and runs on", (Said::Line(line(&[saved, sealed], Some("verify"))), Ruling::Ended(MoverAnswer::done(stored("b"))))),
        ("it did the step", (answer(&[("seal", MoverAnswer::done(stored("b")))]), Ruling::Ended(MoverAnswer::done(stored("b"))))),
        ("it failed at the step", (answer(&[("seal", failed())]), Ruling::Ended(failed()))),
        ("it did not come to the step", (answer(&[]), Ruling::Declined)),
        ("it did another", (answer(&[("verify", MoverAnswer::done(stored("b")))]), Ruling::Declined)),
        ("it failed at its own", (Said::Answer(failed()), Ruling::Declined)),
        ("it is gone", (Said::Nothing, Ruling::Declined)),
    ] {
        assert_eq!(rule("seal", said), expected, "{name}");
    }
}
