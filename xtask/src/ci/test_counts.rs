//! Adding up the results of many test programs.

use std::fmt;

/// Tests that passed and failed.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct TestCounts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl TestCounts {
    /// Reads a line of the output of tests; any but a result is passed over.
    pub(super) fn read(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        for part in result.split([';', '.']) {
            let Some((count, what)) = part.trim().split_once(' ') else { continue };
            let Ok(count) = count.parse::<usize>() else { continue };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }

    pub(super) fn is_any(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for TestCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ignored > 0 {
            writeln!(f, "{} ignored", self.ignored)?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_programs_add_up() {
        let mut counts = TestCounts::default();
        counts.read("running 3 tests");
        counts.read("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        counts.read("test result: FAILED. 4 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.50s");
        assert_eq!(counts.to_string(), "2 ignored\n7 passed, 1 failed");
    }

    #[test]
    fn no_result_is_no_count() {
        assert!(!TestCounts::default().is_any());
        assert_eq!(TestCounts { passed: 2, ..TestCounts::default() }.to_string(), "2 passed, 0 failed");
    }
}
