//! Names of objects in the paths of requests.
//!
//! kube puts a name into the path as it is. Most names are DNS labels, but a Role may be called `odd:role?x=y`, which in a path is another object: `odd:role`.

use crate::error::{Error, Result};
use p861_crds::Reason;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// Characters that mean themselves in a path (RFC 3986, 2.3); all others are encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The name as one segment of a path. Use it for every name that somebody else chose: objects of a backup, of a bundle.
///
/// # Errors
/// Invalid, if no object can have that name: Kubernetes allows neither `.` nor `..`, no `/` and no `%`. A server might take such a path for another one.
pub fn in_path(name: &str) -> Result<Cow<'_, str>> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '%']) {
        let message = format!(
            "no object can have the name {name:?}: a name is neither empty nor . nor .., and has no / and no %. Correct it where it is declared; if it comes from a backup, \
             that was changed or damaged"
        );
        return Err(Error::invalid(Reason::Invalid, message));
    }
    Ok(utf8_percent_encode(name, ENCODED).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Request;

    #[test]
    fn a_name_addresses_its_own_object_and_no_other() {
        for name in ["reader", "data-postgres-0", "a.b.c", "system:reader", "odd:role name 中文#?", "reader?x=y", "ok#hash"] {
            let segment = in_path(name).expect("a name");
            let request = Request::new("/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles").delete(&segment, &kube::api::DeleteParams::default());
            let uri = request.expect("a request").uri().clone();
            let path = uri.path().strip_prefix("/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/").expect("under the kind");
            assert!(!path.contains('/'), "{name}: {uri}");
            let decoded = percent_encoding::percent_decode_str(path).decode_utf8().expect("UTF-8");
            assert_eq!(decoded, name, "{uri}");
        }
    }

    #[test]
    fn a_name_that_no_object_has_is_refused() {
        for name in ["", ".", "..", "../secrets/db", "a/b", "100%", "%2e%2e"] {
            let error = in_path(name).expect_err(name);
            assert_eq!(error.reason(), Reason::Invalid, "{name}");
        }
    }
}
