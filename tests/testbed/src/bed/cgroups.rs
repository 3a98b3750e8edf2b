//! A bed's control groups: they hold every process that the bed or one of its containers started, so that none can be missed at the end.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::error::{BedError, Result};
use super::wait::until;

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// How long killed processes may take to be gone.
const GONE: Duration = Duration::from_secs(30);
/// How much a bed's pods weigh together beside one other process of the machine: without a say, a whole bed weighs no more than a single one, and whatever runs
/// beside it starves its pods. The file, and the weight in that version's unit, where one process has 1024 or 100.
const WEIGHTS: [(&str, &str); 2] = [("cpu.shares", "16384"), ("cpu.weight", "1600")];

/// One bed's groups in all hierarchies: several with version 1, one with version 2.
#[derive(Debug, Clone)]
pub struct Cgroups {
    folders: Vec<PathBuf>,
}

impl Cgroups {
    /// The groups of this name, which need not be there yet.
    pub fn of(name: &str) -> Result<Self> {
        let root = Path::new(ROOT);
        if root.join("cgroup.controllers").exists() {
            return Ok(Self { folders: vec![root.join(name)] });
        }
        let mut folders = Vec::new();
        for entry in fs::read_dir(root).map_err(BedError::io(root))? {
            let path = entry.map_err(BedError::io(root))?.path();
            // `cpu` and its like are often links to `cpu,cpuacct`; the hierarchy is taken once.
            if !path.is_symlink() && path.join("cgroup.procs").exists() {
                folders.push(path.join(name));
            }
        }
        if folders.is_empty() {
            return Err(BedError::Refused(format!("no control groups are mounted at {ROOT}; a kubelet can't run without")));
        }
        folders.sort();
        Ok(Self { folders })
    }

    /// Makes the groups, with a place for the bed's own processes and one below which each site's kubelet makes its pods'.
    pub fn make(&self, sites: &[&str]) -> Result<()> {
        for folder in &self.folders {
            let parts = std::iter::once(folder.clone()).chain(["own"].iter().chain(sites).map(|part| folder.join(part)));
            for path in parts {
                fs::create_dir_all(&path).map_err(BedError::io(&path))?;
                inherit_cpus(&path)?;
            }
            weigh(folder)?;
            if unified() {
                let mut inner = vec![folder.clone()];
                inner.extend(sites.iter().map(|site| folder.join(site)));
                for path in inner {
                    let file = path.join("cgroup.subtree_control");
                    for controller in ["cpu", "cpuset", "memory", "pids", "io"] {
                        // A machine may lack one; the kubelet says which it misses.
                        let _ = fs::write(&file, format!("+{controller}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The file into which a process writes its id to join. One hierarchy is enough to find it again.
    pub fn join(&self) -> PathBuf {
        let of = |name: &str| self.folders.iter().find(|folder| folder.parent().is_some_and(|hierarchy| hierarchy.ends_with(name)));
        let folder = of("pids").or_else(|| of("freezer")).or_else(|| self.folders.first());
        folder.map(|folder| folder.join("own/cgroup.procs")).unwrap_or_default()
    }

    /// Every process in the groups.
    pub fn processes(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        self.folders.iter().for_each(|folder| visit(folder, &mut |path| found.extend(members(path))));
        found
    }

    /// Ends every process in the groups, and removes them. Nothing is there any more when this returns.
    pub fn remove(&self) -> Result<()> {
        until("the bed's processes are gone", GONE, || {
            let left = self.processes();
            for id in &left {
                if let Some(pid) = Pid::from_raw(*id) {
                    // It may have ended in this instant.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            if left.is_empty() { Ok(()) } else { Err(format!("processes {left:?}")) }
        })?;
        for folder in &self.folders {
            until("the bed's control groups are gone", GONE, || remove(folder).map_err(|error| error.to_string()))?;
        }
        Ok(())
    }

    /// Whether anything is left.
    pub fn exist(&self) -> bool {
        self.folders.iter().any(|folder| folder.exists())
    }
}

/// With version 1 a new group has no processors until it is given some.
fn inherit_cpus(group: &Path) -> Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let file = group.join(name);
        if !file.exists() || group.join("cgroup.controllers").exists() {
            continue;
        }
        let parent = group.parent().unwrap_or(group).join(name);
        let value = fs::read_to_string(&parent).map_err(BedError::io(&parent))?;
        fs::write(&file, value).map_err(BedError::io(&file))?;
    }
    Ok(())
}

/// Only the hierarchy of the processor has such a file.
fn weigh(group: &Path) -> Result<()> {
    for (name, weight) in WEIGHTS {
        let file = group.join(name);
        if file.exists() {
            fs::write(&file, weight).map_err(BedError::io(&file))?;
        }
    }
    Ok(())
}

fn members(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

fn children(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn visit(group: &Path, what: &mut impl FnMut(&Path)) {
    what(group);
    for child in children(group) {
        visit(&child, what);
    }
}

fn remove(group: &Path) -> std::io::Result<()> {
    for child in children(group) {
        remove(&child)?;
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
