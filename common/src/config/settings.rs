//! All settings, composed of their concerns.

use serde::Serialize;

use super::{
    api::ApiSettings,
    broker::BrokerSettings,
    crawl::CrawlSettings,
    data::DataSettings,
    error::{ConfigError, Origins},
    images::ImageSettings,
    jobs::JobSettings,
    logging::LoggingSettings,
    model::ModelSettings,
    ranking::RankingSettings,
    store::StoreSettings,
    worker::WorkerSettings,
};

/// All settings; a component takes the concern that it needs. Serialised, they are one flat object of all keys, with
/// `***` for secrets.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Settings {
    /// How to reach RabbitMQ.
    #[serde(flatten)]
    pub broker: BrokerSettings,
    /// How to reach Redis.
    #[serde(flatten)]
    pub store: StoreSettings,
    /// Where the API is, and who may use it.
    #[serde(flatten)]
    pub api: ApiSettings,
    /// Where datasets and artifacts are kept.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Which images are taken in.
    #[serde(flatten)]
    pub images: ImageSettings,
    /// How submissions become jobs, and how long they are kept.
    #[serde(flatten)]
    pub jobs: JobSettings,
    /// How much a worker takes on.
    #[serde(flatten)]
    pub worker: WorkerSettings,
    /// How a worker computes.
    #[serde(flatten)]
    pub model: ModelSettings,
    /// How sites are crawled.
    #[serde(flatten)]
    pub crawl: CrawlSettings,
    /// How rankings are read.
    #[serde(flatten)]
    pub ranking: RankingSettings,
    /// What a process tells its operators.
    #[serde(flatten)]
    pub logging: LoggingSettings,
}

impl Settings {
    /// Reads the secrets and certificates that are in files of their own.
    pub(super) fn read_files(&mut self, origins: &Origins) -> Result<(), ConfigError> {
        self.api.read_files(origins)?;
        self.crawl.read_files(origins)?;
        self.broker.read_files(origins)?;
        self.store.read_files(origins)
    }

    /// Checks the range of every value.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.jobs.validate()?;
        self.images.validate()?;
        self.worker.validate()?;
        self.model.validate()?;
        self.logging.validate()?;
        self.api.validate()?;
        self.store.validate()?;
        self.crawl.validate()?;
        self.ranking.validate()
    }
}
