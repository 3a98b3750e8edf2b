//! Validation of profiles beyond what the API server can check.

use crate::{conditions::ConditionUpdate, time::parse_duration, told::Noun};
use p861_crds::{
    ConditionType, District, PlatformProfileSpec, Reason,
    platform::profile::{DemandResource, ItemCounts, Layer, Standing},
};

/// Names of the districts that are measured against the profile of this name, sorted.
pub fn users(profile: &str, districts: &[District]) -> Vec<String> {
    let measured = |district: &&District| district.spec.profile_ref.as_ref().is_some_and(|reference| reference.name == profile);
    let mut names: Vec<String> = districts.iter().filter(measured).filter_map(|district| district.metadata.name.clone()).collect();
    names.sort();
    names
}

/// How many of its items are scored.
pub fn counts(spec: &PlatformProfileSpec) -> ItemCounts {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let provisional = spec.items.iter().filter(|item| item.standing == Standing::Provisional).count();
    ItemCounts { total: count(spec.items.len()), scored: count(spec.items.len() - provisional), provisional: count(provisional) }
}

/// The layer that has a resource.
fn layer_of(resource: DemandResource) -> Layer {
    match resource {
        DemandResource::BitsPerSecond => Layer::Network,
        DemandResource::Cpu | DemandResource::Memory | DemandResource::Pods => Layer::Servers,
        DemandResource::Volumes | DemandResource::Repository => Layer::Storage,
    }
}

/// What is wrong with a profile, in words; empty if nothing is.
fn faults(spec: &PlatformProfileSpec) -> Vec<String> {
    let mut faults = Vec::new();
    for row in &spec.standard_application {
        let layer = layer_of(row.resource);
        if row.layer != layer {
            faults.push(format!("standardApplication: {} is a resource of layer {layer}, not of {}", row.resource.word(), row.layer));
        }
    }
    let Some(levels) = &spec.recovery_levels else { return faults };
    for pair in levels.levels.windows(2) {
        let [lower, upper] = pair else { continue };
        if upper.level <= lower.level {
            faults.push(format!("recoveryLevels: level {} stands after level {}: sort them from the lowest", upper.level, lower.level));
        }
        for (name, lower_bound, upper_bound) in [("rto", &lower.rto, &upper.rto), ("rpo", &lower.rpo, &upper.rpo)] {
            let read = |bound: &Option<p861_crds::Duration>| bound.as_ref().and_then(|text| parse_duration(&text.0).ok());
            if let (Some(low), Some(high)) = (read(&lower_bound.max), read(&upper_bound.max))
                && high > low
            {
                faults.push(format!("recoveryLevels: {name} of level {} allows more than level {}", upper.level, lower.level));
            }
        }
    }
    for element in &levels.elements {
        if !levels.levels.iter().any(|level| level.level == element.level) {
            faults.push(format!("recoveryLevels: element {:?} names level {}, which is not in levels", element.element, element.level));
        }
    }
    for row in &spec.criticalities {
        if !levels.levels.iter().any(|level| level.level == row.recovery_level) {
            faults.push(format!("criticalities: {:?} asks for recovery level {}, which is not in recoveryLevels", row.name, row.recovery_level));
        }
    }
    faults
}

/// Whether a district can be measured against it.
pub fn judge(spec: &PlatformProfileSpec) -> ConditionUpdate {
    let faults = faults(spec);
    if let Some(first) = faults.first() {
        let more = if faults.len() > 1 { format!(" (and {} more)", faults.len() - 1) } else { String::new() };
        return ConditionUpdate::bad(ConditionType::Ready, Reason::Invalid, format!("{first}{more}: correct it and apply the profile again"));
    }
    let counts = counts(spec);
    ConditionUpdate::good(
        ConditionType::Ready,
        Reason::Valid,
        format!("{}, {} scored, {} provisional; edition {}", Noun::Item.count(counts.total), counts.scored, counts.provisional, spec.edition),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(name: &str) -> PlatformProfileSpec {
        let path = format!("{}/../../charts/p861/files/profiles/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let profile: p861_crds::PlatformProfile = serde_saphyr::from_str(&text).unwrap();
        profile.spec
    }

    #[test]
    fn the_shipped_profiles_are_valid_and_score_only_what_a_source_names() {
        for (name, total, scored) in [("861-2008", 15, 9), ("851-2011", 14, 1), ("686-2016", 20, 0)] {
            let spec = shipped(name);
            let update = judge(&spec);
            assert!(update.holds(), "{name}: {}", update.message);
            assert_eq!((counts(&spec).total, counts(&spec).scored), (total, scored), "{name}");
            assert!(!spec.source.is_empty() && !spec.edition.is_empty());
        }
    }

    #[test]
    fn what_the_api_server_cannot_see_is_said() {
        let mut spec = shipped("861-2008");
        spec.standard_application[0].layer = Layer::Storage;
        assert!(judge(&spec).message.contains("bitsPerSecond is a resource of layer Network"), "{}", judge(&spec).message);
        let mut spec = shipped("861-2008");
        spec.recovery_levels.as_mut().unwrap().levels.swap(0, 1);
        assert!(judge(&spec).message.contains("stands after level"), "{}", judge(&spec).message);
        let mut spec = shipped("861-2008");
        spec.recovery_levels.as_mut().unwrap().levels[4].rpo.max = Some("48h".into());
        assert!(judge(&spec).message.contains("rpo of level 5 allows more than level 4"), "{}", judge(&spec).message);
        let mut spec = shipped("861-2008");
        spec.criticalities[0].recovery_level = 6;
        spec.recovery_levels.as_mut().unwrap().levels.pop();
        assert!(judge(&spec).message.contains("Critical asks for recovery level 6"), "{}", judge(&spec).message);
    }

    #[test]
    fn a_profile_is_used_by_the_districts_that_name_it() {
        let district = |name: &str, profile: Option<&str>| -> District {
            let reference = profile.map(|name| serde_json::json!({"name": name}));
            serde_json::from_value(serde_json::json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": name},
                "spec": {"code": "370202", "names": {"zh": "区", "en": "d"}, "timeZone": "Asia/Shanghai", "profileRef": reference, "sites": []}}))
            .expect("a district")
        };
        let all = [district("shinan", Some("861")), district("shibei", Some("861")), district("laoshan", Some("other")), district("licang", None)];
        assert_eq!(users("861", &all), ["shibei", "shinan"]);
    }
}
