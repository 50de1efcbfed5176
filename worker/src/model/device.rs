//! Which device and which precision the model runs in.

use std::{fmt, str::FromStr};

use tch::{Device, Kind};

use super::{ModelError, cuda};

/// A device, as it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceChoice {
    /// The first GPU where there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU by number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "auto, cpu or cuda:N".to_owned()),
        }
    }
}

impl DeviceChoice {
    /// Finds the device, loading CUDA's part of libtorch only where it is wanted.
    ///
    /// # Errors
    /// When a GPU is asked for and is not there.
    pub(crate) fn resolve(self) -> Result<Device, ModelError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => match cuda::load() {
                Ok(gpus) if gpus > 0 => Ok(Device::Cuda(0)),
                Ok(_) => Ok(Device::Cpu),
                Err(reason) => {
                    tracing::info!(%reason, "no GPU, the model runs on the CPU");
                    Ok(Device::Cpu)
                }
            },
            Self::Cuda(number) => match cuda::load() {
                Ok(gpus) if number < gpus => Ok(Device::Cuda(number)),
                Ok(gpus) => {
                    Err(ModelError::Device(format!("there is no GPU cuda:{number}: libtorch sees {gpus}")))
                }
                Err(reason) => Err(ModelError::Device(format!("cuda:{number} cannot be used: {reason}"))),
            },
        }
    }
}

/// A precision, as it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrecisionChoice {
    /// bf16 where the device computes it fast, else fp32.
    Auto,
    /// This one.
    Exactly(Precision),
}

impl FromStr for PrecisionChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "fp32" => Ok(Self::Exactly(Precision::Fp32)),
            "bf16" => Ok(Self::Exactly(Precision::Bf16)),
            _ => Err("auto, fp32 or bf16".to_owned()),
        }
    }
}

impl PrecisionChoice {
    /// Chooses for a device.
    pub(crate) fn resolve(self, device: Device) -> Precision {
        match self {
            Self::Exactly(precision) => precision,
            Self::Auto if device.is_cuda() || cpu_has_bf16() => Precision::Bf16,
            Self::Auto => Precision::Fp32,
        }
    }
}

/// What the convolutions compute in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// bfloat16 inputs and weights.
    Bf16,
}

impl Precision {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Fp32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
        })
    }
}

/// Whether the CPU multiplies bfloat16 in hardware; without, bf16 is slower than fp32.
fn cpu_has_bf16() -> bool {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpu.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    flags.is_some_and(|flags| {
        flags.split_whitespace().any(|flag| ["avx512_bf16", "amx_bf16", "bf16"].contains(&flag))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_parsed() {
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert!("gpu".parse::<DeviceChoice>().is_err());
        assert_eq!("bf16".parse(), Ok(PrecisionChoice::Exactly(Precision::Bf16)));
    }
}
