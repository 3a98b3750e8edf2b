//! Prometheus metrics. docs/METRICS.md lists their meanings.

use p861_runs::RunMetrics;
use prometheus::{Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// All metrics of the operator.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Metrics of the executor.
    pub runs: RunMetrics,
    /// 1 on the replica that acts.
    pub leader: IntGauge,
    /// Times that this process has lost the lease while it acted.
    pub lease_losses: IntCounter,
    /// 1 if the site's API server answers.
    pub site_reachable: IntGaugeVec,
    /// Nodes whose Ready condition is True.
    pub site_nodes_ready: IntGaugeVec,
    /// All nodes.
    pub site_nodes_total: IntGaugeVec,
    /// Nodes that are not ready because a ticket works on them.
    pub site_nodes_in_maintenance: IntGaugeVec,
    /// Recovery point of the newest backup that succeeded.
    pub backup_last_success: GaugeVec,
    /// The application's RPO.
    pub rpo_objective: GaugeVec,
    /// Backups by result.
    pub backup_runs: IntCounterVec,
    /// Applications whose backup by a policy has not begun in time.
    pub backup_late: IntGaugeVec,
    /// Backups by a policy that did not begin in time.
    pub backup_slots_missed: IntCounterVec,
    /// End of a plan's newest drill.
    pub drill_last_completion: GaugeVec,
    /// 1 for the result of a plan's newest drill.
    pub drill_last_result: IntGaugeVec,
    /// Measured RTO of a plan's newest drill.
    pub drill_rto: GaugeVec,
    /// 1 if the repository can be used.
    pub repository_ready: IntGaugeVec,
    /// 1 if a backup in the repository was found damaged.
    pub repository_damaged: IntGaugeVec,
    /// 1 unless snapshots can't be forgotten, or the repository was not pruned for too long.
    pub repository_pruned: IntGaugeVec,
    /// When the repository was last pruned.
    pub repository_last_prune: GaugeVec,
    /// Bytes that no snapshot needs and that have not left the repository yet.
    pub repository_marked: IntGaugeVec,
    /// Snapshots that were forgotten.
    pub repository_forgotten: IntCounterVec,
    /// Bytes that have left the repository.
    pub repository_reclaimed: IntCounterVec,
    /// Tickets that have not ended.
    pub tickets: IntGaugeVec,
    /// Tickets with a clock that has run out.
    pub tickets_overdue: IntGaugeVec,
    /// 1 while every level of a roster has somebody on duty.
    pub duty_covered: IntGaugeVec,
    /// Posts of Alertmanager, by what became of them.
    pub alert_posts: IntCounterVec,
    /// 1 while every site's heartbeat is heard.
    pub alerts_arrive: IntGaugeVec,
    /// Messages about open tickets that could not be delivered yet.
    pub messages_undelivered: IntGaugeVec,
    /// 1 if the newest test message reached everybody.
    pub people_reachable: IntGaugeVec,
    /// 1 while a window is open.
    pub window_open: IntGaugeVec,
    /// 2 if a layer of the platform is Ready, 1 if it is Weak, 0 if something of it is Missing.
    pub platform_layer_state: IntGaugeVec,
    /// Standard applications that a layer can carry.
    pub platform_supportable: IntGaugeVec,
    /// Applications that run.
    pub platform_running: IntGaugeVec,
    /// When a layer runs short, by the forecast.
    pub platform_short: GaugeVec,
    /// End of the certificate of a site that ends first.
    pub platform_certificate_expiry: GaugeVec,
    /// Objects that can't be read.
    pub invalid_objects: IntGaugeVec,
    /// Reconciles that failed.
    pub reconcile_errors: IntCounterVec,
    /// How long a reconcile took.
    pub reconcile_duration: HistogramVec,
    /// How long an object waited for its turn.
    pub reconcile_wait: HistogramVec,
    /// Reconciles that took too long, or met a bug.
    pub reconciles_given_up: IntCounterVec,
    /// Objects whose last reconcile was given up.
    pub objects_not_reconciled: IntGaugeVec,
}

