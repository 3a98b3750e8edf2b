//! The reference of all fields, for people, made from the same definitions as the CRDs.

use crate::{
    forms,
    generate::{GenerateError, documents_as_json},
};
use serde_json::{Map, Value};

/// The whole page, in Markdown.
///
/// # Errors
/// If a definition can't be written as JSON.
pub fn markdown() -> Result<String, GenerateError> {
    let mut page = String::from(
        "# Kinds and their fields\n\n\
         <!-- Generated from crds/src by: make generate -->\n\n\
         Group `platform861.io`, version `v1alpha1`, category `p861` (`kubectl get p861`). Durations are written like `15m` or `1h30m`, with units h, m, s and ms. `fooRef: {name}` refers to\n\
         an object of the same namespace or of a cluster-scoped kind; Secrets of cluster-scoped kinds are in the operator's namespace. Text for people is `{zh, en}`, at least one of them.\n",
    );
    for document in documents_as_json()? {
        kind(&mut page, &document);
    }
    Ok(page)
}

fn kind(page: &mut String, document: &Value) {
    let names = &document["spec"]["names"];
    let version = &document["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let kind = text(&names["kind"]);
    let scope = if text(&document["spec"]["scope"]) == "Namespaced" { "in a district's namespace" } else { "cluster-scoped" };
    line(page, &format!("\n## {kind}\n"));
    line(page, &format!("{} ({scope})\n", text(&schema["description"])));
    let short: Vec<String> = items(&names["shortNames"]).map(|name| format!("`{}`", text(name))).collect();
    let also = if short.is_empty() { String::new() } else { format!(" or {}", short.join(", ")) };
    line(page, &format!("`kubectl get {}.platform861.io`{also}. Columns: {}.", text(&names["plural"]), columns(version)));
    let selectable: Vec<String> = items(&version["selectableFields"]).map(|field| format!("`{}`", text(&field["jsonPath"]).trim_start_matches('.'))).collect();
    if !selectable.is_empty() {
        line(page, &format!("`--field-selector` takes {}.", selectable.join(", ")));
    }
    line(page, "\n| field | type | |\n|---|---|---|");
    let spec = &schema["properties"]["spec"];
    fields(page, spec, "spec");
    let mut rules = Vec::new();
    collect_rules(schema, "", &mut rules);
    if !rules.is_empty() {
        line(page, "\nThe API server also enforces these rules:\n");
        for (path, message) in rules {
            line(page, &format!("- `{}`: {message}", if path.is_empty() { "metadata" } else { path.trim_start_matches('.') }));
        }
    }
    let status = &schema["properties"]["status"];
    if status["properties"].is_object() {
        line(page, "\nWritten by the operator:\n\n| field | type | |\n|---|---|---|");
        fields(page, status, "status");
    }
}

fn columns(version: &Value) -> String {
    let columns = items(&version["additionalPrinterColumns"]).map(|column| {
        let name = text(&column["name"]).to_uppercase();
        if column["priority"].as_i64().unwrap_or(0) > 0 { format!("{name} (`-o wide`)") } else { name }
    });
    columns.collect::<Vec<_>>().join(", ")
}

fn fields(page: &mut String, schema: &Value, path: &str) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required: Vec<&str> = items(&schema["required"]).filter_map(Value::as_str).collect();
    for (name, field) in properties {
        let path = format!("{path}.{name}");
        let (suffix, inner) = inner(field);
        line(page, &format!("| `{path}{suffix}` | {} | {} |", type_of(field), meaning(field, required.contains(&name.as_str()) && path.starts_with("spec"))));
        // Conditions are Kubernetes' own; references and texts are told once, above all.
        if name != "conditions" && shape(inner).is_none() {
            fields(page, inner, &format!("{path}{suffix}"));
        }
    }
}

/// What stands behind a field's name, and the schema of what is in it.
fn inner(field: &Value) -> (&'static str, &Value) {
    if field["type"] == "array" {
        ("[]", &field["items"])
    } else if field["additionalProperties"].is_object() {
        (".*", &field["additionalProperties"])
    } else {
        ("", field)
    }
}

/// The short form of an object that is everywhere the same.
fn shape(schema: &Value) -> Option<&'static str> {
    let properties = schema["properties"].as_object()?;
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    match names.as_slice() {
        ["name"] => Some("`{name}`"),
        ["en", "zh"] => Some("`{zh, en}`"),
        _ => None,
    }
}

/// What a text of this form is called.
fn named(schema: &Value) -> Option<&'static str> {
    forms::of(schema)?.name
}

fn type_of(field: &Value) -> String {
    let (_, inner) = inner(field);
    let word = match (inner["type"].as_str(), inner["format"].as_str()) {
        _ if shape(inner).is_some() => shape(inner).unwrap_or_default().to_owned(),
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some("string"), _) if named(inner).is_some() => named(inner).unwrap_or_default().to_owned(),
        (Some("string"), _) if inner["enum"].is_array() => items(&inner["enum"]).filter_map(Value::as_str).collect::<Vec<_>>().join(" \\| "),
        (Some(word), _) => word.to_owned(),
        (None, _) => "any".to_owned(),
    };
    match (field["type"] == "array", field["x-kubernetes-list-type"].as_str()) {
        (true, Some("map")) => {
            format!("list of {word}, by {}", items(&field["x-kubernetes-list-map-keys"]).filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        (true, _) => format!("list of {word}"),
        (false, _) => word,
    }
}

fn meaning(field: &Value, required: bool) -> String {
    let (_, inner) = inner(field);
    let mut words = vec![text(&field["description"]).replace('\n', " ").replace('|', "\\|")];
    if required {
        words.push("**Required.**".into());
    }
    match &field["default"] {
        Value::Null => {}
        Value::Object(map) if map.is_empty() => {}
        default => words.push(format!("Default `{}`.", default.as_str().map_or_else(|| default.to_string(), str::to_owned))),
    }
    let limits = [
        ("minimum", "At least", ""),
        ("maximum", "At most", ""),
        ("minItems", "At least", " of them"),
        ("maxItems", "At most", " of them"),
        ("maxLength", "At most", " characters"),
    ];
    for (key, say, of) in limits {
        let limit = if field[key].is_null() { &inner[key] } else { &field[key] };
        if let Some(limit) = limit.as_f64() {
            words.push(format!("{say} {limit}{of}."));
        }
    }
    if let Some(form) = forms::of(inner).filter(|form| form.name.is_none()) {
        words.push(format!("{}.", form.words.replacen("write", "Write", 1).replace('|', "\\|")));
    }
    words.join(" ").trim().to_owned()
}

/// Rules of the schema with their messages, each once.
fn collect_rules(schema: &Value, path: &str, found: &mut Vec<(String, String)>) {
    // The form of a text stands in its field's own line.
    for rule in items(&schema["x-kubernetes-validations"]).filter(|rule| !forms::is_rule(rule)) {
        let entry = (path.to_owned(), text(&rule["message"]).to_owned());
        if !found.contains(&entry) {
            found.push(entry);
        }
    }
    for (name, field) in schema["properties"].as_object().into_iter().flat_map(Map::iter) {
        let (suffix, inner) = inner(field);
        let path = format!("{path}.{name}");
        if !suffix.is_empty() {
            collect_rules(&serde_json::json!({"x-kubernetes-validations": field["x-kubernetes-validations"]}), &path, found);
        }
        collect_rules(inner, &format!("{path}{suffix}"), found);
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}
