//! What users write and read: one kind, one file.
//!
//! Only serde, schemars and CEL rules live here; no logic. Bodies that Keptn v1 defined keep its field names, so
//! that a v1 file can stand under `spec` as it is.

#![allow(
    unreachable_pub,
    clippy::duplicated_attributes,
    reason = "kube's derive repeats each spec in a scope of its own; columns look alike"
)]

pub mod alertroute;
pub mod approval;
pub mod common;
pub mod delivery;
pub mod duration;
pub mod evaluation;
pub mod eventsink;
pub mod execution;
pub mod jobconfig;
pub mod jobstatus;
pub mod jobtask;
pub mod metricsprovider;
pub mod plan;
pub mod problem;
pub mod remediation;
pub mod shipyard;
pub mod sli;
pub mod slo;
pub mod taskresult;

pub use alertroute::{AlertRoute, AlertRouteSpec};
pub use approval::{Approval, ApprovalSpec, ApprovalStatus};
pub use common::{
    Condition, ConfigStatus, HasConfigStatus, LocalRef, Scope, Timestamp, condition_is, set_condition,
};
pub use delivery::{Delivery, DeliverySpec, DeliveryStatus};
pub use duration::Duration;
pub use evaluation::{Evaluation, EvaluationSpec, EvaluationStatus};
pub use eventsink::{EventSink, EventSinkSpec, EventSinkStatus};
pub use execution::{SequenceExecution, SequenceExecutionSpec, SequenceExecutionStatus};
pub use jobconfig::{JobConfig, JobConfigSpec, JobConfigStatus};
pub use metricsprovider::{MetricsProvider, MetricsProviderSpec};
pub use problem::{ProblemEvent, ProblemEventSpec, ProblemEventStatus};
pub use remediation::{Remediation, RemediationSpec};
pub use shipyard::{Shipyard, ShipyardSpec, ShipyardStatus};
pub use sli::{ServiceLevelIndicator, ServiceLevelIndicatorSpec};
pub use slo::{ServiceLevelObjective, ServiceLevelObjectiveSpec};
pub use taskresult::{TaskResult, TaskResultSpec};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of every kind.
pub const GROUP: &str = "coxswain.dev";
/// The version of every kind.
pub const VERSION: &str = "v1alpha1";

/// Every kind's definition, in the order in which they are documented.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    vec![
        Shipyard::crd(),
        Remediation::crd(),
        JobConfig::crd(),
        ServiceLevelObjective::crd(),
        ServiceLevelIndicator::crd(),
        MetricsProvider::crd(),
        ProblemEvent::crd(),
        SequenceExecution::crd(),
        Evaluation::crd(),
        Approval::crd(),
        Delivery::crd(),
        TaskResult::crd(),
        AlertRoute::crd(),
        EventSink::crd(),
    ]
}
