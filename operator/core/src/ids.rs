//! Names of sites and plans, and ids of snapshots. Each has its own type, so that one is never passed for another.
//!
//! They are stored as plain strings. Specs and statuses of the API keep `String`: code converts where it reads or writes them.

use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt};

/// Declares a type that wraps a string and does not become one by itself.
macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(typed: $name) -> Self {
                typed.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        // Maps and sets with this key can be searched with a text of the API.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
    };
}

text_type! {
    /// Name of a Site.
    SiteName
}

text_type! {
    /// Name of a RecoveryPlan, in the namespace of its district.
    PlanName
}

text_type! {
    /// restic's id of a snapshot: 64 hexadecimal digits.
    SnapshotId
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_typed_name_is_stored_and_shown_as_its_text() {
        let site = SiteName::from("west");
        assert_eq!(serde_json::to_string(&site).expect("JSON"), r#""west""#);
        assert_eq!(serde_json::from_str::<SiteName>(r#""west""#).expect("a name"), site);
        assert_eq!(format!("{site:>6}|{}", String::from(site.clone())), "  west|west");
    }

    #[test]
    fn a_set_of_names_can_be_searched_with_a_text() {
        let plans = BTreeSet::from([PlanName::from("b"), PlanName::from("a")]);
        assert_eq!((plans.contains("a"), plans.contains("c")), (true, false));
        assert_eq!(plans.first().map(PlanName::as_str), Some("a"), "in the order of the texts");
    }
}
