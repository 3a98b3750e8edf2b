//! A bucket as a store.

use super::{
    Condition, Credentials, Location,
    error::{Refusal, Result, StoreError},
};
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Builder, Credentials as SdkCredentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::base64;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit of one request, not counting the transfer of its body.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// A line that carries fewer bytes per second than this counts as broken. One that carries nothing at all is found out sooner, by the SDK's own watch.
const SLOWEST: u64 = 64 << 10;

/// A bucket.
#[derive(Clone, Debug)]
pub(super) struct S3 {
    client: Client,
    bucket: String,
    prefix: String,
    place: String,
}

fn timeouts(body: u64) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT + Duration::from_secs(body / SLOWEST)).build()
}

impl S3 {
    pub(super) fn new(location: &Location, credentials: Option<&Credentials>) -> Result<Self> {
        let place = location.to_string();
        let invalid = |what: &str| StoreError::new(Refusal::Invalid, &place, "", what);
        let Location::S3 { endpoint, region, bucket, prefix, virtual_host, ca } = location else { return Err(invalid("it is no bucket")) };
        let keys = credentials.ok_or_else(|| {
            StoreError::new(Refusal::AccessDenied, &place, "", "keys are missing: give accessKeyID and secretAccessKey in the repository's credentials Secret")
        })?;
        let mut context = TlsContext::builder();
        if let Some(ca) = ca {
            context = context.with_trust_store(TrustStore::empty().with_pem_certificate(ca.as_bytes()));
        }
        let context = context.build().map_err(|_| invalid("the certificate authority is no PEM certificate: correct the Secret of spec.s3.caSecretRef"))?;
        let http = aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https();
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new(region.clone()))
            .endpoint_url(endpoint)
            .force_path_style(!virtual_host)
            .credentials_provider(SdkCredentials::new(&keys.access_key_id, &keys.secret_access_key, None, None, "p861"))
            // Not every store knows the newer checksums. `write` sends the oldest, which all know.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(timeouts(0))
            .build();
        Ok(Self { client: Client::from_conf(config), bucket: bucket.clone(), prefix: prefix.clone(), place })
    }

    fn full(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    fn refused<E: ProvideErrorMetadata>(&self, key: &str, error: &SdkError<E, Response>) -> StoreError {
        let (refusal, what) = refusal(error);
        StoreError::new(refusal, &self.place, key, what)
    }

    /// The answer to a HEAD has no body, so no code: there a 404 alone says that the object doesn't exist. No damage follows from it.
    fn refused_head<E: ProvideErrorMetadata>(&self, key: &str, error: &SdkError<E, Response>) -> StoreError {
        if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) {
            return StoreError::new(Refusal::NotFound, &self.place, key, "it doesn't exist");
        }
        self.refused(key, error)
    }

    fn broken(&self, key: &str, error: &aws_sdk_s3::primitives::ByteStreamError) -> StoreError {
        StoreError::new(Refusal::Unreachable, &self.place, key, format!("the connection broke while it was read: {}", innermost(error)))
    }

    async fn body(&self, key: &str, body: ByteStream) -> Result<Vec<u8>> {
        Ok(body.collect().await.map_err(|error| self.broken(key, &error))?.to_vec())
    }

    /// Reads at most `limit` bytes: a store that ignores ranges must not fill the memory.
    async fn body_within(&self, key: &str, mut body: ByteStream, limit: u64) -> Result<Vec<u8>> {
        let mut read = Vec::new();
        while let Some(chunk) = body.try_next().await.map_err(|error| self.broken(key, &error))? {
            if (read.len() + chunk.len()) as u64 > limit {
                return Err(StoreError::new(
                    Refusal::Invalid,
                    &self.place,
                    key,
                    format!("the store answers with more than the {limit} bytes that were asked for"),
                ));
            }
            read.extend_from_slice(&chunk);
        }
        Ok(read)
    }

    pub(super) async fn ensure_bucket(&self) -> Result<()> {
        let Err(error) = self.client.head_bucket().bucket(&self.bucket).send().await else { return Ok(()) };
        let refused = self.refused_head("", &error);
        if refused.refusal != Refusal::NotFound {
            return Err(refused);
        }
        match self.client.create_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => Ok(()),
            Err(error) => Err(self.refused("", &error)),
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<(Vec<u8>, String)> {
        let answer = self.client.get_object().bucket(&self.bucket).key(self.full(key)).send().await.map_err(|error| self.refused(key, &error))?;
        let tag = answer.e_tag().unwrap_or_default().to_owned();
        Ok((self.body(key, answer.body).await?, tag))
    }

    pub(super) async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        let range = format!("bytes={offset}-{}", offset + length - 1);
        let shorter = |has: String| {
            StoreError::new(Refusal::Shorter, &self.place, key, format!("it is shorter than it should be: {has} bytes at {offset} instead of {length}"))
        };
        let answer = match self.client.get_object().bucket(&self.bucket).key(self.full(key)).range(range).send().await {
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 416) => return Err(shorter("no".into())),
            answer => answer.map_err(|error| self.refused(key, &error))?,
        };
        let body = self.body_within(key, answer.body, length).await?;
        if body.len() as u64 == length { Ok(body) } else { Err(shorter(body.len().to_string())) }
    }

    pub(super) async fn write(&self, key: &str, body: Bytes, condition: Condition<'_>) -> Result<String> {
        let size = body.len() as u64;
        // A bucket with object lock refuses a write without a checksum.
        let checksum = base64::encode(Md5::digest(&body));
        let mut request = self.client.put_object().bucket(&self.bucket).key(self.full(key)).content_md5(checksum).body(ByteStream::from(body));
        match condition {
            Condition::Always => {}
            Condition::IfAbsent => request = request.if_none_match("*"),
            Condition::IfMatch(tag) => request = request.if_match(tag),
        }
        let sent = request.customize().config_override(aws_sdk_s3::Config::builder().timeout_config(timeouts(size))).send().await;
        let answer = sent.map_err(|error| match (condition, self.refused(key, &error)) {
            (Condition::IfAbsent, refused) if refused.is_precondition_failed() => {
                StoreError::new(Refusal::AlreadyExists, &self.place, key, "it is there already")
            }
            (_, refused) => refused,
        })?;
        Ok(answer.e_tag().unwrap_or_default().to_owned())
    }

    pub(super) async fn list(&self, under: &str) -> Result<Vec<(String, u64)>> {
        let cut = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let mut keys = Vec::new();
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(self.full(under)).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.refused(under, &error))?;
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| Some((object.key()?.get(cut..)?.to_owned(), u64::try_from(object.size().unwrap_or(0)).unwrap_or(0)))),
            );
        }
        Ok(keys)
    }

    pub(super) async fn head(&self, key: &str) -> Result<u64> {
        let answer = self.client.head_object().bucket(&self.bucket).key(self.full(key)).send().await.map_err(|error| self.refused_head(key, &error))?;
        Ok(u64::try_from(answer.content_length().unwrap_or(0)).unwrap_or(0))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        self.client.delete_object().bucket(&self.bucket).key(self.full(key)).send().await.map(|_| ()).map_err(|error| self.refused(key, &error))
    }
}

