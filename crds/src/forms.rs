//! Forms of texts, in words. The types state a form as a pattern; the API server would answer a wrong text with that pattern, which nobody can read who has to write the
//! text. In the definitions that are installed a rule stands for it, whose message says what to write.
//!
//! Only in `spec`: a list that the operator writes has no limit in its schema, and the API server would count the rule once for each entry that could be in it.

use serde_json::{Value, json};

/// A form that a text must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// What the reference calls a text of this form, if it has a name.
    pub name: Option<&'static str>,
    /// As the types state it.
    pub pattern: &'static str,
    /// What to write.
    pub words: &'static str,
}

const fn form(pattern: &'static str, words: &'static str) -> Form {
    Form { name: None, pattern, words }
}

/// Every form of a text that people write.
pub const FORMS: &[Form] = &[
    Form {
        name: Some("duration"),
        pattern: r"^([0-9]{1,5}(h|m|s|ms)){1,4}$",
        words: "write a duration of one to four numbers with units h, m, s or ms, for example 15m or 1h30m; a day is 24h",
    },
    Form {
        name: Some("quantity"),
        pattern: r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
        words: "write a quantity: a number, with a unit such as m, k, M, G, Ki, Mi or Gi if it needs one, for example 500m or 20Gi",
    },
    form(
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "write a name of lower-case letters, digits and hyphens that begins and ends with a letter or a digit, for example approval-web",
    ),
    form(
        "^[A-Za-z0-9]([-+._A-Za-z0-9]*[A-Za-z0-9])?$",
        "write a version of letters, digits and . _ + - that begins and ends with a letter or a digit, for example v1.6.1",
    ),
    form("^sha256:[0-9a-f]{64}$", "write a whole digest: sha256: and 64 digits from 0-9 and a-f"),
    form("^[0-9a-f]{8,64}$", "write restic's id of the snapshot, or its beginning: 8 to 64 digits from 0-9 and a-f"),
    form("^[0-9]{6}$", "write the six digits of the administrative division, in quotes, for example \"370202\""),
    form(r"^[0-9]{1,9}(\.[0-9]{1,4})?$", "write a decimal number with at most four decimals, in quotes, for example \"99.95\""),
    form("^https?://", "write a URL that begins with http:// or https://, for example https://prometheus.example:9090"),
    form("^https?://[^/]+", "write a URL of a server, with http:// or https://, for example https://s3.example:9000"),
    form("^/", "write an absolute path: it begins with /, for example /srv/restored"),
    form("^([01][0-9]|2[0-3]):[0-5][0-9]$", "write a time of day from 00:00 to 23:59, in quotes, for example \"08:00\""),
    form("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "write a date as year-month-day, in quotes, for example \"2026-11-23\""),
    form(r"^[^ ]+( [^ ]+){4}$", "write five fields, each one blank apart: minute, hour, day of the month, month, day of the week, for example \"0 22 * * 6\""),
    form(
        "^(Quiesce|Stop|FinalSync|Fence|Promote|Start|Start/[a-z0-9]([-a-z0-9]*[a-z0-9])?|Check|Traffic|Reprotect)$",
        "write a stage: Quiesce, Stop, FinalSync, Fence, Promote, Start, Start/<group>, Check, Traffic or Reprotect",
    ),
];

impl Form {
    /// The rule that stands for the pattern.
    fn rule(&self) -> Value {
        json!({"rule": format!("self.matches(r'{}')", self.pattern), "message": self.words})
    }
}

/// The form of a text, whether a pattern states it or a rule.
pub fn of(schema: &Value) -> Option<&'static Form> {
    let rules = schema["x-kubernetes-validations"].as_array().map(Vec::as_slice).unwrap_or_default();
    FORMS.iter().find(|form| schema["pattern"] == form.pattern || rules.iter().any(|rule| is_rule_of(form, rule)))
}

/// Whether a rule only stands for a form.
pub fn is_rule(rule: &Value) -> bool {
    FORMS.iter().any(|form| is_rule_of(form, rule))
}

fn is_rule_of(form: &Form, rule: &Value) -> bool {
    *rule == form.rule()
}

/// Puts rules for the patterns in the spec of a definition.
pub fn say(definition: &mut Value) {
    let versions = definition.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
    for schema in versions.into_iter().flatten() {
        if let Some(spec) = schema.pointer_mut("/schema/openAPIV3Schema/properties/spec") {
            say_below(spec);
        }
    }
}

