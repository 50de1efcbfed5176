//! Which requests may go through a proxy that the environment names (`HTTPS_PROXY`, `ALL_PROXY`, `HTTP_PROXY`).
//!
//! Owns the rule for every client that carries a secret. A proxy gets https only, as an encrypted tunnel: whatever
//! else it is sent, it can read and change. This machine is always reached directly, whatever `NO_PROXY` says.

use url::{Host, Url};

/// Whether a request to `url` may go through a proxy.
#[must_use]
pub fn may_carry(url: &Url) -> bool {
    url.scheme() == "https" && url.host().is_some() && !is_loopback(url)
}

/// Whether a URL leads to this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    url.host().is_some_and(|host| is_this_machine(&host))
}

/// Whether a host is loopback: its addresses, the unspecified ones that lead there, and the names that RFC 6761
/// reserves for it.
fn is_this_machine(host: &Host<&str>) -> bool {
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
    fn a_proxy_gets_https_to_other_machines_only() {
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
