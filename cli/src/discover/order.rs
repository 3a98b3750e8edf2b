//! Start order, from references to Services.

use super::Workload;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodTemplateSpec, Service};
use kube::ResourceExt as _;
use regex::Regex;
use std::collections::BTreeSet;

/// Something that a workload says to its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Where it stands: the name of a variable, or `map/key`.
    pub place: String,
    /// What it says.
    pub text: String,
    /// Whether it is a whole file, which says much that is about nobody.
    pub file: bool,
}

/// Layers of workloads: each calls only those in layers before it. Those that call each other in a circle stand together, last.
pub fn tiers(workloads: &[Workload], services: &[Service]) -> Vec<Vec<usize>> {
    let mut calls: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); workloads.len()];
    for service in services {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
        let Ok(named) = Regex::new(&format!(r"(^|[^A-Za-z0-9-]){}($|[^A-Za-z0-9-])", regex::escape(&service.name_any()))) else { continue };
        let behind = |workload: &Workload| !selector.is_empty() && selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value));
        for (callee, _) in workloads.iter().enumerate().filter(|(_, workload)| behind(workload)) {
            for (caller, workload) in workloads.iter().enumerate() {
                if caller != callee && workload.words.iter().any(|words| named.is_match(&words.text)) {
                    calls[caller].insert(callee);
                }
            }
        }
    }
    let mut tiers: Vec<Vec<usize>> = Vec::new();
    let mut placed = BTreeSet::new();
    while placed.len() < workloads.len() {
        let ready: Vec<usize> = (0..workloads.len()).filter(|index| !placed.contains(index) && calls[*index].is_subset(&placed)).collect();
        let layer = if ready.is_empty() { (0..workloads.len()).filter(|index| !placed.contains(index)).collect() } else { ready };
        placed.extend(layer.iter().copied());
        tiers.push(layer);
    }
    tiers
}

/// The ConfigMaps of which [`words`] reads something, by name.
pub fn maps_named(template: &PodTemplateSpec) -> BTreeSet<String> {
    let spec = template.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let of_containers = containers.flat_map(|container| {
        let keys = container.env.iter().flatten().filter_map(|variable| Some(variable.value_from.as_ref()?.config_map_key_ref.as_ref()?.name.clone()));
        keys.chain(container.env_from.iter().flatten().filter_map(|map| Some(map.config_map_ref.as_ref()?.name.clone())))
    });
    let of_volumes = spec.into_iter().flat_map(|spec| spec.volumes.iter().flatten()).filter_map(|volume| Some(volume.config_map.as_ref()?.name.clone()));
    of_containers.chain(of_volumes).collect()
}

/// Everything that a pod template says about others: variables, arguments, and the files of ConfigMaps that it mounts.
pub fn words(template: &PodTemplateSpec, maps: &[ConfigMap]) -> Vec<Words> {
    let spec = template.spec.clone().unwrap_or_default();
    let mut words = Vec::new();
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        variables(container, maps, &mut words);
        let typed = container.command.iter().flatten().chain(container.args.iter().flatten());
        words.extend(typed.map(|text| Words { place: format!("a command of {}", container.name), text: text.clone(), file: false }));
    }
    for volume in spec.volumes.iter().flatten().filter_map(|volume| volume.config_map.as_ref()) {
        // A ConfigMap that several share counts only by the files that are mounted.
        let keys: Option<BTreeSet<&String>> = volume.items.as_ref().map(|items| items.iter().map(|item| &item.key).collect());
        for (key, text) in data(maps, &volume.name) {
            if keys.as_ref().is_none_or(|keys| keys.contains(key)) {
                words.push(Words { place: format!("{}/{key}", volume.name), text: text.clone(), file: true });
            }
        }
    }
    words
}

fn variables(container: &Container, maps: &[ConfigMap], words: &mut Vec<Words>) {
    for variable in container.env.iter().flatten() {
        let key = variable.value_from.as_ref().and_then(|from| from.config_map_key_ref.as_ref());
        let from_map = || key.and_then(|key| data(maps, &key.name).find(|(name, _)| **name == key.key)).map(|(_, text)| text.clone());
        words.extend(variable.value.clone().or_else(from_map).map(|text| Words { place: variable.name.clone(), text, file: false }));
    }
    for map in container.env_from.iter().flatten().filter_map(|from| from.config_map_ref.as_ref()) {
        words.extend(data(maps, &map.name).map(|(key, text)| Words { place: key.clone(), text: text.clone(), file: false }));
    }
}

fn data<'a>(maps: &'a [ConfigMap], name: &'a str) -> impl Iterator<Item = (&'a String, &'a String)> {
    maps.iter().filter(move |map| map.name_any() == name).filter_map(|map| map.data.as_ref()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn who_names_a_service_starts_after_it_wherever_the_name_stands() {
        let found = samples::found();
        let names: Vec<Vec<&str>> = found.tiers.iter().map(|tier| tier.iter().map(|index| found.workloads[*index].name.as_str()).collect()).collect();
        assert_eq!(names, [["db"], ["api"], ["web"]]);
    }

    #[test]
    fn fault_h6_every_map_that_is_read_is_named() {
        let template: PodTemplateSpec = serde_json::from_value(serde_json::json!({"spec": {
            "initContainers": [{"name": "first", "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "of-a-key", "key": "k"}}}]}],
            "containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "of-all-keys"}}, {"secretRef": {"name": "secret"}}], "env": [{"name": "B", "value": "b"}]}],
            "volumes": [{"name": "v", "configMap": {"name": "of-files"}}, {"name": "w", "emptyDir": {}}]}}))
        .expect("a template");
        let names = maps_named(&template);
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["of-a-key", "of-all-keys", "of-files"]);
        let map = |name: &String| serde_json::from_value(serde_json::json!({"metadata": {"name": name}, "data": {"k": name}})).expect("a map");
        let read: BTreeSet<String> = words(&template, &names.iter().map(map).collect::<Vec<_>>()).into_iter().map(|words| words.text).collect();
        assert!(names.is_subset(&read), "{read:?}");
    }

    #[test]
    fn those_that_call_each_other_stand_together() {
        let mut found = samples::found();
        found.workloads[2].words.push(Words { place: "BACK".into(), text: "http://api/".into(), file: false });
        assert_eq!(tiers(&found.workloads, &found.services), [vec![0, 1, 2]], "the page waits for the circle, and a circle has no order");
    }

    #[test]
    fn a_name_within_another_name_is_no_call() {
        let mut found = samples::found();
        found.workloads.iter_mut().for_each(|workload| workload.words.clear());
        found.workloads[0].words.push(Words { place: "X".into(), text: "api-not-called my-api".into(), file: false });
        assert_eq!(tiers(&found.workloads, &found.services).len(), 1);
    }
}
