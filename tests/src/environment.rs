//! Addresses of the test servers, from variables that `make test` sets.

/// The servers shared by all tests.
#[derive(Clone, Debug)]
pub struct Servers {
    /// `amqp://user:password@host:port`, without a virtual host.
    pub amqp_url: String,
    /// RabbitMQ's management API, `http://host:port`.
    pub management_url: String,
    /// `redis://host:port`.
    pub redis_url: String,
}

/// The same servers over TLS. Their certificate names only 127.0.0.1.
#[derive(Clone, Debug)]
pub struct EncryptedServers {
    /// `amqps://user:password@host:port`, without a virtual host.
    pub amqps_url: String,
    /// `rediss://host:port`.
    pub rediss_url: String,
    /// PEM file of the CA that signed their certificate.
    pub ca_file: String,
}

impl Servers {
    /// # Panics
    /// If a variable is unset.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            amqp_url: variable("SUBWATCH_TEST_AMQP_URL"),
            management_url: variable("SUBWATCH_TEST_MANAGEMENT_URL"),
            redis_url: variable("SUBWATCH_TEST_REDIS_URL"),
        }
    }
}

impl EncryptedServers {
    /// # Panics
    /// If a variable is unset.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            amqps_url: variable("SUBWATCH_TEST_AMQPS_URL"),
            rediss_url: variable("SUBWATCH_TEST_REDISS_URL"),
            ca_file: variable("SUBWATCH_TEST_CA_FILE"),
        }
    }
}

fn variable(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the environment configures tests")]
    let value = std::env::var(name);
    value.unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with `make test`, which starts the servers")
    })
}

/// Returns the environment variable `name` as a number, or `None` if it is unset or empty.
///
/// # Panics
/// If its value is not a number.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the environment configures tests")]
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is '{value}': it must be a number")))
}
