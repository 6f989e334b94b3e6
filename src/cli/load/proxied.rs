//! Which of a run's addresses are those of a proxy, and where connects to them lead.

use super::flags::LoadFlags;
use crate::cli::Failure;
use crate::cli::proxy::{ProxyFlag, Way};
use crate::cli::url::Url;
use crate::load;
use crate::proxy::ProxyRoute;
use std::net::SocketAddr;
use std::sync::Arc;

/// Addresses of proxies, and where each leads.
pub(super) type Routes = Vec<(SocketAddr, Arc<ProxyRoute>)>;

/// The way to one of the URLs.
pub(super) fn way(flags: &LoadFlags, url: &Url) -> Result<Way, String> {
    let connection = &flags.connection;
    ProxyFlag::way(connection.proxy.as_ref(), url, &connection.resolve)
}

/// The proxies of the run. Connects are told apart by their address, so one address of a proxy
/// leads to one server.
pub(super) fn routes(flags: &LoadFlags, load: &load::Config) -> Result<Routes, Failure> {
    let mut known: Vec<(SocketAddr, Option<Arc<ProxyRoute>>, &Url)> = Vec::new();
    if flags.connection.proxy.is_none() {
        return Ok(Routes::new());
    }
    for (url, target) in flags.urls.iter().zip(&load.targets) {
        if target.addresses().is_empty() {
            continue;
        }
        let route = way(flags, url).map_err(Failure::Run)?.route.map(Arc::new);
        for to in target.addresses() {
            let is_other = |(other, way, _): &&(_, _, _)| other == to && *way != route;
            if let Some((_, _, other)) = known.iter().find(is_other) {
                return Err(Failure::Usage(format!(
                    "--proxy: {other} and {url} are two servers behind {to}; try: a run for each"
                )));
            }
            known.push((*to, route.clone(), url));
        }
    }
    let routes = known.into_iter();
    Ok(routes
        .filter_map(|(to, route, _)| Some((to, route?)))
        .collect())
}
