//! placeholder
/// Where measurements come from.
pub trait MetricsSource: Send + Sync {}
