//! From a kubeconfig to a client.

use super::{Hub, explain};
use crate::{
    args::Global,
    error::{Failure, Result},
    text,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError},
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
    let named = context.filter(|name| kubeconfig.contexts.iter().all(|known| known.name != *name));
    if let Some(name) = named {
        let names: Vec<String> = kubeconfig.contexts.into_iter().map(|known| known.name).collect();
        return Err(Failure::usage(text::no_such_context(name, &names)));
    }
    let options = KubeConfigOptions { context: context.map(ToOwned::to_owned), ..Default::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map(bounded).map_err(|error| Failure::usage(text::bad_kubeconfig(&told(&error))))
}

/// Acts as whom `--as` and `--as-group` name, or else as whom the kubeconfig does. As kubectl has it: a group is acted as by a user only.
fn acting_as(mut config: Config, global: &Global) -> Result<Config> {
    match &global.as_user {
        Some(user) => {
            config.auth_info.impersonate = Some(user.clone());
            // Those of the kubeconfig are its own user's, not this one's.
            config.auth_info.impersonate_groups = (!global.as_group.is_empty()).then(|| global.as_group.clone());
            config.auth_info.impersonate_uid = None;
            config.auth_info.impersonate_user_extra = None;
        }
        None if !global.as_group.is_empty() => return Err(Failure::usage(text::groups_without_user())),
        None => {}
    }
    Ok(config)
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
pub async fn connect(global: &Global) -> Result<(Client, String, String)> {
    client_of(acting_as(config(global.kubeconfig.as_deref(), global.context.as_deref()).await?, global)?)
}

/// The same for a person who is typing: a program that gets credentials must not ask for any.
pub async fn connect_quietly(global: &Global) -> Result<(Client, String, String)> {
    let mut config = acting_as(config(global.kubeconfig.as_deref(), global.context.as_deref()).await?, global)?;
    if let Some(exec) = &mut config.auth_info.exec {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    client_of(config)
}

async fn config(file: Option<&Path>, context: Option<&str>) -> Result<Config> {
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
    Ok(config)
}

/// The contexts of the person's kubeconfig, for completions. None if it can't be read.
pub fn contexts(file: Option<&Path>) -> Vec<String> {
    let kubeconfig = file.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    kubeconfig.map(|kubeconfig| kubeconfig.contexts.into_iter().map(|context| context.name).collect()).unwrap_or_default()
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

/// A client of a site by the person's own kubeconfig, as the same person as on the hub.
pub async fn connect_site(global: &Global, file: Option<&Path>, context: Option<&str>) -> Result<(Client, String)> {
    let config = acting_as(config(file.or(global.kubeconfig.as_deref()), context).await?, global)?;
    client_of(config).map(|(client, address, _)| (client, address))
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

    #[tokio::test]
    async fn fault_h25_whom_one_acts_as_goes_with_every_request() {
        let kubeconfig = |user: &str| Kubeconfig::from_yaml(&of_site(user)).expect("a kubeconfig");
        let acting = async |user: &str, global: &Global| acting_as(from_kubeconfig(kubeconfig(user), None).await.expect("a configuration"), global);
        let global = Global { as_user: Some("shift-leader-a".into()), as_group: vec!["shinan-shift-leaders".into(), "staff".into()], ..Global::default() };
        let config = acting("token: abc, as: li, as-groups: [city]", &global).await.expect("a configuration");
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("shift-leader-a"));
        assert_eq!(config.auth_info.impersonate_groups.as_deref(), Some(["shinan-shift-leaders".to_owned(), "staff".to_owned()].as_slice()));
        let alone = acting("token: abc, as: li, as-groups: [city]", &Global { as_group: Vec::new(), ..global.clone() }).await.expect("a configuration");
        assert_eq!(
            (alone.auth_info.impersonate.as_deref(), alone.auth_info.impersonate_groups),
            (Some("shift-leader-a"), None),
            "the kubeconfig's groups are li's"
        );
        let own = acting("token: abc, as: li, as-groups: [city]", &Global::default()).await.expect("a configuration");
        assert_eq!((own.auth_info.impersonate.as_deref(), own.auth_info.impersonate_groups.map(|groups| groups.len())), (Some("li"), Some(1)));
        let failure = acting("token: abc", &Global { as_user: None, ..global }).await.expect_err("a group without a user");
        assert_eq!((failure.exit, failure.text.en.contains("--as USER")), (crate::exit::ExitStatus::Usage, true), "{failure:?}");
    }

    #[tokio::test]
    async fn fault_h22_a_mistyped_context_is_answered_with_the_one_that_looks_like_it() {
        let mut kubeconfig = Kubeconfig::from_yaml(&of_site("token: abc")).expect("a kubeconfig");
        kubeconfig.contexts[0].name = "laoshan-dr".into();
        let failure = from_kubeconfig(kubeconfig, Some("laoshan-rd")).await.expect_err("there is none");
        assert_eq!(
            (failure.exit, failure.text.en.as_str()),
            (crate::exit::ExitStatus::Usage, "the kubeconfig has no context laoshan-rd, perhaps laoshan-dr; available: laoshan-dr")
        );
    }

    #[test]
    fn an_address_is_told_without_the_password_in_it() {
        let url = |text: &str| text.parse::<http::Uri>().expect("an address");
        assert_eq!(address(&url("https://me:s3cr3t@hub.example:6443/")), "https://hub.example:6443");
        assert_eq!(address(&url("https://rancher.example/k8s/clusters/c-1")), "https://rancher.example/k8s/clusters/c-1");
    }
}
