//! A bucket as a store.

mod body;

use super::{
    Condition, Credentials, Location, Removal, Take, dial,
    error::{Refusal, Result, StoreError},
};
use crate::{
    limits::{self, ListingMeter},
    pace::Pace,
};
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Builder, Credentials as SdkCredentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::ObjectLockLegalHoldStatus,
};
use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::base64;
use body::{BoundedAnswers, PacedBodies, is_too_large};
use bytes::Bytes;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use p861_egress::Egress;
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket.
#[derive(Clone, Debug)]
pub(super) struct S3 {
    client: Client,
    bucket: String,
    prefix: String,
    place: String,
    pace: Pace,
}

fn timeouts(transfer: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(transfer).build()
}

impl S3 {
    pub(super) fn new(location: &Location, credentials: Option<&Credentials>) -> Result<Self> {
        Self::with(location, credentials, (Egress::of_process(), Pace::of_process()))
    }

    fn with(location: &Location, credentials: Option<&Credentials>, (egress, pace): (Egress, Pace)) -> Result<Self> {
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
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(dial::http_client(context, egress))
            .region(Region::new(region.clone()))
            .endpoint_url(endpoint)
            .force_path_style(!virtual_host)
            .credentials_provider(SdkCredentials::new(&keys.access_key_id, &keys.secret_access_key, None, None, "p861"))
            // Not every store knows the newer checksums. `write` sends the oldest, which all know.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(timeouts(limits::transfer(0)))
            .interceptor(BoundedAnswers)
            .interceptor(PacedBodies(pace.clone()))
            .build();
        Ok(Self { client: Client::from_conf(config), bucket: bucket.clone(), prefix: prefix.clone(), place, pace })
    }

    fn full(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    fn refused<E: ProvideErrorMetadata + std::error::Error + 'static>(&self, key: &str, error: &SdkError<E, Response>) -> StoreError {
        let (refusal, what) = refusal(error);
        StoreError::new(refusal, &self.place, key, what)
    }

