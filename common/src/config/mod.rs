//! Settings of both programs. Precedence: flag, environment, file, default.
//!
//! Owns every key with its default, unit and range, and is the only place that reads the environment. Invariants: all
//! settings are validated before anything connects; secrets are never printed.
//!
//! The key `amqp_url` is the field of that name, the environment variable `SUBWATCH_AMQP_URL`, and the line
//! `amqp_url = "…"` in the TOML file that `SUBWATCH_CONFIG` names.
//!
//! Each concern has a file, and `settings` composes them. `layers` loads values and records their origins, `secret` and
//! `ca_certificates` read the `*_file` settings, `error` formats configuration errors, and `reference` generates the
//! reference of all settings.

mod api;
mod broker;
mod ca_certificates;
mod crawl;
mod data;
mod error;
mod images;
mod jobs;
mod layers;
mod logging;
mod model;
mod ranking;
mod reference;
mod secret;
mod settings;
mod store;
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
    logging::LoggingSettings,
    model::{ModelSettings, Precision, PrecisionChoice},
    ranking::RankingSettings,
    reference::{SettingGroup, SettingReference},
    settings::Settings,
    store::StoreSettings,
    worker::WorkerSettings,
};
