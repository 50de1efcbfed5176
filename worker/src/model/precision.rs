//! Choice of the convolutions' precision.

use common::config::{Precision, PrecisionChoice};
use tch::{Device, Kind};

use super::device_class::cpu_flags;

pub(super) fn resolve(choice: PrecisionChoice, device: Device) -> Precision {
    match choice {
        PrecisionChoice::Exactly(precision) => precision,
        PrecisionChoice::Auto if device.is_cuda() || cpu_has_bf16() => Precision::Bf16,
        PrecisionChoice::Auto => Precision::Fp32,
    }
}

/// The libtorch type of a precision.
pub(super) fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::Fp32 => Kind::Float,
        Precision::Bf16 => Kind::BFloat16,
    }
}

/// Whether the CPU multiplies bfloat16 in hardware; if not, bf16 is slower than fp32.
fn cpu_has_bf16() -> bool {
    cpu_flags().split_whitespace().any(|flag| ["avx512_bf16", "amx_bf16", "bf16"].contains(&flag))
}
