//! ResNet34 for inference: batch normalisation folded into the convolutions, channels last.
//!
//! Owns the forward pass from pixels to 512 features, as in torchvision's `resnet.py` without the classifier. A GPU
//! computes asynchronously, so the steps of the pass are also public: upload, launch, read.

use std::ops::{Range, RangeInclusive};

use common::{
    config::Precision,
    digest::Digest,
    embedding::{DIMENSIONS, DeviceClass, Embedding, Space},
};
use images::preprocess::{self, Pixels, SIDE};
use tch::{Device, Kind, TchError, Tensor};

use super::{
    architecture::{self, Layer},
    batch_memory::{BatchMemory, MemorySource},
    convolution::{Convolution, Kernels},
    device_class::class_of,
    error::ModelError,
    input::{self, Upload, Uploaded},
    normalisation::OnGpu,
    precision,
    state_dict::StateDict,
};

/// Versions of the arithmetic between pixels and embedding; part of a space's name.
const CPU_SEPARATE_VERSION: u32 = 1;
const CPU_FUSED_VERSION: u32 = 2;
const CUDA_VERSION: u32 = 2;

/// Images of a batch on a CPU for each of its threads, within limits. More make no difference to the speed, but interactive
/// images wait longer.
const CPU_BATCH_PER_THREAD: usize = 8;
const CPU_BATCH: RangeInclusive<usize> = 16..=64;
/// The batch size that the weights are laid out for, whatever the batch size is: the layout may change the features' bits.
const PACKED_FOR: i64 = 32;
/// Most images in one batch on a GPU, which needs larger batches to be busy.
const CUDA_BATCH: usize = 256;

/// The model on its device.
#[derive(Debug)]
pub struct Backbone {
    upload: Upload,
    memory: MemorySource,
    /// `None` on a CPU, whose images are normalised when they are written.
    normalisation: Option<OnGpu>,
    layers: Layers,
    device: Device,
    kernels: Kernels,
    has_network: bool,
    space: Space,
    device_class: DeviceClass,
    weights: Digest,
}

/// Images on the device, ready for the network: `[n, 3, 224, 224]`, channels last.
#[derive(Debug)]
pub struct Input(Tensor);

/// Features on the device, `[n, 512]` f32. A GPU may still be computing them.
#[derive(Debug)]
pub struct Features(Tensor);

#[derive(Debug)]
struct Layers {
    stem: Convolution,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    first: Convolution,
    second: Convolution,
    shortcut: Option<Convolution>,
}

impl Backbone {
    /// Folds `state` and puts it on `device`.
    ///
    /// # Errors
    /// If libtorch fails.
    pub(crate) fn new(state: &StateDict, precision: Precision, device: Device) -> Result<Self, ModelError> {
        let kind = precision::kind(precision);
        let mut kernels = Kernels::of(device);
        let mut layers = Layers::fold(state, kind, device)?;
        if !device.is_cuda() && kernels == Kernels::Fused {
            // oneDNN computes bf16 on some processors only.
            if let Err(error) = layers.pack() {
                tracing::warn!(%error, "this CPU has no fused kernels; separate kernels are slower");
                kernels = Kernels::Separate;
                layers = Layers::fold(state, kind, device)?;
            }
        }
        let weights = state.digest();
        let space = space(&weights, precision, device, kernels);
        let normalisation = device.is_cuda().then(|| OnGpu::new(device, kind)).transpose()?;
        let memory =
            if device.is_cuda() { MemorySource::for_gpu(device) } else { MemorySource::on_cpu(kind) };
        Ok(Self {
            memory,
            normalisation,
            upload: Upload::new(device),
            layers,
            device,
            kernels,
            has_network: true,
            space,
            device_class: class_of(device),
            weights,
        })
    }