    /// The answer to a HEAD has no body, so no code: there a 404 alone says that the object doesn't exist. No damage follows from it.
    fn refused_head<E: ProvideErrorMetadata + std::error::Error + 'static>(&self, key: &str, error: &SdkError<E, Response>) -> StoreError {
        if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) {
            return StoreError::new(Refusal::NotFound, &self.place, key, "it doesn't exist");
        }
        self.refused(key, error)
    }

    fn broken(&self, key: &str, error: &aws_sdk_s3::primitives::ByteStreamError) -> StoreError {
        StoreError::new(Refusal::Unreachable, &self.place, key, format!("the connection broke while it was read: {}", innermost(error)))
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    fn too_large(&self, key: &str, what: String) -> StoreError {
        StoreError::new(Refusal::TooLarge, &self.place, key, what)
    }

    /// Reads at most `limit` bytes, and as long as so many may take: neither a store that sends without end nor one that sends a byte now and then holds up or fills
    /// whoever reads. None if there are more.
    async fn body_within(&self, key: &str, mut body: ByteStream, announced: Option<i64>, limit: u64) -> Result<Option<Vec<u8>>> {
        let announced = announced.and_then(|length| u64::try_from(length).ok());
        if announced.is_some_and(|length| length > limit) {
            return Ok(None);
        }
        let expected = announced.unwrap_or(limit);
        let mut read = Vec::with_capacity(usize::try_from(announced.unwrap_or_default()).unwrap_or_default());
        let within = limits::transfer(expected);
        let transfer = async {
            while let Some(chunk) = body.try_next().await.map_err(|error| self.broken(key, &error))? {
                if (read.len() + chunk.len()) as u64 > limit {
                    return Ok(false);
                }
                read.extend_from_slice(&chunk);
            }
            Ok(true)
        };
        if let Ok(whole) = tokio::time::timeout(within, transfer).await {
            return Ok(whole?.then_some(read));
        }
        let what = format!("after {} seconds only {} bytes of it had come: the store answers too slowly", within.as_secs(), read.len());
        Err(StoreError::new(Refusal::Unreachable, &self.place, key, what))
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

    pub(super) async fn get(&self, key: &str, limit: u64) -> Result<(Vec<u8>, String)> {
        let answer = self.client.get_object().bucket(&self.bucket).key(self.full(key)).send().await.map_err(|error| self.refused(key, &error))?;
        let tag = answer.e_tag().unwrap_or_default().to_owned();
        match self.body_within(key, answer.body, answer.content_length, limit).await? {
            Some(body) => Ok((body, tag)),
            None => Err(self.too_large(key, format!("it is larger than {}, which is the most that is read of it", limits::size(limit)))),
        }
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
        let body = self.body_within(key, answer.body, answer.content_length, length).await?.ok_or_else(|| {
            let what = format!("the store answers with more than the {length} bytes that were asked for");
            StoreError::new(Refusal::Invalid, &self.place, key, what)
        })?;
        if body.len() as u64 == length { Ok(body) } else { Err(shorter(body.len().to_string())) }
    }

    pub(super) async fn write(&self, key: &str, body: Bytes, condition: Condition<'_>) -> Result<String> {
        let size = body.len() as u64;
        let _turn = self.pace.turn(size).await;
        let transfer = limits::transfer(size) + self.pace.longer(size);
        // The server compares what arrives with it. A bucket with object lock refuses a write without.
        let digest = Md5::digest(&body);
        let mut request = self.client.put_object().bucket(&self.bucket).key(self.full(key)).content_md5(base64::encode(digest)).body(ByteStream::from(body));
        match condition {
            Condition::Always => {}
            Condition::IfAbsent => request = request.if_none_match("*"),
            Condition::IfMatch(tag) => request = request.if_match(tag),
        }
        let sent = request.customize().config_override(aws_sdk_s3::Config::builder().timeout_config(timeouts(transfer))).send().await;
        let answer = sent.map_err(|error| match (condition, self.refused(key, &error)) {
            (Condition::IfAbsent, refused) if refused.is_precondition_failed() => {
                StoreError::new(Refusal::AlreadyExists, &self.place, key, "it is there already")
            }
            (_, refused) => refused,
        })?;
        let tag = answer.e_tag().unwrap_or_default().to_owned();
        if tag.trim_matches('"') != hex::encode(digest) {
            self.confirm(key, &tag, size).await?;
        }
        Ok(tag)
    }

    /// Asks for the size of what was written. The tag of an object is the digest of its content, which the server has taken of what it stored; unless the bucket is
    /// encrypted with keys of a key service, or the server makes tags in its own way.
    async fn confirm(&self, key: &str, tag: &str, size: u64) -> Result<()> {
        let head = self.client.head_object().bucket(&self.bucket).key(self.full(key)).send().await.map_err(|error| self.refused_head(key, &error))?;
        // Another has written since, or its store says nothing.
        if head.e_tag().unwrap_or_default() != tag {
            return Ok(());
        }
        match head.content_length().and_then(|length| u64::try_from(length).ok()) {
            Some(stored) if stored != size => {
                let what = format!("{size} bytes of it were written, and the store has {stored}: it will be written again");
                Err(StoreError::new(Refusal::Other, &self.place, key, what))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn each(&self, under: &str, take: Take<'_>) -> Result<()> {
        let began = Instant::now();
        let mut meter = ListingMeter::new(under);
        let (prefix, cut) = (self.full(under), self.full(""));
        let too_large = |what: String| self.too_large(under, format!("its listing is too large: {what}"));
        let mut token: Option<String> = None;
        loop {
            let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix).set_continuation_token(token.clone());
            let page = request.send().await.map_err(|error| self.refused(under, &error))?;
            meter.page(page.contents().len(), began.elapsed()).map_err(too_large)?;
            for object in page.contents() {
                // Nothing but what was asked for.
                let Some(key) = object.key().filter(|key| key.starts_with(&prefix)).and_then(|key| key.strip_prefix(&cut)) else { continue };
                meter.object(key).map_err(too_large)?;
                if take(key, object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default()).is_break() {
                    return Ok(());
                }
            }
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            let next = page.next_continuation_token().filter(|next| !next.is_empty() && Some(*next) != token.as_deref());
            token = Some(next.ok_or_else(|| too_large("the store says that there is more, and not how to ask for it".into()))?.to_owned());
        }
    }

    pub(super) async fn head(&self, key: &str) -> Result<u64> {
        let answer = self.client.head_object().bucket(&self.bucket).key(self.full(key)).send().await.map_err(|error| self.refused_head(key, &error))?;
        Ok(u64::try_from(answer.content_length().unwrap_or(0)).unwrap_or(0))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        self.client.delete_object().bucket(&self.bucket).key(self.full(key)).send().await.map(|_| ()).map_err(|error| self.refused(key, &error))
    }

    /// In a bucket with versions, which object lock needs, an object is not deleted but hidden by a marker, whether or not it is locked.
    pub(super) async fn remove(&self, key: &str) -> Result<Removal> {
        let refused = match self.client.delete_object().bucket(&self.bucket).key(self.full(key)).send().await {
            Ok(answer) if answer.delete_marker() == Some(true) => return Ok(Removal::Hidden),
            Ok(_) => return Ok(Removal::Gone),
            Err(error) => self.refused(key, &error),
        };
        // Stores have different words for that. What the object says of itself decides.
        if matches!(refused.refusal, Refusal::AccessDenied | Refusal::Invalid)
            && let Some(locked) = self.lock_of(key).await
        {
            return Ok(locked);
        }
        Err(refused)
    }

    /// The lock of an object; none if it has none that holds now, or the store doesn't say.
    async fn lock_of(&self, key: &str) -> Option<Removal> {
        let head = self.client.head_object().bucket(&self.bucket).key(self.full(key)).send().await.ok()?;
        if head.object_lock_legal_hold_status() == Some(&ObjectLockLegalHoldStatus::On) {
            return Some(Removal::Locked(None));
        }
        let until = head.object_lock_retain_until_date().and_then(|until| Timestamp::from_second(until.secs()).ok())?;
        (until > Timestamp::now()).then_some(Removal::Locked(Some(until)))
    }
}

/// The error of S3. Takes only code and message, because the SDK's text may contain the request.
fn refusal<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E, Response>) -> (Refusal, String) {
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default();
    let said = error.message().unwrap_or_default();
    match (status, code) {
        (Some(status @ 400..), _) if is_too_large(error) => (
            Refusal::Unreachable,
            format!("the endpoint answers {status} with a text of more than {}, as no store does: check the endpoint, and what is in front of the store", limits::size(limits::MAX_ERROR_BYTES)),
        ),
        _ if is_too_large(error) => (Refusal::TooLarge, format!("the store's answer is larger than {}, which is the most that is read of one", limits::size(limits::MAX_ANSWER_BYTES))),
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
        (Some(501), code) => (Refusal::Invalid, in_words("the store can't do this: it answers 501", code, said)),
        (Some(status @ (408 | 409 | 425 | 429)), code) => (Refusal::Other, in_words(&format!("refused with {status}"), code, said)),
        (Some(status), code) if status < 500 => (Refusal::Invalid, in_words(&format!("refused with {status}"), code, said)),
        (Some(status), code) => (Refusal::Unreachable, in_words(&format!("the store answers {status}"), code, said)),
        (None, _) => {
            if let Some(refused) = p861_egress::cause(error) {
                return (Refusal::NotAllowed, refused.to_string());
            }
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

/// An answer with what it says of itself. A server that is no store says nothing that we can read.
fn in_words(answer: &str, code: &str, said: &str) -> String {
    match (code.trim(), said.trim()) {
        ("", "") => format!("{answer}, without an S3 code or a text: check the endpoint, and what is in front of the store"),
        ("", said) => format!("{answer}: {said}"),
        (code, "") => format!("{answer} {code}"),
        (code, said) => format!("{answer} {code}: {said}"),
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
mod tests;
