//! placeholder
/// Where measurements come from.
pub trait MetricsSource: Send + Sync {}
/// x
#[derive(Default)]
pub struct Prometheus;
impl MetricsSource for Prometheus {}
