//! The model: ResNet34 from image pixels to embeddings.
//!
//! Owns weights, numerics and the device, and is the only module that names the `tch` crate. Does not own
//! decoding (crate `images`), batching ([`crate::inference`]) or where embeddings are stored.
//! Invariants: one thread owns each device; weights have torchvision's names; whatever changes an
//! embedding's bits on one machine changes the name of its [space](common::embedding::Space).
//!
//! `load` follows a `config` to a `backbone`. Weights: `weights` names their sources, `fetch`, `random` and `weights_file`
//! are those sources, `pth` and `safetensors_file` the file formats, `state_dict` what they all return, and
//! `architecture` what ResNet34 consists of. Device: `device`, `cuda` and `precision`; images are gathered in
//! `batch_memory`, and `input` is their way to the device.

mod architecture;
mod backbone;
mod batch_memory;
mod config;
mod cuda;
mod device;
mod error;
mod fetch;
mod input;
mod load;
mod precision;
mod pth;
mod random;
mod safetensors_file;
mod state_dict;
mod weights;
mod weights_file;

pub use self::{
    backbone::{Backbone, Features, Input, Kernels},
    batch_memory::{BatchMemory, MemorySource, Place},
    config::ModelConfig,
    device::DeviceChoice,
    error::{ModelError, TorchError},
    input::Uploaded,
    load::{fast_precisions, load, threads},
    precision::{Precision, PrecisionChoice},
    pth::PthError,
    state_dict::{StateDict, Tensor},
    weights::WeightsSource,
};
