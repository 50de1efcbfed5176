//! The connection to Redis that all commands share.
//!
//! Owns its replacement when the server can no longer serve. The `redis` crate reconnects when a connection is lost, but
//! after a failover by DNS or a Kubernetes Service the old primary keeps its connections open and refuses writes. So a
//! reply that refuses to serve drops the connection, and the next command resolves the address again. The command itself
//! fails and is repeated by its caller, like any other while Redis is unavailable.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::watch;

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Least age of a connection that is dropped: the address may lead to the same server for a while.
const MIN_AGE: Duration = Duration::from_secs(1);
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Codes of replies from a server that cannot serve now while another may: a replica, alone or cut off from its primary,
/// a primary cut off from its replicas, a node of a broken cluster, and a server that is starting.
const UNFIT: [&str; 5] = ["READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "LOADING"];

/// Clones share one connection.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    client: Client,
    current: Mutex<Current>,
    /// Number of connections that were dropped so far.
    dropped: watch::Sender<u64>,
}

struct Current {
    manager: ConnectionManager,
    since: Instant,
    logged: Option<Instant>,
}

impl Connection {
    pub(super) async fn open(client: &Client) -> RedisResult<Self> {
        let probe_settings = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT));
        let mut probe = client.get_multiplexed_async_connection_with_config(&probe_settings).await?;
        redis::cmd("PING").query_async::<()>(&mut probe).await?;
        let manager = ConnectionManager::new_with_config(client.clone(), settings()).await?;
        Ok(Self(Arc::new(Shared {
            client: client.clone(),
            current: Mutex::new(Current { manager, since: Instant::now(), logged: None }),
            dropped: watch::Sender::new(0),
        })))
    }

    /// Changes when the connection is dropped because its server cannot serve: other connections should be, too.
    pub(super) fn dropped(&self) -> watch::Receiver<u64> {
        self.0.dropped.subscribe()
    }

    /// Returns the connection and when it was made.
    fn current(&self) -> (ConnectionManager, Instant) {
        let current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        (current.manager.clone(), current.since)
    }

    /// Drops the connection made at `since` if `error` says that its server cannot serve.
    fn drop_if_unfit(&self, error: &RedisError, since: Instant) {
        if !is_unfit(error) || since.elapsed() < MIN_AGE {
            return;
        }
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.since != since {
            return;
        }
        if current.logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            let address = self.0.client.get_connection_info().addr();
            tracing::warn!(%address, %error, "the Redis server cannot serve; connecting anew");
            current.logged = Some(Instant::now());
        }
        current.since = Instant::now();
        match ConnectionManager::new_lazy_with_config(self.0.client.clone(), settings()) {
            Ok(manager) => current.manager = manager,
            Err(error) => tracing::error!(%error, "cannot replace the connection to Redis"),
        }
        drop(current);
        self.0.dropped.send_modify(|dropped| *dropped += 1);
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let (mut manager, since) = self.current();
            let reply = manager.send_packed_command(command).await.and_then(Value::extract_error);
            reply.inspect_err(|error| self.drop_if_unfit(error, since))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let (mut manager, since) = self.current();
            let replies = manager.send_packed_commands(pipeline, offset, count).await;
            let first = match &replies {
                Ok(replies) => replies.iter().find_map(|reply| reply.clone().extract_error().err()),
                Err(error) => Some(error.clone()),
            };
            if let Some(error) = first {
                self.drop_if_unfit(&error, since);
            }
            replies
        })
    }

    fn get_db(&self) -> i64 {
        self.0.client.get_connection_info().redis_settings().db()
    }
}

fn settings() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_number_of_retries(2)
}

/// Whether the reply has one of the codes, or, before Redis 7, quotes one from within a script.
fn is_unfit(error: &RedisError) -> bool {
    let code = error.code();
    let text = error.to_string();
    UNFIT.iter().any(|unfit| code == Some(unfit) || text.contains(&format!("-{unfit} ")))
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    #[test]
    fn replies_of_servers_that_cannot_serve_are_recognised() {
        let check = |reply: &str, want: bool| {
            let value = parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap();
            assert_eq!(is_unfit(&value.extract_error().unwrap_err()), want, "{reply}");
        };
        check("READONLY You can't write against a read only replica.", true);
        check("READONLY You can't write against a read only replica. script: 7e, on @user_script:1.", true);
        check(
            "ERR Error running script (call to f_7e): @user_script:1: -READONLY You can't write against",
            true,
        );
        check("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true);
        check("NOREPLICAS Not enough good replicas to write.", true);
        check("LOADING Redis is loading the dataset in memory", true);
        check("OOM command not allowed when used memory > 'maxmemory'.", false);
        check("NOSCRIPT No matching script.", false);
        check("ERR unknown command 'READONLY'", false);
    }
}
