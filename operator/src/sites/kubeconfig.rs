//! Kubeconfigs, as people put them into Secrets: everything stands in them, and nothing in them makes the operator run a command or send a file of its own.

use kube::config::Kubeconfig;

/// Reads one. What is wrong is said in words that hold nothing of it: it is a secret.
pub fn read(text: &str) -> Result<Kubeconfig, &'static str> {
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|_| "is not a kubeconfig")?;
    let users = || kubeconfig.auth_infos.iter().filter_map(|user| user.auth_info.as_ref());
    if users().any(|user| user.exec.is_some() || user.auth_provider.is_some()) {
        return Err("has a user who runs a command (exec or auth-provider), and the operator runs none: give the user a token, kubectl create token p861-site");
    }
    let of_user = users().any(|user| user.token_file.is_some() || user.client_certificate.is_some() || user.client_key.is_some());
    let of_cluster = kubeconfig.clusters.iter().filter_map(|cluster| cluster.cluster.as_ref()).any(|cluster| cluster.certificate_authority.is_some());
    if of_user || of_cluster {
        return Err("names files, which the operator doesn't have: write them into it with kubectl config view --raw --minify --flatten");
    }
    Ok(kubeconfig)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]
mod tests {
    use super::*;

    fn with(cluster: &str, user: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], clusters: [{{name: a, cluster: {{server: \"https://127.0.0.1:6443\"{cluster}}}}}], users: [{{name: a, user: {{{user}}}}}]}}"
        )
    }

    #[test]
    fn what_would_run_a_command_or_send_a_file_of_ours_is_refused_without_a_word_of_what_is_in_it() {
        assert!(read(&with("", "token: abc")).is_ok());
        for (cluster, user, words) in [
            ("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, id]}", "runs a command"),
            ("", "auth-provider: {name: gcp, config: {cmd-path: sh}}", "runs a command"),
            ("", "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token", "names files"),
            ("", "client-key: /etc/key, client-certificate: /etc/crt", "names files"),
            (", certificate-authority: /etc/ca", "token: abc", "names files"),
        ] {
            let said = read(&with(cluster, user)).unwrap_err();
            assert!(said.contains(words), "{user}: {said}");
        }
        assert_eq!(read("token: [hidden").unwrap_err(), "is not a kubeconfig");
    }

    #[test]
    fn whatever_is_written_it_is_read_or_refused() {
        let text = with(", certificate-authority-data: YQ==", "client-certificate-data: YQ==, client-key-data: YQ==");
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            let _ = read(&text[..at]);
            for other in ["[", "&a *a", "null", "\u{0}"] {
                let _ = read(&format!("{}{other}{}", &text[..at], &text[at..]));
            }
        }
    }
}
