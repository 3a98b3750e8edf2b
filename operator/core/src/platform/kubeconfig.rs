//! The kubeconfig of a Site, made inert: it can make nobody run a program, read a file, or send a request by way of somebody else, neither the operator nor the person
//! who uses `p861`.
//!
//! Whoever fills a Site's Secret would otherwise reach the operator's pod and people's machines. Only fields that are known to be data are kept. Every other one is
//! refused by name, so that a new field of Kubernetes changes nothing here.

use serde_json::{Map, Value, json};

/// Fields of a cluster that are data. `server` is checked by itself.
const CLUSTER_FIELDS: [&str; 5] = ["server", "certificate-authority-data", "insecure-skip-tls-verify", "tls-server-name", "disable-compression"];
/// Fields of a user that are data.
const USER_FIELDS: [&str; 9] = ["token", "client-certificate-data", "client-key-data", "username", "password", "as", "as-uid", "as-groups", "as-user-extra"];
/// Notes of other programs. They are left out.
const IGNORED_FIELD: &str = "extensions";

/// Why a kubeconfig isn't used. No message quotes it: it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigFault {
    /// It can't be read.
    #[error("is not a kubeconfig{}", .at.map(|(line, column)| format!(": see line {line}, column {column}")).unwrap_or_default())]
    Unreadable {
        /// Line and column, if they are known.
        at: Option<(u64, u64)>,
    },
    /// The context, or what it names, is missing.
    #[error("has no usable {0}: write current-context, and a context with a cluster and a user")]
    Missing(&'static str),
    /// A field that starts a program.
    #[error("has the field {0}, which runs a program, and none is run for a Site: give the user a token, kubectl create token p861-site")]
    RunsProgram(String),
    /// A field that names a file.
    #[error("has the field {0}, which names a file, and none is read for a Site: write its content, kubectl config view --raw --minify --flatten")]
    ReadsFile(String),
    /// A field that leads requests elsewhere.
    #[error("has the field {0}, which sends requests by way of another server: remove it, and write as server the address that the hub reaches")]
    UsesProxy(String),
    /// A field that this release doesn't know.
    #[error("has the field {0}, which is not known to be data: remove it")]
    UnknownField(String),
    /// The server's address.
    #[error("has a cluster.server that is no address: write https://host:6443")]
    Server,
}

impl KubeconfigFault {
    fn of_field(owner: &str, field: &str) -> Self {
        // Whatever stands in it, a message holds only names that people give to fields.
        let plain = field.len() <= 40 && field.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        let named = format!("{owner}.{}", if plain { field } else { "?" });
        match field {
            "exec" | "auth-provider" => Self::RunsProgram(named),
            "tokenFile" | "client-certificate" | "client-key" | "certificate-authority" => Self::ReadsFile(named),
            "proxy-url" => Self::UsesProxy(named),
            _ => Self::UnknownField(named),
        }
    }
}

/// A kubeconfig with one context, the one of this name or its current one, and nothing but data. As JSON, which every reader of kubeconfigs takes.
///
/// # Errors
/// [`KubeconfigFault`] with the field that is not taken.
pub fn inert(text: &str, context: Option<&str>) -> Result<String, KubeconfigFault> {
    // Strict: else a name like y or no is a boolean.
    let options = serde_saphyr::options! { strict_booleans: true };
    let read: Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| KubeconfigFault::Unreadable { at: error.location().map(|at| (at.line(), at.column())) })?;
    let read = read.as_object().ok_or(KubeconfigFault::Unreadable { at: None })?;
    let context_name = context.or_else(|| read.get("current-context")?.as_str()).filter(|name| !name.is_empty()).ok_or(KubeconfigFault::Missing("context"))?;
    let context = entry(read, "contexts", context_name, "context")?;
    let name = |field: &'static str| context.get(field).and_then(Value::as_str).ok_or(KubeconfigFault::Missing(field));
    let cluster = only(entry(read, "clusters", name("cluster")?, "cluster")?, "cluster", &CLUSTER_FIELDS)?;
    let user = only(entry(read, "users", name("user")?, "user")?, "user", &USER_FIELDS)?;
    let server = cluster.get("server").and_then(Value::as_str).unwrap_or_default();
    let rest = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with(['/', ':'])) || server.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(KubeconfigFault::Server);
    }
    let mut kept = json!({"cluster": "site", "user": "site"});
    if let Some(namespace) = context.get("namespace").filter(|namespace| namespace.is_string()) {
        kept["namespace"] = namespace.clone();
    }
    let inert = json!({"apiVersion": "v1", "kind": "Config", "current-context": "site",
        "contexts": [{"name": "site", "context": kept}], "clusters": [{"name": "site", "cluster": cluster}], "users": [{"name": "site", "user": user}]});
    Ok(inert.to_string())
}