/// The error of S3. Takes only code and message, because the SDK's text may contain the request.
fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> (Refusal, String) {
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default();
    let said = error.message().unwrap_or_default();
    match (status, code) {
        (_, "NoSuchBucket") => (Refusal::NotFound, "the bucket doesn't exist: create it, or correct spec.s3.bucket".to_owned()),
        (Some(404), "NoSuchKey") => (Refusal::NotFound, "it doesn't exist".to_owned()),
        // A load balancer, a proxy or another server: nothing is known of the object.
        (Some(404), _) => (
            Refusal::Unreachable,
            "the endpoint answers 404 without the S3 code NoSuchKey, as a load balancer or another server does: check the endpoint, and what is in front of the store"
                .to_owned(),
        ),
        (Some(412), _) | (Some(409), "ConditionalRequestConflict") => (Refusal::PreconditionFailed, "it was changed by another".to_owned()),
        (_, "RequestTimeTooSkewed") => {
            (Refusal::AccessDenied, "the store's clock and ours differ by more than the store allows: correct the time of this machine".to_owned())
        }
        (Some(401 | 403), code) => {
            let code = if code.is_empty() { "403" } else { code };
            (Refusal::AccessDenied, format!("access denied ({code}): check the keys in the repository's credentials Secret and the bucket's policy"))
        }
        (Some(507), _) => (Refusal::NoSpace, "the store is full: make room, or shorten retention".to_owned()),
        (Some(501), code) => (Refusal::Invalid, format!("the store can't do this (501 {code}): {said}")),
        (Some(status @ (408 | 409 | 425 | 429)), code) => (Refusal::Other, format!("refused with {status} {code}: {said}")),
        (Some(status), code) if status < 500 => (Refusal::Invalid, format!("refused with {status} {code}: {said}")),
        (Some(status), code) => (Refusal::Unreachable, format!("the store answers {status} {code}: {said}")),
        (None, _) => {
            let source = match error {
                SdkError::DispatchFailure(failure) => failure.as_connector_error().map(|error| innermost(error)).unwrap_or_default(),
                SdkError::TimeoutError(_) => "timed out".to_owned(),
                _ => String::new(),
            };
            let source = if source.is_empty() { "no answer" } else { &source };
            (Refusal::Unreachable, format!("the store can't be reached ({source}): check the endpoint and the network"))
        }
    }
}

