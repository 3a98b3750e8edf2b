//! Messages to people on duty. Addresses, URLs and passwords come from Secrets of the roster's namespace and reach no log and no status.

use super::{mail, webhook};
use jiff::Timestamp;
use p861_core::maintenance::notify::MessageText;
use p861_crds::{
    DutyRosterSpec, ObjectReference, Reason,
    maintenance::roster::{Channel, SmtpChannel},
};
use p861_runs::{
    error::{Error, Result},
    secrets::{SecretTexts, SecretsOf},
};
use std::{collections::BTreeMap, time::Duration};

/// Time limit for delivering a message.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(15);

/// A message to one person.
pub struct Message<'a> {
    /// Stable per message, so that a receiver can recognise duplicates.
    pub id: String,
    /// To whom, by the name on the roster.
    pub person: &'a str,
    /// What it says.
    pub text: &'a MessageText,
    /// The ticket that it is about.
    pub ticket: Option<&'a str>,
}

/// Delivers a message by a channel of the roster, whose `secrets` are those of its namespace. The error never contains a secret.
pub async fn deliver(secrets: &SecretsOf, roster: &DutyRosterSpec, channel: &str, message: &Message<'_>) -> std::result::Result<(), String> {
    match tokio::time::timeout(DELIVERY_TIMEOUT, by_channel(secrets, roster, channel, message)).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("not taken within {} s", DELIVERY_TIMEOUT.as_secs())),
    }
}

async fn by_channel(secrets: &SecretsOf, roster: &DutyRosterSpec, channel: &str, message: &Message<'_>) -> Result<()> {
    let found = roster.channels.iter().find(|known| known.name == channel);
    let found = found.ok_or_else(|| Error::invalid(Reason::ChannelGone, format!("the roster has no channel {channel} any more")))?;
    let addresses = keys_of(secrets, roster.addresses_secret_ref.as_ref(), "<person>.mail and <person>.phone").await?;
    match found {
        Channel { webhook: Some(webhook), .. } => {
            let secret = &webhook.url_secret_ref.name;
            let keys = secrets.required(secret, "url").await?;
            let phone = addresses.get(&format!("{}.phone", message.person));
            webhook::post(secret, keys.as_map(), phone, message, DELIVERY_TIMEOUT).await
        }
        Channel { smtp: Some(smtp), .. } => {
            let keys = keys_of(secrets, smtp.credentials_secret_ref.as_ref(), "username and password").await?;
            by_mail(smtp, keys.as_map(), addresses.as_map(), message).await
        }
        Channel { .. } => Err(Error::invalid(Reason::ChannelInvalid, format!("channel {channel} has neither webhook nor smtp"))),
    }
}

/// The keys of a Secret that need not be named.
async fn keys_of(secrets: &SecretsOf, secret: Option<&ObjectReference>, keys: &str) -> Result<SecretTexts> {
    match secret {
        Some(secret) => secrets.required(&secret.name, keys).await,
        None => Ok(SecretTexts::default()),
    }
}

async fn by_mail(channel: &SmtpChannel, keys: &BTreeMap<String, String>, addresses: &BTreeMap<String, String>, message: &Message<'_>) -> Result<()> {
    let key = format!("{}.mail", message.person);
    let to = addresses.get(&key).filter(|address| !address.is_empty());
    let to = to.ok_or_else(|| Error::invalid(Reason::AddressMissing, format!("the Secret of addresses has no key {key}")))?;
    let mail = mail::compose(&channel.from, to, message, Timestamp::now()).map_err(|what| Error::invalid(Reason::AddressInvalid, what))?;
    let invalid = || Error::invalid(Reason::ChannelInvalid, format!("smtp.server {} is no host:port", channel.server));
    let (host, port) = channel.server.rsplit_once(':').ok_or_else(invalid)?;
    let server = mail::Server {
        host,
        port: port.parse().map_err(|_| invalid())?,
        security: channel.security,
        ca: keys.get("ca.crt").map(String::as_str),
        credentials: keys.get("username").zip(keys.get("password")).map(|(username, password)| (username.as_str(), password.as_str())),
    };
    mail::send(&server, &mail).await.map_err(|what| Error::transient(Reason::MailFailed, format!("mail server {}: {what}", channel.server)))
}
