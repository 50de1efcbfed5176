//! Creates, inspects and disturbs a test's virtual host through RabbitMQ's management API, without AMQP.
//!
//! Methods panic if the management API fails.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{Client, Method, Response, StatusCode, Url};
use serde_json::{Value, json};

use crate::environment::Servers;

/// The broker starts a vhost's processes after it has responded, so creation polls until they run.
const CREATE_PAUSE: Duration = Duration::from_millis(20);
const CREATE_ATTEMPTS: u32 = 250;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The virtual host of one test.
#[derive(Debug)]
pub struct Vhost {
    name: String,
    amqp_url: String,
    management: Url,
    user: String,
    password: String,
    client: Client,
}

impl Vhost {
    /// Creates the vhost `name` and grants the servers' user all permissions on it.
    pub async fn create(servers: &Servers, name: &str) -> Self {
        let mut amqp = Url::parse(&servers.amqp_url).expect("SUBWATCH_TEST_AMQP_URL is a URL");
        let (user, password) = (amqp.username().to_owned(), amqp.password().unwrap_or("guest").to_owned());
        amqp.set_path(&format!("/{name}"));
        let mut management =
            Url::parse(&servers.management_url).expect("SUBWATCH_TEST_MANAGEMENT_URL is a URL");
        // The API refuses a request with credentials in both the URL and a header.
        management
            .set_username("")
            .and_then(|()| management.set_password(None))
            .expect("an http URL has a host");
        let vhost = Self {
            name: name.to_owned(),
            amqp_url: amqp.to_string(),
            management,
            user,
            password,
            client: crate::http(),
        };
        vhost.call(Method::PUT, &["vhosts", name], None).await;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        vhost.call(Method::PUT, &["permissions", name, &vhost.user], Some(all)).await;
        vhost.wait_until_running().await;
        vhost
    }

    /// Returns the AMQP URL of this vhost.
    #[must_use]
    pub fn amqp_url(&self) -> String {
        self.amqp_url.clone()
    }

    pub async fn delete(self) {
        self.call(Method::DELETE, &["vhosts", &self.name], None).await;
    }

    /// Closes all connections to the vhost that the management API lists, and returns their number. The list
    /// lags behind.
    pub async fn close_all_connections(&self) -> usize {
        let connections = self.list(&["vhosts", &self.name, "connections"]).await;
        for connection in &connections {
            let name = connection["name"].as_str().expect("a connection has a name");
            self.call(Method::DELETE, &["connections", name], None).await;
        }
        connections.len()
    }

    /// Returns the number of ready and unacknowledged messages by queue. The broker updates it every few
    /// seconds.
    pub async fn queue_counts(&self) -> BTreeMap<String, u64> {
        let queues = self.list(&["queues", &self.name]).await;
        let count = |queue: &Value| queue["messages"].as_u64().unwrap_or(0);
        queues
            .iter()
            .map(|queue| (queue["name"].as_str().unwrap_or_default().to_owned(), count(queue)))
            .collect()
    }

    /// Returns queue and prefetch of each consumer.
    pub async fn prefetches(&self) -> Vec<(String, u64)> {
        let consumers = self.list(&["consumers", &self.name]).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let prefetch = |consumer: &Value| consumer["prefetch_count"].as_u64().unwrap_or(0);
        consumers.iter().map(|consumer| (text(&consumer["queue"]["name"]), prefetch(consumer))).collect()
    }

    /// Limits the queues that `pattern` matches to `bytes`, below their declared limit.
    pub async fn limit_queues(&self, pattern: &str, bytes: u64) {
        self.set_policy("policies", pattern, json!({"max-length-bytes": bytes})).await;
    }

    /// Sets a policy on the queues that `pattern` matches, in place of an earlier one. `kind` is `policies` or
    /// `operator-policies`.
    pub async fn set_policy(&self, kind: &str, pattern: &str, definition: Value) {
        let policy = json!({"pattern": pattern, "apply-to": "queues", "definition": definition});
        self.call(Method::PUT, &[kind, &self.name, "test"], Some(policy)).await;
    }

    /// Deletes a queue with its messages.
    pub async fn delete_queue(&self, queue: &str) {
        self.call(Method::DELETE, &["queues", &self.name, queue], None).await;
    }

    /// Publishes a message, which need not be a valid job.
    pub async fn publish(&self, exchange: &str, routing_key: &str, properties: Value, body: &str) {
        let routed = self.try_publish(exchange, routing_key, properties, body).await;
        assert_eq!(routed, Ok(true), "the message was not routed to a queue");
    }

    /// Like [`Vhost::publish`], for a broker that may be unavailable. Returns whether the message was routed
    /// to a queue.
    pub async fn try_publish(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: Value,
        body: &str,
    ) -> Result<bool, String> {
        let message = json!({
            "properties": properties, "routing_key": routing_key, "payload": body, "payload_encoding": "string",
        });
        let path = ["exchanges", &self.name, exchange, "publish"];
        let answer = self.try_call(Method::POST, &path, Some(message)).await?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        Ok(answer["routed"] == true)
    }

    /// Returns the redeliveries by queue since the broker started, or `None` if it is unavailable. The broker
    /// updates them every few seconds.
    pub async fn redeliveries(&self) -> Option<BTreeMap<String, u64>> {
        let answer = self.try_call(Method::GET, &["queues", &self.name], None).await.ok()?;
        let queues: Vec<Value> = answer.json().await.ok()?;
        let count = |queue: &Value| queue["message_stats"]["redeliver"].as_u64().unwrap_or(0);
        let name = |queue: &Value| queue["name"].as_str().unwrap_or_default().to_owned();
        Some(queues.iter().map(|queue| (name(queue), count(queue))).collect())
    }

    async fn wait_until_running(&self) {
        for _ in 0..CREATE_ATTEMPTS {
            let answer = self.call(Method::GET, &["vhosts", &self.name], None).await;
            let vhost: Value = answer.json().await.expect("the management API returns JSON");
            let states = vhost["cluster_state"].as_object();
            if states.is_some_and(|states| states.values().all(|state| state == "running")) {
                return;
            }
            tokio::time::sleep(CREATE_PAUSE).await;
        }
        panic!("vhost {} did not start", self.name);
    }

    async fn list(&self, path: &[&str]) -> Vec<Value> {
        let answer = self.call(Method::GET, path, None).await;
        answer.json().await.expect("the management API returns a list")
    }

    async fn call(&self, method: Method, path: &[&str], body: Option<Value>) -> Response {
        self.try_call(method, path, body).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn try_call(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Response, String> {
        let mut url = self.management.clone();
        url.path_segments_mut().expect("an http URL has a path").push("api").extend(path);
        let mut request = self.client.request(method.clone(), url.clone());
        request = request.basic_auth(&self.user, Some(&self.password)).timeout(ANSWER_TIMEOUT);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| format!("{method} {url}: {error}"))?;
        let status = answer.status();
        // A connection or queue may have disappeared already.
        let gone = method == Method::DELETE && status == StatusCode::NOT_FOUND;
        if status.is_success() || gone {
            Ok(answer)
        } else {
            Err(format!("{method} {url} returned {status}"))
        }
    }
}
