//! Where and when the numbers were measured.

use std::fs;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Returns how many threads wanted to run in the last minute, where the system tells it. Beside other work, both sides are slow, and torch,
/// whose threads wait for each other without sleeping, more so.
pub(crate) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Returns the processor, its cores, and the day.
pub(crate) fn describe() -> Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let days = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    json!({"date": date(days), "processor": processor(), "cores": cores, "system": std::env::consts::OS})
}

/// Returns the largest resident set that this process had, in MiB.
pub(crate) fn peak_memory() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("the peak of the memory is known on Linux only")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the system does not tell the peak of the memory")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").trim().parse().context("the peak of the memory is a number")?;
    Ok(kibibytes / 1_024.0)
}

/// Returns the name of the processor where the system tells it, else its kind.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// Returns the date of a day, counted from 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> String {
    let (mut year, mut day) = (1970, days);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates_of_the_gregorian_calendar() {
        let dates = [0, 58, 789, 11_016, 11_017, 20_453, 20_783];
        let expected = ["1970-01-01", "1970-02-28", "1972-02-29", "2000-02-29", "2000-03-01", "2025-12-31", "2026-11-26"];
        assert_eq!(dates.map(date), expected);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_of_the_memory_grows_with_what_is_touched() {
        let before = peak_memory().unwrap();
        let touched = vec![1u8; 64 << 20];
        assert!(touched.iter().map(|&byte| u64::from(byte)).sum::<u64>() > 0);
        let after = peak_memory().unwrap();
        assert!(after > before && after >= 64.0, "{before} MiB, then {after}");
    }
}
