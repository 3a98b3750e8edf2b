//! Which files a restore can be asked for. What can be known to fail is refused before anything is stopped: paths that lead out of their claim, claims that the backup or the
//! target lacks, and claims whose files must not differ and can't be looked into. Whether the backup has a path, and what stands in its way, its movers find out.

use super::{RestoreFacts, is_selective, namespaces, refuses_files_in};
use crate::{protection::backup::Claim, recovery::bring_up::is_written_by, runs::CompileError};
use std::path::{Component, Path};

/// Refuses files that can't be restored.
///
/// # Errors
/// [`CompileError::Invalid`] with the first thing that is wrong, and what there is.
pub fn refuse(facts: &RestoreFacts<'_>) -> Result<(), CompileError> {
    let (select, invalid) = (&facts.spec.select, |message: String| Err(CompileError::Invalid(message)));
    let paths = select.files.iter().flat_map(|file| &file.paths).map(|path| ("select.files", path));
    if let Some((field, path)) = paths.chain(facts.spec.target.path_prefix.iter().map(|path| ("target.pathPrefix", path))).find(|(_, path)| leads_out(path)) {
        return invalid(format!("{field} has the path {path:?}: a path in a volume has no . and no .."));
    }
    if is_selective(facts.spec) {
        return Ok(());
    }
    let known: Vec<&str> = facts.subject.claims.iter().map(|claim| claim.name.as_str()).collect();
    if let Some(file) = select.files.iter().find(|file| !known.contains(&file.claim.as_str())) {
        return invalid(if known.is_empty() {
            format!("select.files names claim {}, which the backup doesn't have; it has no claim's files", file.claim)
        } else {
            format!("select.files names claim {}, which the backup doesn't have; it has {}", file.claim, known.join(", "))
        });
    }
    let targets = namespaces(facts);
    let written = facts.subject.claims.iter().filter(|claim| is_written_by(facts.subject.spec, &select.files, claim));
    let written = written.map(|claim| Claim { namespace: targets.get(&claim.namespace).cloned().unwrap_or_default(), name: claim.name.clone() });
    for claim in written {
        let Claim { namespace, name } = &claim;
        let hidden = facts.hidden.iter().find(|(hidden, _)| *hidden == claim);
        // Whoever asks for files asks for no objects: nothing would make the claim.
        if !select.files.is_empty() && hidden.is_none() && !facts.present.contains(&claim) {
            return invalid(format!(
                "claim {name} doesn't exist in {namespace} on {}, and a restore of files makes none: restore the application's objects first",
                facts.site
            ));
        }
        if let Some((_, why)) = hidden.filter(|(_, why)| refuses_files_in(facts).contains(namespace) && !why.is_empty_claim()) {
            return invalid(format!(
                "claim {name} is there in {namespace} on {}, and its files can't be compared with the backup: it {why}. Choose spec.conflictPolicy Skip, Merge or Replace to overwrite it, or other namespaces",
                facts.site
            ));
        }
    }
    Ok(())
}

/// Whether a path is no path below its volume.
fn leads_out(path: &str) -> bool {
    !Path::new(path.trim_matches('/')).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_i2_a_path_that_leads_out_of_its_volume_is_known_as_one() {
        for (path, out) in
            [("", false), ("/", false), ("/a/b/", false), ("a b/..c", false), ("..", true), ("/../../etc/passwd", true), ("/a/../b", true), ("./a", true)]
        {
            assert_eq!(leads_out(path), out, "{path}");
        }
    }
}
