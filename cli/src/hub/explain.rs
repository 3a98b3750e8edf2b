//! Translates errors of the API server into messages for people.

use super::Hub;
use crate::{
    error::Failure,
    exit::ExitStatus,
    text::{self, Bilingual},
};

/// The innermost cause, which is the one that helps: `Connection refused`, not `ServiceError`.
pub fn root_cause(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    // A wrapper that hides its cause still says more than nothing.
    if text.is_empty() { error.to_string() } else { text }
}

/// Whether the API server reported that the object already exists.
pub fn is_taken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists")
}

/// Whether reading one of our cluster-scoped kinds was refused, as the API server words it.
fn is_of_cluster(message: &str) -> bool {
    let ours = ["sites", "districts", "platformprofiles"].iter().any(|kind| message.starts_with(&format!("{kind}.platform861.io ")));
    let reads = [" cannot list ", " cannot get ", " cannot watch "].iter().any(|verb| message.contains(verb));
    ours && reads && message.contains("at the cluster scope")
}

/// One line for a kube error. `what` completes "you may not …".
pub fn failure(error: &kube::Error, address: &str, what: &Bilingual) -> Failure {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => Failure::refused(text::not_known(address)),
            403 if is_of_cluster(&status.message) => Failure::forbidden(text::not_allowed_by_cluster(what, &status.message)),
            403 => Failure::forbidden(text::not_allowed(what, &status.message)),
            404 if status.details.as_ref().is_none_or(|details| details.name.is_empty()) => Failure::refused(text::kinds_missing(address)),
            404 => Failure::refused(text::not_there(what, &status.message)),
            429 | 500.. => Failure::new(ExitStatus::Unreachable, text::hub_in_trouble(address, status.code, &status.message)),
            _ => Failure::refused(text::not_accepted(what, &status.message)),
        },
        kube::Error::Auth(_) => Failure::refused(text::no_credentials(&root_cause(error))),
        kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => {
            Failure::unexpected(text::not_understood(what, &root_cause(error)))
        }
        kube::Error::InferKubeconfig(_) | kube::Error::InferConfig(_) => Failure::usage(text::bad_kubeconfig(&root_cause(error))),
        _ => Failure::new(ExitStatus::Unreachable, text::hub_unreachable(address, &root_cause(error))),
    }
}

/// By whose account a site is looked into.
#[derive(Clone, Copy, Debug)]
pub enum SiteAccount<'a> {
    /// The person's own.
    Own,
    /// The one that the hub has on this site.
    OfHub(&'a str),
}

/// One line for an error of a site's API server. A district's roles are rights on the hub and help nobody there.
pub fn at_site(error: &kube::Error, address: &str, what: &Bilingual, account: SiteAccount<'_>) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 403 => Failure::refused(match account {
            SiteAccount::Own => text::not_allowed_at_site(what, &status.message),
            SiteAccount::OfHub(site) => text::hub_not_allowed_at(site, what, &status.message),
        }),
        _ => failure(error, address, what),
    }
}

impl Hub {
    /// One line for an error of this hub.
    pub fn explain(&self, error: &kube::Error, what: &Bilingual) -> Failure {
        failure(error, &self.address, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn api(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Status { code, reason: reason.into(), message: "said so".into(), ..Default::default() }.boxed())
    }

    #[test]
    fn each_answer_of_an_api_server_has_its_exit_code() {
        let what = text::to_connect();
        for (error, exit) in [
            (api(401, "Unauthorized"), ExitStatus::Refused),
            (api(403, "Forbidden"), ExitStatus::Refused),
            (api(404, "NotFound"), ExitStatus::Refused),
            (api(409, "Conflict"), ExitStatus::Refused),
            (api(422, "Invalid"), ExitStatus::Refused),
            (api(429, "TooManyRequests"), ExitStatus::Unreachable),
            (api(503, "ServiceUnavailable"), ExitStatus::Unreachable),
            (kube::Error::Service("connection refused".into()), ExitStatus::Unreachable),
        ] {
            assert_eq!(failure(&error, "https://hub", &what).exit, exit, "{error}");
        }
    }

    #[test]
    fn fault_h6_who_may_not_look_into_a_site_is_told_who_gives_rights_there() {
        let what = text::to_look_into("shinan-portal", "laoshan");
        let said = |account| at_site(&api(403, "Forbidden"), "https://site", &what, account);
        let (own, hubs) = (said(SiteAccount::Own), said(SiteAccount::OfHub("laoshan")));
        for (failure, words) in [(&own, "administrators of that cluster"), (&hubs, "upgrade chart p861 on that site")] {
            assert_eq!(failure.exit, ExitStatus::Refused);
            assert!(failure.text.en.contains(words) && !failure.text.en.contains("roleBindings"), "{}", failure.text.en);
        }
        assert_eq!(at_site(&api(503, "ServiceUnavailable"), "https://site", &what, SiteAccount::Own).exit, ExitStatus::Unreachable);
    }

    #[test]
    fn who_may_not_read_what_is_no_districts_is_told_by_what_that_right_is_given() {
        let said = |message: &str| {
            let refused = kube::Error::Api(Status { code: 403, reason: "Forbidden".into(), message: message.into(), ..Default::default() }.boxed());
            failure(&refused, "https://hub", &text::to_list("sites", None)).text.en
        };
        let of_cluster =
            said(r#"sites.platform861.io is forbidden: User "li" cannot list resource "sites" in API group "platform861.io" at the cluster scope"#);
        assert!(of_cluster.contains("hub.clusterReaders") && !of_cluster.contains("roleBindings"), "{of_cluster}");
        for message in [
            r#"backups.platform861.io is forbidden: User "li" cannot list resource "backups" in API group "platform861.io" in the namespace "shinan""#,
            r#"districts.platform861.io is forbidden: User "li" cannot create resource "districts" in API group "platform861.io" at the cluster scope"#,
        ] {
            let said = said(message);
            assert!(said.contains("roleBindings") && !said.contains("clusterReaders"), "{said}");
        }
        // An API server that is no hub has no districts either, and nobody lacks a right there.
        let forbidden = |code| failure(&api(code, ""), "https://hub", &text::to_list("districts", None)).is_forbidden;
        assert_eq!([401, 403, 404].map(forbidden), [false, true, false]);
    }

    #[test]
    fn a_name_that_is_taken_is_told_from_other_conflicts() {
        assert!(is_taken(&api(409, "AlreadyExists")));
        assert!(!is_taken(&api(409, "Conflict")));
    }
}
