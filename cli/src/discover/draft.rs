//! Drafts an Application and its manifest from the findings.

use super::{Found, Workload, data::database};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Longest name of a tier, a stream or a check.
const LONGEST_NAME: usize = 40;

/// The keys of an Application's spec in the order in which people read them.
const ORDER: [&str; 9] = ["names", "department", "criticality", "namespaces", "tiers", "streams", "volumes", "clusterResources", "checks"];

/// A name cut to so many characters; no name ends with a hyphen.
pub fn short(name: &str, longest: usize) -> String {
    let cut: String = name.chars().take(longest).collect();
    cut.trim_end_matches('-').to_owned()
}

/// The Application.
pub fn draft(found: &Found, name: &str, hub_namespace: &str, namespace: &str) -> Value {
    let of = |tier: &[usize]| tier.iter().filter_map(|index| found.workloads.get(*index)).collect::<Vec<&Workload>>();
    let reference = |workload: &&Workload| json!({"kind": workload.kind, "name": workload.name});
    let names = tier_names(found);
    let tiers: Vec<Value> =
        found.tiers.iter().zip(&names).map(|(tier, name)| json!({"name": name, "workloadRefs": of(tier).iter().map(reference).collect::<Vec<_>>()})).collect();
    let databases: Vec<_> = found.workloads.iter().filter_map(database).collect();
    // Data that is dumped as a stream is not saved as files, too: files of a running database are not consistent.
    let skipped: BTreeSet<&String> = databases.iter().flat_map(|database| &database.workload().claims).collect();
    let volumes: Vec<Value> = skipped.into_iter().map(|claim| json!({"claim": claim, "method": "Skip"})).collect();
    let streams: Vec<Value> = databases.iter().map(super::data::Database::stream).collect();
    let mut spec = json!({"names": {"zh": "TODO", "en": "TODO"}, "department": "TODO", "criticality": "Important", "namespaces": [namespace], "tiers": tiers});
    let cluster = found.of_cluster.proposed.iter().map(|resource| json!(resource)).collect();
    for (key, list) in [("streams", streams), ("volumes", volumes), ("clusterResources", cluster), ("checks", checks(found))] {
        if !list.is_empty() {
            spec[key] = json!(list);
        }
    }
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": hub_namespace}, "spec": spec})
}

/// A tier is called after its only workload, or by its number.
pub fn tier_names(found: &Found) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let name = |(place, tier): (usize, &Vec<usize>)| {
        let alone = match tier.as_slice() {
            [only] => found.workloads.get(*only).map(|workload| short(&workload.name.replace('.', "-"), LONGEST_NAME)),
            _ => None,
        };
        let name = alone.filter(|name| !taken.contains(name)).unwrap_or_else(|| format!("tier-{}", place + 1));
        taken.insert(name.clone());
        name
    };
    found.tiers.iter().enumerate().map(name).collect()
}

