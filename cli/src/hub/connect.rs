//! From a kubeconfig to a client.

use super::{Hub, explain};
use crate::{
    error::{Failure, Result},
    text,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use p861_core::platform::kubeconfig::{self, KubeconfigFault};
use p861_crds::Site;
use std::{path::Path, time::Duration};

/// An API server that does not take a connection within this time cannot be reached.
const CONNECT: Duration = Duration::from_secs(5);
/// Longer than any watch that is opened here, so that a line that went dead is noticed.
const SILENCE: Duration = Duration::from_secs(35);

fn bounded(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config
}

async fn from_kubeconfig(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Config> {
    let options = KubeConfigOptions { context: context.map(ToOwned::to_owned), ..Default::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map(bounded).map_err(|error| Failure::usage(text::bad_kubeconfig(&told(&error))))
}

/// Error of a kubeconfig. A YAML error quotes the surrounding lines, which may contain a token: report only the position.
fn told(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!("not a kubeconfig at line {}, column {}", place.line(), place.column()),
            None => "not a kubeconfig".to_owned(),
        },
        KubeconfigError::ReadConfig(error, path) => format!("{}: {error}", path.display()),
        other => other.to_string(),
    }
}

fn client_of(config: Config) -> Result<(Client, String, String)> {
    let (address, namespace) = (address(&config.cluster_url), config.default_namespace.clone());
    let client = Client::try_from(config).map_err(|error| explain::failure(&error, &address, &text::to_connect()))?;
    Ok((client, address, namespace))
}

/// An API server's address without the name and password that may stand in it.
fn address(url: &http::Uri) -> String {
    let scheme = url.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    let host = url.authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default()).unwrap_or_default();
    format!("{scheme}{host}{}", url.path().trim_end_matches('/'))
}

/// A client by the person's kubeconfig: `--kubeconfig`, else `KUBECONFIG`, else `~/.kube/config`, else the pod's own account.
pub async fn connect(file: Option<&Path>, context: Option<&str>) -> Result<(Client, String, String)> {
    let config = match file {
        Some(file) => from_kubeconfig(read(file)?, context).await?,
        None => match Kubeconfig::read() {
            Ok(kubeconfig) => from_kubeconfig(kubeconfig, context).await?,
            Err(error) => match Config::incluster() {
                Ok(config) if std::env::var_os("KUBECONFIG").is_none() && context.is_none() => bounded(config),
                _ if matches!(error, KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath) => {
                    return Err(Failure::usage(text::no_kubeconfig(&told(&error))));
                }
                _ => return Err(Failure::usage(text::bad_kubeconfig(&told(&error)))),
            },
        },
    };
    client_of(config)
}

fn read(file: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(file).map_err(|error| Failure::usage(text::bad_kubeconfig(&told(&error))))
}

/// A client of a site, by the kubeconfig that the operator uses. The person must be allowed to read that Secret.
pub async fn site_client(hub: &Hub, site: &Site) -> Result<(Client, String)> {
    let name = kube::ResourceExt::name_any(site);
    if site.spec.access.in_cluster.is_some() {
        return Ok((hub.client.clone(), hub.address.clone()));
    }
    let Some(access) = &site.spec.access.kubeconfig else { return Err(Failure::refused(text::site_without_access(&name))) };
    let secret_name = &access.secret_ref.name;
    let operator_namespace = hub.operator_namespace.as_str();
    let secrets: Api<Secret> = Api::namespaced(hub.client.clone(), operator_namespace);
    let secret = match secrets.get_opt(secret_name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => return Err(Failure::refused(text::site_secret_missing(&name, operator_namespace, secret_name))),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
            return Err(Failure::refused(text::site_secret_forbidden(&name, operator_namespace, secret_name)));
        }
        Err(error) => return Err(hub.explain(&error, &text::to_read_secret(operator_namespace, secret_name))),
    };
    let bytes = secret
        .data
        .unwrap_or_default()
        .remove("kubeconfig")
        .ok_or_else(|| Failure::refused(text::site_secret_missing(&name, operator_namespace, secret_name)))?;
    let unusable = |fault: &KubeconfigFault| Failure::refused(text::site_secret_unusable(&name, operator_namespace, secret_name, fault));
    let config = inert_config(&bytes.0, access.context.as_deref()).await.map_err(|fault| unusable(&fault))?;
    client_of(bounded(config)).map(|(client, address, _)| (client, address))
}

/// The configuration of a Site's kubeconfig. Others fill that Secret, so it must not run a program or read a file of the person who looks at the site.
async fn inert_config(bytes: &[u8], context: Option<&str>) -> std::result::Result<Config, KubeconfigFault> {
    let unreadable = || KubeconfigFault::Unreadable { at: None };
    let yaml = str::from_utf8(bytes).map_err(|_| unreadable())?;
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig::inert(yaml, context)?).map_err(|_| unreadable())?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(|_| unreadable())
}

/// A client of a site by the person's own kubeconfig.
pub async fn connect_site(file: Option<&Path>, context: Option<&str>) -> Result<(Client, String)> {
    connect(file, context).await.map(|(client, address, _)| (client, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_kubeconfig_is_told_by_its_place_and_never_by_its_lines() {
        let broken = "apiVersion: v1\nusers:\n- name: me\n  user: {token: s3cr3t-token\nclusters: [\n";
        let error = Kubeconfig::from_yaml(broken).expect_err("it is broken");
        assert!(error.to_string().contains("s3cr3t-token"), "this test shows nothing if the error is silent by itself: {error}");
        let told = told(&error);
        assert!(told.starts_with("not a kubeconfig at line ") && !told.contains("s3cr3t"), "{told}");
    }

    /// A Site's kubeconfig whose user has these fields.
    fn of_site(user: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], clusters: [{{name: a, cluster: {{server: \"https://127.0.0.1:1\"}}}}], users: [{{name: a, user: {{{user}}}}}]}}"
        )
    }

    #[tokio::test]
    async fn fault_e20_the_kubeconfig_of_a_site_runs_nothing_and_reads_nothing_on_a_persons_machine() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mark, file) = (folder.path().join("it-ran"), folder.path().join("token"));
        std::fs::write(&file, "s3cr3t").expect("written");
        let exec = format!("exec: {{apiVersion: client.authentication.k8s.io/v1, command: touch, args: [\"{}\"], interactiveMode: Never}}", mark.display());
        let helper = format!("auth-provider: {{name: gcp, config: {{cmd-path: touch, cmd-args: \"{}\", expiry-key: x, token-key: y}}}}", mark.display());
        for (user, field) in [(exec, "user.exec"), (helper, "user.auth-provider"), (format!("tokenFile: \"{}\"", file.display()), "user.tokenFile")] {
            let fault = inert_config(of_site(&user).as_bytes(), None).await.expect_err(field);
            let said = text::site_secret_unusable("west", "p861-system", "site-west", &fault);
            assert!(fault.to_string().contains(field) && format!("{said:?}").contains(field), "{fault}");
        }
        assert!(!mark.exists(), "nothing ran");
        let config = inert_config(of_site("token: abc").as_bytes(), None).await.expect("a token is data");
        assert!(config.auth_info.exec.is_none() && config.auth_info.token.is_some());
    }

    #[test]
    fn an_address_is_told_without_the_password_in_it() {
        let url = |text: &str| text.parse::<http::Uri>().expect("an address");
        assert_eq!(address(&url("https://me:s3cr3t@hub.example:6443/")), "https://hub.example:6443");
        assert_eq!(address(&url("https://rancher.example/k8s/clusters/c-1")), "https://rancher.example/k8s/clusters/c-1");
    }
}
