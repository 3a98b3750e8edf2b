//! Errors, each with a stable category that decides when to retry.

use kube::core::Status;
use p861_core::runs::SiteNotAllotted;
use p861_crds::Reason;
use std::time::Duration;

/// Category of an error; decides when to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// May go away by itself; retried soon.
    Transient,
    /// A server refused; retrying soon is useless.
    Refused,
    /// A spec or Secret is wrong; retrying is useless until somebody changes it.
    Invalid,
    /// A person must decide.
    NeedsPerson,
}

impl Category {
    /// Label value in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::NeedsPerson => "needsPerson",
        }
    }

    /// Time until the next attempt.
    pub fn requeue(self) -> Duration {
        match self {
            Self::Transient => Duration::from_secs(5),
            Self::Refused | Self::NeedsPerson => Duration::from_mins(1),
            Self::Invalid => Duration::from_mins(5),
        }
    }
}

/// An error of the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server of the hub or of a site.
    #[error("{what}: {}", words_of(source))]
    Kube {
        /// The attempted operation.
        what: String,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },
    /// The repository.
    #[error("{what}: {message}")]
    Vault {
        /// The attempted operation.
        what: String,
        /// What happened, and what to do.
        message: String,
        /// Reason of the API, for example AccessDenied.
        reason: Reason,
        /// Its category.
        category: Category,
    },
    /// A wrong spec, a missing object, or a state that doesn't hold yet.
    #[error("{message}")]
    Stated {
        /// Reason of the API.
        reason: Reason,
        /// What happened, to which object, what to do.
        message: String,
        /// Its category.
        category: Category,
    },
    /// This process no longer holds the lease.
    #[error("the leader's lease has expired: nothing is written any more")]
    LeaseLost,
    /// Another orchestrator has claimed the run.
    #[error("the run belongs to another orchestrator: {0}")]
    RunLost(String),
    /// A bug in this program, reported instead of a panic.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// An object or a spec is wrong.
    pub fn invalid(reason: Reason, message: impl Into<String>) -> Self {
        Self::Stated { reason, message: message.into(), category: Category::Invalid }
    }

    /// A state doesn't hold yet.
    pub fn transient(reason: Reason, message: impl Into<String>) -> Self {
        Self::Stated { reason, message: message.into(), category: Category::Transient }
    }

    /// Its category.
    pub fn category(&self) -> Category {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if is_terminating(status) => Category::Transient,
                kube::Error::Api(status) if matches!(status.code, 401 | 403 | 422) => Category::Refused,
                kube::Error::Api(status) if status.code == 400 => Category::Invalid,
                _ => Category::Transient,
            },
            Self::Vault { category, .. } | Self::Stated { category, .. } => *category,
            Self::LeaseLost | Self::RunLost(_) | Self::Internal(_) => Category::Transient,
        }
    }

    /// Whether the server was not reached, or did not come to the request: nobody knows whether what was asked of it has happened.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::HyperError(_) | kube::Error::Service(_) => true,
                kube::Error::Api(status) => matches!(status.code, 429 | 502 | 503 | 504),
                _ => false,
            },
            Self::Stated { reason, category, .. } => *category == Category::Transient && *reason == Reason::Unreachable,
            Self::Vault { .. } | Self::LeaseLost | Self::RunLost(_) | Self::Internal(_) => false,
        }
    }

    /// Its reason, as conditions and failures have it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => reason_of_status(status),
                _ => Reason::Unreachable,
            },
            Self::Vault { reason, .. } | Self::Stated { reason, .. } => reason.clone(),
            Self::LeaseLost => Reason::LeaseLost,
            Self::RunLost(_) => Reason::Superseded,
            Self::Internal(_) => Reason::InternalError,
        }
    }
}

impl From<SiteNotAllotted> for Error {
    fn from(refused: SiteNotAllotted) -> Self {
        Self::invalid(refused.reason(), refused.to_string())
    }
}

/// An error of the client in words for people: the API server's own message, if it answered.
pub fn words_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => format!("the API server answers {} {}", status.code, status.reason),
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::SerdeError(_) | kube::Error::ReadEvents(_) | kube::Error::FromUtf8(_) => {
            format!("the API server's answer can't be read ({})", causes(error))
        }
        kube::Error::Auth(_) => format!("the credentials for the API server can't be used ({})", causes(error)),
        kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) => format!("the kubeconfig can't be used ({})", causes(error)),
        kube::Error::Service(_) | kube::Error::HyperError(_) => format!("no answer from the API server ({})", causes(error)),
        _ => format!("the API server can't be asked ({})", causes(error)),
    }
}

/// What lies under an error of the client: its own text names only the layer that failed, and can hold Rust's debug output.
fn causes(error: &kube::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), with_causes)
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (*cause).source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether the namespace that something is written to is being deleted.
fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// 403 says that the account lacks a right, or that admission refuses what the account may do. Only the first names the user, and the verb that it can't do.
fn reason_of_status(status: &Status) -> Reason {
    match status.code {
        401 => Reason::CredentialsRefused,
        403 if is_terminating(status) => Reason::NamespaceTerminating,
        403 if status.message.contains("exceeded quota") => Reason::QuotaExceeded,
        403 if status.message.contains("User \"") && status.message.contains(" cannot ") => Reason::CredentialsRefused,
        403 | 422 => Reason::RefusedByAdmission,
        _ => Reason::ApiError,
    }
}

