//! `subwatch doctor`: whether everything the system depends on is as it should be, and what to do if not.

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
use crate::api::{DoctorCheck, Verdict};

/// How long a server may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn run(client: &Client, format: Format, loaded: &Loaded) -> Result<Exit, CliError> {
    let mut checks = vec![check_settings(loaded)];
    let mut failed = Exit::Failed;
    match client.doctor().await {
        Ok(view) => {
            let detail = format!("answers at {}", loaded.settings.api.url);
            checks.push(DoctorCheck::new("coordinator", Verdict::Good, detail));
            checks.extend(view.checks);
        }
        // It is there, and does not talk to us.
        Err(error) if error.exit == Exit::NotAllowed => {
            checks.push(DoctorCheck::new("coordinator", Verdict::Bad, error.message));
            failed = error.exit;
        }
        Err(error) => {
            checks.push(DoctorCheck::new("coordinator", Verdict::Bad, error.message));
            // What it would depend on, as far as this machine can tell.
            let settings = &loaded.settings;
            checks.push(check_server("RabbitMQ", settings.broker.amqp_url.expose_secret(), 5672).await);
            checks.push(check_server("Redis", settings.store.redis_url.expose_secret(), 6379).await);
        }
    }
    output::print_values(format, &checks, text)?;
    let bad = checks.iter().any(|check| check.verdict == Verdict::Bad);
    Ok(if bad { failed } else { Exit::Done })
}

fn check_settings(loaded: &Loaded) -> DoctorCheck {
    if loaded.unknown.is_empty() {
        return DoctorCheck::new("settings", Verdict::Good, "read; `subwatch config show` lists them");
    }
    let unknown = loaded.unknown.join(", ");
    DoctorCheck::new("settings", Verdict::Doubtful, format!("no setting, perhaps misspelt: {unknown}"))
}

async fn check_server(name: &str, url: &str, default_port: u16) -> DoctorCheck {
    let address = Url::parse(url)
        .ok()
        .and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port().unwrap_or(default_port))));
    let Some(address) = address else {
        return DoctorCheck::new(name, Verdict::Bad, "its setting is no URL");
    };
    match tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => DoctorCheck::new(name, Verdict::Good, format!("accepts connections at {address}")),
        Ok(Err(error)) => DoctorCheck::new(name, Verdict::Bad, format!("nothing at {address}: {error}")),
        Err(_) => DoctorCheck::new(name, Verdict::Bad, format!("{address} does not answer")),
    }
}

fn text(checks: &[DoctorCheck]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let line = |check: &DoctorCheck| {
        let mark = match check.verdict {
            Verdict::Good => "✓",
            Verdict::Doubtful => "!",
            Verdict::Bad => "✗",
        };
        format!("{mark} {:width$}  {}", check.name, plain(&check.detail))
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_read_well() {
        let checks = [
            DoctorCheck::new("Redis", Verdict::Good, "version 7.0.15, 12 MB in use"),
            DoctorCheck::new("dead letters", Verdict::Doubtful, "3 jobs were discarded"),
            DoctorCheck::new("workers", Verdict::Bad, "no live worker does embed jobs"),
        ];
        insta::assert_snapshot!(text(&checks), @r"
        ✓ Redis         version 7.0.15, 12 MB in use
        ! dead letters  3 jobs were discarded
        ✗ workers       no live worker does embed jobs
        ");
    }
}
