//! How a client connects and what it says of itself: flags that `load` and `probe` share.

use super::Failure;
use super::deflate::{self, DeflateMode};
use super::proxy::ProxyFlag;
use super::socket::Securing;
use super::tls::{self, Identity, Trust};
use super::url::{Resolve, Security, Url};
use super::values;
use crate::protocol::http::merged;
use clap::Args;
use rustls::pki_types::ServerName;
use std::path::PathBuf;

/// Flags for requests and for where they go.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionFlags {
    /// Request header, such as "X-Room: 7"; may be given several times. One that ringstorm sends
    /// itself, such as Host or Origin, is replaced.
    #[arg(short = 'H', long, value_name = "HEADER", value_parser = values::header)]
    header: Vec<(String, String)>,
    /// Cookie, such as session=abc; may be given several times: they go into one header.
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::cookie)]
    cookie: Vec<String>,
    /// Origin, as a browser sends it, such as https://example.org.
    #[arg(long, value_name = "ORIGIN", value_parser = values::field)]
    origin: Option<String>,
    /// Token for Authorization: Bearer.
    #[arg(long, value_name = "TOKEN", value_parser = values::field, conflicts_with = "basic")]
    bearer: Option<String>,
    /// User and password for Authorization: Basic.
    #[arg(long, value_name = "USER:PASSWORD", value_parser = values::basic)]
    basic: Option<String>,
    /// Subprotocols to offer, the best first: a list with commas, or several times.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = values::token)]
    pub(super) subprotocol: Vec<String>,
    /// Offers permessage-deflate and deflates what it sends: without context takeover, or with
    /// takeover or takeover:BITS, within windows of 12 or 9 to 15 bits. A server that does not
    /// agree to it counts as failed: bad response.
    #[arg(
        long, value_name = "CONTEXT", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false", value_parser = deflate::mode
    )]
    pub(super) deflate: DeflateMode,
    /// Address to use for a host and port instead of asking DNS, such as
    /// example.org:443:127.0.0.1; may be given several times.
    #[arg(long, value_name = "HOST:PORT:ADDR")]
    pub(super) resolve: Vec<Resolve>,
    /// Proxy that leads to the server: http://HOST:PORT (CONNECT), socks5h://HOST:PORT (it finds
    /// the server's name) or socks5://HOST:PORT (this host does), with USER:PASSWORD@ before the
    /// host if it wants that; or env: what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say.
    /// Without it connections go straight, whatever the environment says.
    #[arg(long, value_name = "URL")]
    pub(super) proxy: Option<ProxyFlag>,
    /// Flags from a file (TOML): connections = 1000, header = ["A: 1", "B: 2"], quiet = true. What
    /// is typed here wins, then RINGSTORM_CONNECTIONS and the like, then the file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) trust: TrustFlags,
}

/// Flags for TLS.
#[derive(Args, Debug)]
#[command(next_help_heading = "TLS")]
pub(super) struct TrustFlags {
    /// Certificates of the authorities to trust (PEM) [default: those of this system].
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Certificates to show the server, the client's own first (PEM).
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Private key of the first certificate of --client-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Name to ask the server for and to find in its certificate [default: the URL's host].
    #[arg(long, value_name = "NAME", value_parser = tls::name)]
    sni: Option<ServerName<'static>>,
    /// Trusts any certificate: for test servers.
    #[arg(long)]
    insecure: bool,
}

impl ConnectionFlags {
    /// The request headers that the flags mean, to that URL.
    pub(super) fn headers(&self, url: &Url) -> Vec<(String, String)> {
        let is_cookie = |name: &str| name.eq_ignore_ascii_case("Cookie");
        let (cookies, headers): (Vec<_>, Vec<_>) = self
            .header
            .iter()
            .cloned()
            .partition(|(name, _)| is_cookie(name));
        // RFC 6265, 5.4: one header for all.
        let cookies = cookies.into_iter().map(|(_, value)| value);
        let cookies: Vec<String> = cookies.chain(self.cookie.iter().cloned()).collect();
        let cookies = (!cookies.is_empty()).then(|| cookies.join("; "));
        let bearer = self.bearer.as_ref().map(|token| format!("Bearer {token}"));
        let basic = self.basic.as_ref().or(url.basic.as_ref());
        let basic = basic.map(|user| format!("Basic {user}"));
        let own = [
            ("Cookie", cookies),
            ("Origin", self.origin.clone()),
            ("Authorization", bearer.or(basic)),
        ];
        let own: Vec<(&str, &str)> = own
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
            .collect();
        let given: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let fields = merged(&own, &given).into_iter();
        fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

impl TrustFlags {
    /// How connections to that URL are secured; `None` if they are not to be.
    pub(super) fn securing(&self, url: &Url) -> Result<Option<Securing>, Failure> {
        match url.security {
            Security::Plain => self.unused().map_or(Ok(None), |flag| {
                let text = format!("{flag}: {url} has no TLS");
                let text = format!("{text}; try: wss:// or https://, or leave it out");
                Err(Failure::Usage(text))
            }),
            Security::Tls => {
                let trust = match (&self.ca, self.insecure) {
                    (_, true) => Trust::Anybody,
                    (Some(path), false) => Trust::File(path.clone()),
                    (None, false) => Trust::System,
                };
                let files = self.client_cert.clone().zip(self.client_key.clone());
                let identity = files.map(|(certificate, key)| Identity::new(certificate, key));
                Ok(Some(Securing {
                    config: tls::client(&trust, identity.as_ref())?,
                    name: self.sni.clone(),
                }))
            }
        }
    }

    /// A flag that only TLS has a use for.
    fn unused(&self) -> Option<&'static str> {
        [
            ("--ca", self.ca.is_some()),
            ("--client-cert", self.client_cert.is_some()),
            ("--sni", self.sni.is_some()),
            ("--insecure", self.insecure),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }
}
