//! What each role may do, as the API server must judge it.

/// Resources and verbs, as `access::rights` reads them.
pub type Table = &'static [(&'static str, &'static str)];

pub const HUB: Table = &[
    ("sites.platform861.io districts.platform861.io platformprofiles.platform861.io platforms.platform861.io applications.platform861.io", "get list watch"),
    ("backuprepositories.platform861.io backuppolicies.platform861.io recoveryplans.platform861.io", "get list watch"),
    ("maintenancewindows.platform861.io dutyrosters.platform861.io", "get list watch"),
    ("backups.platform861.io restores.platform861.io drills.platform861.io", "get list watch patch"),
    ("backuprepositories.platform861.io", "patch"),
    ("backups.platform861.io", "create"),
    ("backups.platform861.io restores.platform861.io drills.platform861.io maintenancetickets.platform861.io approvals.platform861.io", "delete"),
    ("approvals.platform861.io changetemplates.platform861.io", "get list watch"),
    ("maintenancetickets.platform861.io", "get list watch create patch"),
    ("sites.platform861.io/status districts.platform861.io/status platformprofiles.platform861.io/status platforms.platform861.io/status", "patch"),
    ("applications.platform861.io/status backuprepositories.platform861.io/status backuppolicies.platform861.io/status", "patch"),
    ("recoveryplans.platform861.io/status", "patch"),
    ("backups.platform861.io/status restores.platform861.io/status drills.platform861.io/status", "patch"),
    ("maintenancewindows.platform861.io/status dutyrosters.platform861.io/status", "patch"),
    ("approvals.platform861.io/status changetemplates.platform861.io/status maintenancetickets.platform861.io/status", "patch"),
    ("secrets", "get create"),
    ("configmaps", "get create update patch delete"),
    ("namespaces", "get create patch"),
    ("nodes servicecidrs.networking.k8s.io", "list"),
    ("resourcequotas", "get create patch"),
    ("events.events.k8s.io", "create patch"),
    ("rolebindings.rbac.authorization.k8s.io", "get list create patch delete"),
];
pub const ON_SITE: Table = &[
    ("nodes pods services persistentvolumeclaims persistentvolumes storageclasses.storage.k8s.io ingresses.networking.k8s.io", "list"),
    ("events", "list"),
    ("services services/proxy pods/log persistentvolumes", "get"),
    // A component of the base software, object by object.
    ("configmaps persistentvolumeclaims cronjobs.batch horizontalpodautoscalers.autoscaling", "get"),
    ("ingresses.networking.k8s.io poddisruptionbudgets.policy", "get"),
    ("nodes", "get patch"),
    ("pods/eviction", "create"),
    ("deployments.apps statefulsets.apps daemonsets.apps", "get list patch"),
    // A restore stops what runs pods, and starts it again.
    ("replicasets.apps replicationcontrollers cronjobs.batch jobs.batch", "list patch"),
    ("pods", "create patch delete"),
    ("podtemplates", "list create delete"),
    ("namespaces rolebindings.rbac.authorization.k8s.io", "get list create patch delete"),
    ("networkpolicies.networking.k8s.io", "get list create patch update delete"),
    ("resourcequotas priorityclasses.scheduling.k8s.io", "get list create update delete"),
    (
        "validatingadmissionpolicies.admissionregistration.k8s.io validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "get list create update delete",
    ),
    ("pods/exec pods/attach pods/portforward", "get create"),
    ("jobs.batch", "get list create delete"),
    ("secrets", "get"),
    ("serviceaccounts", "get create patch delete"),
];
pub const MOVER_BACKUP: Table =
    &[("*", "list"), ("namespaces", "get"), ("deployments.apps statefulsets.apps daemonsets.apps", "get"), ("pods/exec", "get create")];
pub const MOVER_RESTORE: Table = &[("*", "get list create update patch delete escalate bind")];
pub const READER: Table = &[
    ("platforms.platform861.io applications.platform861.io backuprepositories.platform861.io recoveryplans.platform861.io", "get list watch"),
    ("backuppolicies.platform861.io backups.platform861.io restores.platform861.io drills.platform861.io", "get list watch"),
    ("maintenancewindows.platform861.io dutyrosters.platform861.io maintenancetickets.platform861.io approvals.platform861.io", "get list watch"),
    ("changetemplates.platform861.io", "get list watch"),
    ("events events.events.k8s.io", "get list watch"),
    ("configmaps", "get list"),
];
/// What each may beside reading.
pub const ROLES: [(&str, &str, Table); 5] = [
    ("viewer-zhou", "viewer", &[]),
    (
        "engineer-li",
        "engineer",
        &[
            (
                "platforms.platform861.io applications.platform861.io backuprepositories.platform861.io recoveryplans.platform861.io",
                "create update patch delete",
            ),
            ("backuppolicies.platform861.io backups.platform861.io restores.platform861.io", "create update patch delete"),
            ("maintenancewindows.platform861.io dutyrosters.platform861.io", "create update patch delete"),
            ("maintenancetickets.platform861.io", "create update patch"),
            ("secrets", "create"),
        ],
    ),
    (
        "approver-sun",
        "approver",
        &[
            ("drills.platform861.io", "update patch approve"),
            ("maintenancetickets.platform861.io", "approve"),
            ("approvals.platform861.io", "create delete"),
            ("changetemplates.platform861.io", "create patch delete"),
        ],
    ),
    (
        "commander-zhao",
        "commander",
        &[
            ("backups.platform861.io restores.platform861.io drills.platform861.io maintenancetickets.platform861.io", "create update patch"),
            ("drills.platform861.io", "delete"),
        ],
    ),
    ("auditor-qian", "auditor", &[("rolebindings.rbac.authorization.k8s.io", "get list")]),
];
pub const SITE_READER: Table = &[
    ("pods services endpoints configmaps persistentvolumeclaims resourcequotas events events.events.k8s.io", "get list watch"),
    ("deployments.apps statefulsets.apps daemonsets.apps replicasets.apps jobs.batch cronjobs.batch", "get list watch"),
    ("ingresses.networking.k8s.io networkpolicies.networking.k8s.io", "get list watch"),
];
pub const LOGS: (&str, &str) = ("pods/log", "get");
/// What each may on a site beside reading.
pub const SITE_ROLES: [(&str, &str, Table); 5] = [
    ("viewer-zhou", "viewer", &[LOGS]),
    (
        "engineer-li",
        "engineer",
        &[
            LOGS,
            ("deployments.apps statefulsets.apps daemonsets.apps", "patch"),
            ("deployments.apps/scale statefulsets.apps/scale", "get patch update"),
            ("pods", "delete"),
        ],
    ),
    ("approver-sun", "approver", &[]),
    ("commander-zhao", "commander", &[LOGS]),
    ("auditor-qian", "auditor", &[LOGS, ("roles.rbac.authorization.k8s.io rolebindings.rbac.authorization.k8s.io", "get list watch")]),
];
