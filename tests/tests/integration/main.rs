//! Integration tests with real RabbitMQ, Redis and libtorch; run them with `make test`.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, as intended")]

mod admission;
mod bad_input;
mod batch_predictions;
mod broker;
mod broker_policies;
mod commands;
mod crawl;
mod dead_letters;
mod deaths;
mod determinism;
mod duplicates;
mod fairness;
mod http_api;
mod leadership;
mod lifecycle;
mod listing;
mod main_job;
mod manifests;
mod many_items;
mod model_gates;
mod modules;
mod object_store;
mod odd_images;
mod pillow;
mod rate_limit;
mod real_datasets;
mod redis_failover;
mod resizing;
mod runs;
mod security;
mod similarity;
mod space_copies;
mod spaces;
mod store;
mod store_listing;
mod trace_context;
mod uploads;
mod weights_files;
