//! The way to a bucket. Districts write endpoints, so each address is checked against the installation's rules when a connection is made, and each request
//! whose host is an address already, for which nothing is resolved.

use aws_smithy_http_client::tls::{self, TlsContext, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        dns::{DnsFuture, ResolveDns, ResolveDnsError},
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
        orchestrator::HttpRequest,
        result::ConnectorError,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use p861_egress::Egress;

/// A client that connects by these rules, to servers that `context` trusts. It uses no proxy: a proxy would resolve the names.
pub(super) fn http_client(context: TlsContext, egress: Egress) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).tls_context(context);
    let inner = builder.build_with_resolver(Resolver(egress.clone()));
    SharedHttpClient::new(Checked { inner, egress })
}

/// Gives the open addresses of a name.
#[derive(Clone, Debug)]
struct Resolver(Egress);

impl ResolveDns for Resolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let found = self.0.resolve(name, 0).await.map_err(ResolveDnsError::new)?;
            Ok(found.into_iter().map(|address| address.ip()).collect())
        })
    }
}

/// Refuses requests to closed addresses that are written as such.
#[derive(Debug)]
struct Checked<T> {
    inner: T,
    egress: Egress,
}

impl HttpClient for Checked<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Checked { inner: self.inner.http_connector(settings, components), egress: self.egress.clone() })
    }

    fn validate_base_client_config(&self, components: &RuntimeComponentsBuilder, config: &ConfigBag) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

impl HttpConnector for Checked<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // The SDK puts the bucket before the host if it is addressed so: the request says where it goes, and not the spec.
        let host = host_of(request.uri());
        match self.egress.check_literal(host) {
            Ok(()) => self.inner.call(request),
            Err(refused) => HttpConnectorFuture::ready(Err(ConnectorError::user(Box::new(refused)))),
        }
    }
}

/// The host of a URI, without user and port.
fn host_of(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.split_once(']') {
        Some((bracketed, _)) => bracketed.trim_start_matches('['),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_request_is_found_however_it_is_written() {
        for (uri, host) in [
            ("http://127.0.0.1:9000/b/k?x=http://y", "127.0.0.1"),
            ("https://s3.example", "s3.example"),
            ("https://u:p@[::1]:9000/b", "::1"),
            ("https://[fe80::1]/", "fe80::1"),
            ("https://169.254.169.254@s3.example/", "s3.example"),
            ("169.254.169.254/latest", "169.254.169.254"),
            ("", ""),
        ] {
            assert_eq!(host_of(uri), host, "{uri}");
        }
    }
}
