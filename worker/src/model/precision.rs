//! Which precision the convolutions compute in.

use std::{fmt, str::FromStr};

use tch::{Device, Kind};

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

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse()? {
            PrecisionChoice::Exactly(precision) => Ok(precision),
            PrecisionChoice::Auto => Err("fp32 or bf16".to_owned()),
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
    fn precisions_are_parsed() {
        assert_eq!("bf16".parse(), Ok(PrecisionChoice::Exactly(Precision::Bf16)));
        assert!("fp64".parse::<PrecisionChoice>().is_err());
    }
}