fn say_below(schema: &mut Value) {
    if let Some(form) = of(schema).filter(|form| schema["pattern"] == form.pattern)
        && let Some(node) = schema.as_object_mut()
    {
        node.remove("pattern");
        let rules = node.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        rules.as_array_mut().into_iter().for_each(|rules| rules.push(form.rule()));
    }
    match schema {
        Value::Object(map) => map.values_mut().for_each(say_below),
        Value::Array(items) => items.iter_mut().for_each(say_below),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::documents_as_json;

    /// What the API server lets the rules of one definition cost, each as often as it can be asked, and one rule.
    const MOST_OF_A_DEFINITION: u64 = 100_000_000;
    const MOST_OF_A_RULE: u64 = 10_000_000;
    /// What it takes a text, a list or a map to hold that has no limit: a request of 3 MiB.
    const REQUEST: u64 = 3 << 20;

    /// The forms below a schema: where, and what the API server takes the rule to cost. (k8s.io/apiserver/pkg/cel/library/cost.go: a character of the text costs a tenth, and a
    /// character of the pattern a quarter; a character has up to four bytes.)
    fn costs(schema: &Value, path: &str, times: u64, found: &mut Vec<(String, u64)>) {
        let limit = |key: &str| schema[key].as_u64();
        if let Some(form) = of(schema).filter(|_| schema["pattern"].is_null()) {
            let text = limit("maxLength").map_or(REQUEST, |characters| 4 * characters);
            let pattern = u64::try_from(form.pattern.len()).expect("a length");
            found.push((path.to_owned(), (text + 1).div_ceil(10) * pattern.div_ceil(4) * times));
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            costs(field, &format!("{path}.{name}"), times, found);
        }
        for (key, most) in [("items", "maxItems"), ("additionalProperties", "maxProperties")] {
            if schema[key].is_object() {
                costs(&schema[key], &format!("{path}[]"), times.saturating_mul(limit(most).unwrap_or(REQUEST)), found);
            }
        }
    }

    /// Patterns that the API server would answer with.
    fn unsaid(schema: &Value, path: &str, found: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                // `pattern` may also be the name of a field.
                found.extend(map.get("pattern").and_then(Value::as_str).map(|pattern| format!("{path}: {pattern}")));
                map.iter().for_each(|(name, value)| unsaid(value, &format!("{path}.{name}"), found));
            }
            Value::Array(items) => items.iter().for_each(|item| unsaid(item, path, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn fault_h22_a_text_of_the_wrong_form_is_answered_with_what_to_write() {
        let (mut found, mut said) = (Vec::new(), Vec::new());
        for document in documents_as_json().expect("documents") {
            let spec = &document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
            unsaid(spec, document["spec"]["names"]["kind"].as_str().expect("a kind"), &mut found);
            costs(spec, "spec", 1, &mut said);
        }
        assert!(found.is_empty(), "give these words in FORMS:\n{}", found.join("\n"));
        assert!(said.len() > 60, "only {} texts have a form", said.len());
    }

    #[test]
    fn every_form_is_one_of_a_field_and_has_words_that_say_what_to_write() {
        let all = documents_as_json().expect("documents").iter().map(ToString::to_string).collect::<String>();
        for form in FORMS {
            assert!(all.contains(form.words.replace('"', "\\\"").as_str()), "no field has the form {}", form.pattern);
            assert!(form.words.starts_with("write ") && !form.pattern.contains('\''), "{form:?}");
        }
    }

    #[test]
    fn what_the_rules_cost_is_a_small_part_of_what_the_api_server_allows() {
        for document in documents_as_json().expect("documents") {
            let kind = &document["spec"]["names"]["kind"];
            let mut found = Vec::new();
            costs(&document["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "", 1, &mut found);
            let dearest = found.iter().max_by_key(|(_, cost)| *cost);
            assert!(dearest.is_none_or(|(_, cost)| *cost <= MOST_OF_A_RULE / 10), "{kind}: {dearest:?}");
            let total: u64 = found.iter().map(|(_, cost)| cost).sum();
            assert!(total <= MOST_OF_A_DEFINITION / 10, "{kind}: {total}");
        }
    }
}