/// The entry of this name. Of two the first counts, as in client-go.
fn entry<'a>(kubeconfig: &'a Map<String, Value>, list: &str, name: &str, what: &'static str) -> Result<&'a Map<String, Value>, KubeconfigFault> {
    let entries = kubeconfig.get(list).and_then(Value::as_array).into_iter().flatten();
    let named = entries.filter_map(Value::as_object).find(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
    named.and_then(|entry| entry.get(what)).and_then(Value::as_object).ok_or(KubeconfigFault::Missing(what))
}

/// The fields that are data. Any other field that says something is refused.
fn only(entry: &Map<String, Value>, owner: &str, known: &[&str]) -> Result<Map<String, Value>, KubeconfigFault> {
    let mut kept = Map::new();
    for (field, value) in entry {
        if value.is_null() || value == "" || field == IGNORED_FIELD {
            continue;
        }
        if !known.contains(&field.as_str()) {
            return Err(KubeconfigFault::of_field(owner, field));
        }
        kept.insert(field.clone(), value.clone());
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(cluster: &str, user: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], clusters: [{{name: a, cluster: {{server: \"https://127.0.0.1:6443\"{cluster}}}}}], users: [{{name: a, user: {{{user}}}}}]}}"
        )
    }

    #[test]
    fn fault_e20_whatever_runs_a_program_reads_a_file_or_goes_by_another_server_is_refused_by_the_name_of_its_field() {
        for (cluster, user, field) in [
            ("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, hidden]}", "user.exec"),
            ("", "token: hidden, exec: {command: hidden}", "user.exec"),
            ("", "auth-provider: {name: gcp, config: {cmd-path: hidden}}", "user.auth-provider"),
            ("", "tokenFile: /hidden", "user.tokenFile"),
            ("", "client-certificate: /hidden", "user.client-certificate"),
            ("", "client-certificate-data: aGlkZGVu, client-key: /hidden", "user.client-key"),
            ("", "token: hidden, some-new-way: {command: hidden}", "user.some-new-way"),
            ("", "token: hidden, \"\\u202Ehidden\": x", "user.?"),
            (", certificate-authority: /hidden", "token: hidden", "cluster.certificate-authority"),
            (", proxy-url: \"http://hidden\"", "token: hidden", "cluster.proxy-url"),
            (", proxy-url: \"socks5://hidden\"", "token: hidden", "cluster.proxy-url"),
            (", api-version: hidden", "token: hidden", "cluster.api-version"),
        ] {
            let said = inert(&with(cluster, user), None).expect_err(field).to_string();
            assert!(said.starts_with(&format!("has the field {field}, which ")) && !said.contains("hidden"), "{said}");
        }
        for server in ["", "/var/run/sock", "unix:///x", "https://", "https:///x", "https://a b", "file:///etc/passwd"] {
            let text = with("", "token: abc").replace("https://127.0.0.1:6443", server);
            assert_eq!(inert(&text, None), Err(KubeconfigFault::Server), "{server}");
        }
    }

    #[test]
    fn data_is_kept_and_empty_fields_and_notes_of_other_programs_are_not() {
        let text = with(
            ", certificate-authority-data: YQ==, tls-server-name: api, proxy-url: \"\", certificate-authority: null, extensions: [{name: minikube}]",
            "token: abc, client-key-data: YQ==, exec: null, tokenFile: \"\", as: robot, as-groups: [x]",
        );
        let kept: Value = serde_json::from_str(&inert(&text, None).expect("it is data")).expect("JSON");
        assert_eq!(kept["clusters"][0]["cluster"], json!({"server": "https://127.0.0.1:6443", "certificate-authority-data": "YQ==", "tls-server-name": "api"}));
        assert_eq!(kept["users"][0]["user"], json!({"token": "abc", "client-key-data": "YQ==", "as": "robot", "as-groups": ["x"]}));
    }

    #[test]
    fn only_the_context_that_is_meant_stays_and_only_it_has_to_be_good() {
        let text = "{apiVersion: v1, kind: Config, current-context: a,
            contexts: [{name: a, context: {cluster: a, user: a}}, {name: b, context: {cluster: b, user: b, namespace: n}}, {name: b, context: {cluster: a, user: a}}],
            clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}, {name: b, cluster: {server: 'https://127.0.0.1:2'}}],
            users: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}}}, {name: b, user: {token: abc}}]}";
        assert_eq!(inert(text, None), Err(KubeconfigFault::RunsProgram("user.exec".into())));
        // As a mover's own process gets it, which knows of no context but the current one.
        let written = inert(text, Some("b")).expect("b is data");
        assert!(written.contains("https://127.0.0.1:2") && written.contains("abc") && !written.contains("https://127.0.0.1:1"), "{written}");
        let read: Value = serde_json::from_str(&written).expect("JSON");
        assert_eq!(read["contexts"][0]["context"], json!({"cluster": "site", "user": "site", "namespace": "n"}), "n is a name");
        assert_eq!(inert(text, Some("c")), Err(KubeconfigFault::Missing("context")));
        assert_eq!(inert("{}", None), Err(KubeconfigFault::Missing("context")));
        assert_eq!(inert(&text.replace("{name: b, user: {token: abc}}", ""), Some("b")), Err(KubeconfigFault::Missing("user")));
    }

    #[test]
    fn a_broken_kubeconfig_is_told_by_its_place_and_never_by_its_lines() {
        let said = inert("apiVersion: v1\nusers:\n- name: me\n  user: {token: s3cr3t\nclusters: [\n", None).expect_err("broken").to_string();
        assert!(said.starts_with("is not a kubeconfig: see line ") && !said.contains("s3cr3t"), "{said}");
    }

    proptest! {
        #[test]
        fn fault_e20_whatever_is_written_only_data_comes_out(field in "[a-zA-Z-]{1,30}", value in "[a-z/:.]{0,20}", of_user in any::<bool>()) {
            let quoted = format!("\"{field}\": \"{value}\"");
            let text = if of_user { with("", &quoted) } else { with(&format!(", {quoted}"), "token: abc") };
            if let Ok(written) = inert(&text, None) {
                let read: Value = serde_json::from_str(&written).expect("JSON");
                let known = |entry: &Value, known: &[&str]| entry.as_object().expect("an object").keys().all(|key| known.contains(&key.as_str()));
                prop_assert!(known(&read["clusters"][0]["cluster"], &CLUSTER_FIELDS) && known(&read["users"][0]["user"], &USER_FIELDS));
            }
        }

        #[test]
        fn whatever_is_written_it_is_read_or_refused(at in 0..400_usize, other in "[\\[&*a{}:\\-\\n \u{0}]{1,4}") {
            let text = with(", certificate-authority-data: YQ==", "client-certificate-data: YQ==, client-key-data: YQ==");
            let at = at.min(text.len());
            let _ = (inert(&text[..at], None), inert(&format!("{}{other}{}", &text[..at], &text[at..]), None));
        }
    }
}