/// Each Service with something behind it answers at its first port.
fn checks(found: &Found) -> Vec<Value> {
    let answers = |service: &&k8s_openapi::api::core::v1::Service| match &found.answering {
        Some(answering) => answering.contains(&service.name_any()),
        None => service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(|selector| !selector.is_empty()),
    };
    let mut taken = BTreeSet::new();
    let check = |service: &k8s_openapi::api::core::v1::Service| {
        let port = service.spec.as_ref()?.ports.as_ref()?.iter().find(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")?.port;
        let name = format!("{}-answers", short(&service.name_any(), LONGEST_NAME - "-answers".len()));
        taken.insert(name.clone()).then(|| json!({"name": name, "tcp": {"serviceName": service.name_any(), "port": port}}))
    };
    found.services.iter().filter(answers).filter_map(check).collect()
}

/// The manifest of a draft, with what is to be done by a person beside the lines that it is about.
pub fn manifest(draft: &Value, found: &Found, site: &str, departments: &[&str]) -> Result<String, String> {
    let block = |key: &str, value: &Value| serde_saphyr::to_string(&json!({ key: value })).map_err(|error| error.to_string());
    let indented = |text: &str, before: &str| text.lines().flat_map(|line| [before, line, "\n"]).collect::<String>();
    let namespace = draft.pointer("/spec/namespaces/0").and_then(Value::as_str).unwrap_or_default();
    let mut text = format!("# Found in namespace {namespace} of site {site}. Complete what is marked TODO, then: kubectl apply -f FILE\n");
    for key in ["apiVersion", "kind", "metadata"] {
        text.push_str(&block(key, &draft[key])?);
    }
    text.push_str("spec:\n");
    for key in ORDER {
        let Some(value) = draft["spec"].get(key) else { continue };
        let lines = block(key, value)?;
        text.push_str(&indented(
            &match key {
                "department" if departments.is_empty() => format!("{}  # the department that owns it\n", lines.trim_end()),
                "department" => format!("{}  # one of {}\n", lines.trim_end(), departments.join(", ")),
                "criticality" => format!("{}  # TODO: Critical, Important or Ordinary\n", lines.trim_end()),
                "clusterResources" => {
                    format!("# The site's administrator permits these by name: site.clusterResources in the values of the chart p861 there\n{lines}")
                }
                "checks" => format!("# A port that accepts proves little: add an http or exec check for what people do\n{lines}"),
                _ => lines,
            },
            "  ",
        ));
    }
    text.push_str("  # TODO: a marker, a time written into the data each minute. Read back after a recovery, it proves how much was lost; without it the RPO is assumed\n");
    let marker = found.workloads.iter().filter_map(database).find_map(|database| database.marker());
    text.push_str(&indented(&block("marker", &marker.unwrap_or_else(marker_in_a_file))?, "  # "));
    Ok(text)
}

/// Written beside and renamed: a backup that is taken meanwhile has the old time or the new one, never an empty file.
fn marker_in_a_file() -> Value {
    json!({
        "workloadRef": {"kind": "Deployment", "name": "TODO"},
        "write": ["sh", "-c", "cd /TODO && printf %s '$(MARKER)' > .p861-marker.new && mv .p861-marker.new .p861-marker"],
        "read": ["cat", "/TODO/.p861-marker"],
    })
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};
    use p861_crds::Application;

    #[test]
    fn a_draft_is_an_application_whose_database_travels_as_a_stream() {
        let draft = draft(&samples::found(), "shop", "shinan", "shinan-shop");
        let application: Application = serde_json::from_value(draft).expect("it can be read as an Application");
        assert_eq!(application.spec.streams[0].dump, ["pg_dump", "--username=owner", "--format=custom", "owner"]);
        assert_eq!(application.spec.volumes[0].claim, "data-db-*");
        assert_eq!(application.spec.tiers.iter().map(|tier| tier.name.as_str()).collect::<Vec<_>>(), ["db", "api", "web"]);
    }

    #[test]
    fn fault_i11_a_service_with_nothing_behind_it_gets_no_check() {
        for (answering, expected) in [
            (Some(&["api", "other"][..]), &["api-answers"][..]),
            (Some(&[][..]), &[][..]),
            // Who may not read that proposes one for each that selects pods.
            (None, &["api-answers", "db-main-answers"][..]),
        ] {
            let answering = answering.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            let found = Found { answering, ..samples::found() };
            let names: Vec<Value> = checks(&found).into_iter().map(|check| check["name"].clone()).collect();
            assert_eq!(names, expected, "{:?}", found.answering);
        }
    }

    #[test]
    fn fault_b12_what_is_needed_of_the_cluster_is_proposed_and_says_who_permits_it() {
        let found = samples::with_cluster_resources();
        let draft = draft(&found, "shop", "shinan", "shinan-shop");
        let application: Application = serde_json::from_value(draft.clone()).expect("it can be read as an Application");
        let names: Vec<&str> = application.spec.cluster_resources.iter().map(|resource| resource.name.as_str()).collect();
        assert_eq!(names, ["carts.shop.example", "shop"]);
        let manifest = manifest(&draft, &found, "xinxi-dasha", &[]).expect("a manifest");
        assert_eq!(serde_saphyr::from_str::<Value>(&manifest).expect("YAML"), draft);
        assert!(manifest.contains("administrator permits these by name: site.clusterResources"), "{manifest}");
    }

    #[test]
    fn a_manifest_says_the_same_as_its_draft_and_marks_what_a_person_must_add() {
        let found = samples::found();
        let draft = draft(&found, "shop", "shinan", "shinan-shop");
        let manifest = manifest(&draft, &found, "xinxi-dasha", &["approval-bureau", "computer-centre"]).expect("a manifest");
        let read: Value = serde_saphyr::from_str(&manifest).expect("YAML");
        assert_eq!(read, draft);
        assert!(manifest.contains("department: TODO  # one of approval-bureau, computer-centre\n"), "{manifest}");
        assert!(manifest.contains("criticality: Important  # TODO"), "{manifest}");
        let with_marker = with_marker(&manifest);
        assert!(with_marker.spec.marker.is_some_and(|marker| marker.write.iter().any(|word| word.contains("$(MARKER)"))));
    }

    /// The Application of a manifest whose reader has taken its proposed marker.
    fn with_marker(manifest: &str) -> Application {
        let uncommented: String = manifest
            .lines()
            .map(|line| line.replacen("  # ", "  ", 1))
            .filter(|line| !line.contains("TODO: ") && !line.contains("A port"))
            .collect::<Vec<_>>()
            .join("\n");
        serde_saphyr::from_str(&uncommented).unwrap_or_else(|error| panic!("the commented marker is one: {error}\n{uncommented}"))
    }

    #[test]
    fn commands_of_mariadb_are_in_a_manifest_what_they_are_in_its_draft() {
        let template = json!({"spec": {"containers": [{"name": "mariadb", "image": "mariadb:11", "env": [{"name": "MARIADB_ROOT_PASSWORD", "value": "x"}]}]}});
        let workload = super::super::workload("StatefulSet", "db".into(), serde_json::from_value(template).expect("a template"), vec!["data-db-*".into()]);
        let found = Found::of(vec![workload], Vec::new(), &[], Vec::new());
        let draft = draft(&found, "shop", "shinan", "shinan-shop");
        let read = with_marker(&manifest(&draft, &found, "xinxi-dasha", &[]).expect("a manifest"));
        assert_eq!(json!(read.spec.streams), draft["spec"]["streams"]);
        let proposed = database(&found.workloads[0]).and_then(|database| database.marker()).expect("a marker");
        let marker = read.spec.marker.expect("a marker");
        assert_eq!((json!(marker.write), json!(marker.read)), (proposed["write"].clone(), proposed["read"].clone()));
    }

    #[test]
    fn a_marker_in_a_file_is_whole_at_every_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let command = |key: &str, time: &str| {
            let words: Vec<String> = serde_json::from_value(marker_in_a_file()[key].clone()).expect("words");
            let place = folder.path().to_string_lossy();
            let words: Vec<String> = words.iter().map(|word| word.replace("/TODO", &place).replace("$(MARKER)", time)).collect();
            let output = std::process::Command::new(&words[0]).args(&words[1..]).output().expect("a shell");
            assert!(output.status.success(), "{words:?}: {output:?}");
            String::from_utf8(output.stdout).expect("text")
        };
        command("write", "one");
        // Readers that have the old file open still read the old time completely: the file is replaced, not modified.
        let mut open = std::fs::File::open(folder.path().join(".p861-marker")).expect("the marker");
        command("write", "two");
        assert_eq!((std::io::read_to_string(&mut open).expect("read"), command("read", "")), ("one".into(), "two".into()));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else stays");
    }

    #[test]
    fn a_long_name_is_cut_to_what_the_kind_takes() {
        assert_eq!(short("approval-server-of-the-district", 16), "approval-server");
    }
}
