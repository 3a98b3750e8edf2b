//! Kubernetes: from $KUBEBUILDER_ASSETS, PATH or an earlier build; built from its Go modules last, which takes about ten minutes once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::cache::{Cache, CacheLock};
use super::debian::{find, is_program};
use super::go::{self, GoError, Recipe};
use super::run::run;
use crate::report::Report;

/// The minor version that every component must have: a kubelet may not be newer than its API server, so mixed finds are not used.
const MINOR: &str = "v1.36.";

/// The names by which `go/kubernetes` is called.
const PROGRAMS: [&str; 6] = ["kube-apiserver", "kubelet", "kube-controller-manager", "kube-scheduler", "kubectl", "kube-proxy"];

/// Its `k8s.io/kubernetes` requires 33 staging modules by replacement, which go.mod has to repeat.
pub const RECIPE: Recipe = Recipe {
    name: "kubernetes",
    version: "v1.36.3",
    files: &[
        ("go.mod", include_str!("../../go/kubernetes/go.mod")),
        ("go.sum", include_str!("../../go/kubernetes/go.sum")),
        ("main.go", include_str!("../../go/kubernetes/main.go")),
    ],
    programs: &[("kubernetes", ".")],
    names: &PROGRAMS,
    // Without these the components call themselves v0.0.0, and clients that compare versions refuse them.
    link: "-X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 \
           -X k8s.io/component-base/version.gitMinor=36 -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3",
    tested: false,
};

/// The paths of Kubernetes' programs, in the order of [`RECIPE`]'s.
pub fn ensure(cache: &Cache, lock: &CacheLock, report: &Report) -> Result<[PathBuf; PROGRAMS.len()], GoError> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let found = PROGRAMS.map(|program| look_up(program, assets.as_deref(), find, version, report));
    let built = if found.iter().any(Option::is_none) { go::ensure(cache, lock, &RECIPE, report)? } else { PathBuf::new() };
    let mut paths = PROGRAMS.map(|program| built.join(program));
    for (path, found) in paths.iter_mut().zip(found) {
        if let Some(found) = found {
            *path = found;
        }
    }
    Ok(paths)
}

/// The assets folder first, PATH second; what has another minor version is named and passed over.
fn look_up(
    program: &str,
    assets: Option<&Path>,
    find: impl Fn(&str) -> Option<PathBuf>,
    version: impl Fn(&Path) -> Option<String>,
    report: &Report,
) -> Option<PathBuf> {
    let in_assets = assets.map(|folder| folder.join(program)).filter(|path| is_program(path));
    [in_assets, find(program)].into_iter().flatten().find(|path| {
        let version = version(path);
        let fits = version.as_deref().is_some_and(|version| version.starts_with(MINOR));
        if !fits {
            let version = version.as_deref().unwrap_or("of unknown version");
            report.line(&format!("{} ({version}) is not used: the bed needs {MINOR}x", path.display()));
        }
        fits
    })
}

fn version(path: &Path) -> Option<String> {
    let mut command = Command::new(path);
    if path.file_name().is_some_and(|name| name == "kubectl") {
        command.args(["version", "--client"]);
    } else {
        command.arg("--version");
    }
    parse_version(&run(&mut command, Duration::from_secs(30)).ok()?)
}

/// `Kubernetes v1.36.3` and `Client Version: v1.36.3` → `v1.36.3`.
fn parse_version(text: &str) -> Option<String> {
    text.split_whitespace().find(|word| word.starts_with('v') && word.contains('.')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_version_is_read_from_what_each_component_prints() {
        assert_eq!(parse_version("Kubernetes v1.36.3\n").as_deref(), Some("v1.36.3"));
        assert_eq!(parse_version("Client Version: v1.36.3\nKustomize Version: v5.8.1\n").as_deref(), Some("v1.36.3"));
        assert_eq!(parse_version("unknown"), None);
    }

    #[test]
    fn the_assets_folder_comes_before_path_and_other_versions_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let asset = folder.path().join("kubectl");
        fs::write(&asset, "").unwrap();
        fs::set_permissions(&asset, fs::Permissions::from_mode(0o755)).unwrap();
        let on_path = PathBuf::from("/somewhere/kubectl");
        let cases = [
            // (version of the asset, version on PATH, which is used)
            (Some("v1.36.9"), Some("v1.36.3"), Some(&asset)),
            (Some("v1.31.0"), Some("v1.36.3"), Some(&on_path)),
            (None, Some("v1.36.3"), Some(&on_path)),
            (Some("v1.31.0"), Some("v1.37.0"), None),
        ];
        for (of_asset, of_path, used) in cases {
            let version = |path: &Path| if path == asset { of_asset } else { of_path }.map(str::to_owned);
            let found = look_up("kubectl", Some(folder.path()), |_| Some(on_path.clone()), version, &Report::silent());
            assert_eq!(found.as_ref(), used, "{of_asset:?} {of_path:?}");
        }
    }

    #[test]
    fn an_assets_folder_without_the_program_is_no_find() {
        let folder = tempfile::tempdir().unwrap();
        let found = look_up("kubelet", Some(folder.path()), |_| None, |_| Some("v1.36.3".into()), &Report::silent());
        assert_eq!(found, None);
    }
}