/// Result with the executor's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Adds the attempted operation to an error of the API server.
pub trait ErrorContext<T> {
    /// Adds the attempted operation, for example "list the pods of x".
    ///
    /// # Errors
    /// The same error, with the operation in its message.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> ErrorContext<T> for std::result::Result<T, kube::Error> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Kube { what: what(), source: Box::new(source) })
    }
}

/// Whether the API server answered that the object doesn't exist (404).
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether the API server answered that the object already exists or was changed meanwhile (409).
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_of_the_api_server_is_told_in_its_own_words_and_by_its_true_reason() {
        let terminating = json!({"causes": [{"reason": "NamespaceTerminating", "message": "namespace x is being terminated", "field": "metadata.namespace"}]});
        let user = r#"pods is forbidden: User "p861" cannot list resource "pods" in API group "" in the namespace "x""#;
        let none = json!({});
        for (code, message, details, reason, category) in [
            (401, "Unauthorized", &none, Reason::CredentialsRefused, Category::Refused),
            (403, user, &none, Reason::CredentialsRefused, Category::Refused),
            (403, "pods \"a\" is forbidden: exceeded quota: small, requested: pods=1", &none, Reason::QuotaExceeded, Category::Refused),
            (403, "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\"", &none, Reason::RefusedByAdmission, Category::Refused),
            (403, "admission webhook \"w\" denied the request: you cannot have that", &none, Reason::RefusedByAdmission, Category::Refused),
            (403, "unable to create new content in namespace x", &terminating, Reason::NamespaceTerminating, Category::Transient),
            (422, "Deployment.apps \"a\" is invalid: spec.selector: field is immutable", &none, Reason::RefusedByAdmission, Category::Refused),
            (500, "etcdserver: request timed out", &none, Reason::ApiError, Category::Transient),
        ] {
            let status: Status =
                serde_json::from_value(json!({"status": "Failure", "code": code, "message": message, "reason": "", "details": details})).unwrap();
            let error = Error::Kube { what: "write Pod a".into(), source: Box::new(kube::Error::Api(Box::new(status))) };
            assert_eq!((error.reason(), error.category()), (reason, category), "{message}");
            assert_eq!(error.to_string(), format!("write Pod a: {message}"));
        }
    }

    #[test]
    fn fault_d12_a_server_that_was_not_reached_has_not_refused() {
        let refused = || std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let kube = |source: kube::Error| Error::Kube { what: "read mover a".into(), source: Box::new(source) };
        let answered =
            |code: u16| kube(kube::Error::Api(Box::new(serde_json::from_value(json!({"status": "Failure", "code": code, "message": "no"})).unwrap())));
        let away = kube(kube::Error::Service(Box::new(refused())));
        assert_eq!((away.is_unreachable(), away.to_string().as_str()), (true, "read mover a: no answer from the API server (connection refused)"));
        assert!(Error::transient(Reason::Unreachable, "no answer").is_unreachable());
        for (code, unknown) in
            [(429, true), (502, true), (503, true), (504, true), (400, false), (403, false), (404, false), (409, false), (422, false), (500, false)]
        {
            assert_eq!(answered(code).is_unreachable(), unknown, "{code}");
        }
        for known in [Error::transient(Reason::WorkloadNotReady, "no pod"), Error::invalid(Reason::Invalid, "wrong"), Error::Internal("a bug".into())] {
            assert!(!known.is_unreachable(), "{known}");
        }
    }

    #[test]
    fn fault_a11_every_error_of_the_client_is_a_sentence_for_people() {
        let broken = serde_json::from_str::<serde_json::Value>("{").unwrap_err();
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let api = |code: u16, reason: &str, message: &str| {
            let status: Status = serde_json::from_value(json!({"status": "Failure", "code": code, "reason": reason, "message": message})).unwrap();
            kube::Error::Api(Box::new(status))
        };
        for (error, words) in [
            (api(503, "ServiceUnavailable", ""), "the API server answers 503 ServiceUnavailable"),
            (api(404, "NotFound", "pods \"a\" not found"), "pods \"a\" not found"),
            (kube::Error::Service(refused.into()), "no answer from the API server (connection refused)"),
            (kube::Error::SerdeError(broken), "the API server's answer can't be read (EOF while parsing an object at line 1 column 1)"),
            (kube::Error::LinesCodecMaxLineLengthExceeded, "the API server can't be asked (Error finding newline character)"),
        ] {
            let told = Error::Kube { what: "list the pods of x".into(), source: Box::new(error) }.to_string();
            assert_eq!(told, format!("list the pods of x: {words}"));
            for debug in ["Status {", "Some(", "Failure", "ServiceError", "ApiError"] {
                assert!(!told.contains(debug), "{told}");
            }
        }
    }
}
