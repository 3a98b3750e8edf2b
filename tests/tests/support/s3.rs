//! A real S3 server for a suite.

use super::programs;
use p861_testbed::services::{Spec, s3};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};
use tempfile::TempDir;

const READY: Duration = Duration::from_mins(1);

/// SeaweedFS on an address of its own. It ends with this value, or with the test's process.
pub struct Store {
    address: IpAddr,
    /// Who may do everything.
    pub admin: s3::Identity,
    stop: mpsc::Sender<()>,
    keeper: Option<JoinHandle<()>>,
    _folder: TempDir,
}

impl Store {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        let [low, high, ..] = std::process::id().to_le_bytes();
        let address = Ipv4Addr::new(127, 140, high, low.clamp(1, 254)).into();
        let (folder, admin) = (tempfile::tempdir().expect("a folder"), s3::Identity::admin("admin").expect("a key"));
        let spec = s3::spec(&programs().weed, address, folder.path(), &admin, &[]);
        spec.prepare().expect("folders and files");
        let (stop, keeper) = start(&spec);
        spec.wait_ready(READY).expect("the store answers");
        Self { address, admin, stop, keeper: Some(keeper), _folder: folder }
    }

    /// `http://ADDRESS:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", self.address, s3::PORT)
    }
}

/// It dies with the thread that started it, so that a killed test leaves nothing.
fn start(spec: &Spec) -> (mpsc::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = mpsc::channel();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(&spec.program).args(&spec.args).envs(spec.env.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let keeper = thread::spawn(move || {
        let mut child = command.spawn().expect("setpriv");
        let _ = stopped.recv();
        let _ = child.kill();
        let _ = child.wait();
    });
    (stop, keeper)
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        let _ = self.keeper.take().map(JoinHandle::join);
        for path in s3::leftovers(self.address) {
            drop(fs::remove_file(path));
        }
    }
}
