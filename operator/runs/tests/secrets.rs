//! An object's Secrets are those of its own namespace, and nobody hears of what is in them.

use http::{Request, Response};
use kube::{Client, client::Body};
use p861_core::runs::Scope;
use p861_crds::{BackupRepository, District, Reason};
use p861_runs::{Hub, JournalKeys, RunIdentity, leadership::Leadership, repository, repository::StoreCache, secrets::SecretsOf};
use parking_lot::Mutex;
use regex::Regex;
use serde_json::json;
use std::{fs, path::Path, sync::Arc};

type Asked = Arc<Mutex<Vec<String>>>;

/// An API server with Secrets of every name in every namespace, and a repository.
fn server(asked: &Asked) -> Client {
    let asked = asked.clone();
    let answer = move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        asked.lock().push(format!("{} {path}", request.method()));
        let data = json!({"password": "aGlkZGVu", "accessKeyID": "aGlkZGVu", "secretAccessKey": "aGlkZGVu", "broken": "/w=="});
        let body = if path.contains("/secrets/") { json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}) } else { declared() };
        std::future::ready(Response::builder().body(Body::from(body.to_string().into_bytes())))
    };
    Client::new(tower::service_fn(answer), "default")
}

fn declared() -> serde_json::Value {
    let s3 = json!({"endpoint": "http://127.0.0.1:9", "bucket": "b", "region": "r", "credentialsSecretRef": {"name": "s3"}});
    json!({"apiVersion": "platform861.io/v1alpha1", "kind": "BackupRepository", "metadata": {"name": "main", "namespace": "shinan"},
        "spec": {"failureDomain": "x", "s3": s3, "encryption": {"keySecretRef": {"name": "key"}}}})
}

#[tokio::test]
async fn a_secret_is_read_in_the_namespace_of_whoever_names_it_and_in_no_other() {
    let asked = Asked::default();
    let client = server(&asked);
    let repository: BackupRepository = serde_json::from_value(declared()).unwrap();
    let district: District = serde_json::from_value(json!({"apiVersion": "platform861.io/v1alpha1", "kind": "District", "metadata": {"name": "shinan"},
        "spec": {"code": "370202", "names": {"en": "Shinan"}, "sites": []}}))
    .unwrap();
    let scope = Scope::of(&district);
    let run = RunIdentity { kind: "Drill", namespace: "shinan".into(), name: "d".into(), uid: "u".into(), repository: "main".into(), scope };
    for (of, namespace) in [
        (SecretsOf::object(&client, &repository), "shinan"),
        (SecretsOf::district(&client, &district), "shinan"),
        (SecretsOf::run(&client, &run), "shinan"),
        (SecretsOf::operator(&client, "p861-system"), "p861-system"),
    ] {
        assert_eq!(of.texts("key", &["password"]).await.unwrap(), ["hidden"]);
        assert_eq!(std::mem::take(&mut *asked.lock()), [format!("GET /api/v1/namespaces/{namespace}/secrets/key")]);
        for name in ["", ".", "..", "../../laoshan/secrets/key", "laoshan/key", "key?x=y", "key/../x", "Key", "-key", "key%2F"] {
            let error = of.find(name).await.unwrap_err();
            assert_eq!((error.reason(), asked.lock().len()), (Reason::Invalid, 0), "{name}: {error}");
        }
        let found = of.find("key").await.unwrap().unwrap();
        let missing = of.texts("key", &["gone"]).await.unwrap_err();
        for said in [format!("{found:?}"), format!("{of:?}"), missing.to_string(), format!("{missing:?}")] {
            assert!(!said.contains("hidden"), "{said}");
        }
        assert_eq!(found.get("broken"), None, "no text");
        asked.lock().clear();
    }
}

#[tokio::test]
async fn the_credentials_of_a_repository_are_those_of_its_namespace() {
    let asked = Asked::default();
    let hub = Hub {
        client: server(&asked),
        leadership: Leadership::without_lease(),
        namespace: "p861-system".into(),
        identity: "test".into(),
        stores: StoreCache::default(),
        journal_keys: JournalKeys::default(),
    };
    repository::open_store(&hub, "shinan", "main").await.unwrap();
    let secret = repository::repository_keys(&hub, "shinan", "main", None).await.unwrap();
    assert!(secret.contains("hidden"), "it is what a mover is given");
    let of_secrets: Vec<String> = asked.lock().iter().filter(|asked| asked.contains("/secrets/")).cloned().collect();
    assert_eq!(of_secrets.len(), 3);
    assert!(of_secrets.iter().all(|asked| asked.starts_with("GET /api/v1/namespaces/shinan/secrets/")), "{of_secrets:?}");
}

/// Where else Secrets are dealt with: those of sites.
const ELSEWHERE: [&str; 1] = [
    // TLS Secrets of a site, for their expiry.
    "src/controllers/platform/certificates.rs",
];

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push((path.to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn no_other_code_reads_a_secret_of_the_hub() {
    let operator = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for folder in ["src", "runs/src"] {
        files(&operator.join(folder), &mut found);
    }
    let (reads, named) = (Regex::new(r"Api(::)?<\s*Secret\s*>").unwrap(), |path: &str| path.rsplit("operator/").next().unwrap_or_default().to_owned());
    let mut readers: Vec<String> = found.iter().filter(|(_, code)| reads.is_match(code)).map(|(path, _)| named(path)).collect();
    readers.sort();
    let mut expected: Vec<&str> = ELSEWHERE.into_iter().chain(["runs/src/secrets.rs"]).collect();
    expected.sort_unstable();
    assert_eq!(readers, expected, "read Secrets by SecretsOf, so that they are those of whoever names them");
    // Nor does any code turn a name into a site.
    let made = Regex::new(r"AllottedSite\s*\(").unwrap();
    let makers: Vec<String> = found.iter().filter(|(_, code)| made.is_match(code)).map(|(path, _)| named(path)).collect();
    assert_eq!(makers, Vec::<String>::new());
    // Only the Site's own controller has a client for a Site that nobody was allotted.
    let mut connects: Vec<String> = found.iter().filter(|(_, code)| code.contains("sites.connect(")).map(|(path, _)| named(path)).collect();
    connects.sort();
    assert_eq!(connects, ["src/controllers/site.rs"]);
}
