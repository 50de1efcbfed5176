//! What the integration tests share: servers, virtual hosts, processes and the cluster they make.
//!
//! Owns no product code and no stand-ins for its servers: RabbitMQ, Redis and libtorch are real. Only the site
//! that datasets are crawled from is one of our own, [`fake_site`], since tests reach no other; it is a package of
//! its own, which the demo builds without the rest.

pub mod amqp_relay;
pub mod broker_admin;
pub mod chaos;
pub mod cluster;
pub mod environment;
pub mod fault_proxy;
pub mod process;
pub mod python;
pub mod real_data;
pub mod site;

pub use fake_site;

/// Prints a line that is seen even when the test passes: what it measured, or what it could not check.
pub fn say(line: &str) {
    use std::io::Write as _;
    // Written to standard error itself, which the test harness does not capture as it does `println!`.
    // A closed standard error is no reason to fail.
    let _ = writeln!(std::io::stderr(), "  {line}");
}

/// Makes a client for the HTTP of whatever is tested.
#[must_use]
pub fn http() -> reqwest::Client {
    // Another test may have chosen a provider already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // What is tested is on this machine, which no proxy reaches.
    reqwest::Client::builder().no_proxy().build().expect("the settings of the client fit together")
}
