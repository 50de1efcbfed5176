//! ResNet34 for inference: batch normalisation folded into the convolutions, channels last.
//!
//! Owns the forward pass from pixels to 512 features, as in torchvision's `resnet.py` without the classifier. A GPU
//! computes asynchronously, so the steps of the pass are also public: upload, launch, read.

use std::fmt;

use clap::ValueEnum;
use common::{
    config::Precision,
    digest::Digest,
    embedding::{DIMENSIONS, Embedding, Space},
};
use images::preprocess::{self, Pixels};
use tch::{Device, Kind, TchError, Tensor};

use super::{
    architecture::{self, Layer, NORM_EPSILON},
    batch_memory::{BatchMemory, MemorySource},
    error::ModelError,
    input::{self, Normalisation, Upload, Uploaded},
    precision,
    state_dict::StateDict,
};

/// Versions of the arithmetic between pixels and embedding, on a CPU and on a GPU; part of a space's name.
const CPU_KERNEL_VERSION: u32 = 1;
const CUDA_KERNEL_VERSION: u32 = 2;

/// Most images in one batch on a CPU.
const CPU_BATCH: usize = 32;
/// Most images in one batch on a GPU, which needs larger batches to be busy.
const CUDA_BATCH: usize = 256;

/// The model on its device.
#[derive(Debug)]
pub struct Backbone {
    upload: Upload,
    normalisation: Normalisation,
    stem: Convolution,
    blocks: Vec<Block>,
    device: Device,
    kernels: Kernels,
    has_network: bool,
    space: Space,
    weights: Digest,
}

/// Images on the device, ready for the network: `[n, 3, 224, 224]`.
#[derive(Debug)]
pub struct Input(Tensor);

/// Features on the device, `[n, 512]` f32. A GPU may still be computing them.
#[derive(Debug)]
pub struct Features(Tensor);

/// How a convolution and the activation after it are computed on a GPU in bf16.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Kernels {
    /// One kernel each.
    Separate,
    /// Bias, residual and activation in the convolution's kernel.
    Fused,
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Separate => "separate",
            Self::Fused => "fused",
        })
    }
}

#[derive(Debug)]
struct Block {
    first: Convolution,
    second: Convolution,
    shortcut: Option<Convolution>,
}