impl Metrics {
    /// Registers all of them.
    #[expect(clippy::too_many_lines, reason = "a list")]
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, labels: &[&str]| -> Result<GaugeVec, prometheus::Error> {
            let metric = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
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
        let leader = IntGauge::new("p861_operator_leader", "1 on the replica that acts")?;
        registry.register(Box::new(leader.clone()))?;
        let lease_losses = IntCounter::new("p861_operator_lease_losses_total", "Times that the process has lost the lease while it acted")?;
        registry.register(Box::new(lease_losses.clone()))?;
        Ok(Self {
            leader,
            lease_losses,
            site_reachable: whole("p861_site_reachable", "1 if the site's API server answers", &["site"])?,
            site_nodes_ready: whole("p861_site_nodes_ready", "Nodes that are ready", &["site"])?,
            site_nodes_total: whole("p861_site_nodes_total", "Nodes", &["site"])?,
            site_nodes_in_maintenance: whole("p861_site_nodes_in_maintenance", "Nodes that are not ready because a ticket works on them", &["site"])?,
            backup_last_success: gauge(
                "p861_backup_last_success_timestamp_seconds",
                "Recovery point of the newest backup that succeeded",
                &["district", "application"],
            )?,
            rpo_objective: gauge("p861_application_rpo_objective_seconds", "RPO in force", &["district", "application"])?,
            backup_runs: counter("p861_backup_runs_total", "Backups by result", &["district", "application", "result"])?,
            backup_late: whole("p861_backup_late_applications", "Applications whose backup has not begun in time", &["district", "policy"])?,
            backup_slots_missed: counter("p861_backup_slots_missed_total", "Backups that did not begin in time", &["district", "policy"])?,
            drill_last_completion: gauge("p861_drill_last_completion_timestamp_seconds", "End of the newest drill", &["district", "plan"])?,
            drill_last_result: whole("p861_drill_last_result", "1 for the result of the newest drill", &["district", "plan", "result"])?,
            drill_rto: gauge("p861_drill_measured_rto_seconds", "RTO of the newest drill", &["district", "plan"])?,
            repository_ready: whole("p861_repository_ready", "1 if the repository can be used", &["district", "repository"])?,
            repository_damaged: whole("p861_repository_damaged", "1 if a backup in the repository was found damaged", &["district", "repository"])?,
            repository_pruned: whole(
                "p861_repository_pruned",
                "1 unless snapshots can't be forgotten, or the repository was not pruned for too long",
                &["district", "repository"],
            )?,
            repository_last_prune: gauge("p861_repository_last_prune_timestamp_seconds", "When the repository was last pruned", &["district", "repository"])?,
            repository_marked: whole("p861_repository_marked_bytes", "Bytes that no snapshot needs and that are still there", &["district", "repository"])?,
            repository_forgotten: counter("p861_repository_forgotten_total", "Snapshots that were forgotten", &["district", "repository"])?,
            repository_reclaimed: counter("p861_repository_reclaimed_bytes_total", "Bytes that have left the repository", &["district", "repository"])?,
            tickets: whole("p861_tickets", "Tickets that have not ended", &["district", "type", "priority"])?,
            tickets_overdue: whole("p861_tickets_overdue", "Tickets that are late", &["district", "clock"])?,
            duty_covered: whole("p861_duty_covered", "1 while every level has somebody on duty", &["district", "roster"])?,
            alert_posts: counter("p861_alert_posts_total", "Posts of Alertmanager by result", &["result"])?,
            alerts_arrive: whole("p861_alerts_arrive", "1 while every heartbeat is heard", &["district", "roster"])?,
            messages_undelivered: whole("p861_messages_undelivered", "Messages that were tried and not delivered yet", &["district"])?,
            people_reachable: whole("p861_people_reachable", "1 if the newest test message reached everybody", &["district", "roster"])?,
            window_open: whole("p861_window_open", "1 while the window is open", &["district", "window"])?,
            platform_layer_state: whole(
                "p861_platform_layer_state",
                "2 if the layer is Ready, 1 if it is Weak, 0 if something of it is Missing",
                &["district", "layer"],
            )?,
            platform_supportable: whole("p861_platform_supportable_applications", "Standard applications that the layer can carry", &["district", "layer"])?,
            platform_running: whole("p861_platform_running_applications", "Applications that run", &["district"])?,
            platform_short: gauge("p861_platform_short_timestamp_seconds", "When the layer runs into its reserve, by the forecast", &["district", "layer"])?,
            platform_certificate_expiry: gauge(
                "p861_platform_certificate_expiry_timestamp_seconds",
                "End of the certificate of the site that ends first",
                &["district", "site"],
            )?,
            invalid_objects: whole("p861_invalid_objects", "Objects that can't be read", &["kind"])?,
            reconcile_errors: counter("p861_reconcile_errors_total", "Reconciles that failed", &["kind", "category"])?,
            reconcile_duration: histogram(
                "p861_reconcile_duration_seconds",
                "How long a reconcile took",
                &["kind"],
                &[0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 30.0, 120.0],
            )?,
            reconcile_wait: histogram(
                "p861_reconcile_wait_seconds",
                "How long an object waited for its turn to be reconciled",
                &["district"],
                &[0.1, 0.5, 2.0, 10.0, 30.0, 120.0, 600.0],
            )?,
            reconciles_given_up: counter("p861_reconciles_given_up_total", "Reconciles that took too long, or met a bug", &["district", "kind"])?,
            objects_not_reconciled: whole("p861_objects_not_reconciled", "Objects whose last reconcile was given up", &["district", "kind"])?,
            runs: RunMetrics::new(&registry)?,
            registry,
        })
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(prometheus::gather());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}
