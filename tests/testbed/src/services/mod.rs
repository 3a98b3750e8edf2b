//! What runs beside the sites: S3, Prometheus, Alertmanager. Each module says how its process is started and when it is ready; who
//! starts it, and where, is the bed's business.

pub mod alertmanager;
pub mod http;
pub mod prometheus;
pub mod s3;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Why a service cannot be prepared or is not ready.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A service did not become ready.
    #[error("{name} at {address} is not ready after {} s; last seen: {last_seen}; look at its log", limit.as_secs())]
    NotReady {
        /// The service.
        name: &'static str,
        /// Where it should answer.
        address: SocketAddr,
        /// How long was waited.
        limit: Duration,
        /// What the last attempt gave.
        last_seen: String,
    },
    /// A request to S3 failed.
    #[error("S3 at {address} did not {request}: {answer}")]
    S3 {
        /// Where it answers.
        address: SocketAddr,
        /// What was asked, as the rest of a sentence.
        request: String,
        /// What came back.
        answer: String,
    },
}

/// A file that must be there before a process starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its permissions: secrets are 0600.
    pub mode: u32,
    /// Its content.
    pub text: String,
}

impl SpecFile {
    /// Writes the file. It appears whole: a running service that reloads never reads half of one.
    pub fn write(&self) -> Result<(), ServicesError> {
        let part = self.path.with_extension("part");
        let io = |path: &PathBuf| {
            let path = path.clone();
            move |source| ServicesError::Io { path, source }
        };
        fs::write(&part, &self.text).map_err(io(&part))?;
        fs::set_permissions(&part, fs::Permissions::from_mode(self.mode)).map_err(io(&part))?;
        fs::rename(&part, &self.path).map_err(io(&self.path))
    }
}

/// How a process is started.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// A name for its log.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, besides what it inherits.
    pub env: Vec<(String, String)>,
    /// Folders to create first.
    pub folders: Vec<PathBuf>,
    /// Files to write first.
    pub files: Vec<SpecFile>,
    /// When it is ready.
    pub ready: Ready,
}

impl Spec {
    /// Creates the folders and writes the files.
    pub fn prepare(&self) -> Result<(), ServicesError> {
        for folder in &self.folders {
            fs::create_dir_all(folder).map_err(|source| ServicesError::Io { path: folder.clone(), source })?;
        }
        self.files.iter().try_for_each(SpecFile::write)
    }

    /// Waits until the service is ready, and says what was last seen if it is not.
    pub fn wait_ready(&self, limit: Duration) -> Result<(), ServicesError> {
        let start = Instant::now();
        loop {
            let Err(last_seen) = self.ready.check() else { return Ok(()) };
            if start.elapsed() >= limit {
                return Err(ServicesError::NotReady { name: self.name, address: self.ready.address(), limit, last_seen });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What must answer before a service counts as ready.
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// `GET path` gives 200.
    Http {
        /// Where.
        address: SocketAddr,
        /// What.
        path: &'static str,
    },
    /// A signed list of buckets succeeds: the gateway has its identities and its store.
    S3(s3::Client),
}

impl Ready {
    /// One attempt; the error is what was seen instead.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Http { address, path } => match http::request(*address, "GET", path, &[], &[]) {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.summary()),
                Err(error) => Err(error.to_string()),
            },
            Self::S3(client) => client.buckets().map(drop).map_err(|error| error.to_string()),
        }
    }

    const fn address(&self) -> SocketAddr {
        match self {
            Self::Http { address, .. } => *address,
            Self::S3(client) => client.address,
        }
    }
}

/// Prometheus and Alertmanager read YAML, and every JSON text is YAML.
fn config_text(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn spec(folder: &std::path::Path, ready: Ready) -> Spec {
        Spec {
            name: "tool",
            program: "/bin/true".into(),
            args: vec![],
            env: vec![],
            folders: vec![folder.join("data")],
            files: vec![SpecFile { path: folder.join("data/secret.json"), mode: 0o600, text: "text".into() }],
            ready,
        }
    }

    #[test]
    fn folders_and_files_are_there_before_the_process_and_secrets_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let spec = spec(folder.path(), Ready::Http { address, path: "/" });
        spec.prepare().unwrap();
        spec.prepare().unwrap();
        let file = folder.path().join("data/secret.json");
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("data")).unwrap().count(), 1);
    }

    #[test]
    fn a_service_that_never_answers_well_is_reported_with_what_it_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream: TcpStream = stream.unwrap();
                let mut request = [0; 512];
                let read = stream.read(&mut request).unwrap();
                stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\nstarting\n").unwrap();
                if request[..read].starts_with(b"DELETE") {
                    return;
                }
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let error = spec(folder.path(), Ready::Http { address, path: "/ready" }).wait_ready(Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("503") && error.to_string().contains("starting"), "{error}");
        http::request(address, "DELETE", "/", &[], &[]).unwrap();
        server.join().unwrap();
    }
}
