//! Number formats of the pictures.

/// Formats a number with two or three significant digits: `0.0011`, `0.25`, `34`, `1.2k`, `170M`.
pub(super) fn short(value: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| value >= *unit * 0.9995).unwrap_or((1.0, ""));
    let value = value / unit;
    let decimals = match value {
        value if value >= 99.95 || value == 0.0 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.1 => 2,
        value => (1.0 - value.log10().floor()).clamp(2.0, 9.0) as usize,
    };
    let digits = format!("{value:.decimals$}");
    let digits = if decimals > 0 { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
    format!("{digits}{name}")
}

/// Formats an integer with thousands separators.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_abbreviated() {
        for (value, want) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (0.001_12, "0.0011"),
            (0.02, "0.02"),
            (1e-30, "0"),
            (2.0, "2"),
            (34.26, "34.3"),
            (250.0, "250"),
            (999.9, "1k"),
            (1_200.0, "1.2k"),
            (170_000_000.0, "170M"),
        ] {
            assert_eq!(short(value), want);
        }
        assert_eq!([grouped(7), grouped(3_200), grouped(1_000_000)], ["7", "3,200", "1,000,000"]);
    }
}
