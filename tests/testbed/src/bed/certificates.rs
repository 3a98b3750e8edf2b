//! A site's certificates: one authority, and a certificate for everyone who must be known.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

use serde_json::json;

use super::error::{BedError, Result};
use crate::services::SpecFile;

/// The folder of a site's keys and certificates.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

/// Whom a certificate is for.
pub struct Holder<'a> {
    /// The name of its files.
    pub file: &'a str,
    /// The user, for a client.
    pub name: &'a str,
    /// The group, for a client.
    pub group: Option<&'a str>,
    /// Names that a server is called by.
    pub hosts: &'a [&'a str],
    /// Addresses that a server is called by.
    pub addresses: &'a [IpAddr],
}

impl Certificates {
    /// The certificates in this folder.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.crt")
    }

    /// The public and the private key of service accounts' tokens.
    pub fn tokens(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("tokens.pub"), self.folder.join("tokens.key"))
    }

    /// A holder's certificate and key.
    pub fn of(&self, file: &str) -> (PathBuf, PathBuf) {
        (self.folder.join(format!("{file}.crt")), self.folder.join(format!("{file}.key")))
    }

    /// Makes the authority, the key for tokens, and a certificate for each holder.
    pub fn make(&self, site: &str, holders: &[Holder<'_>]) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(BedError::io(&self.folder))?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("{site} authority"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?;
        write(&self.authority(), &authority.pem())?;
        let (tokens, (public, private)) = (KeyPair::generate()?, self.tokens());
        write(&public, &tokens.public_key_pem())?;
        write(&private, &tokens.serialize_pem())?;
        let issuer = Issuer::new(params, key);
        for holder in holders {
            let mut params = CertificateParams::new(holder.hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())?;
            params.subject_alt_names.extend(holder.addresses.iter().map(|address| SanType::IpAddress(*address)));
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, holder.name);
            if let Some(group) = holder.group {
                params.distinguished_name.push(DnType::OrganizationName, group);
            }
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &issuer)?;
            let (certificate_file, key_file) = self.of(holder.file);
            write(&certificate_file, &certificate.pem())?;
            write(&key_file, &key.serialize_pem())?;
        }
        Ok(())
    }
}

/// Somebody's way to an API server.
pub struct Access<'a> {
    /// Its context in a kubeconfig.
    pub context: &'a str,
    /// URL of the API server.
    pub server: String,
    /// The certificates of its site.
    pub certificates: Certificates,
    /// The files of whoever has it, as in [`Holder::file`].
    pub holder: &'a str,
}

/// Writes a kubeconfig that carries everything with it, so that it can be used from anywhere and put into a Secret. The first context is the current one.
pub fn write_kubeconfig(path: &Path, accesses: &[Access<'_>]) -> Result<()> {
    let read = |path: &Path| fs::read_to_string(path).map_err(BedError::io(path)).map(|text| base64(text.as_bytes()));
    let (mut clusters, mut users, mut contexts) = (Vec::new(), Vec::new(), Vec::new());
    for Access { context, server, certificates, holder } in accesses {
        let (certificate, key) = certificates.of(holder);
        clusters.push(json!({"name": context, "cluster": {"server": server, "certificate-authority-data": read(&certificates.authority())?}}));
        users.push(json!({"name": context, "user": {"client-certificate-data": read(&certificate)?, "client-key-data": read(&key)?}}));
        contexts.push(json!({"name": context, "context": {"cluster": context, "user": context}}));
    }
    let current = accesses.first().map(|access| access.context);
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": current, "clusters": clusters, "users": users, "contexts": contexts});
    // Whole at once: a shell may be using the one that was there.
    Ok(SpecFile { path: path.to_owned(), mode: 0o600, text: format!("{config:#}\n") }.write()?)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(BedError::io(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(BedError::io(path))
}

/// Base64 (RFC 4648), as kubeconfigs want it.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or_default();
            text.push(if place <= group.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access_to((context, certificates): &(&'static str, Certificates)) -> Access<'static> {
        Access { context, server: format!("https://{context}:6443"), certificates: certificates.clone(), holder: "admin" }
    }

    #[test]
    fn a_kubeconfig_has_a_context_for_each_site_and_the_first_is_the_current_one() {
        let folder = tempfile::tempdir().unwrap();
        let sites = ["laoshan-dr", "xinxi-dasha"].map(|site| (site, Certificates::at(&folder.path().join(site))));
        let holder = Holder { file: "admin", name: "administrator", group: None, hosts: &[], addresses: &[] };
        for (site, certificates) in &sites {
            certificates.make(site, std::slice::from_ref(&holder)).unwrap();
        }
        let path = folder.path().join("kubeconfig");
        write_kubeconfig(&path, &sites.iter().map(access_to).collect::<Vec<_>>()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(config["current-context"], "laoshan-dr");
        for (index, (site, certificates)) in sites.iter().enumerate() {
            assert_eq!(config["contexts"][index], json!({"name": site, "context": {"cluster": site, "user": site}}));
            assert_eq!(config["clusters"][index]["cluster"]["server"], format!("https://{site}:6443"));
            let key = fs::read_to_string(certificates.of("admin").1).unwrap();
            assert_eq!(config["users"][index]["user"]["client-key-data"], base64(key.as_bytes()));
        }
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
