//! Which redirects a run follows: the servers that are known before it.

use super::flags::LoadFlags;
use crate::cli::Failure;
use crate::cli::url::{Scheme, Security, Url};
use crate::load::{Follow, Site, Target};
use std::net::SocketAddr;

/// The redirects that are followed, with the targets of the URLs.
pub(super) fn follow(flags: &LoadFlags, url: &Url, targets: &[Target]) -> Result<Follow, Failure> {
    if !flags.follow {
        return Ok(Follow::Never);
    }
    let scheme = match (url.scheme, url.security) {
        (Scheme::Http, Security::Plain) => ("http", 80),
        (Scheme::Http, Security::Tls) => ("https", 443),
        (Scheme::Ws, _) => {
            let text = "--follow: a WebSocket has no redirects; try: an http:// URL";
            return Err(Failure::Usage(text.to_owned()));
        }
    };
    let of_urls = flags.urls.iter().zip(targets).map(|(url, target)| {
        let (host, port) = url.destination();
        site((host, port), target.clone())
    });
    let told = flags.connection.resolve.iter().map(|told| {
        let (host, port, addresses) = told.parts();
        let at = |ip: &_| SocketAddr::new(*ip, port);
        let target = match addresses {
            [ip] => Target::At(at(ip)),
            _ => Target::Any(addresses.iter().map(at).collect()),
        };
        site((host, port), target)
    });
    // Behind a proxy, an address that --resolve names is not one to connect to.
    let told = told.filter(|_| flags.connection.proxy.is_none());
    Ok(Follow::To {
        scheme,
        sites: of_urls.chain(told).collect(),
    })
}

fn site((host, port): (&str, u16), target: Target) -> Site {
    Site {
        host: host.to_ascii_lowercase(),
        port,
        target,
    }
}
