//! Saves the objects of a site: listed page by page, one line per object.

use super::work::WorkError;
use crate::error::ErrorContext as _;
use kube::{
    Api, Client,
    api::{ApiResource, ListParams},
    core::DynamicObject,
    discovery::{Discovery, Scope, verbs},
};
use p861_core::objects::{self, SaveDecision};
use p861_crds::{Reason, platform::application::ObjectSelector};
use p861_vault::Progress;
use std::{
    io::{BufWriter, Write as _},
    path::Path,
};

/// Objects per page of a list.
const PAGE_SIZE: u32 = 500;

/// What was saved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saved {
    /// Objects.
    pub objects: u64,
    /// Kinds that had any.
    pub resources: u64,
}

/// Lists every namespaced kind page by page and writes one line per object to `folder/<namespace>/<resource.group>.jsonl`.
///
/// # Errors
/// If the API server can't be read, or `folder` can't be written.
pub async fn save(
    client: &Client,
    namespaces: &[String],
    exclude: &[ObjectSelector],
    folder: &Path,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Saved, WorkError> {
    let kinds = namespaced_kinds(client).await?;
    // Left over if the mover was killed and restarted in the same folder.
    let _ = std::fs::remove_dir_all(folder);
    let mut saved = Saved::default();
    let mut bytes = 0;
    for namespace in namespaces {
        let place = folder.join(namespace);
        std::fs::create_dir_all(&place).map_err(|error| disk(&place, &error))?;
        for resource in &kinds {
            let path = place.join(file_name(resource));
            let (objects, written) = save_kind(client, namespace, resource, exclude, &path).await?;
            saved.objects += objects;
            saved.resources += u64::from(objects > 0);
            bytes += written;
            on_progress(Progress { items_done: saved.objects, items_total: None, bytes_done: bytes, bytes_total: None });
        }
    }
    Ok(saved)
}

fn disk(path: &Path, error: &std::io::Error) -> WorkError {
    WorkError::stated(Reason::NoSpace, format!("{}: {error}", path.display()), false)
}

fn file_name(resource: &ApiResource) -> String {
    if resource.group.is_empty() { format!("{}.jsonl", resource.plural) } else { format!("{}.{}.jsonl", resource.plural, resource.group) }
}

/// Every namespaced kind that can be listed, in its preferred version, in order of name.
pub(super) async fn namespaced_kinds(client: &Client) -> Result<Vec<ApiResource>, WorkError> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await.context(|| "ask the API server for its kinds".into())?;
    let mut kinds: Vec<ApiResource> = discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources)
        .filter(|(_, capabilities)| capabilities.scope == Scope::Namespaced && capabilities.supports_operation(verbs::LIST))
        .map(|(resource, _)| resource)
        .collect();
    kinds.sort_by_key(file_name);
    kinds.dedup_by_key(|resource| file_name(resource));
    Ok(kinds)
}

async fn save_kind(client: &Client, namespace: &str, resource: &ApiResource, exclude: &[ObjectSelector], path: &Path) -> Result<(u64, u64), WorkError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, resource);
    let mut file: Option<BufWriter<std::fs::File>> = None;
    let (mut count, mut bytes, mut token) = (0_u64, 0_u64, None);
    let mut lines: Vec<(String, String)> = Vec::new();
    loop {
        let parameters = ListParams { limit: Some(PAGE_SIZE), continue_token: token.take(), ..ListParams::default() };
        let list = match api.list(&parameters).await {
            Ok(list) => list,
            // In discovery but without a list method. (An aggregated API whose server is down answers 503, which stays an error.)
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405) => return Ok((0, 0)),
            // The continue token has expired: list the kind again.
            Err(kube::Error::Api(status)) if status.code == 410 => {
                lines.clear();
                (count, bytes) = (0, 0);
                file = None;
                continue;
            }
            Err(error) => return Err(error).context(|| format!("list {} in {namespace}", resource.plural)).map_err(Into::into),
        };
        token = list.metadata.continue_.clone().filter(|token| !token.is_empty());
        for mut object in list.items {
            object.types = Some(kube::core::TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
            let name = object.metadata.name.clone().unwrap_or_default();
            let value =
                serde_json::to_value(&object).map_err(|error| WorkError::stated(Reason::ApiError, format!("{} {name}: {error}", resource.kind), true))?;
            if let SaveDecision::Keep(value) = objects::save(value, exclude) {
                lines.push((name, value.to_string()));
            }
        }
        // Pages arrive sorted by name, so sorting each page sorts the whole.
        lines.sort();
        for (_, line) in lines.drain(..) {
            let out = match &mut file {
                Some(out) => out,
                None => file.insert(BufWriter::new(std::fs::File::create(path).map_err(|error| disk(path, &error))?)),
            };
            writeln!(out, "{line}").map_err(|error| disk(path, &error))?;
            count += 1;
            bytes += line.len() as u64 + 1;
        }
        if token.is_none() {
            break;
        }
    }
    if let Some(mut out) = file {
        out.flush().map_err(|error| disk(path, &error))?;
    }
    Ok((count, bytes))
}
