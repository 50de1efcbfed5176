//! Choice of the device, and run-time loading of libtorch's CUDA library.
//!
//! Linking `libtorch_cuda` would cost every CPU worker a second and a gigabyte at start, and linkers drop a library
//! without referenced symbols. So one binary serves both devices, and opens the library here when a GPU is requested.

use std::{path::PathBuf, str::FromStr};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::Device;

use super::error::ModelError;

/// The library of the NVIDIA driver.
pub(super) const DRIVER: &str = "libcuda.so.1";

/// The configured device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceChoice {
    /// The first GPU if there is one, else the CPU.
    Auto,
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
    /// Resolves the device. Loads libtorch's CUDA library unless the CPU is configured.
    ///
    /// # Errors
    /// If the configured GPU does not exist or cannot be used.
    pub(crate) fn resolve(self) -> Result<Device, ModelError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => match load_cuda() {
                Ok(gpus) if gpus > 0 => Ok(Device::Cuda(0)),
                Ok(_) => Ok(Device::Cpu),
                Err(reason) => {
                    tracing::info!(%reason, "no GPU found; the model runs on the CPU");
                    Ok(Device::Cpu)
                }
            },
            Self::Cuda(number) => match load_cuda() {
                Ok(gpus) if number < gpus => Ok(Device::Cuda(number)),
                Ok(gpus) => Err(ModelError::Device(format!(
                    "cuda:{number} does not exist: number of GPUs that libtorch finds: {gpus}"
                ))),
                Err(reason) => Err(ModelError::Device(format!("cuda:{number} cannot be used: {reason}"))),
            },
        }
    }
}

/// Loads libtorch's CUDA library and returns the number of GPUs.
///
/// # Errors
/// If the driver or the library is missing.
fn load_cuda() -> Result<usize, String> {
    open(DRIVER.into()).map_err(|_| format!("the NVIDIA driver ({DRIVER}) is not installed"))?;
    let folder = libtorch_folder().ok_or("cannot find the folder of libtorch")?;
    open(folder.join("libtorch_cuda.so"))
        .map_err(|error| format!("cannot load libtorch's CUDA library: {error}"))?;
    let gpus = tch::Cuda::device_count();
    usize::try_from(gpus).map_err(|_| "libtorch returned an invalid number of GPUs".to_owned())
}

/// Opens the driver or libtorch's CUDA library.
pub(super) fn open(path: PathBuf) -> Result<&'static Library, libloading::Error> {
    // SAFETY: neither of the two libraries expects anything of the program when it is loaded.
    #[expect(
        unsafe_code,
        reason = "opening a library runs its initialisers: these are the driver's and libtorch's own"
    )]
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL)? };
    // Never closed: libtorch and copy streams keep pointers into it.
    Ok(Box::leak(Box::new(library)))
}

/// The folder that libtorch was loaded from.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"))?.split_whitespace().last()?;
    Some(PathBuf::from(path).parent()?.to_path_buf())
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
