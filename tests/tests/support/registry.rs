//! A real registry of images beside a lone operator: it speaks https with a certificate of its own authority, and asks who it is that wants something.

use super::programs;
use oci_client::{
    Client, Reference,
    client::{Certificate, CertificateEncoding, ClientConfig, Config, ImageLayer},
    secrets::RegistryAuth,
};
use serde_json::{Value, json};
use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Who may come in; the hash is bcrypt's, as the registry wants it.
const USER: &str = "robot";
const PASSWORD: &str = "opens-the-registry";
const HASH: &str = "$2y$05$9PKjU/ktACjjHwljwrvgpOJGzaZZi2HWQW5B8ewBabRcsOw1/FJya";
/// How long it may take until it answers.
const READY: Duration = Duration::from_mins(1);

/// A registry, running. It ends when this is let go.
pub struct Registry {
    folder: TempDir,
    /// Host and port.
    pub address: String,
    /// The certificate of its authority.
    pub authority: String,
    child: Child,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Starts one that has nothing.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name").self_signed(&key).expect("a certificate").pem();
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let address = format!("127.0.0.1:{port}");
        let configuration = json!({
            "version": 0.1, "log": {"level": "error"}, "storage": {"filesystem": {"rootdirectory": path("storage")}},
            "http": {"addr": address, "tls": {"certificate": path("tls.crt"), "key": path("tls.key")}},
            "auth": {"htpasswd": {"realm": "registry", "path": path("htpasswd")}},
        });
        for (name, text) in [
            ("tls.crt", certificate.as_str()),
            ("tls.key", &key.serialize_pem()),
            ("htpasswd", &format!("{USER}:{HASH}\n")),
            ("registry.yaml", &configuration.to_string()),
        ] {
            fs::write(path(name), text).expect("written");
        }
        let log = fs::File::create(path("log")).expect("a log");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&programs().registry).arg("serve").arg(path("registry.yaml")).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("setpriv");
        let registry = Self { folder, address, authority: certificate, child };
        registry.wait().await;
        registry
    }

    async fn wait(&self) {
        let since = Instant::now();
        while tokio::net::TcpStream::connect(&self.address).await.is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(since.elapsed() < READY, "the registry does not answer:\n{}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The Secret with which it lets somebody in, or doesn't.
    pub fn pull_secret(&self, name: &str, right: bool) -> Value {
        let password = if right { PASSWORD } else { "guessed" };
        let config = json!({"auths": {self.address.as_str(): {"username": USER, "password": password}}});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config.to_string()}})
    }

    /// Puts a file into it as an image, packed as Flux packs them. Gives the digests of the image and of its layer.
    pub async fn push(&self, image: &str, file: &str, text: &str) -> (String, String) {
        let certificate = Certificate { encoding: CertificateEncoding::Pem, data: self.authority.clone().into_bytes() };
        let client = Client::try_from(ClientConfig { extra_root_certificates: vec![certificate], ..ClientConfig::default() }).expect("a client");
        let place = tempfile::tempdir().expect("a folder");
        fs::write(place.path().join(file), text).expect("written");
        let packed = Command::new("tar").args(["-cz", "-C"]).arg(place.path()).arg(".").output().expect("tar").stdout;
        let layer = ImageLayer::new(packed, "application/vnd.cncf.flux.content.v1.tar+gzip".to_owned(), None);
        let of_layer = layer.sha256_digest();
        let config = Config::new(b"{}".to_vec(), "application/vnd.cncf.flux.config.v1+json".to_owned(), None);
        let reference: Reference = format!("{}/{image}:pushed", self.address).parse().expect("a reference");
        let who = RegistryAuth::Basic(USER.to_owned(), PASSWORD.to_owned());
        client.push(&reference, &[layer], config, &who, None).await.expect("pushed");
        (client.fetch_manifest_digest(&reference, &who).await.expect("a digest"), of_layer)
    }

    /// Changes a byte of what has this digest.
    pub fn damage(&self, digest: &str) {
        let digest = digest.trim_start_matches("sha256:");
        let path = self.folder.path().join("storage/docker/registry/v2/blobs/sha256").join(&digest[..2]).join(digest).join("data");
        let mut bytes = fs::read(&path).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("written");
    }
}
