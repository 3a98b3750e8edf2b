//! The differences between two forms of an object: all of them, as people read them. Values of a Secret are never shown, only which of its keys differ.

use super::{group, kind};
use crate::conditions::shorten;
use serde_json::{Map, Value};
use similar::TextDiff;
use std::collections::{BTreeMap, BTreeSet};

/// Lines around a changed line of a text.
const CONTEXT_LINES: usize = 3;
/// Texts with more lines than this, both together, are not compared line by line: the time for that may grow with the square.
const MAX_COMPARED_LINES: usize = 20_000;
/// Lists of plain values that are longer than this, in characters of JSON, are compared line by line.
const MAX_INLINE_CHARS: usize = 160;
/// Characters of each side of a difference in brief.
const MAX_BRIEF_CHARS: usize = 60;
const ABSENT: &str = "(none)";
const HIDDEN: &str = "(hidden)";
const ARROW: &str = " → ";

/// All differences, one a line, `spec.replicas: 2 → 3`; of a text with several lines those that differ follow, each behind two blanks.
pub fn differences(before: &Value, after: &Value) -> String {
    let is_secret = |object: &Value| (group(object), kind(object)) == ("", "Secret");
    let mut walk = Walk { secret: is_secret(before) || is_secret(after), path: Vec::new(), lines: Vec::new() };
    walk.compare(Some(before), Some(after));
    walk.lines.join("\n")
}

/// The first difference of [`differences`], with its values cut.
pub fn brief(differences: &str) -> String {
    let first = differences.lines().next().unwrap_or_default();
    match first.split_once(ARROW) {
        Some((before, after)) => {
            let (path, value) = before.split_once(": ").unwrap_or(("", before));
            format!("{path}: {}{ARROW}{}", shorten(value, MAX_BRIEF_CHARS), shorten(after, MAX_BRIEF_CHARS))
        }
        None => match first.strip_suffix(':') {
            Some(path) => format!("{path} differs"),
            None => first.to_owned(),
        },
    }
}

/// Members of a Secret that hold no secret. Its annotations may: tools write whole manifests into them.
fn is_open_in_secrets(path: &[Step]) -> bool {
    let key = |at: usize| match path.get(at) {
        Some(Step::Key(key)) => key.as_str(),
        _ => "",
    };
    match key(0) {
        _ if path.is_empty() => true,
        "apiVersion" | "kind" | "type" | "immutable" => true,
        "metadata" => key(1) != "annotations",
        _ => false,
    }
}

enum Step {
    Key(String),
    /// An element of a list, by its name or number.
    Item(String),
}

struct Walk {
    secret: bool,
    path: Vec<Step>,
    lines: Vec<String>,
}

/// The elements of a list by their names; none if not all have one of their own.
fn by_name(items: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let named: BTreeMap<&str, &Value> = items.iter().filter_map(|item| Some((item.as_object()?.get("name")?.as_str()?, item))).collect();
    (named.len() == items.len()).then_some(named)
}

fn is_plain(items: &[Value]) -> bool {
    items.iter().all(|item| !item.is_object() && !item.is_array())
}

impl Walk {
    fn within(&mut self, step: Step, before: Option<&Value>, after: Option<&Value>) {
        self.path.push(step);
        self.compare(before, after);
        self.path.pop();
    }

