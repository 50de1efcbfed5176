//! `subwatch doctor`: the coordinator's checks, or checks from this machine if it cannot be reached.

use std::time::Duration;

use common::config::Loaded;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use url::Url;

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, plain},
};
use crate::api::{CheckStatus, DoctorCheck};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn run(client: &Client, format: Format, loaded: &Loaded) -> Result<Exit, CliError> {
    let mut checks = vec![check_settings(loaded)];
    let mut failed = Exit::Failed;
    match client.doctor().await {
        Ok(view) => {
            let detail = format!("reachable at {}", loaded.settings.api.url);
            checks.push(DoctorCheck::new("coordinator", CheckStatus::Ok, detail));
            checks.extend(view.checks);
        }
        // The coordinator runs, so its own checks of RabbitMQ and Redis count, not ours.
        Err(error) if error.exit == Exit::NotAllowed => {
            checks.push(DoctorCheck::new("coordinator", CheckStatus::Error, error.message));
            failed = error.exit;
        }
        Err(error) => {
            checks.push(DoctorCheck::new("coordinator", CheckStatus::Error, error.message));
            // This may be why the coordinator is down, if it has the same settings as this command.
            let settings = &loaded.settings;
            checks.push(
                check_server("RabbitMQ", "SUBWATCH_AMQP_URL", settings.broker.amqp_url.expose_secret(), 5672)
                    .await,
            );
            checks.push(
                check_server("Redis", "SUBWATCH_REDIS_URL", settings.store.redis_url.expose_secret(), 6379)
                    .await,
            );
        }
    }
    output::print_values(format, &checks, text)?;
    let bad = checks.iter().any(|check| check.status == CheckStatus::Error);
    Ok(if bad { failed } else { Exit::Done })
}

fn check_settings(loaded: &Loaded) -> DoctorCheck {
    if loaded.unknown.is_empty() {
        return DoctorCheck::new("settings", CheckStatus::Ok, "valid; `subwatch config show` lists them");
    }
    let unknown = loaded.unknown.join(", ");
    DoctorCheck::new("settings", CheckStatus::Warning, format!("unknown, perhaps misspelt: {unknown}"))
}

async fn check_server(name: &str, variable: &str, url: &str, default_port: u16) -> DoctorCheck {
    let address = Url::parse(url)
        .ok()
        .and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port().unwrap_or(default_port))));
    let Some(address) = address else {
        return DoctorCheck::new(name, CheckStatus::Error, format!("{variable} is not a valid URL"));
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => DoctorCheck::new(
            name,
            CheckStatus::Ok,
            format!("accepts connections at {address} ({variable} of this shell)"),
        ),
        Ok(Err(error)) => DoctorCheck::new(
            name,
            CheckStatus::Error,
            format!("cannot connect to {address} ({variable} of this shell): {error}"),
        ),
        Err(_) => DoctorCheck::new(
            name,
            CheckStatus::Error,
            format!(
                "no response from {address} ({variable} of this shell) within {} s",
                CONNECT_TIMEOUT.as_secs()
            ),
        ),
    }
}

fn text(checks: &[DoctorCheck]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let line = |check: &DoctorCheck| {
        let mark = match check.status {
            CheckStatus::Ok => "✓",
            CheckStatus::Warning => "!",
            CheckStatus::Error => "✗",
        };
        format!("{mark} {:width$}  {}", check.name, plain(&check.detail))
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_aligned_and_marked() {
        let checks = [
            DoctorCheck::new("Redis", CheckStatus::Ok, "version 7.0.15, 12 MB in use"),
            DoctorCheck::new("dead letters", CheckStatus::Warning, "discarded jobs: 3"),
            DoctorCheck::new("workers", CheckStatus::Error, "no live worker consumes embed jobs"),
        ];
        insta::assert_snapshot!(text(&checks), @r"
        ✓ Redis         version 7.0.15, 12 MB in use
        ! dead letters  discarded jobs: 3
        ✗ workers       no live worker consumes embed jobs
        ");
    }
}
