//! The text of a remaining time, for the progress of submissions (command line) and runs (server).

/// Rounds seconds to one unit: `45 s`, `10 min`, `2.5 h`.
pub(crate) fn rounded(seconds: f64) -> String {
    if seconds < 59.5 {
        format!("{:.0} s", seconds.max(1.0))
    } else if seconds < 3570.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}
