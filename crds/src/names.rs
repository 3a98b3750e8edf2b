//! Labels, annotations and finalizers, spelled once.

/// API group of every kind.
pub const GROUP: &str = "platform861.io";
/// The version that is served and stored.
pub const VERSION: &str = "v1alpha1";
/// Label: the district that an object belongs to.
pub const DISTRICT_LABEL: &str = "platform861.io/district";
/// Label: the application that an object belongs to.
pub const APPLICATION_LABEL: &str = "platform861.io/application";
/// Label of a Backup: the policy that has asked for it.
pub const POLICY_LABEL: &str = "platform861.io/policy";
/// Label: UID of the run (Backup, Restore, Drill) that made an object. What carries it, and nothing else, is removed when the run cleans up.
pub const RUN_LABEL: &str = "platform861.io/run";
/// Annotation of a namespace: UID of the run that has made it. Unlike [`RUN_LABEL`], it doesn't let that run remove it.
pub const MADE_BY_ANNOTATION: &str = "platform861.io/made-by";
/// Label: the namespace that an object of ours, which is elsewhere, is about.
pub const NAMESPACE_LABEL: &str = "platform861.io/namespace";
/// Label: id of the step within its run, as a hash, since step ids hold slashes.
pub const STEP_LABEL: &str = "platform861.io/step";
/// Label: what a pod of ours is for: `mover` or `probe`.
pub const ROLE_LABEL: &str = "platform861.io/role";
/// Label: short id of a drill's bubble; every namespace and object of the bubble carries it.
pub const DRILL_LABEL: &str = "platform861.io/drill";
/// Annotation: the full step id behind [`STEP_LABEL`].
pub const STEP_ANNOTATION: &str = "platform861.io/step-id";
/// Finalizer: a run that made something elsewhere is not forgotten before that is gone.
pub const CLEANUP_FINALIZER: &str = "platform861.io/cleanup";
/// Field manager of everything that the operator applies.
pub const FIELD_MANAGER: &str = "p861-operator";
/// Label: the Platform (by its district) that made an object on a site. What carries it is kept and pruned by that Platform; nothing else is.
pub const PLATFORM_LABEL: &str = "platform861.io/platform";
/// Label: the department that a namespace on a site belongs to.
pub const DEPARTMENT_LABEL: &str = "platform861.io/department";
/// Label: the pool that a node belongs to.
pub const POOL_LABEL: &str = "platform861.io/pool";
/// Field manager of what a Platform applies on sites: apart from [`FIELD_MANAGER`], so that neither takes the other's fields away.
pub const PLATFORM_MANAGER: &str = "p861-platform";
/// Annotation of a node: the ticket (namespace/name) that has cordoned it and will let it take pods again.
pub const CORDON_ANNOTATION: &str = "platform861.io/cordoned-by";
/// Label: the ticket that a Backup was taken for.
pub const TICKET_LABEL: &str = "platform861.io/ticket";
/// Annotation of what a component's bundle has made: the component's version.
pub const COMPONENT_VERSION_ANNOTATION: &str = "platform861.io/component-version";
/// Label of what a component's bundle has made: the component.
pub const COMPONENT_LABEL: &str = "platform861.io/component";
/// Annotation of an Application: the time (RFC 3339) since which a person says that its data is whole again, after a restore that ended half way.
pub const WHOLE_SINCE_ANNOTATION: &str = "platform861.io/whole-since";
/// Label or annotation of an ended run: with the value `true` its object stays on the hub, whatever `spec.history` of its District says.
pub const KEEP: &str = "platform861.io/keep";
