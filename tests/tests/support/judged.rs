//! What an API server says of a request, and how one waits for it to know its policies.

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long an API server may take to learn of policies and bindings.
const LEARNED: Duration = Duration::from_mins(1);

/// The words of a refusal; nothing if the request was taken.
pub fn said<T>(answer: kube::Result<T>) -> String {
    match answer {
        Ok(_) => String::new(),
        Err(kube::Error::Api(status)) => status.message,
        Err(error) => panic!("not judged: {error}"),
    }
}

/// Tries until the answer has these words; of no words, until it is taken.
pub async fn until_said(words: &str, mut attempt: impl AsyncFnMut() -> String) {
    let since = Instant::now();
    loop {
        let last = attempt().await;
        if if words.is_empty() { last.is_empty() } else { last.contains(words) } {
            return;
        }
        assert!(since.elapsed() < LEARNED, "{words:?} is still not said: {last:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asserts that a request was refused with these words, or taken if there are none.
pub fn judged(what: &str, said: &str, words: &str) {
    assert!(if words.is_empty() { said.is_empty() } else { said.contains(words) }, "{what}: {said:?}, not {words:?}");
}

/// What is said of a creation that is only tried.
pub async fn creates(place: &Api<DynamicObject>, document: &Value) -> String {
    let object: DynamicObject = serde_json::from_value(document.clone()).expect("an object");
    said(place.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await)
}

/// What is said of a merge patch that is only tried.
pub async fn changes(place: &Api<DynamicObject>, name: &str, patch: &Value) -> String {
    said(place.patch(name, &PatchParams { dry_run: true, ..PatchParams::default() }, &Patch::Merge(patch)).await)
}
