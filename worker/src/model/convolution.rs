//! A convolution with the normalisation after it folded in, and the activation.
//!
//! Owns the choice of kernels: fused ones compute bias, residual and activation with the convolution. A CPU has them if
//! libtorch was built with oneDNN, a GPU in bf16 if cuDNN has them for it.

use std::fmt;

use clap::ValueEnum;
use tch::{Device, Kind, TchError, Tensor};

use super::{
    architecture::{Layer, NORM_EPSILON},
    error::ModelError,
    onednn::{self, Packed},
    state_dict::StateDict,
};

/// How a convolution and the activation after it are computed.
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

impl Kernels {
    /// The fastest kernels of a device. Whether a GPU has them is known only after the first batch.
    pub(super) fn of(device: Device) -> Self {
        if device.is_cuda() || onednn::is_available() { Self::Fused } else { Self::Separate }
    }
}

#[derive(Debug)]
pub(super) struct Convolution {
    weight: Weight,
    stride: i64,
    padding: i64,
}

#[derive(Debug)]
enum Weight {
    /// Channels last, and the bias.
    Plain(Tensor, Tensor),
    Packed(Packed),
}

impl Convolution {
    /// Folds the normalisation after a convolution into it, in f64: `w·s` and `b - mean·s` with
    /// `s = weight ÷ √(variance + ε)`.
    pub(super) fn fold(
        state: &StateDict,
        layer: &Layer,
        kind: Kind,
        device: Device,
    ) -> Result<Self, ModelError> {
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
        let bias = on_device(Tensor::f_from_slice(&bias)?)?;
        let weight = Weight::Plain(channels_last(&weight)?, bias);
        Ok(Self { weight, stride: layer.stride, padding: layer.padding() })
    }

    /// Lays the weights out for oneDNN's fused kernels, which are used from then on. The layout is best for batches of
    /// `images` with `side` × `side` pixels, and right for all. Returns the side of the output.
    pub(super) fn pack(&mut self, images: i64, side: i64) -> Result<i64, TchError> {
        if let Weight::Plain(weight, bias) = &self.weight {
            let input = [images, weight.size()[1], side, side];
            self.weight = Weight::Packed(Packed::new(weight, bias, self.stride, self.padding, input)?);
        }
        // The padding is half the kernel, so its size does not matter.
        Ok((side - 1) / self.stride + 1)
    }

    /// Convolves and adds the bias.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = match &self.weight {
            Weight::Packed(packed) => return packed.apply(x, false),
            Weight::Plain(weight, bias) => (weight, bias),
        };
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        if x.device().is_cuda() && x.kind() == Kind::Float {
            // conv2d would round the inputs to TensorFloat-32, with 10 bits of mantissa. The arguments also exclude
            // algorithms with atomic additions, so that equal images have equal embeddings.
            let mut y = x.f_cudnn_convolution(weight, padding, stride, [1, 1], 1, false, true, false)?;
            return y.f_add_(&bias.f_reshape([1, -1, 1, 1])?);
        }
        x.f_conv2d(weight, Some(bias), stride, padding, [1, 1], 1)
    }

    /// Convolves, adds the bias and applies the activation.
    pub(super) fn activated(&self, x: &Tensor, kernels: Kernels) -> Result<Tensor, TchError> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        match &self.weight {
            Weight::Packed(packed) => packed.apply(x, true),
            Weight::Plain(weight, bias) if is_fused(x, kernels) => {
                x.f_cudnn_convolution_relu(weight, Some(bias), stride, padding, [1, 1], 1)
            }
            Weight::Plain(..) => self.apply(x)?.f_relu_(),
        }
    }

    /// Convolves, adds the bias and `residual`, which may be overwritten, and applies the activation.
    pub(super) fn added_to(
        &self,
        x: &Tensor,
        residual: &Tensor,
        kernels: Kernels,
    ) -> Result<Tensor, TchError> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        match &self.weight {
            Weight::Packed(packed) => packed.added_to(x, residual),
            Weight::Plain(weight, bias) if is_fused(x, kernels) => {
                x.f_cudnn_convolution_add_relu(weight, residual, 1.0, Some(bias), stride, padding, [1, 1], 1)
            }
            Weight::Plain(..) => self.apply(x)?.f_add_(residual)?.f_relu_(),
        }
    }
}

/// Whether fused kernels are selected and cuDNN has them for `x`.
fn is_fused(x: &Tensor, kernels: Kernels) -> bool {
    kernels == Kernels::Fused && x.device().is_cuda() && x.kind() == Kind::BFloat16
}

/// Lays a 4-d tensor out with its channels innermost, keeping its logical shape.
fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