/// The last cause of an error: "connection refused" instead of "dispatch failure".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    /// A server that gives this answer to one request.
    fn answers(head: &'static str, body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 16 * 1024];
            let _ = stream.read(&mut request).unwrap();
            let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    /// The value of a header in the head of a request.
    fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
        head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// A bucket with object lock: it takes writes whose checksum is that of their body, and refuses all others as S3 does. Gives its address, and the heads of the
    /// requests that it took.
    fn locked_bucket() -> (String, std::sync::mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (taken, seen) = std::sync::mpsc::channel();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut request = Vec::new();
                let end = loop {
                    let mut part = [0; 4096];
                    let length = stream.read(&mut part).unwrap();
                    request.extend_from_slice(&part[..length]);
                    match request.windows(4).position(|four| four == b"\r\n\r\n") {
                        Some(end) => break end + 4,
                        None => assert!(length > 0, "the request has no end"),
                    }
                };
                let head = String::from_utf8(request[..end].to_vec()).unwrap();
                let length: usize = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
                let mut body = request[end..].to_vec();
                let had = body.len();
                body.resize(length, 0);
                stream.read_exact(&mut body[had..]).unwrap();
                let checksum = base64::encode(Md5::digest(&body));
                let (code, text) = match header(&head, "content-md5") {
                    Some(sent) if sent == checksum => ("200 OK\r\netag: \"t\"", ""),
                    Some(_) => ("400 Bad Request", "<Error><Code>BadDigest</Code><Message>the checksum is another</Message></Error>"),
                    None => ("400 Bad Request", "<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- is required</Message></Error>"),
                };
                let answer = format!("HTTP/1.1 {code}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                stream.write_all(answer.as_bytes()).unwrap();
                if taken.send(head).is_err() {
                    return;
                }
            }
        });
        (address, seen)
    }

    #[tokio::test]
    async fn fault_f7_every_kind_of_write_has_a_checksum_as_a_bucket_with_object_lock_asks_for() {
        let (address, heads) = locked_bucket();
        let store = store(address);
        for body in [Bytes::new(), Bytes::from_static(b"{}"), Bytes::from(vec![7; 300_000])] {
            for (condition, name, value) in [
                (Condition::Always, "if-match", None),
                (Condition::IfAbsent, "if-none-match", Some("*")),
                (Condition::IfMatch("\"t\""), "if-match", Some("\"t\"")),
            ] {
                let tag = store.write("locks/x", body.clone(), condition).await.unwrap_or_else(|error| panic!("{condition:?}, {} bytes: {error}", body.len()));
                assert_eq!(tag, "\"t\"");
                assert_eq!(header(&heads.recv().unwrap(), name), value, "{condition:?}");
            }
        }
    }

    fn store(endpoint: String) -> S3 {
        let location = Location::S3 { endpoint, region: "r".into(), bucket: "b".into(), prefix: String::new(), virtual_host: false, ca: None };
        S3::new(&location, Some(&Credentials { access_key_id: "a".into(), secret_access_key: "s".into() })).unwrap()
    }

    #[tokio::test]
    async fn fault_a8_only_the_s3_code_says_that_an_object_is_missing() {
        let xml = |code: &str| -> &'static str {
            Box::leak(format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>").into_boxed_str())
        };
        let html = "<html><body>default backend - 404</body></html>";
        for (case, head, body, missing, transient) in [
            ("the store says so", "404 Not Found\r\ncontent-type: application/xml", xml("NoSuchKey"), true, false),
            ("a load balancer's page", "404 Not Found\r\ncontent-type: text/html", html, false, true),
            ("no body at all", "404 Not Found", "", false, true),
            ("another code", "404 Not Found\r\ncontent-type: application/xml", xml("NoSuchUpload"), false, true),
            ("a gateway's page", "502 Bad Gateway\r\ncontent-type: text/html", html, false, true),
        ] {
            let error = store(answers(head, body)).get("data/00/x").await.unwrap_err();
            assert_eq!((error.is_missing(), error.is_not_found(), error.is_transient()), (missing, missing, transient), "{case}: {error}");
        }
        let error = store(answers("404 Not Found\r\ncontent-type: text/html", html)).get("data/00/x").await.unwrap_err();
        assert!(error.to_string().contains("without the S3 code NoSuchKey"), "{error}");
        assert!(store(answers("404 Not Found", "")).head("config").await.unwrap_err().is_missing(), "HEAD has no body");
    }
}
