//! Which requests may go through a proxy from the environment (`HTTPS_PROXY`, `ALL_PROXY`, `HTTP_PROXY`).
//!
//! The rule for every client that sends secrets: only https goes through a proxy, as an encrypted tunnel, since
//! a proxy can read and change plain HTTP. Loopback is always reached directly, whatever `NO_PROXY` says.

use url::{Host, Url};

#[must_use]
pub fn may_carry(url: &Url) -> bool {
    url.scheme() == "https" && url.host().is_some() && !is_loopback(url)
}

#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    url.host().is_some_and(|host| is_loopback_host(&host))
}

/// Includes the unspecified addresses, which connect to loopback, and the names that RFC 6761 reserves for it.
fn is_loopback_host(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback() || address.is_unspecified(),
        Host::Ipv6(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_to_other_machines_may_use_a_proxy() {
        let check = |url: &str, want: bool| assert_eq!(may_carry(&Url::parse(url).unwrap()), want, "{url}");
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "api.localhost",
            "127.0.0.1",
            "127.255.0.9",
            "127.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
        ] {
            check(&format!("http://{host}:8470"), false);
            check(&format!("https://{host}:8470"), false);
        }
        for host in ["coordinator.example", "localhost.example", "notlocalhost", "192.0.2.1", "[2001:db8::1]"]
        {
            check(&format!("http://{host}:8470"), false);
            check(&format!("https://{host}:8470"), true);
        }
    }
}
