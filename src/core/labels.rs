//! The labels and annotations that Coxswain sets and reads.

/// Annotation: which Job of which execution this is; see [`crate::core::names::JobKey`].
pub const KEY: &str = "coxswain.dev/key";
/// Annotation of a service account whose owner lets Jobs use it: `"true"`.
pub const ALLOWED: &str = "coxswain.dev/allowed";
/// Label: the SequenceExecution's name.
pub const EXECUTION: &str = "coxswain.dev/execution";
/// Label: the project.
pub const PROJECT: &str = "coxswain.dev/project";
/// Label: the stage.
pub const STAGE: &str = "coxswain.dev/stage";
/// Label: the service.
pub const SERVICE: &str = "coxswain.dev/service";
/// Label: the sequence's task.
pub const TASK: &str = "coxswain.dev/task";
/// Label: the attempt, from 1.
pub const ATTEMPT: &str = "coxswain.dev/attempt";
/// Label: who manages the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const COXSWAIN: &str = "coxswain";
