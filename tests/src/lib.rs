//! Support code of the integration tests: servers, virtual hosts, processes and clusters.
//!
//! RabbitMQ, Redis and libtorch are real. The only fake is the crawled web site, [`fake_site`], because tests
//! have no network access; it is a separate package so that the demo can build it alone.

pub mod amqp_relay;
pub mod broker_admin;
pub mod chaos;
pub mod cluster;
pub mod environment;
pub mod fault_proxy;
pub mod process;
pub mod python;
pub mod real_data;
pub mod s3;
pub mod web_server;

pub use fake_site;

/// Prints a line that shows even if the test passes: a measurement, or what was not checked.
pub fn print_line(line: &str) {
    use std::io::Write as _;
    // The harness captures `println!` and `eprintln!`, but not direct writes to standard error.
    // A closed standard error must not fail the test.
    let _ = writeln!(std::io::stderr(), "  {line}");
}

/// Returns an HTTP client that ignores environment proxies.
#[must_use]
pub fn http() -> reqwest::Client {
    // Fails if another test has installed a provider already, which works as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("the client configuration is valid")
}
