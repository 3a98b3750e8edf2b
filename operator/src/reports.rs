//! A drill's report: from its journal to a page, in the plan's repository and on the hub.

use crate::context::Context;
use jiff::SignedDuration;
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{Api, ResourceExt as _};
use p861_core::{
    evidence::{
        DrillReport, Language,
        compose::{self, ReportFacts},
        publish,
        report::{Named, Published},
    },
    runs::packed,
};
use p861_crds::{Application, District, Drill, DrillStatus, RecoveryPlan, Site, recovery::drill::ReportReference};
use p861_runs::{
    Pass,
    error::{Error, ErrorContext as _, Result},
    owned_maps::{self, MapContent},
    repository,
};
use std::collections::BTreeMap;

/// Size of a report in its ConfigMap, which the API server limits to 1 MiB in all.
const MAX_MAP_BYTES: usize = 900 * 1024;

/// The forms of a report in a repository.
pub const ENDINGS: [&str; 2] = ["html", "json"];

/// The key of a drill's report in its plan's repository. The UID distinguishes drills of the same name on a rebuilt hub.
pub fn key(drill: &str, uid: &str, ending: &str) -> String {
    format!("reports/{drill}-{uid}.{ending}")
}

/// Durations of the steps of the plan's newest drill, used as estimates for the next.
pub async fn durations(context: &Context, namespace: &str, plan: &RecoveryPlan) -> BTreeMap<String, SignedDuration> {
    let Some(last) = plan.status.as_ref().and_then(|status| status.last_drill.as_ref()) else { return BTreeMap::new() };
    let maps: Api<ConfigMap> = Api::namespaced(context.hub.client.clone(), namespace);
    let Ok(Some(map)) = maps.get_opt(&format!("{}-report", last.name)).await else { return BTreeMap::new() };
    let report: Option<DrillReport> = text_in(map, "report.json").and_then(|text| serde_json::from_str(&text).ok());
    report.as_ref().map(compose::durations).unwrap_or_default()
}

/// What was declared when the drill began.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// Its plan.
    pub plan: &'a RecoveryPlan,
    /// The plan's applications.
    pub applications: &'a [Application],
    /// Its district.
    pub district: &'a District,
}

/// Creates the report and stores it, create-only in the repository and in a ConfigMap owned by the Drill. Idempotent.
pub async fn write(context: &Context, drill: &Drill, status: &DrillStatus, declared: &Declared<'_>, pass: &Pass) -> Result<ReportReference> {
    let (name, namespace) = (drill.name_any(), drill.namespace().unwrap_or_default());
    let Declared { plan, applications, district } = *declared;
    let (from_site, target_site) = (named_site(context, status.from_site.as_ref()).await?, named_site(context, status.target_site.as_ref()).await?);
    let version = env!("CARGO_PKG_VERSION");
    let facts = ReportFacts { drill, status, plan, applications, district, from_site: &from_site, target_site: &target_site, version };
    let report = compose::compose(&facts, &pass.outcome()).ok_or_else(|| Error::Internal("a report of a drill that has not ended".into()))?;
    let published = publish(&report, Language::Zh).map_err(|error| Error::Internal(error.to_string()))?;
    let repository = &plan.spec.repository_ref.name;
    let store = repository::open_store(&context.hub, &namespace, repository).await?;
    let [html, json] = ENDINGS;
    let uid = drill.uid().unwrap_or_default();
    let key = |ending: &str| key(&name, &uid, ending);
    let mut locations = Vec::new();
    for (ending, text) in [(html, &published.html), (json, &published.json)] {
        match store.put_if_absent(&key(ending), text.clone().into_bytes()).await {
            Ok(_) => {}
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(repository::vault("store the report", &error)),
        }
        locations.push(repository::location_of(&context.hub, &namespace, repository, &key(ending)).await?);
    }
    let ReportMap { data, binary_data } = report_map(&published)?;
    owned_maps::apply(&context.hub, drill, &format!("{name}-report"), MapContent { labels: None, data, binary_data }).await?;
    let mut locations = locations.into_iter();
    Ok(ReportReference { html: locations.next().unwrap_or_default(), json: locations.next().unwrap_or_default(), digest: published.digest })
}

