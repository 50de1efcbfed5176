//! Which device the model runs on, and CUDA's part of libtorch, which is loaded at run time.
//!
//! Linking `libtorch_cuda` would cost every CPU worker a second and a gigabyte at start, and linkers drop it where
//! nothing names a symbol of it; so one binary serves both, and opens it here when a GPU is wanted. That is a foreign
//! call, the only one of this program besides the `_exit` of its `main`.

use std::{path::PathBuf, str::FromStr};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::Device;

use super::error::ModelError;

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
            Self::Auto => match load_cuda() {
                Ok(gpus) if gpus > 0 => Ok(Device::Cuda(0)),
                Ok(_) => Ok(Device::Cpu),
                Err(reason) => {
                    tracing::info!(%reason, "no GPU, the model runs on the CPU");
                    Ok(Device::Cpu)
                }
            },
            Self::Cuda(number) => match load_cuda() {
                Ok(gpus) if number < gpus => Ok(Device::Cuda(number)),
                Ok(gpus) => {
                    Err(ModelError::Device(format!("there is no GPU cuda:{number}: libtorch sees {gpus}")))
                }
                Err(reason) => Err(ModelError::Device(format!("cuda:{number} cannot be used: {reason}"))),
            },
        }
    }
}

/// Loads CUDA support and returns how many GPUs libtorch sees.
///
/// # Errors
/// When there is no driver, or libtorch has no CUDA part that can be loaded; the text says which.
fn load_cuda() -> Result<usize, String> {
    open("libcuda.so.1".into()).map_err(|_| "no NVIDIA driver (libcuda.so.1) is installed".to_owned())?;
    let folder = libtorch_folder().ok_or("libtorch's folder cannot be found")?;
    open(folder.join("libtorch_cuda.so"))
        .map_err(|error| format!("libtorch's CUDA part cannot be loaded: {error}"))?;
    let gpus = tch::Cuda::device_count();
    usize::try_from(gpus).map_err(|_| "libtorch cannot count the GPUs".to_owned())
}

fn open(path: PathBuf) -> Result<(), libloading::Error> {
    #[expect(
        unsafe_code,
        reason = "opening a library runs its initialisers: these are the driver's and libtorch's own"
    )]
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL)? };
    // Never closed: libtorch keeps pointers into it.
    std::mem::forget(library);
    Ok(())
}

/// The folder that the running libtorch was loaded from.
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
