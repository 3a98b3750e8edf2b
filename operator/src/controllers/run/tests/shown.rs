//! What a run publishes of itself: whoever looks at it sees of every step what its journal says, whatever kind of run it is and wherever its journal is.

use super::*;
use p861_core::{engine::StepState, names};

/// The run's steps, where `p861` finds them.
fn published(bed: &Bed, kind: &Kind) -> Vec<String> {
    let run = bed.hub.get(kind.plural, "run").expect("the run");
    let name = names::journal("run", &kind.name.to_lowercase(), run["metadata"]["uid"].as_str().expect("a UID"));
    let map = bed.hub.get("configmaps", &name).unwrap_or_else(|| panic!("{}: no ConfigMap {name}", kind.name));
    let read = |key: &str| map["data"][key].as_str().map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
    let steps = read("steps.json").or_else(|| Some(read("plan.json")?["steps"].clone())).expect("steps");
    steps.as_array().expect("steps").iter().map(|step| step["id"].as_str().expect("an id").to_owned()).collect()
}

/// Each step and where it stands, by the run's status.
fn states(bed: &Bed, kind: &Kind) -> Vec<(String, StepState)> {
    let status = bed.status(kind);
    let letters = StepState::read(status["steps"]["states"].as_str().unwrap_or_default()).unwrap_or_else(|| panic!("{}: {status:#}", kind.name));
    let steps = published(bed, kind);
    assert_eq!(steps.len(), letters.len(), "{}", kind.name);
    steps.into_iter().zip(letters).collect()
}

#[tokio::test]
async fn fault_h1_a_status_says_of_every_published_step_where_it_stands_from_the_beginning_to_the_end() {
    for kind in kinds() {
        let (bed, name) = (Bed::new(), kind.name);
        let context = bed.process();
        bed.begin(&context, &kind).await;
        let standing = states(&bed, &kind);
        let current: Vec<String> =
            bed.status(&kind)["currentSteps"].as_array().into_iter().flatten().map(|step| step["id"].as_str().expect("an id").to_owned()).collect();
        assert!(!current.is_empty(), "{name}");
        for id in current {
            let state = standing.iter().find(|(step, _)| *step == id).map(|(_, state)| *state);
            assert!(matches!(state, Some(StepState::Running | StepState::Waiting)), "{name}: {id} is {state:?} in {standing:?}");
        }
        assert!(standing.iter().any(|(_, state)| *state == StepState::Waiting), "{name}: {standing:?}");
        // Another process goes on with it, and what it writes is about the same steps.
        let next = bed.process();
        bed.abort(&kind);
        bed.ends_clean(&next, &kind).await;
        let ended = states(&bed, &kind);
        assert!(!ended.iter().any(|(_, state)| matches!(state, StepState::Running | StepState::Waiting)), "{name}: {ended:?}");
        assert!(ended.iter().any(|(_, state)| *state == StepState::NotRun), "{name}: it was aborted: {ended:?}");
    }
}
