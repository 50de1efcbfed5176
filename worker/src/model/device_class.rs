//! The class of a device: which kernels the libraries choose, and so the last bits of an embedding.

use std::ffi::{CStr, c_char, c_int, c_uint};

use common::embedding::DeviceClass;
use tch::Device;

use super::device::{self, DRIVER};

/// Flags of `/proc/cpuinfo` that oneDNN chooses kernels by, best first, and the class that each stands for.
const CPU_FLAGS: [(&str, &str); 9] = [
    ("amx_bf16", "amx-bf16"),
    ("avx512_bf16", "avx512-bf16"),
    ("avx512_vnni", "avx512-vnni"),
    ("avx512f", "avx512"),
    ("avx2", "avx2"),
    ("sse4_1", "sse4"),
    ("sve", "sve"),
    ("bf16", "neon-bf16"),
    ("asimd", "neon"),
];
/// Longest name of a GPU, in bytes.
const MAX_NAME: usize = 100;

type Init = unsafe extern "C" fn(c_uint) -> c_int;
type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type GetName = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;

/// Returns the class of a device; that of a GPU whose name is unknown is `cuda`.
pub(super) fn class_of(device: Device) -> DeviceClass {
    DeviceClass(match device {
        Device::Cuda(number) => match gpu_name(number) {
            Ok(name) => words(&name),
            Err(error) => {
                tracing::warn!(%error, "the driver does not tell the name of the GPU");
                "cuda".to_owned()
            }
        },
        _ => cpu_class(&cpu_flags()).to_owned(),
    })
}

/// Returns the flags of the first CPU, separated by spaces.
pub(super) fn cpu_flags() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpu.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    flags.unwrap_or_default().to_owned()
}

fn cpu_class(flags: &str) -> &'static str {
    let has = |wanted: &str| flags.split_whitespace().any(|flag| flag == wanted);
    let best = CPU_FLAGS.into_iter().find(|(flag, _)| has(flag));
    best.map_or(std::env::consts::ARCH, |(_, class)| class)
}

/// Returns the lower-case words of a name, joined by dashes.
fn words(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

/// Asks the driver for the name of a GPU.
fn gpu_name(number: usize) -> Result<String, String> {
    let driver = device::open(DRIVER.into()).map_err(|error| error.to_string())?;
    let mut gpu = 0;
    let mut name: [c_char; MAX_NAME] = [0; MAX_NAME];
    // SAFETY: the types are those of `cuda.h` for these three functions, the driver is never closed, and `gpu` and `name`
    // are valid to write; the driver writes at most the given number of bytes.
    #[expect(unsafe_code, reason = "the driver's functions are foreign")]
    let status = unsafe {
        let init = driver.get::<Init>(b"cuInit\0").map_err(|error| error.to_string())?;
        let get = driver.get::<Get>(b"cuDeviceGet\0").map_err(|error| error.to_string())?;
        let get_name = driver.get::<GetName>(b"cuDeviceGetName\0").map_err(|error| error.to_string())?;
        match init(0) {
            0 => match get(&raw mut gpu, number as c_int) {
                0 => get_name(name.as_mut_ptr(), MAX_NAME as c_int, gpu),
                status => status,
            },
            status => status,
        }
    };
    if status != 0 {
        return Err(format!("CUDA error {status}"));
    }
    let bytes = name.map(|byte| byte as u8);
    let name = CStr::from_bytes_until_nul(&bytes).map_err(|error| error.to_string())?;
    Ok(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_instruction_set_is_the_class() {
        let check = |flags: &str, want: &str| assert_eq!(cpu_class(flags), want);
        check("flags : sse4_1 avx2 avx512f avx512_vnni avx512_bf16", "avx512-bf16");
        check("flags : avx2 avx512f avx512_bf16 amx_bf16 amx_tile", "amx-bf16");
        check("flags : avx avx2 fma", "avx2");
        check("Features : fp asimd bf16", "neon-bf16");
        check("", std::env::consts::ARCH);
    }

    #[test]
    fn names_of_gpus_become_one_word() {
        assert_eq!(words("NVIDIA H100 80GB HBM3"), "nvidia-h100-80gb-hbm3");
        assert_eq!(words(" Tesla  T4 (PCIe)."), "tesla-t4-pcie");
    }
}
