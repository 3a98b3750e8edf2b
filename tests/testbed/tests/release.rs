//! The files that `make release PROFILE=debug` writes, looked at as a user would: listed, checked, unpacked, rendered.

use p861_testbed::components::{self, run::run};
use p861_testbed::release::{IMAGE_REPOSITORY, VERSION, platform, source};
use p861_testbed::report::Report;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_mins(5);

/// The command of the Makefile, with the programs that were built beside these tests.
fn write_release(folder: &Path, arguments: &[&str]) {
    let testbed = Path::new(env!("CARGO_BIN_EXE_testbed"));
    let mut command = Command::new(testbed);
    command.arg("release").arg("--programs").arg(testbed.parent().expect("a folder")).arg("--to").arg(folder).args(arguments);
    run(&mut command, LIMIT).expect("a release");
}

/// One release for all tests.
fn dist() -> PathBuf {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let folder = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        write_release(&folder.path().join("dist"), &[]);
        folder
    });
    folder.path().join("dist")
}

fn say(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    run(Command::new(program.as_ref()).args(arguments).current_dir(dist()), LIMIT).expect("it runs")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&read(path)).expect("JSON")
}

fn unpacked(archive: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    say("tar", &["-xf", archive, "-C", &folder.path().to_string_lossy()]);
    folder
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_release_is_whole_its_checksums_hold_and_the_page_names_every_file() {
    let platform = platform();
    let expected = [
        "SHA256SUMS".to_owned(),
        format!("kubectl-p861-{VERSION}-{platform}.tar.gz"),
        format!("p861-{VERSION}-{platform}.tar.gz"),
        format!("p861-{VERSION}.cdx.json"),
        format!("p861-{VERSION}.tgz"),
        format!("p861-crds-{VERSION}.tgz"),
        format!("p861-operator-{VERSION}-{platform}.oci.tar"),
        "p861.yaml".to_owned(),
    ];
    assert_eq!(names(&dist()), BTreeSet::from(expected.clone()));
    assert_eq!(say("sha256sum", &["--check", "--strict", "SHA256SUMS"]).lines().count(), expected.len() - 1);
    let page = read(source().join("docs/INSTALL.md"));
    for name in expected {
        assert!(page.contains(&format!("`{name}`")), "docs/INSTALL.md does not explain {name}");
    }
}

#[test]
fn the_packed_chart_asks_for_the_packed_image_and_both_charts_render() {
    let helm = components::packagers(&Report::stderr()).expect("helm").helm;
    let rendered = say(&helm, &["template", "p861", &format!("p861-{VERSION}.tgz")]);
    let image = format!("{IMAGE_REPOSITORY}:{VERSION}");
    assert!(rendered.contains(&format!("image: \"{image}\"")) || rendered.contains(&format!("image: {image}")), "{rendered}");
    let kinds = say(&helm, &["template", "p861-crds", &format!("p861-crds-{VERSION}.tgz")]);
    let declared = std::fs::read_dir(source().join("charts/p861-crds/templates")).expect("the chart").count();
    assert_eq!(kinds.matches("\nkind: CustomResourceDefinition\n").count(), declared, "{kinds}");

    let folder = unpacked(&format!("p861-operator-{VERSION}-{}.oci.tar", platform()));
    let blob = |descriptor: &Value| folder.path().join("blobs").join(descriptor["digest"].as_str().expect("a digest").replace(':', "/"));
    let index = json(folder.path().join("index.json"));
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], image);
    let manifest = json(blob(&index["manifests"][0]));
    let config = json(blob(&manifest["config"]));
    assert_eq!((&config["config"]["Entrypoint"][0], &config["config"]["User"]), (&"/usr/local/bin/p861-operator".into(), &"65532:65532".into()));
    let layers: Vec<String> = manifest["layers"].as_array().expect("layers").iter().map(|layer| say("tar", &["-tf", &blob(layer).to_string_lossy()])).collect();
    for (layer, path) in [(0, "libc.so.6"), (0, "libgcc_s.so.1"), (0, "etc/ssl/certs/ca-certificates.crt"), (1, "usr/local/bin/p861-operator")] {
        assert!(layers[layer].lines().any(|line| line.ends_with(path)), "{path} is not in layer {layer}");
    }
}