    /// Folds `state` for the CPU.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn on_cpu(state: &StateDict, precision: Precision) -> Result<Self, ModelError> {
        Self::new(state, precision, Device::Cpu)
    }

    /// Returns the name of its device: `cpu` or `cuda:N`.
    #[must_use]
    pub fn device(&self) -> String {
        match self.device {
            Device::Cuda(number) => format!("cuda:{number}"),
            _ => "cpu".to_owned(),
        }
    }

    /// The space of its embeddings.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The class of its device.
    #[must_use]
    pub fn device_class(&self) -> &DeviceClass {
        &self.device_class
    }

    /// SHA-256 of its weights.
    #[must_use]
    pub fn weights(&self) -> &Digest {
        &self.weights
    }

    /// Sets how convolutions are computed on a GPU. On a CPU, the weights are laid out for the fastest way.
    pub fn set_kernels(&mut self, kernels: Kernels) {
        if self.device.is_cuda() {
            self.kernels = kernels;
        }
    }

    /// How convolutions are computed.
    #[must_use]
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Leaves out the network, to measure the other stages. All features are 0.
    pub(crate) fn leave_network_out(&mut self) {
        self.has_network = false;
    }

    /// Most images in one batch on this device.
    #[must_use]
    pub fn batch(&self) -> usize {
        if self.device.is_cuda() {
            return CUDA_BATCH;
        }
        let threads = tch::get_num_threads().max(1) as usize;
        (CPU_BATCH_PER_THREAD * threads).clamp(*CPU_BATCH.start(), *CPU_BATCH.end())
    }

    /// Whether [`Backbone::launch`] returns before the device has finished.
    #[must_use]
    pub fn computes_in_background(&self) -> bool {
        self.device.is_cuda()
    }

    /// Computes the features of images: `[n, 512]` f32, on the CPU.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn features(&self, images: &[Pixels]) -> Result<Vec<f32>, TchError> {
        let mut memory = self.memory().allocate(images.len())?;
        memory.fill(images);
        self.launch(&self.upload(&mut memory)?)?.read()
    }

    /// The source of memory for batches that this device reads.
    #[must_use]
    pub fn memory(&self) -> MemorySource {
        self.memory.clone()
    }

    /// Copies a batch to the device, which may be computing another one. There are two buffers: read the features of a
    /// batch before you upload the second one after it, and before you write to its memory again.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn upload(&self, images: &mut BatchMemory) -> Result<Uploaded, TchError> {
        tch::no_grad(|| self.upload.put(images))
    }

    /// Computes the features of the images `part` of a batch, `[part, 512]`, beside the buffers that other batches are using.
    ///
    /// # Errors
    /// If libtorch fails, or the batch has fewer images.
    pub fn features_of(&self, images: &mut BatchMemory, part: Range<usize>) -> Result<Vec<f32>, TchError> {
        let (start, count) = (part.start as i64, part.len() as i64);
        let images = images.images()?.f_narrow(0, start, count)?.f_to_device(self.device)?;
        self.launch(&Uploaded(images))?.read()
    }

    /// Starts the computation of the features of a batch.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn launch(&self, images: &Uploaded) -> Result<Features, TchError> {
        if !self.has_network {
            let shape = [images.0.size()[0], DIMENSIONS as i64];
            return Tensor::f_zeros(shape, (Kind::Float, self.device)).map(Features);
        }
        self.run(&self.normalise(images)?)
    }

    /// Starts the normalisation of a batch, unless it was normalised when it was written.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn normalise(&self, images: &Uploaded) -> Result<Input, TchError> {
        tch::no_grad(|| {
            let images = match &self.normalisation {
                Some(normalisation) => normalisation.apply(&images.0)?,
                None => images.0.shallow_clone(),
            };
            Ok(Input(images.f_permute([0, 3, 1, 2])?))
        })
    }

    /// Starts the network.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn run(&self, input: &Input) -> Result<Features, TchError> {
        tch::no_grad(|| self.forward(&input.0).map(Features))
    }

    /// Waits until the device has finished all work.
    pub fn synchronise(&self) {
        input::synchronise(self.device);
    }

    /// Computes the embeddings of images.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn embed(&self, images: &[Pixels]) -> Result<Vec<Embedding>, TchError> {
        let features = self.features(images)?;
        Ok(features.chunks_exact(DIMENSIONS).map(Embedding::from_f32).collect())
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let mut x = self.layers.stem.activated(images, self.kernels)?;
        x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for block in &self.layers.blocks {
            let inner = block.first.activated(&x, self.kernels)?;
            let residual = match &block.shortcut {
                Some(shortcut) => shortcut.apply(&x)?,
                None => x,
            };
            x = block.second.added_to(&inner, &residual, self.kernels)?;
        }
        // Averaged in f32: 49 bf16 additions would cost more than the convolutions' own rounding.
        x.f_mean_dim([2_i64, 3].as_slice(), false, Kind::Float)
    }
}

impl Features {
    /// Waits for the device and returns the features.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn read(self) -> Result<Vec<f32>, TchError> {
        tch::no_grad(|| {
            Vec::<f32>::try_from(self.0.f_to_device(Device::Cpu)?.f_contiguous()?.f_reshape([-1])?)
        })
    }
}

impl Layers {
    fn fold(state: &StateDict, kind: Kind, device: Device) -> Result<Self, ModelError> {
        let fold = |layer: &Layer| Convolution::fold(state, layer, kind, device);
        let mut blocks = Vec::new();
        for block in architecture::blocks() {
            let shortcut = block.shortcut.as_ref().map(fold).transpose()?;
            blocks.push(Block { first: fold(&block.first)?, second: fold(&block.second)?, shortcut });
        }
        Ok(Self { stem: fold(&architecture::stem())?, blocks })
    }

    /// Lays the weights out for oneDNN's fused kernels.
    fn pack(&mut self) -> Result<(), TchError> {
        let mut side = pooled(self.stem.pack(PACKED_FOR, SIDE as i64)?);
        for Block { first, second, shortcut } in &mut self.blocks {
            if let Some(shortcut) = shortcut {
                shortcut.pack(PACKED_FOR, side)?;
            }
            side = first.pack(PACKED_FOR, side)?;
            second.pack(PACKED_FOR, side)?;
        }
        Ok(())
    }
}

/// Returns the side of the output of the pooling after the stem.
fn pooled(side: i64) -> i64 {
    (side - 1) / 2 + 1
}

/// The embedding space: everything that determines an embedding's bits, up to the machine.
fn space(weights: &Digest, precision: Precision, device: Device, kernels: Kernels) -> Space {
    let (class, kernels) = match (device.is_cuda(), kernels) {
        (true, _) => ("cuda", CUDA_VERSION),
        (false, Kernels::Separate) => ("cpu", CPU_SEPARATE_VERSION),
        (false, Kernels::Fused) => ("cpu", CPU_FUSED_VERSION),
    };
    let (weights, preprocessing) = (weights.prefix(12), preprocess::VERSION);
    Space(format!("resnet34-{weights}-p{preprocessing}-k{kernels}-{precision}-{class}"))
}
