//! Where a repository in a folder may be: a folder of the machine on which the operator runs, and a district writes its path.

use std::path::{Component, Path, PathBuf};

/// Why a folder is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FolderFault {
    /// The installation names no folder.
    #[error(
        "spec.folder.path {path}: this installation has no folder for repositories: use spec.s3, or set operator.folders.path of chart p861, and the volume that is mounted there"
    )]
    NoRoot {
        /// The path of the spec.
        path: String,
    },
    /// The path leads elsewhere.
    #[error("spec.folder.path {path} is not below {root}, the folder that this installation has for repositories: write {root}/… without . and ..")]
    Outside {
        /// The path of the spec.
        path: String,
        /// The installation's folder.
        root: String,
    },
    /// A part of the path is a link, or no folder.
    #[error("spec.folder.path {path}: {part} is a link or no folder: a repository is reached by folders only; write the path that the link leads to")]
    Link {
        /// The path of the spec.
        path: String,
        /// The part that is no folder.
        part: String,
    },
}

/// The part of `path` below `root`, the folder that the installation has for repositories. At least one folder, none of them `.` or `..`.
///
/// # Errors
/// [`FolderFault`].
pub fn below(root: Option<&Path>, path: &str) -> Result<PathBuf, FolderFault> {
    let Some(root) = root else { return Err(FolderFault::NoRoot { path: path.to_owned() }) };
    let outside = || FolderFault::Outside { path: path.to_owned(), root: root.display().to_string() };
    // Compared part by part: /srv/backups-of-others is not below /srv/backups.
    let rest = Path::new(path).strip_prefix(root).map_err(|_| outside())?;
    let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    // `components` leaves out `.`, and what is written must be what is meant.
    let dots = path.split('/').any(|part| part == "." || part == "..");
    if rest.as_os_str().is_empty() || !plain || dots || path.contains('\0') { Err(outside()) } else { Ok(rest.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fault_e18_a_folder_is_below_the_one_that_the_installation_names_or_refused_with_what_to_do() {
        let root = Some(Path::new("/srv/backups"));
        for (path, rest) in [("/srv/backups/shinan", "shinan"), ("/srv/backups/shinan/one/", "shinan/one"), ("/srv//backups/shinan", "shinan")] {
            assert_eq!(below(root, path), Ok(PathBuf::from(rest)), "{path}");
        }
        for path in [
            "/srv/backups",
            "/srv/backups/",
            "/srv/backups-of-others/x",
            "/srv/backups/../../etc",
            "/srv/backups/x/../../../etc",
            "/srv/backups/./x",
            "/srv/backups/..",
            "/etc",
            "/",
            "",
            "srv/backups/x",
            "/srv/backups/x\0y",
        ] {
            let said = below(root, path).expect_err(path).to_string();
            assert!(said.contains("is not below /srv/backups") && said.contains("write /srv/backups/…"), "{said}");
        }
        let said = below(None, "/srv/backups/x").expect_err("no folder").to_string();
        assert!(said.contains("operator.folders.path") && said.contains("spec.s3"), "{said}");
        assert!(below(Some(Path::new("/")), "/x").is_ok() && below(Some(Path::new("/")), "/").is_err());
    }

    proptest! {
        #[test]
        fn fault_e18_whatever_is_written_what_is_taken_stays_below(parts in proptest::collection::vec("(\\.{1,3}|[a-z]{1,3}|)", 0..8), slash in any::<bool>()) {
            let path = format!("{}{}", if slash { "/r/" } else { "" }, parts.join("/"));
            if let Ok(rest) = below(Some(Path::new("/r")), &path) {
                prop_assert!(rest.components().all(|part| matches!(part, Component::Normal(_))) && rest.components().count() > 0);
            }
        }
    }
}
