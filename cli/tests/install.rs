//! What packagers take: manual pages, the plugin's name, the reference.

use crate::support::{Folder, command, p861, program, said};
use std::{fs, os::unix::fs::symlink, path::Path};

/// Pages that the commands must have.
fn pages(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = Folder::new("man");
    let said = p861(&["man", &folder.path().join("man1").to_string_lossy()]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""));
    let names = pages(&folder.path().join("man1"));
    for name in ["p861.1", "p861-status.1", "p861-drill.1", "p861-drill-run.1", "p861-restore-preview.1", "p861-man.1"] {
        assert!(names.iter().any(|known| known == name), "no {name} among {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("reference")), "what is hidden has no page: {names:?}");
    let text = fs::read_to_string(folder.path().join("man1/p861-drill-run.1")).expect("a page");
    for word in [".TH", ".SH NAME", "p861\\-drill\\-run \\- Drill a plan", "\\-\\-keep\\-for", "\\-\\-district"] {
        assert!(text.contains(word), "no {word} in\n{text}");
    }
    let chinese = folder.path().join("zh");
    assert_eq!(p861(&["--lang", "zh", "man", &chinese.to_string_lossy()]).code, 0);
    assert!(fs::read_to_string(chinese.join("p861-drill-run.1")).expect("a page").contains("演练一个预案并观察"));
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_by_name() {
    let folder = Folder::new("man-refused");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    let said = p861(&["man", &file.join("man1").to_string_lossy()]);
    assert_eq!(said.code, 3);
    assert!(said.err.starts_with(&format!("error: cannot write {}", file.display())), "{said:?}");
}

#[test]
fn called_by_kubectl_it_calls_itself_so() {
    let folder = Folder::new("plugin");
    for name in ["kubectl-p861", "kubectl_p861"] {
        let plugin = folder.path().join(name);
        symlink(program(), &plugin).expect("a link");
        let help = said(&mut command(&plugin, &["drill", "run", "--help"]));
        assert_eq!(help.code, 0);
        assert!(help.out.contains("Usage: kubectl p861 drill run [OPTIONS] <PLAN>"), "{}", help.out);
        let slip = said(&mut command(&plugin, &["drill", "run"]));
        assert_eq!(slip.code, 2);
        assert!(slip.err.ends_with("type kubectl p861 drill run <PLAN>; more: kubectl p861 drill run --help\n"), "{}", slip.err);
    }
}

#[test]
fn the_reference_is_that_of_the_commands() {
    let stored = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CLI.md")).unwrap_or_default();
    let said = p861(&["--lang", "zh", "reference"]);
    assert_eq!(said.code, 0);
    assert!(stored == said.out, "docs/CLI.md differs: the commands have changed: run `make generate` and look at the difference");
}
