//! The model: ResNet34, from image pixels to embeddings.
//!
//! Owns weights, numerics and the device, and is the only module that uses the `tch` crate. Decoding is in the crate
//! `images`, batching in [`crate::inference`]. Invariants: weights have torchvision's names; a change of an embedding's
//! bits on one machine changes the name of its [space](common::embedding::Space).
//!
//! `load` makes a `backbone` from the settings, of `convolution`s, which `onednn` computes on a CPU. Weights: `weights`
//! is their source, implemented by `fetch`, `random` and `weights_file`; `pth` and `safetensors_file` are the file
//! formats, in which `selection` finds the tensors of `architecture`, the layers of ResNet34; `foreign_file` names other
//! files; `state_dict` is the result. Device: `device`, its `device_class` and `precision`; images are gathered in `batch_memory`, and `input`
//! copies them to it, with a `copy_stream` on a GPU. `allocator` bounds the memory that they leave behind.

mod allocator;
mod architecture;
mod backbone;
mod batch_memory;
mod convolution;
mod copy_stream;
mod device;
mod device_class;
mod error;
mod fault;
mod fetch;
mod foreign_file;
mod input;
mod load;
mod normalisation;
mod onednn;
mod precision;
mod pth;
mod random;
mod safetensors_file;
mod selection;
mod state_dict;
mod weights;
mod weights_file;

pub(crate) use self::fault::Fault;
pub use self::{
    allocator::tune_allocator,
    backbone::{Backbone, Features, Input},
    batch_memory::{BatchMemory, MemorySource, Place},
    convolution::Kernels,
    device::DeviceChoice,
    error::{ModelError, TorchError},
    input::Uploaded,
    load::{ModelConfig, fast_precisions, load, threads},
    state_dict::{StateDict, Tensor},
    weights::WeightsSource,
};