#[test]
fn the_command_line_runs_from_its_archive_also_as_a_plugin_of_kubectl() {
    let name = format!("p861-{VERSION}-{}", platform());
    let folder = unpacked(&format!("{name}.tar.gz"));
    assert_eq!(names(folder.path()), BTreeSet::from([name.clone()]));
    let folder = folder.path().join(name);
    assert_eq!(names(&folder), ["LICENSE", "completions", "kubectl-p861", "man", "p861"].map(str::to_owned).into());
    for program in ["p861", "kubectl-p861"] {
        assert_eq!(say(folder.join(program), &["--version"]), format!("{program} {VERSION}\n"));
    }
    assert!(say(folder.join("kubectl-p861"), &["--help"]).contains("Usage: kubectl p861 "));
    for (file, word) in [("p861.bash", "-F _clap_complete_p861 p861"), ("_p861", "#compdef p861"), ("p861.fish", "--command p861")] {
        assert!(read(folder.join("completions").join(file)).contains(word), "{file}");
    }
    let pages = names(&folder.join("man/man1"));
    assert!(pages.contains("p861.1") && pages.contains("p861-drill-run.1"), "{pages:?}");
    assert_eq!(fs::metadata(folder.join("p861")).expect("there").permissions().mode() & 0o777, 0o755);
}

#[test]
fn krew_finds_the_program_in_the_archive_that_its_manifest_names() {
    let archive = format!("kubectl-p861-{VERSION}-{}.tar.gz", platform());
    // krew refuses an archive with a link.
    let listed = say("tar", &["-tvf", &archive]);
    assert!(listed.lines().count() == 2 && listed.lines().all(|line| line.starts_with('-')), "{listed}");
    assert_eq!(names(unpacked(&archive).path()), ["LICENSE", "p861"].map(str::to_owned).into());
    let manifest = read(dist().join("p861.yaml"));
    let digest = read(dist().join("SHA256SUMS")).lines().find_map(|line| Some(line.strip_suffix(&archive)?.trim().to_owned())).expect("its checksum");
    let url = format!("file://{}", dist().join(&archive).display());
    for line in [format!("    uri: {url}\n"), format!("    sha256: {digest}\n"), "    bin: p861\n".to_owned(), format!("  version: v{VERSION}\n")] {
        assert!(manifest.contains(&line), "no {line} in\n{manifest}");
    }
}

#[test]
fn the_bill_of_materials_names_every_pinned_package_with_its_licence_and_checksum() {
    let bill = json(dist().join(format!("p861-{VERSION}.cdx.json")));
    let lock = read(source().join("Cargo.lock"));
    let field = |package: &str, name: &str| {
        package.lines().find_map(|line| Some(line.strip_prefix(&format!("{name} = \""))?.trim_end_matches('"').to_owned())).unwrap_or_default()
    };
    let pinned: BTreeSet<[String; 3]> =
        lock.split("[[package]]").skip(1).map(|package| [field(package, "name"), field(package, "version"), field(package, "checksum")]).collect();
    let components = bill["components"].as_array().expect("components");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed: BTreeSet<[String; 3]> = components.iter().map(|one| [word(&one["name"]), word(&one["version"]), word(&one["hashes"][0]["content"])]).collect();
    assert_eq!(listed, pinned);
    let scope = |name: &str| components.iter().find(|one| one["name"] == name).map(|one| one["scope"].clone()).expect("listed");
    for (name, expected) in [("kube", "required"), ("rustic_core", "required"), ("clap", "required"), ("insta", "excluded"), ("windows-sys", "excluded")] {
        assert_eq!(scope(name), expected, "{name}");
    }
    for one in components {
        let license = one["licenses"][0]["expression"].as_str().unwrap_or_default();
        assert!(!license.is_empty() && !license.contains('/'), "{one}");
    }
    // Every edge ends at something that is listed.
    let known: BTreeSet<&str> = components.iter().filter_map(|one| one["bom-ref"].as_str()).collect();
    for edge in bill["dependencies"].as_array().expect("dependencies") {
        for to in edge["dependsOn"].as_array().expect("a list") {
            assert!(known.contains(to.as_str().unwrap_or_default()), "{to} of {}", edge["ref"]);
        }
    }
}

#[test]
fn a_release_made_again_is_the_same_and_names_the_url_that_it_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let again = folder.path().join("dist");
    write_release(&again, &["--url", "https://files.example/v1/"]);
    let manifest = read(again.join("p861.yaml"));
    assert!(manifest.contains(&format!("    uri: https://files.example/v1/kubectl-p861-{VERSION}-{}.tar.gz\n", platform())), "{manifest}");
    let sums = |folder: &Path| -> BTreeSet<String> {
        read(folder.join("SHA256SUMS")).lines().filter(|line| !line.ends_with("  p861.yaml")).map(str::to_owned).collect()
    };
    assert_eq!(sums(&again), sums(&dist()));
}
