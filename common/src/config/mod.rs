//! Settings of both programs: flag > environment > file > default.
//!
//! Owns every key, its default, its unit and its range, one file a concern, and is the only place that reads the
//! environment. Does not own what a setting does. Invariants: settings are validated whole before anything connects; a
//! secret never prints.
//!
//! A key `amqp_url` is the field of that name, the environment variable `SUBWATCH_AMQP_URL` and the line
//! `amqp_url = "…"` of the TOML file that `SUBWATCH_CONFIG` names.
//!
//! `settings` composes the concerns: `api` (address and tokens), `broker`, `store`, `data` (folders and buckets),
//! `images` (limits on files and uploads), `jobs` (splitting, attempts, retention), `worker` (prefetch, time limits),
//! `model`, `crawl`, `ranking` and `telemetry`. `layers` reads them from flags, environment and file, and knows where
//! each value came from; `secret` and `authorities` read what is in files of their own, and `error` names a setting as
//! the user knows it.

mod api;
mod authorities;
mod broker;
mod crawl;
mod data;
mod error;
mod images;
mod jobs;
mod layers;
mod model;
mod ranking;
mod secret;
mod settings;
mod store;
mod telemetry;
mod worker;

pub use self::{
    api::ApiSettings,
    broker::BrokerSettings,
    crawl::CrawlSettings,
    data::DataSettings,
    error::ConfigError,
    images::ImageSettings,
    jobs::JobSettings,
    layers::{Loaded, Setting},
    model::{ModelSettings, Precision, PrecisionChoice},
    ranking::RankingSettings,
    settings::Settings,
    store::StoreSettings,
    telemetry::TelemetrySettings,
    worker::WorkerSettings,
};
