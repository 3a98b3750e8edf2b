//! Whatever people can write into an object of ours has an end: every list, map and text of every kind has a limit in its schema.
//!
//! What the API server takes is held in the operator's memory, and compiled into plans. A field without a limit lets one district take the memory of all.

use p861_crds::generate::documents_as_json;
use serde_json::Value;

/// Fields without a limit of their own, and what limits them instead. A path ends with `*` for everything under it.
const JUSTIFIED: &[(&str, &str, &str)] = &[
    ("*", "status*", "only the operator writes it, from inputs that have limits; it shortens messages and lists at most 16 steps"),
    ("Application", "spec.isolation.patches[].patch", "an object of any form: at most 64 of them, and the API server takes no object beyond 1.5 MiB"),
];

/// A text is as long as its form allows.
fn text_has_end(schema: &Value) -> bool {
    !schema["maxLength"].is_null() || schema["enum"].is_array() || schema["format"] == "date-time"
}

/// Every list, map and text under a schema that has no limit.
fn without_end(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        without_end(field, &format!("{path}.{name}"), found);
    }
    if schema["additionalProperties"].is_object() {
        if schema["maxProperties"].is_null() {
            found.push(path.to_owned());
        }
        without_end(&schema["additionalProperties"], &format!("{path}{{}}"), found);
    }
    let is_any = schema["x-kubernetes-preserve-unknown-fields"] == true || schema["x-kubernetes-int-or-string"] == true;
    let endless = match schema["type"].as_str() {
        Some("array") => schema["maxItems"].is_null(),
        Some("string") => !text_has_end(schema),
        _ => is_any,
    };
    if endless {
        found.push(path.to_owned());
    }
    if schema["type"] == "array" {
        without_end(&schema["items"], &format!("{path}[]"), found);
    }
}

fn is_justified(kind: &str, path: &str) -> bool {
    JUSTIFIED.iter().any(|(of, at, _)| (*of == "*" || *of == kind) && at.strip_suffix('*').map_or(*at == path, |under| path.starts_with(under)))
}

#[test]
fn fault_e10_every_list_map_and_text_that_people_write_has_a_limit() {
    let (mut missing, mut seen) = (Vec::new(), Vec::new());
    for document in documents_as_json().expect("documents") {
        let kind = document["spec"]["names"]["kind"].as_str().expect("a kind").to_owned();
        let schema = &document["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            let mut found = Vec::new();
            without_end(&schema["properties"][part], part, &mut found);
            missing.extend(found.iter().filter(|path| !is_justified(&kind, path)).map(|path| format!("{kind}: {path}")));
            seen.extend(found.into_iter().map(|path| (kind.clone(), path)));
        }
    }
    assert!(missing.is_empty(), "give these a limit (schemars: length, inner, extend maxProperties), or a reason in the table:\n{}", missing.join("\n"));
    for (kind, path, why) in JUSTIFIED {
        let holds = |(of, at): &(String, String)| (*kind == "*" || kind == of) && path.strip_suffix('*').map_or(path == at, |under| at.starts_with(under));
        assert!(seen.iter().any(holds), "{kind} {path} has a limit by now: take it out of the table ({why})");
    }
}

#[test]
fn the_walk_finds_what_has_no_limit_wherever_it_stands() {
    let schema = serde_json::json!({"type": "object", "properties": {
        "text": {"type": "string", "pattern": "^a+$"}, "short": {"type": "string", "maxLength": 3}, "word": {"type": "string", "enum": ["a"]},
        "when": {"type": "string", "format": "date-time"}, "number": {"type": "integer"},
        "list": {"type": "array", "items": {"type": "string"}}, "few": {"type": "array", "maxItems": 2, "items": {"type": "object", "properties": {"deep": {"type": "string"}}}},
        "map": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 1}}, "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let mut found = Vec::new();
    without_end(&schema, "spec", &mut found);
    found.sort();
    assert_eq!(found, ["spec.any", "spec.few[].deep", "spec.list", "spec.list[]", "spec.map", "spec.text"]);
}
