//! Kubeconfigs from Secrets. They must be self-contained, and must not make the operator run a command or read a local file.

use kube::config::Kubeconfig;

/// Reduces a kubeconfig to one context: the one of this name, or its current one. The error never quotes the kubeconfig, which is a secret.
pub fn meant(text: &str, context: Option<&str>) -> Result<String, &'static str> {
    let mut kubeconfig = Kubeconfig::from_yaml(text).map_err(|_| "is not a kubeconfig")?;
    keep_only(&mut kubeconfig, context);
    let users = || kubeconfig.auth_infos.iter().filter_map(|user| user.auth_info.as_ref());
    if users().any(|user| user.exec.is_some() || user.auth_provider.is_some()) {
        return Err("has a user who runs a command (exec or auth-provider), and the operator runs none: give the user a token, kubectl create token p861-site");
    }
    let of_user = users().any(|user| user.token_file.is_some() || user.client_certificate.is_some() || user.client_key.is_some());
    let of_cluster = kubeconfig.clusters.iter().filter_map(|cluster| cluster.cluster.as_ref()).any(|cluster| cluster.certificate_authority.is_some());
    if of_user || of_cluster {
        return Err("names files, which the operator doesn't have: write them into it with kubectl config view --raw --minify --flatten");
    }
    serde_json::to_string(&kubeconfig).map_err(|_| "is not a kubeconfig")
}

/// Of two entries with one name the first counts, as in client-go.
fn keep_only(kubeconfig: &mut Kubeconfig, context: Option<&str>) {
    let name = context.map(str::to_owned).or_else(|| kubeconfig.current_context.take());
    kubeconfig.contexts.retain(|context| Some(&context.name) == name.as_ref());
    kubeconfig.contexts.truncate(1);
    kubeconfig.current_context = name;
    let meant = kubeconfig.contexts.first().and_then(|context| context.context.as_ref());
    kubeconfig.clusters.retain(|cluster| meant.is_some_and(|meant| meant.cluster == cluster.name));
    kubeconfig.clusters.truncate(1);
    kubeconfig.auth_infos.retain(|user| meant.is_some_and(|meant| meant.user.as_ref() == Some(&user.name)));
    kubeconfig.auth_infos.truncate(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cluster: &str, user: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], clusters: [{{name: a, cluster: {{server: \"https://127.0.0.1:6443\"{cluster}}}}}], users: [{{name: a, user: {{{user}}}}}]}}"
        )
    }

    #[test]
    fn what_would_run_a_command_or_send_a_file_of_ours_is_refused_without_a_word_of_what_is_in_it() {
        assert!(meant(&with("", "token: abc"), None).is_ok());
        for (cluster, user, words) in [
            ("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, id]}", "runs a command"),
            ("", "auth-provider: {name: gcp, config: {cmd-path: sh}}", "runs a command"),
            ("", "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token", "names files"),
            ("", "client-key: /etc/key, client-certificate: /etc/crt", "names files"),
            (", certificate-authority: /etc/ca", "token: abc", "names files"),
        ] {
            let said = meant(&with(cluster, user), None).unwrap_err();
            assert!(said.contains(words), "{user}: {said}");
        }
        assert_eq!(meant("token: [hidden", None).unwrap_err(), "is not a kubeconfig");
    }

    #[test]
    fn only_the_context_that_is_meant_stays_and_only_it_has_to_be_good() {
        let text = "{apiVersion: v1, kind: Config, current-context: a,
            contexts: [{name: a, context: {cluster: a, user: a}}, {name: b, context: {cluster: b, user: b}}, {name: b, context: {cluster: a, user: a}}],
            clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}, {name: b, cluster: {server: 'https://127.0.0.1:2'}}],
            users: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}}}, {name: b, user: {token: abc}}]}";
        assert!(meant(text, None).unwrap_err().contains("runs a command"));
        // As a mover's own process gets it, which knows of no context but the current one.
        let written = meant(text, Some("b")).unwrap();
        let kept = Kubeconfig::from_yaml(&written).unwrap();
        assert_eq!(kept.current_context.as_deref(), Some("b"));
        assert_eq!((kept.contexts.len(), kept.clusters.len(), kept.auth_infos.len()), (1, 1, 1));
        assert!(written.contains("https://127.0.0.1:2") && written.contains("abc") && !written.contains("https://127.0.0.1:1"), "{written}");
        assert!(Kubeconfig::from_yaml(&meant(text, Some("c")).unwrap()).unwrap().contexts.is_empty(), "the client says that there is none");
    }

    #[test]
    fn whatever_is_written_it_is_read_or_refused() {
        let text = with(", certificate-authority-data: YQ==", "client-certificate-data: YQ==, client-key-data: YQ==");
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            let _ = meant(&text[..at], None);
            for other in ["[", "&a *a", "null", "\u{0}"] {
                let _ = meant(&format!("{}{other}{}", &text[..at], &text[at..]), None);
            }
        }
    }
}