    fn compare(&mut self, before: Option<&Value>, after: Option<&Value>) {
        let (before, after) = (before.filter(|value| !value.is_null()), after.filter(|value| !value.is_null()));
        if before == after {
            return;
        }
        let nothing = Map::new();
        match (before, after) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => self.members(before, after),
            (Some(Value::Object(before)), None) if !before.is_empty() => self.members(before, &nothing),
            (None, Some(Value::Object(after))) if !after.is_empty() => self.members(&nothing, after),
            (Some(Value::Array(before)), Some(Value::Array(after))) => self.items(before, after),
            (Some(Value::String(before)), Some(Value::String(after))) if before.contains('\n') || after.contains('\n') => self.text(before, after),
            _ => self.leaf(before, after),
        }
    }

    fn members(&mut self, before: &Map<String, Value>, after: &Map<String, Value>) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            self.within(Step::Key(key.clone()), before.get(key), after.get(key));
        }
    }

    fn items(&mut self, before: &[Value], after: &[Value]) {
        let lines = self.lines.len();
        if self.is_hidden() {
            // The names of its elements are values.
            self.push("");
        } else if let (Some(old), Some(new)) = (by_name(before), by_name(after)) {
            let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
            for name in names {
                self.within(Step::Item(name.to_owned()), old.get(name).copied(), new.get(name).copied());
            }
            let order = |items: &[Value]| items.iter().filter_map(|item| item.get("name").cloned()).collect::<Vec<_>>();
            if self.lines.len() == lines && order(before) != order(after) {
                self.push("in another order");
            }
        } else if is_plain(before) && is_plain(after) {
            let (old, new): (Vec<String>, Vec<String>) = (before.iter().map(Value::to_string).collect(), after.iter().map(Value::to_string).collect());
            if old.join(",").chars().count().max(new.join(",").chars().count()) > MAX_INLINE_CHARS {
                self.text(&old.join("\n"), &new.join("\n"));
            } else {
                self.push(&format!("[{}]{ARROW}[{}]", old.join(", "), new.join(", ")));
            }
        } else {
            for at in 0..before.len().max(after.len()) {
                self.within(Step::Item(at.to_string()), before.get(at), after.get(at));
            }
            if self.lines.len() == lines && before.len() != after.len() {
                self.push(&format!("{}{ARROW}{} entries", before.len(), after.len()));
            }
        }
    }

    fn is_hidden(&self) -> bool {
        self.secret && !is_open_in_secrets(&self.path)
    }

    fn path(&self) -> String {
        let is_word = |key: &str| !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'));
        self.path.iter().fold(String::new(), |path, step| match step {
            Step::Key(key) if is_word(key) && path.is_empty() => key.clone(),
            Step::Key(key) if is_word(key) => format!("{path}.{key}"),
            Step::Key(key) | Step::Item(key) => format!("{path}[{key}]"),
        })
    }

    /// Every line that shows a value comes by here.
    fn push(&mut self, what: &str) {
        let what = if self.is_hidden() { HIDDEN.to_owned() + ARROW + HIDDEN } else { what.to_owned() };
        self.lines.push(format!("{}: {what}", self.path()));
    }

    fn leaf(&mut self, before: Option<&Value>, after: Option<&Value>) {
        let hidden = self.is_hidden();
        let show = |value: Option<&Value>| match value {
            None => ABSENT.to_owned(),
            Some(_) if hidden => HIDDEN.to_owned(),
            Some(value) => value.to_string(),
        };
        self.lines.push(format!("{}: {}{ARROW}{}", self.path(), show(before), show(after)));
    }

    fn text(&mut self, before: &str, after: &str) {
        if self.is_hidden() {
            return self.push("");
        }
        self.lines.push(format!("{}:", self.path()));
        if before.lines().count() + after.lines().count() > MAX_COMPARED_LINES {
            self.lines.extend(before.lines().map(|line| format!("  -{line}")).chain(after.lines().map(|line| format!("  +{line}"))));
            return;
        }
        let diff = TextDiff::from_lines(before, after);
        let unified = diff.unified_diff().context_radius(CONTEXT_LINES).missing_newline_hint(false).to_string();
        self.lines.extend(unified.lines().map(|line| format!("  {line}")));
        // The last line of one of them ends without a line break.
        if before.ends_with('\n') != after.ends_with('\n') {
            self.lines.push(format!("  {}", if after.ends_with('\n') { "+ (line break at the end)" } else { "- (line break at the end)" }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn every_difference_is_said_where_it_is() {
        let text = |lines: &[&str]| lines.join("\n");
        for (before, after, expected) in [
            (json!({"spec": {"a": 1}}), json!({"spec": {"a": 1}}), ""),
            (json!({"spec": {"a": 1, "b": 2}}), json!({"spec": {"a": 3}}), "spec.a: 1 → 3\nspec.b: 2 → (none)"),
            (json!({"data": {"mode": "live"}}), json!({"data": {"mode": "maintenance"}}), "data.mode: \"live\" → \"maintenance\""),
            (json!({}), json!({"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}), "metadata.labels[app.kubernetes.io/name]: (none) → \"x\""),
            (json!({"v": {"emptyDir": {}}}), json!({"v": {}}), "v.emptyDir: {} → (none)"),
            (json!({"v": null}), json!({}), ""),
            (
                json!({"containers": [{"name": "web", "image": "a:1"}, {"name": "side", "image": "s"}]}),
                json!({"containers": [{"name": "web", "image": "a:2"}]}),
                "containers[side].image: \"s\" → (none)\ncontainers[side].name: \"side\" → (none)\ncontainers[web].image: \"a:1\" → \"a:2\"",
            ),
            (json!({"c": [{"name": "a"}, {"name": "b"}]}), json!({"c": [{"name": "b"}, {"name": "a"}]}), "c: in another order"),
            (json!({"args": ["a", 1]}), json!({"args": ["a", 2, true]}), "args: [\"a\", 1] → [\"a\", 2, true]"),
            (
                json!({"rules": [{"host": "a"}]}),
                json!({"rules": [{"host": "b"}, {"host": "c"}]}),
                "rules[0].host: \"a\" → \"b\"\nrules[1].host: (none) → \"c\"",
            ),
            (json!({"a": {"b": 1}}), json!({"a": 2}), "a: {\"b\":1} → 2"),
            (
                json!({"data": {"nginx.conf": "1\n2\n3\n4\n5\nold\n7\n8\n9\n"}}),
                json!({"data": {"nginx.conf": "1\n2\n3\n4\n5\nnew\n7\n8\n9\n"}}),
                &text(&["data[nginx.conf]:", "  @@ -3,7 +3,7 @@", "   3", "   4", "   5", "  -old", "  +new", "   7", "   8", "   9"]),
            ),
        ] {
            assert_eq!(differences(&before, &after), expected, "{before} {after}");
        }
    }

    #[test]
    fn a_difference_in_brief_is_its_first_with_cut_values() {
        let long = "x".repeat(200);
        let cut = differences(&json!({"a": long, "b": 1}), &json!({"a": "y", "b": 2}));
        assert!(brief(&cut).starts_with("a: \"xxx") && brief(&cut).ends_with(" → \"y\"") && brief(&cut).chars().count() < 80, "{}", brief(&cut));
        assert_eq!(brief(&differences(&json!({"a": "1\n2"}), &json!({"a": "1\n3"}))), "a differs");
        assert_eq!(brief(""), "");
    }

    fn secret(value: &Value) -> Value {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque"});
        if let (Some(secret), Some(more)) = (secret.as_object_mut(), value.as_object()) {
            secret.extend(more.clone());
        }
        secret
    }

    #[test]
    fn of_a_secret_only_the_keys_that_differ_are_named() {
        let before = secret(&json!({"data": {"same": "c2FtZQ==", "password": "b2xk", "gone": "Z29uZQ=="}, "metadata": {"name": "s", "labels": {"l": "1"}}}));
        let after = secret(
            &json!({"data": {"same": "c2FtZQ==", "password": "bmV3", "more": "bW9yZQ=="}, "metadata": {"name": "s", "labels": {"l": "2"}, "annotations": {"manifest": "bmV3"}}}),
        );
        assert_eq!(
            differences(&before, &after),
            "data.gone: (hidden) → (none)\ndata.more: (none) → (hidden)\ndata.password: (hidden) → (hidden)\nmetadata.annotations.manifest: (none) → (hidden)\nmetadata.labels.l: \"1\" → \"2\""
        );
        assert_eq!(differences(&secret(&json!({})), &secret(&json!({"stringData": {"a": "x\ny"}}))), "stringData.a: (none) → (hidden)");
    }

    /// Any value that may stand in a Secret, each text of which holds a word that must not be shown.
    fn confidential() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), Just(json!(4_242_424)), "[ \n]{0,2}".prop_map(|more| json!(format!("hush{more}hush\n")))];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(prop_oneof![Just("name".to_owned()), "[a-z]{1,3}"], inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_value_of_a_secret_is_ever_shown(values in proptest::collection::vec((confidential(), confidential()), 3)) {
            let [data, strings, notes] = [0, 1, 2].map(|at| values.get(at).cloned().unwrap_or_default());
            let whole = |data: Value, strings: Value, notes: Value| secret(&json!({"data": data, "stringData": strings, "metadata": {"name": "s", "annotations": notes}}));
            let (before, after) = (whole(data.0, strings.0, notes.0), whole(data.1, strings.1, notes.1));
            let said = differences(&before, &after);
            prop_assert!(!said.contains("hush") && !said.contains("4242424"), "{said}");
            prop_assert!(!brief(&said).contains("hush"));
        }

        #[test]
        fn what_differs_is_never_silent(before in confidential(), after in confidential()) {
            let object = |value: &Value| json!({"kind": "ConfigMap", "a": value});
            let said = differences(&object(&before), &object(&after));
            prop_assert_eq!(said.is_empty(), before == after || same_but_nulls(&before, &after), "{}", said);
        }
    }

    /// A member that is null is one that is not there.
    fn same_but_nulls(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Object(a), Value::Object(b)) => {
                let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                keys.into_iter().all(|key| same_but_nulls(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null)))
            }
            (Value::Object(members), Value::Null) | (Value::Null, Value::Object(members)) => {
                !members.is_empty() && members.values().all(|value| same_but_nulls(value, &Value::Null))
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a.iter().zip(b).all(|(a, b)| same_but_nulls(a, b)),
            _ => a == b,
        }
    }
}
