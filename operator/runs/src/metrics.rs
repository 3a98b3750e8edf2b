//! Metrics of the executor. Their meanings are in docs/METRICS.md.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// Metrics of the executor.
#[derive(Clone, Debug)]
pub struct RunMetrics {
    /// Seconds of a step, from intent to outcome.
    pub step_duration: HistogramVec,
    /// Runs whose clean-up keeps failing.
    pub cleanup_failing: IntGaugeVec,
    /// The last progress of the run that has gone without for the longest, in seconds since 1970; absent if no run is to go on by itself.
    pub last_progress: IntGaugeVec,
    /// Runs that failed, by kind.
    pub runs_failed: IntCounterVec,
    /// Drifted objects on sites that were corrected.
    pub platform_corrections: IntCounterVec,
}

impl RunMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// If a metric of the same name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let whole = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| -> Result<HistogramVec, prometheus::Error> {
            let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        Ok(Self {
            step_duration: histogram(
                "p861_step_duration_seconds",
                "How long a step took, from intent to outcome",
                &["kind", "action"],
                &[0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0],
            )?,
            cleanup_failing: whole("p861_cleanup_failing", "Runs whose clean-up keeps failing", &["district", "kind"])?,
            last_progress: whole(
                "p861_run_last_progress_timestamp_seconds",
                "When the run that has gone without progress for the longest last made some",
                &["district", "kind"],
            )?,
            runs_failed: counter("p861_runs_failed_total", "Runs that failed", &["district", "kind"])?,
            platform_corrections: counter(
                "p861_platform_corrections_total",
                "Objects on sites that had drifted and were set right",
                &["district", "site", "kind"],
            )?,
        })
    }
}
