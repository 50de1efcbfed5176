//! Which device the model runs on.

use std::str::FromStr;

use tch::Device;

use super::{cuda, error::ModelError};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_parsed() {
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }
}
