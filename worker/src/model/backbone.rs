//! ResNet34 for inference: batch normalisation folded into the convolutions, channels last.
//!
//! Owns the forward pass from pixels to 512 features, as in torchvision's `resnet.py` without the classifier.

use common::{
    config::Precision,
    digest::Digest,
    embedding::{DIMENSIONS, Embedding, Space},
};
use images::preprocess::{self, MEAN, Pixels, SIDE, STD};
use tch::{Device, Kind, TchError, Tensor};

use super::{
    architecture::{self, Layer, NORM_EPSILON},
    error::ModelError,
    precision,
    state_dict::StateDict,
};

/// Version of the arithmetic between pixels and embedding; part of a space's name.
pub const KERNEL_VERSION: u32 = 1;

/// The model on its device.
#[derive(Debug)]
pub struct Backbone {
    stem: Convolution,
    blocks: Vec<Block>,
    device: Device,
    kind: Kind,
    space: Space,
    weights: Digest,
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
    /// When libtorch fails.
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
        Ok(Self { stem: fold(&architecture::stem())?, blocks, device, kind, space, weights })
    }

    /// Folds `state` for the CPU.
    ///
    /// # Errors
    /// When libtorch fails.
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

    /// Computes the features of images: `[n, 512]` f32, on the CPU.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn features(&self, images: &[Pixels]) -> Result<Vec<f32>, TchError> {
        let pixels: Vec<u8> = images.iter().flat_map(|image| image.0.iter().copied()).collect();
        tch::no_grad(|| {
            let features = self.forward(&normalise(&pixels, self.device, self.kind)?)?;
            Vec::<f32>::try_from(
                features.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?.f_contiguous()?.f_reshape([-1])?,
            )
        })
    }

    /// Computes the embeddings of images.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn embed(&self, images: &[Pixels]) -> Result<Vec<Embedding>, TchError> {
        let features = self.features(images)?;
        Ok(features.chunks_exact(DIMENSIONS).map(Embedding::from_f32).collect())
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let mut x = self.stem.apply(images)?.f_relu_()?;
        x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for block in &self.blocks {
            let inner = block.first.apply(&x)?.f_relu_()?;
            let residual = match &block.shortcut {
                Some(shortcut) => shortcut.apply(&x)?,
                None => x,
            };
            x = block.second.apply(&inner)?.f_add_(&residual)?.f_relu_()?;
        }
        // Averaged in f32: 49 bf16 additions would cost more than the convolutions' own rounding.
        x.f_mean_dim([2_i64, 3].as_slice(), false, Kind::Float)
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

    fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_conv2d(&self.weight, Some(&self.bias), [self.stride; 2], [self.padding; 2], [1, 1], 1)
    }
}

/// The embedding space: everything that determines an embedding's bits, up to the machine.
fn space(weights: &Digest, precision: Precision, device: Device) -> Space {
    let class = if device.is_cuda() { "cuda" } else { "cpu" };
    let (weights, preprocessing) = (weights.prefix(12), preprocess::VERSION);
    Space(format!("resnet34-{weights}-p{preprocessing}-k{KERNEL_VERSION}-{precision}-{class}"))
}

/// Lays a 4-d tensor out with its channels innermost, keeping its logical shape.
fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// Turns rows of 8-bit RGB into the network's input: `[n, 3, 224, 224]`, channels last, ImageNet's mean
/// subtracted and its standard deviation divided by, in f32 before rounding to `kind`.
pub(super) fn normalise(pixels: &[u8], device: Device, kind: Kind) -> Result<Tensor, TchError> {
    let side = SIDE as i64;
    let images = (pixels.len() / (SIDE * SIDE * 3)) as i64;
    let per_channel =
        |values: [f32; 3]| Tensor::f_from_slice(&values)?.f_reshape([1, 3, 1, 1])?.f_to_device(device);
    Tensor::f_from_data_size(pixels, &[images, side, side, 3], Kind::Uint8)?
        .f_to_device(device)?
        .f_permute([0, 3, 1, 2])?
        .f_to_kind(Kind::Float)?
        .f_div_scalar(255.0)?
        .f_sub(&per_channel(MEAN)?)?
        .f_div(&per_channel(STD)?)?
        .f_to_kind(kind)
}
