//! S3: one SeaweedFS process per bed, and the two calls that a bed makes itself, signed (Signature Version 4).

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Ready, ServicesError, Spec, SpecFile, config_text, http};

/// The port of the S3 gateway.
pub const PORT: u16 = 8333;

/// The region that clients must name; SeaweedFS takes any.
pub const REGION: &str = "us-east-1";

/// One who may use S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name, for logs.
    pub name: String,
    /// The access key's id.
    pub access_key: String,
    /// The access key's secret.
    pub secret_key: String,
    /// What it may do: `Admin`, `Read`, `Write`, `List`, `Tagging`, each for everything or, as `Read:BUCKET`, for one bucket.
    pub actions: Vec<String>,
}

impl Identity {
    /// An identity with a new random key that may do everything.
    pub fn admin(name: &str) -> io::Result<Self> {
        Self::new(name, &["Admin", "Read", "Write", "List", "Tagging"])
    }

    /// An identity with a new random key that may use one bucket and no other.
    pub fn of_bucket(name: &str, bucket: &str) -> io::Result<Self> {
        let actions: Vec<String> = ["Read", "Write", "List", "Tagging"].iter().map(|action| format!("{action}:{bucket}")).collect();
        Self::new(name, &actions.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn new(name: &str, actions: &[&str]) -> io::Result<Self> {
        let mut random = [0; 30];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        Ok(Self {
            name: name.to_owned(),
            access_key: hex::encode(&random[..10]).to_uppercase(),
            secret_key: hex::encode(&random[10..]),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        })
    }
}

/// How SeaweedFS is started at `address`, its port being [`PORT`], with all its data in `folder`. `admin` may do everything; readiness
/// is asked with its key.
///
/// Master, volume server and filer listen on the same address at 9333, 8080 and 8888, and each for gRPC at a port that depends on the
/// address. Two processes with one address do not work.
pub fn spec(weed: &Path, address: IpAddr, folder: &Path, admin: &Identity, others: &[Identity]) -> Spec {
    let config = folder.join("s3.json");
    let data = folder.join("data");
    let listed: Vec<_> = std::iter::once(admin)
        .chain(others)
        .map(|one| json!({"name": one.name, "credentials": [{"accessKey": one.access_key, "secretKey": one.secret_key}], "actions": one.actions}))
        .collect();
    let mut args = vec![
        "server".to_owned(),
        format!("-dir={}", data.display()),
        format!("-ip={address}"),
        format!("-ip.bind={address}"),
        "-s3".to_owned(),
        format!("-s3.port={PORT}"),
        format!("-s3.config={}", config.display()),
        // Without these two each server's socket would be in /tmp under a name that all beds share. For gRPC it is there all the same.
        format!("-s3.localSocket={}", folder.join("s3.sock").display()),
        format!("-filer.localSocket={}", folder.join("filer.sock").display()),
        "-master.telemetry=false".to_owned(),
        "-volume.preStopSeconds=1".to_owned(),
        // Small volumes and many of them: each bucket takes several, and a bed has many buckets.
        "-volume.max=200".to_owned(),
        "-master.volumeSizeLimitMB=64".to_owned(),
        "-s3.port.iceberg=0".to_owned(),
        "-s3.port.lance=0".to_owned(),
    ];
    args.extend(grpc_ports(address).map(|(server, port)| format!("-{server}.port.grpc={port}")));
    Spec {
        name: "seaweedfs",
        program: weed.to_owned(),
        args,
        env: vec![],
        folders: vec![data],
        files: vec![SpecFile { path: config, mode: 0o600, text: config_text(&json!({"identities": listed})) }],
        ready: Ready::S3(Client { address: SocketAddr::new(address, PORT), identity: admin.clone() }),
    }
}

/// The gRPC port of each of SeaweedFS' servers. They talk to each other through sockets in /tmp that are named by these ports and by
/// nothing else, so with one set of ports for all, one bed's servers would reach another's.
fn grpc_ports(address: IpAddr) -> [(&'static str, u16); 4] {
    let number = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    // A prime, so that addresses that differ in one octet, as beds' do, never give the same. All ports stay below the ephemeral ones.
    let offset = u16::try_from(number % 4_999).unwrap_or_default();
    [("master", 10_000 + offset), ("volume", 15_000 + offset), ("filer", 20_000 + offset), ("s3", 25_000 + offset)]
}

/// What SeaweedFS at `address` leaves in /tmp when it is killed, for the bed to remove.
pub fn leftovers(address: IpAddr) -> Vec<PathBuf> {
    grpc_ports(address).iter().map(|(server, port)| PathBuf::from(format!("/tmp/seaweedfs-{server}-grpc-{port}.sock"))).collect()
}

/// A client for the bed's own calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Where S3 answers.
    pub address: SocketAddr,
    /// With whose key requests are signed.
    pub identity: Identity,
}

impl Client {
    /// `http://ADDRESS:PORT`, as every other client wants it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The names of all buckets that the identity may see.
    pub fn buckets(&self) -> Result<Vec<String>, ServicesError> {
        let answer = self.send("GET", "/", &[], "list buckets")?;
        let names = answer.body.split("<Name>").skip(1).filter_map(|rest| rest.split("</Name>").next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Creates a bucket, which may be there already. With `lock`, objects in it can be put under Object Lock; that cannot be added later.
    pub fn create_bucket(&self, bucket: &str, lock: bool) -> Result<(), ServicesError> {
        if self.buckets()?.iter().any(|name| name == bucket) {
            return Ok(());
        }
        let headers: &[(&str, &str)] = if lock { &[("x-amz-bucket-object-lock-enabled", "true")] } else { &[] };
        self.send("PUT", &format!("/{bucket}"), headers, &format!("create bucket {bucket}")).map(drop)
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], request: &str) -> Result<http::Answer, ServicesError> {
        let failed = |answer| ServicesError::S3 { address: self.address, request: request.to_owned(), answer };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let signed = sign(&self.identity, method, &self.address.to_string(), path, headers, now);
        let signed: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = http::request(self.address, method, path, &signed, &[]).map_err(|error| failed(error.to_string()))?;
        if answer.status == 200 { Ok(answer) } else { Err(failed(answer.summary())) }
    }
}

/// The headers of a request without a body and without a query, signed at `now` (seconds since 1970).
fn sign(identity: &Identity, method: &str, host: &str, path: &str, headers: &[(&str, &str)], now: u64) -> Vec<(String, String)> {
    let time = timestamp(now);
    let day = &time[..8];
    let body = hex::encode(Sha256::digest(b""));
    let mut all: Vec<(String, String)> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.push(("x-amz-content-sha256".to_owned(), body.clone()));
    all.push(("x-amz-date".to_owned(), time.clone()));
    let mut canonical = all.clone();
    canonical.push(("host".to_owned(), host.to_owned()));
    canonical.sort();
    let names: Vec<&str> = canonical.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: Vec<String> = canonical.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    let request = format!("{method}\n{path}\n\n{}\n\n{names}\n{body}", lines.join("\n"));
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
    let mut key = format!("AWS4{}", identity.secret_key).into_bytes();
    for part in [day, REGION, "s3", "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    let signature = hex::encode(hmac(&key, text.as_bytes()));
    let authorization = format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", identity.access_key);
    all.push(("authorization".to_owned(), authorization));
    all
}

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

/// `20261124T120000Z` for seconds since 1970. The date is counted in 400-year eras of 146,097 days that begin on 1 March, which puts the
/// leap day last.
fn timestamp(now: u64) -> String {
    let (days, seconds) = (now / 86_400, now % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_aws_wants_them() {
        let table = [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (1_795_525_200, "20261124T130000Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(timestamp(seconds), text);
        }
    }

    #[test]
    fn hmac_gives_the_results_of_rfc_4231() {
        let table: [(&[u8], &[u8], &str); 2] = [
            (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        ];
        for (key, text, result) in table {
            assert_eq!(hex::encode(hmac(key, text)), result);
        }
    }

    #[test]
    fn no_two_beds_share_a_grpc_port() {
        let mut seen = std::collections::BTreeSet::new();
        for octets in (0..=255).map(|bed| [10, 86, bed, 2]) {
            for (_, port) in grpc_ports(octets.into()) {
                assert!(seen.insert(port) && port < 32_768, "{octets:?} {port}");
            }
        }
    }

    #[test]
    fn every_identity_has_its_own_key_and_only_its_actions() {
        let (one, two) = (Identity::admin("admin").unwrap(), Identity::of_bucket("mover", "shinan").unwrap());
        assert_ne!(one.secret_key, two.secret_key);
        assert_eq!(two.actions, ["Read:shinan", "Write:shinan", "List:shinan", "Tagging:shinan"]);
        let spec = spec(Path::new("/weed"), [127, 0, 0, 1].into(), Path::new("/state"), &one, std::slice::from_ref(&two));
        let file = &spec.files[0];
        assert_eq!(file.mode, 0o600);
        let config: serde_json::Value = serde_json::from_str(&file.text).unwrap();
        assert_eq!(config["identities"][1]["credentials"][0]["secretKey"], two.secret_key);
        assert!(!spec.args.iter().any(|argument| argument.contains(&two.secret_key)), "secrets are not on the command line");
    }
}
