//! What somebody may do, asked of the API server for every verb on every resource that it serves.

use super::lone::Lone;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};
use std::collections::BTreeSet;

/// Every verb of RBAC that means something on a resource.
pub const VERBS: [&str; 12] = ["approve", "bind", "create", "delete", "deletecollection", "escalate", "get", "impersonate", "list", "patch", "update", "watch"];
/// Those that tell whether a place is closed to somebody.
pub const MAIN_VERBS: [&str; 5] = ["create", "delete", "get", "list", "patch"];
/// Reviews under way at a time.
const AT_ONCE: usize = 24;

/// A right, written `verb resource.group/subresource`.
pub type Right = String;

/// A right on a resource.
pub fn right(verb: &str, resource: &str) -> Right {
    format!("{verb} {resource}")
}

/// The rights of a table: resources and verbs, each separated by blanks. `*` is every resource.
pub fn rights(table: &[(&str, &str)], served: &BTreeSet<String>) -> BTreeSet<Right> {
    let mut found = BTreeSet::new();
    for (resources, verbs) in table {
        let resources: Vec<&str> = if *resources == "*" { served.iter().map(String::as_str).collect() } else { resources.split_whitespace().collect() };
        for resource in resources {
            assert!(served.contains(resource), "{resource} of the table is no resource of the API server");
            found.extend(verbs.split_whitespace().map(|verb| right(verb, resource)));
        }
    }
    found
}

/// Every resource that the server serves, with subresources, as `plural.group/subresource`.
pub async fn served(client: &Client) -> BTreeSet<String> {
    let named = |name: &str, group: &str| {
        let (plural, sub) = name.split_once('/').map_or((name, String::new()), |(plural, sub)| (plural, format!("/{sub}")));
        if group.is_empty() { format!("{plural}{sub}") } else { format!("{plural}.{group}{sub}") }
    };
    let core = client.list_core_api_resources("v1").await.expect("the core group");
    let mut found: BTreeSet<String> = core.resources.iter().map(|resource| named(&resource.name, "")).collect();
    for group in client.list_api_groups().await.expect("the groups").groups {
        for version in &group.versions {
            let list = client.list_api_group_resources(&version.group_version).await.expect("a group's resources");
            found.extend(list.resources.iter().map(|resource| named(&resource.name, &group.name)));
        }
    }
    found
}

/// Somebody, and where.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The only group that counts, so that what everybody may do is not mixed in.
    pub group: &'a str,
    /// The namespace; empty for all of them and for what is in none.
    pub namespace: &'a str,
}

/// What the API server allows there, of these verbs, on everything that it serves.
pub async fn allowed(server: &Lone, place: Place<'_>, served: &BTreeSet<String>, verbs: &[&str]) -> BTreeSet<Right> {
    let reviews: Api<SubjectAccessReview> = Api::all(server.client(None).await);
    let questions: Vec<(&str, &str)> = served.iter().flat_map(|resource| verbs.iter().map(|verb| (*verb, resource.as_str()))).collect();
    let answers = stream::iter(questions).map(|(verb, resource)| {
        let reviews = &reviews;
        async move { Ok::<_, kube::Error>(ask(reviews, place, verb, resource, None).await?.then(|| right(verb, resource))) }
    });
    let answers: Vec<Option<Right>> = answers.buffer_unordered(AT_ONCE).try_collect().await.expect("the API server answers reviews");
    answers.into_iter().flatten().collect()
}

/// Whether one thing is allowed.
pub async fn may(server: &Lone, place: Place<'_>, verb: &str, resource: &str, name: &str) -> bool {
    let reviews: Api<SubjectAccessReview> = Api::all(server.client(None).await);
    ask(&reviews, place, verb, resource, Some(name)).await.expect("the API server answers reviews")
}

async fn ask(reviews: &Api<SubjectAccessReview>, place: Place<'_>, verb: &str, resource: &str, name: Option<&str>) -> Result<bool, kube::Error> {
    let (path, sub) = resource.split_once('/').map_or((resource, None), |(path, sub)| (path, Some(sub.to_owned())));
    let (plural, group) = path.split_once('.').unwrap_or((path, ""));
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        version: Some("*".to_owned()),
        resource: Some(plural.to_owned()),
        subresource: sub,
        namespace: Some(place.namespace.to_owned()),
        name: name.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let groups = (!place.group.is_empty()).then(|| vec![place.group.to_owned()]);
    let spec =
        SubjectAccessReviewSpec { user: Some(place.user.to_owned()), groups, resource_attributes: Some(attributes), ..SubjectAccessReviewSpec::default() };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Fails unless what is allowed is exactly what the table says.
pub fn demand_equal(who: &str, table: &BTreeSet<Right>, allowed: &BTreeSet<Right>) {
    let missing: Vec<&Right> = table.difference(allowed).collect();
    let surplus: Vec<&Right> = allowed.difference(table).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "{who}\n  may not, but should: {missing:?}\n  may, but should not: {surplus:?}");
}
