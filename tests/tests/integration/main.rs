//! One binary of integration tests over real RabbitMQ, Redis and libtorch; run it with `make test`.

mod broker;
mod deaths;
mod determinism;
mod duplicates;
mod main_job;
mod model_gates;
mod store;
