//! All settings, grouped by concern.

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

/// All settings. They serialise as one flat object of all keys, with `***` for secrets.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Settings {
    #[serde(flatten)]
    pub broker: BrokerSettings,
    #[serde(flatten)]
    pub store: StoreSettings,
    #[serde(flatten)]
    pub api: ApiSettings,
    #[serde(flatten)]
    pub data: DataSettings,
    #[serde(flatten)]
    pub images: ImageSettings,
    #[serde(flatten)]
    pub jobs: JobSettings,
    #[serde(flatten)]
    pub worker: WorkerSettings,
    #[serde(flatten)]
    pub model: ModelSettings,
    #[serde(flatten)]
    pub crawl: CrawlSettings,
    #[serde(flatten)]
    pub ranking: RankingSettings,
    #[serde(flatten)]
    pub logging: LoggingSettings,
}

impl Settings {
    /// Reads the `*_file` settings: secrets and CA certificates.
    pub(super) fn read_files(&mut self, origins: &Origins) -> Result<(), ConfigError> {
        self.api.read_files(origins)?;
        self.crawl.read_files(origins)?;
        self.broker.read_files(origins)?;
        self.store.read_files(origins)
    }

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
