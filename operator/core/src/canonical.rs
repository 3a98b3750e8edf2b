//! JSON that is the same for equal values, and its digest. Every digest of a JSON value is made here: whether `serde_json` sorts keys depends on features that any
//! dependency may switch on.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt::Write as _};

/// `sha256:` and the hex digest of a value's canonical JSON.
pub fn digest(value: &Value) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(canonical_json(value))))
}

/// JSON with sorted keys and no spaces, so that equal values have equal text.
pub fn canonical_json(value: &Value) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write(item, out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                let sorted: BTreeMap<&String, &Value> = members.iter().collect();
                out.push('{');
                for (at, (key, member)) in sorted.into_iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write(&Value::String(key.clone()), out);
                    out.push(':');
                    write(member, out);
                }
                out.push('}');
            }
            // Writing to a String cannot fail.
            scalar => drop(write!(out, "{scalar}")),
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::{fs, path::Path};

    #[test]
    fn fault_a9_equal_values_have_one_text_and_one_digest_whatever_order_their_keys_came_in() {
        let (one, other): (Value, Value) =
            (serde_json::from_str(r#"{"b":[1,{"z":null,"a":"\u00e9"}],"a":true}"#).expect("JSON"), json!({"a": true, "b": [1, {"a": "é", "z": null}]}));
        assert_eq!(canonical_json(&one), r#"{"a":true,"b":[1,{"a":"é","z":null}]}"#);
        assert_eq!(digest(&one), digest(&other));
        assert_ne!(digest(&one), digest(&json!({"a": true, "b": [{"a": "é", "z": null}, 1]})), "the order of a list counts");
    }

    /// Places where a digest takes a text: none of them may be a JSON value that was printed by serde_json.
    #[test]
    fn fault_a9_no_digest_is_made_of_a_value_as_serde_json_prints_it() {
        fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
            for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if entry.is_dir() {
                    sources(&entry, found);
                } else if entry.extension().is_some_and(|extension| extension == "rs") {
                    found.push((entry.display().to_string(), fs::read_to_string(&entry).expect("a source")));
                }
            }
        }
        let operator = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent");
        let mut found = Vec::new();
        for folder in ["core/src", "runs/src", "src", "vault/src"] {
            sources(&operator.join(folder), &mut found);
        }
        assert!(found.len() > 100, "{} sources", found.len());
        for (path, text) in found.iter().filter(|(path, _)| !path.ends_with("canonical.rs")) {
            for line in text.lines().filter(|line| line.contains("Sha256::digest(")) {
                assert!(!line.contains("to_string()"), "{path}: use canonical::digest: {}", line.trim());
            }
        }
    }
}
