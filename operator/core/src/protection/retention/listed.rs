//! What people are told of a verdict.

use super::{Judged, KeepReason, Verdict};
use serde::{Deserialize, Serialize};

/// A snapshot in the list that people are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The Application.
    pub application: String,
    /// The policy by which it is judged; none if none holds for the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The snapshot, and what becomes of it.
    #[serde(flatten)]
    pub judged: Judged,
}

/// Why a snapshot stays of which somebody has asked that it goes; none if it goes.
pub fn stays_although_asked(judged: &Judged) -> Option<String> {
    let Verdict::Keep(reasons) = &judged.verdict else { return None };
    let held: Vec<String> = reasons.iter().filter_map(held).collect();
    let why = if held.is_empty() {
        format!("it is the newest, or the newest of its level; to let it go all the same: p861 backup forget {} --even-newest", judged.backup)
    } else {
        held.join("; ")
    };
    Some(format!("somebody has asked that its snapshot goes, and it stays: {why}"))
}

fn held(reason: &KeepReason) -> Option<String> {
    match reason {
        KeepReason::Until { time } => Some(format!("it is kept until {time:.0}")),
        KeepReason::Marked => Some("it is marked platform861.io/keep".into()),
        KeepReason::InUse { by } => Some(format!("{by} uses it")),
        KeepReason::WarmCopy { plan } => Some(format!("the warm copy of plan {plan} stands on it")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protection::retention::ForgetReason;
    use jiff::Timestamp;
    use p861_crds::protection::backup::VerificationLevel;

    fn judged(verdict: Verdict) -> Judged {
        Judged { snapshot: "5a1f".into(), backup: "portal-1".into(), time: Timestamp::UNIX_EPOCH, level: Some(VerificationLevel::Probed), verdict }
    }

    #[test]
    fn whoever_asked_is_told_why_it_stays_and_what_to_do() {
        let newest = KeepReason::NewestOfLevel { level: VerificationLevel::Probed };
        for (reasons, expected) in [
            (vec![newest.clone()], "to let it go all the same: p861 backup forget"),
            (vec![newest.clone(), KeepReason::InUse { by: "restore back".into() }], "restore back uses it"),
            (
                vec![KeepReason::Until { time: Timestamp::UNIX_EPOCH }, KeepReason::Marked],
                "it is kept until 1970-01-01T00:00:00Z; it is marked platform861.io/keep",
            ),
        ] {
            let told = stays_although_asked(&judged(Verdict::Keep(reasons))).expect("it stays");
            assert!(told.contains(expected), "{told}");
        }
        assert_eq!(stays_although_asked(&judged(Verdict::Forget(ForgetReason::NoPlace))), None);
    }

    #[test]
    fn a_listed_snapshot_is_read_as_it_was_written() {
        let listed = Listed { application: "portal".into(), policy: Some("daily".into()), judged: judged(Verdict::Keep(vec![KeepReason::Last])) };
        let text = serde_json::to_string(&listed).expect("JSON");
        let expected = r#"{"application":"portal","policy":"daily","snapshot":"5a1f","backup":"portal-1","time":"1970-01-01T00:00:00Z","level":"Probed","verdict":{"keep":[{"why":"last"}]}}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Listed>(&text).expect("listed"), listed);
    }
}