#[derive(Debug)]
struct Convolution {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Backbone {
    /// Folds `state` and puts it on `device`.
    ///
    /// # Errors
    /// If libtorch fails.
    pub(crate) fn new(state: &StateDict, precision: Precision, device: Device) -> Result<Self, ModelError> {
        let kind = precision::kind(precision);
        let fold = |layer: &Layer| Convolution::fold(state, layer, kind, device);
        let mut blocks = Vec::new();
        for block in architecture::blocks() {
            let shortcut = block.shortcut.as_ref().map(fold).transpose()?;
            blocks.push(Block { first: fold(&block.first)?, second: fold(&block.second)?, shortcut });
        }
        let weights = state.digest();
        let space = space(&weights, precision, device);
        Ok(Self {
            normalisation: Normalisation::new(device, kind)?,
            stem: fold(&architecture::stem())?,
            upload: Upload::new(device),
            blocks,
            device,
            kernels: Kernels::Fused,
            has_network: true,
            space,
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

    /// SHA-256 of its weights.
    #[must_use]
    pub fn weights(&self) -> &Digest {
        &self.weights
    }

    /// Sets how convolutions are computed on a GPU.
    pub fn set_kernels(&mut self, kernels: Kernels) {
        self.kernels = kernels;
    }

    /// Leaves out normalisation and network, to measure the other stages. All features are 0.
    pub(crate) fn leave_network_out(&mut self) {
        self.has_network = false;
    }

    /// Most images in one batch on this device.
    #[must_use]
    pub fn batch(&self) -> usize {
        if self.device.is_cuda() { CUDA_BATCH } else { CPU_BATCH }
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
        MemorySource { device: self.device }
    }

    /// Copies a batch to the device, which may be computing another one. There are two buffers: read the features of a
    /// batch before you upload the second one after it, and before you write to its memory again.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn upload(&self, images: &mut BatchMemory) -> Result<Uploaded, TchError> {
        tch::no_grad(|| self.upload.put(images))
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

    /// Starts the normalisation of a batch.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn normalise(&self, images: &Uploaded) -> Result<Input, TchError> {
        tch::no_grad(|| Ok(Input(self.normalisation.apply(&images.0)?)))
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
        let mut x = self.stem.activated(images, self.kernels)?;
        x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for block in &self.blocks {
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

impl Convolution {
    /// Folds the normalisation after a convolution into it, in f64: `w·s` and `b - mean·s` with
    /// `s = weight ÷ √(variance + ε)`.
    fn fold(state: &StateDict, layer: &Layer, kind: Kind, device: Device) -> Result<Self, ModelError> {
        let norm = |tensor: &str| &state.get(&format!("{}.{tensor}", layer.norm)).values;
        let (gain, shift) = (norm("weight"), norm("bias"));
        let (mean, variance) = (norm("running_mean"), norm("running_var"));
        let scale: Vec<f64> = gain
            .iter()
            .zip(variance)
            .map(|(gain, var)| f64::from(*gain) / (f64::from(*var) + NORM_EPSILON).sqrt())
            .collect();
        let convolution = state.get(&format!("{}.weight", layer.conv));
        let rows = convolution.values.chunks_exact(convolution.values.len() / scale.len());
        let weight: Vec<f32> = rows
            .zip(&scale)
            .flat_map(|(row, scale)| row.iter().map(move |value| (f64::from(*value) * scale) as f32))
            .collect();
        let centres = shift.iter().zip(mean.iter().zip(&scale));
        let bias: Vec<f32> = centres
            .map(|(shift, (mean, scale))| (f64::from(*shift) - f64::from(*mean) * scale) as f32)
            .collect();
        let on_device = |tensor: Tensor| tensor.f_to_kind(kind)?.f_to_device(device);
        let weight = on_device(Tensor::f_from_slice(&weight)?.f_reshape(&convolution.shape)?)?;
        Ok(Self {
            weight: channels_last(&weight)?,
            bias: on_device(Tensor::f_from_slice(&bias)?)?,
            stride: layer.stride,
            padding: layer.padding(),
        })
    }

    /// Convolves and adds the bias.
    fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        if x.device().is_cuda() && x.kind() == Kind::Float {
            // conv2d would round the inputs to TensorFloat-32, with 10 bits of mantissa. The arguments also exclude
            // algorithms with atomic additions, so that equal images have equal embeddings.
            let mut y =
                x.f_cudnn_convolution(&self.weight, padding, stride, [1, 1], 1, false, true, false)?;
            return y.f_add_(&self.bias.f_reshape([1, -1, 1, 1])?);
        }
        x.f_conv2d(&self.weight, Some(&self.bias), stride, padding, [1, 1], 1)
    }

    /// Whether fused kernels are selected and cuDNN has them for `x`.
    fn is_fused(x: &Tensor, kernels: Kernels) -> bool {
        kernels == Kernels::Fused && x.device().is_cuda() && x.kind() == Kind::BFloat16
    }

    fn activated(&self, x: &Tensor, kernels: Kernels) -> Result<Tensor, TchError> {
        if Self::is_fused(x, kernels) {
            let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
            return x.f_cudnn_convolution_relu(&self.weight, Some(&self.bias), stride, padding, [1, 1], 1);
        }
        self.apply(x)?.f_relu_()
    }

    /// Convolves, adds `residual` and applies the activation.
    fn added_to(&self, x: &Tensor, residual: &Tensor, kernels: Kernels) -> Result<Tensor, TchError> {
        if Self::is_fused(x, kernels) {
            let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
            let (weight, bias) = (&self.weight, Some(&self.bias));
            return x.f_cudnn_convolution_add_relu(weight, residual, 1.0, bias, stride, padding, [1, 1], 1);
        }
        self.apply(x)?.f_add_(residual)?.f_relu_()
    }
}

/// The embedding space: everything that determines an embedding's bits, up to the machine.
fn space(weights: &Digest, precision: Precision, device: Device) -> Space {
    let (class, kernels) =
        if device.is_cuda() { ("cuda", CUDA_KERNEL_VERSION) } else { ("cpu", CPU_KERNEL_VERSION) };
    let (weights, preprocessing) = (weights.prefix(12), preprocess::VERSION);
    Space(format!("resnet34-{weights}-p{preprocessing}-k{kernels}-{precision}-{class}"))
}

/// Lays a 4-d tensor out with its channels innermost, keeping its logical shape.
fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
