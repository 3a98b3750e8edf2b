//! Messages to people: by webhook and by SMTP. Addresses, URLs and passwords come from Secrets of the roster's namespace and reach no log and no status.

use crate::smtp;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Config};
use p861_core::maintenance::notify::{Message, mail, mail_address};
use p861_crds::{
    DutyRosterSpec, ObjectReference,
    maintenance::roster::{Channel, SmtpChannel, WebhookChannel},
};
use p861_runs::error::{Error, Result, Tried as _};
use std::{collections::BTreeMap, time::Duration};

/// A receiver must have taken a message within this time.
const LIMIT: Duration = Duration::from_secs(15);

/// A message on its way.
pub struct Letter<'a> {
    /// The same for the same message, so that a receiver knows one that comes twice.
    pub id: String,
    /// To whom, by the name on the roster.
    pub person: &'a str,
    /// What it says.
    pub message: &'a Message,
    /// The ticket that it is about.
    pub ticket: Option<&'a str>,
}

/// Delivers a message by a channel of the roster. The error says why not, without any secret.
pub async fn deliver(client: &Client, namespace: &str, roster: &DutyRosterSpec, channel: &str, letter: &Letter<'_>) -> std::result::Result<(), String> {
    let attempt = async {
        let found = roster
            .channels
            .iter()
            .find(|known| known.name == channel)
            .ok_or_else(|| Error::invalid("ChannelGone", format!("the roster has no channel {channel} any more")))?;
        let addresses = match &roster.addresses_secret_ref {
            Some(secret) => read(client, namespace, secret).await?,
            None => BTreeMap::new(),
        };
        match found {
            Channel { webhook: Some(webhook), .. } => by_webhook(client, namespace, webhook, &addresses, letter).await,
            Channel { smtp: Some(smtp), .. } => by_mail(client, namespace, smtp, &addresses, letter).await,
            Channel { .. } => Err(Error::invalid("ChannelInvalid", format!("channel {channel} has neither webhook nor smtp"))),
        }
    };
    match tokio::time::timeout(LIMIT, attempt).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("not taken within {} s", LIMIT.as_secs())),
    }
}

/// The keys of a Secret, as text.
async fn read(client: &Client, namespace: &str, secret: &ObjectReference) -> Result<BTreeMap<String, String>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let name = &secret.name;
    let found = secrets.get_opt(name).await.tried(|| format!("read Secret {namespace}/{name}"))?;
    let found = found.ok_or_else(|| Error::invalid("SecretMissing", format!("Secret {namespace}/{name} doesn't exist")))?;
    Ok(found.data.unwrap_or_default().into_iter().filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?.trim().to_owned()))).collect())
}

fn key<'a>(keys: &'a BTreeMap<String, String>, secret: &str, key: &str) -> Result<&'a str> {
    keys.get(key)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Error::invalid("SecretIncomplete", format!("Secret {secret} has no key {key}")))
}

/// Posts JSON. The API client's own HTTP and TLS are used; what it calls an API error is any answer that is not 2xx.
async fn by_webhook(client: &Client, namespace: &str, webhook: &WebhookChannel, addresses: &BTreeMap<String, String>, letter: &Letter<'_>) -> Result<()> {
    let name = &webhook.url_secret_ref.name;
    let keys = read(client, namespace, &webhook.url_secret_ref).await?;
    // Neither the URL nor what an error says of it is shown: it may carry a token.
    let unusable = || Error::invalid("WebhookInvalid", format!("the url of Secret {name} is none: write https://host/path"));
    let url: http::Uri = key(&keys, name, "url")?.parse().map_err(|_| unusable())?;
    let target = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let mut parts = url.into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    let base = http::Uri::from_parts(parts).map_err(|_| unusable())?;
    if !matches!(base.scheme_str(), Some("http" | "https")) {
        return Err(unusable());
    }
    let mut config = Config::new(base);
    if let Some(certificate) = keys.get("ca.crt") {
        config.root_cert = Some(
            p861_runs::tls::certificates(certificate)
                .ok_or_else(|| Error::invalid("WebhookInvalid", format!("ca.crt of Secret {name} holds no certificate")))?,
        );
    }
    let receiver = Client::try_from(config).map_err(|_| unusable())?;
    let body = serde_json::json!({
        "id": letter.id, "person": letter.person, "phone": addresses.get(&format!("{}.phone", letter.person)), "ticket": letter.ticket,
        "subject": letter.message.subject, "text": letter.message.body,
    });
    let request = http::Request::post(target).header("Content-Type", "application/json").body(body.to_string().into_bytes()).map_err(|_| unusable())?;
    receiver.request_text(request).await.map(drop).map_err(|error| Error::transient("WebhookFailed", format!("the webhook: {}", said(&error))))
}

/// What went wrong, without the URL.
fn said(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("answered {}", status.code);
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

async fn by_mail(client: &Client, namespace: &str, channel: &SmtpChannel, addresses: &BTreeMap<String, String>, letter: &Letter<'_>) -> Result<()> {
    let address = addresses.get(&format!("{}.mail", letter.person)).filter(|address| !address.is_empty());
    let address = address.ok_or_else(|| Error::invalid("AddressMissing", format!("the Secret of addresses has no key {}.mail", letter.person)))?;
    let wrong = |whose: &str| Error::invalid("AddressInvalid", format!("the mail address of {whose} is none: write name@host"));
    let to = mail_address(address).ok_or_else(|| wrong(letter.person))?;
    let from = mail_address(&channel.from).ok_or_else(|| wrong("the channel"))?;
    let invalid = || Error::invalid("ChannelInvalid", format!("smtp.server {} is no host:port", channel.server));
    let (host, port) = channel.server.rsplit_once(':').ok_or_else(invalid)?;
    let keys = match &channel.credentials_secret_ref {
        Some(secret) => read(client, namespace, secret).await?,
        None => BTreeMap::new(),
    };
    let authorities = match keys.get("ca.crt") {
        Some(pem) => {
            Some(p861_runs::tls::certificates(pem).ok_or_else(|| Error::invalid("ChannelInvalid", "ca.crt of the channel's Secret holds no certificate"))?)
        }
        None => None,
    };
    let server = smtp::Server {
        host,
        port: port.parse().map_err(|_| invalid())?,
        security: channel.security,
        authorities,
        credentials: keys.get("username").zip(keys.get("password")).map(|(username, password)| (username.as_str(), password.as_str())),
    };
    let text = mail(from, to, letter.message, &letter.id, Timestamp::now());
    smtp::send(&server, from, to, &text).await.map_err(|what| Error::transient("MailFailed", format!("mail server {}: {what}", channel.server)))
}
