//! Installing the operator as its users would: images, charts, the kubeconfig of the other site.

use crate::look::{Look as _, wait_rolled_out};
use p861_testbed::bed::{Bed, BedError, Result, Site, base64};
use p861_testbed::components::run::run;
use p861_testbed::images;
use p861_testbed::report::Report;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The operator's namespace.
pub const SYSTEM: &str = "p861-system";
/// How long one call of helm may take.
const HELM: Duration = Duration::from_mins(3);
/// How long a first start may take.
const START: Duration = Duration::from_mins(3);

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// Probes of the suites go to the API server's own Service, which is closed in the hub's cluster unless it is named.
const PROBED: &str = "operator.egress.allow={kubernetes.default.svc.cluster.local}";

/// A program that was built beside this one: `p861`, `p861-operator`.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(|error| BedError::Refused(format!("this program's own path: {error}")))?;
    // Tests stand in deps/, one folder below. Campaigns may want programs that were built otherwise than they themselves.
    let chosen = std::env::var_os("P861_PROGRAMS").map(PathBuf::from);
    let folders = chosen.iter().map(PathBuf::as_path).chain(own.ancestors().skip(1).take(2));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| BedError::Refused(format!("{name} is not built: cargo build --workspace --bins")))
}

/// Makes the operator's image and brings it to every site. Gives its tag.
pub fn operator_image(bed: &Bed, report: &Report) -> Result<String> {
    let image = images::operator(&bed.components, &program("p861-operator")?, report)?;
    std::thread::scope(|scope| {
        let imports: Vec<_> = bed.sites().iter().map(|site| scope.spawn(|| site.import(&image))).collect();
        imports.into_iter().try_for_each(|import| import.join().unwrap_or_else(|_| Err(BedError::Refused("an import panicked".to_owned()))))
    })?;
    Ok(image.reference.rsplit(':').next().unwrap_or_default().to_owned())
}

/// Runs helm against a site, with nothing of the user's own helm.
pub fn helm(bed: &Bed, site: &Site, arguments: &[&str]) -> Result<String> {
    let home = bed.folder().join("helm");
    let mut command = Command::new(&bed.components.helm);
    command.arg("--kubeconfig").arg(site.kubeconfig()).args(arguments).current_dir(root().join("charts"));
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, home.join(name));
    }
    run(&mut command, HELM)
        .map_err(|source| BedError::Run { what: format!("helm {} on {}", arguments.first().unwrap_or(&""), site.name), source: Box::new(source) })
}

/// The groups that have roles in the demo's district: its people may read which sites and districts there are.
const CLUSTER_READERS: &str = "hub.clusterReaders={shinan-staff,shinan-engineers,shinan-shift-leaders,shinan-drill-leaders}";

/// Installs the charts: on the hub the kinds and the operator, on the other sites what a managed site needs. The hub is the last site.
pub fn charts(bed: &Bed, tag: &str) -> Result<()> {
    let hub = bed.hub()?;
    let image = format!("operator.image.tag={tag}");
    let common = ["--namespace", SYSTEM, "--create-namespace", "--install"];
    let mut kinds = vec!["upgrade", "p861-crds", "p861-crds"];
    kinds.extend(common);
    helm(bed, hub, &kinds)?;
    std::thread::scope(|scope| {
        let mut installs = Vec::new();
        for site in bed.sites() {
            let mut arguments = vec!["upgrade", "p861", "p861"];
            arguments.extend(common);
            for value in [&image, "operator.image.repository=localhost/p861-operator", "operator.image.pullPolicy=Never", "operator.log=text", PROBED] {
                arguments.extend(["--set", value]);
            }
            if site.name == hub.name {
                arguments.extend(["--set", CLUSTER_READERS]);
            } else {
                arguments.extend(["--set", "hub.enabled=false", "--set", "site.tokenSecret=true"]);
            }
            installs.push(scope.spawn(move || helm(bed, site, &arguments).map(drop)));
        }
        installs.into_iter().try_for_each(|install| install.join().unwrap_or_else(|_| Err(BedError::Refused("helm panicked".to_owned()))))
    })?;
    wait_rolled_out(hub, START, SYSTEM, "deployment/p861-operator")
}

/// Puts a kubeconfig of `site`, with the token of the account that the chart made for us, into a Secret on the hub.
pub fn hand_over_kubeconfig(bed: &Bed, site: &Site, secret: &str) -> Result<()> {
    let token = site.wait("the token of p861-site is there", START, &["secret", "--namespace", SYSTEM, "p861-site-token"], |seen| {
        let data = &seen["data"];
        match (data["token"].as_str(), data["ca.crt"].as_str()) {
            (Some(token), Some(authority)) => Ok((token.to_owned(), authority.to_owned())),
            _ => Err("the Secret has no token yet".to_owned()),
        }
    })?;
    let kubeconfig = site_kubeconfig(&site.server(), &token.1, &decoded(&token.0)?);
    let manifest =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {secret}, namespace: {SYSTEM}}}\ndata: {{kubeconfig: {}}}\n", base64(kubeconfig.as_bytes()));
    apply_private(bed, bed.hub()?, &format!("secret-{secret}.yaml"), &manifest)
}

/// A kubeconfig with a token. `authority` is base64, as Secrets have it.
pub fn site_kubeconfig(server: &str, authority: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: site\nclusters:\n- name: site\n  cluster: {{server: \"{server}\", certificate-authority-data: {authority}}}\nusers:\n- name: site\n  user: {{token: {token}}}\ncontexts:\n- name: site\n  context: {{cluster: site, user: site}}\n"
    )
}

/// Applies a manifest that holds a secret: in a file that nobody else can read, never on a command line.
pub fn apply_private(bed: &Bed, site: &Site, name: &str, manifest: &str) -> Result<()> {
    let path = bed.folder().join(name);
    let io = |source| BedError::Io { path: path.clone(), source };
    fs::write(&path, "").and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600))).and_then(|()| fs::write(&path, manifest)).map_err(io)?;
    site.apply(&path)
}

/// A value of a Secret.
pub fn decoded(text: &str) -> Result<String> {
    let output = run(Command::new("sh").args(["-c", "printf %s \"$TEXT\" | base64 -d"]).env("TEXT", text), Duration::from_secs(10));
    output.map_err(|source| BedError::Run { what: "base64 -d".to_owned(), source: Box::new(source) })
}
