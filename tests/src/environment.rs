//! Where the servers under test are, as `make test` says.

/// The servers that tests share.
#[derive(Clone, Debug)]
pub struct Servers {
    /// `amqp://user:password@host:port`, without a virtual host.
    pub amqp_url: String,
    /// RabbitMQ's management API, `http://host:port`.
    pub management_url: String,
    /// `redis://host:port`.
    pub redis_url: String,
}

/// The same servers over TLS, at 127.0.0.1, the only name their certificate is for.
#[derive(Clone, Debug)]
pub struct EncryptedServers {
    /// `amqps://user:password@host:port`, without a virtual host.
    pub amqps_url: String,
    /// `rediss://host:port`.
    pub rediss_url: String,
    /// PEM file of the authority that signed their certificate.
    pub ca_file: String,
}

impl Servers {
    /// Reads the addresses that `make test` sets.
    ///
    /// # Panics
    /// When one is missing.
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
    /// Reads the addresses that `make test` sets.
    ///
    /// # Panics
    /// When one is missing.
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
    #[expect(clippy::disallowed_methods, reason = "tests are told their servers by the environment")]
    let value = std::env::var(name);
    value.unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with `make test`, which starts the servers")
    })
}

/// Returns the number that the environment variable `name` holds, if it is set.
///
/// # Panics
/// When it is set to something else.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "tests are told their size by the environment")]
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is '{value}': it must be a number")))
}