/// What of a report is in its ConfigMap.
#[derive(Debug, Default, PartialEq)]
struct ReportMap {
    data: BTreeMap<String, String>,
    binary_data: BTreeMap<String, ByteString>,
}

impl ReportMap {
    fn bytes(&self) -> usize {
        self.data.values().map(String::len).sum::<usize>() + self.binary_data.values().map(|packed| packed.0.len()).sum::<usize>()
    }
}

/// The report as its ConfigMap holds it: plain, else packed, else without the page, else nothing. It is whole in the repository in any case, and a drill must end.
fn report_map(published: &Published) -> Result<ReportMap> {
    let texts = [("report.json", &published.json), ("report.html", &published.html)];
    let plain = ReportMap { data: texts.iter().map(|(key, text)| ((*key).to_owned(), (*text).clone())).collect(), ..ReportMap::default() };
    if plain.bytes() <= MAX_MAP_BYTES {
        return Ok(plain);
    }
    let mut packed = ReportMap::default();
    for (key, text) in texts {
        let bytes = packed::pack(text).map_err(|error| Error::Internal(format!("{key} can't be packed: {error}")))?;
        if packed.bytes() + bytes.len() <= MAX_MAP_BYTES {
            packed.binary_data.insert(format!("{key}{}", packed::SUFFIX), ByteString(bytes));
        }
    }
    Ok(packed)
}

/// A text of a ConfigMap, plain or packed.
fn text_in(map: ConfigMap, key: &str) -> Option<String> {
    let plain = map.data.and_then(|mut data| data.remove(key));
    plain.or_else(|| packed::unpack(&map.binary_data?.remove(&format!("{key}{}", packed::SUFFIX))?.0).ok())
}

/// A site by its name and the names that people know it by.
async fn named_site(context: &Context, name: Option<&String>) -> Result<Named> {
    let Some(name) = name.cloned() else { return Ok(Named { name: "?".into(), names: None }) };
    let found: Option<Site> = Api::all(context.hub.client.clone()).get_opt(&name).await.context(|| format!("read site {name}"))?;
    Ok(Named { name, names: found.and_then(|site| site.spec.names) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(html: String, json: &str) -> Published {
        Published { html, json: json.to_owned(), digest: String::new() }
    }

    fn keys(map: &ReportMap) -> Vec<&str> {
        map.data.keys().chain(map.binary_data.keys()).map(String::as_str).collect()
    }

    #[test]
    fn fault_d8_a_report_of_any_length_has_a_config_map_that_the_api_server_takes() {
        // Not to be packed: each character is another.
        let mut seed = 1_u64;
        let mut noise = |length: usize| -> String {
            let mut next = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b' ' + u8::try_from((seed >> 33) % 94).expect("less than 94"))
            };
            (0..length).map(|_| next()).collect()
        };
        let json = r#"{"kind":"DrillReport"}"#;
        for (case, html, expected) in [
            ("short", "<p>".to_owned(), vec!["report.html", "report.json"]),
            ("long", "<p>a step</p>".repeat(500_000), vec!["report.html.gz", "report.json.gz"]),
            ("longer than a ConfigMap even packed", noise(3_000_000), vec!["report.json.gz"]),
        ] {
            let map = report_map(&published(html.clone(), json)).expect("a map");
            assert_eq!(keys(&map), expected, "{case}");
            assert!(map.bytes() <= MAX_MAP_BYTES, "{case}");
            let stored = ConfigMap { data: Some(map.data), binary_data: Some(map.binary_data), ..ConfigMap::default() };
            assert_eq!(text_in(stored.clone(), "report.json").as_deref(), Some(json), "{case}");
            assert_eq!(text_in(stored, "report.html").is_some_and(|read| read == html), expected.len() == 2, "{case}");
        }
        assert_eq!(keys(&report_map(&published(noise(3_000_000), &noise(3_000_000))).expect("a map")), Vec::<&str>::new());
    }
}
