//! Whether a definition is in force, and what to tell its author.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt};

use crate::{
    api::{
        AlertRoute, Condition, EventSink, HasConfigStatus, JobConfig, MetricsProvider, Remediation, Scope,
        ServiceLevelIndicator, ServiceLevelObjective, Shipyard, set_condition,
    },
    core::{Invalid, alerts, outbound},
};

use super::{lookup::age, validate};

/// A message names so many mistakes, and counts the others.
const TOLD: usize = 5;

/// A kind that is only configuration.
pub trait Definition: Resource<DynamicType = ()> {
    /// What it applies to; absent for kinds that are looked up by their name.
    fn scope(&self) -> Option<&Scope>;
    /// What is wrong with it; empty when all is well.
    fn mistakes(&self) -> Vec<Invalid>;
    /// Whether several objects of one scope add up; otherwise only the oldest is in force.
    const ADDS_UP: bool = false;
}

impl Definition for Shipyard {
    fn scope(&self) -> Option<&Scope> {
        None
    }
    fn mistakes(&self) -> Vec<Invalid> {
        validate::shipyard(self)
    }
}

impl Definition for MetricsProvider {
    fn scope(&self) -> Option<&Scope> {
        None
    }
    fn mistakes(&self) -> Vec<Invalid> {
        validate::metrics_provider(self)
    }
}

impl Definition for Remediation {
    fn scope(&self) -> Option<&Scope> {
        Some(&self.spec.scope)
    }
    fn mistakes(&self) -> Vec<Invalid> {
        validate::remediation(self)
    }
}

impl Definition for ServiceLevelObjective {
    fn scope(&self) -> Option<&Scope> {
        Some(&self.spec.scope)
    }
    fn mistakes(&self) -> Vec<Invalid> {
        validate::objective(self)
    }
}

impl Definition for ServiceLevelIndicator {
    fn scope(&self) -> Option<&Scope> {
        Some(&self.spec.scope)
    }
    fn mistakes(&self) -> Vec<Invalid> {
        validate::indicator(self)
    }
}

impl Definition for AlertRoute {
    fn scope(&self) -> Option<&Scope> {
        None
    }
    fn mistakes(&self) -> Vec<Invalid> {
        alerts::route::mistakes(self)
    }
}

impl Definition for EventSink {
    fn scope(&self) -> Option<&Scope> {
        None
    }
    fn mistakes(&self) -> Vec<Invalid> {
        outbound::mistakes(self)
    }
}

impl Definition for JobConfig {
    fn scope(&self) -> Option<&Scope> {
        Some(&self.spec.scope)
    }
    fn mistakes(&self) -> Vec<Invalid> {
        validate::job_config(self)
    }
    const ADDS_UP: bool = true;
}

/// Whether an object is in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is.
    Valid,
    /// It is not, because of these mistakes.
    Invalid(Vec<Invalid>),
    /// It is not, because this older object has the same scope.
    Ambiguous {
        /// The older object's name.
        older: String,
    },
}

impl Verdict {
    /// The verdict in a word: `Valid`, `Invalid`, `Ambiguous`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Valid => "Valid",
            Self::Invalid(_) => "Invalid",
            Self::Ambiguous { .. } => "Ambiguous",
        }
    }

    /// The sentence for people.
    pub fn message(&self) -> String {
        match self {
            Self::Valid => "in force".to_owned(),
            Self::Invalid(mistakes) => {
                let told: Vec<String> = mistakes.iter().take(TOLD).map(ToString::to_string).collect();
                let more = mistakes.len().saturating_sub(TOLD);
                let rest = if more == 0 {
                    String::new()
                } else {
                    format!("; and {more} more")
                };
                format!("{}{rest}", told.join("; "))
            }
            Self::Ambiguous { older } => format!(
                "{older:?} has the same scope and is older, so it stays in force; give one of them another scope or \
                 delete one"
            ),
        }
    }
}

/// The verdict on each object of one kind and namespace, in the order given.
pub fn judge<K: Definition>(list: &[Arc<K>]) -> Vec<Verdict> {
    let mistakes: Vec<_> = list.iter().map(|object| object.mistakes()).collect();
    let mut oldest: HashMap<&Scope, &Arc<K>> = HashMap::new();
    if !K::ADDS_UP {
        for (object, wrong) in list.iter().zip(&mistakes) {
            if let (Some(scope), true) = (object.scope(), wrong.is_empty()) {
                let first = oldest.entry(scope).or_insert(object);
                if age(object.as_ref()) < age(first.as_ref()) {
                    *first = object;
                }
            }
        }
    }
    list.iter()
        .zip(mistakes)
        .map(|(object, wrong)| {
            if !wrong.is_empty() {
                return Verdict::Invalid(wrong);
            }
            match object.scope().and_then(|scope| oldest.get(scope)) {
                Some(older) if !Arc::ptr_eq(older, object) => Verdict::Ambiguous {
                    older: older.name_any(),
                },
                _ => Verdict::Valid,
            }
        })
        .collect()
}

/// The status that says the verdict: `Ready`, and while the object is not in force `Stalled`, so that tools that wait for
/// an object (kstatus) fail at once instead of at their deadline. Equal to `old` when nothing is new.
pub fn status<S: HasConfigStatus + Clone + Default>(
    old: Option<&S>,
    generation: Option<i64>,
    verdict: &Verdict,
    now: Timestamp,
) -> S {
    let mut whole = old.cloned().unwrap_or_default();
    let status = whole.config_mut();
    status.observed_generation = generation;
    let condition = |type_: &str, yes: bool| Condition {
        type_: type_.to_owned(),
        status: if yes { "True" } else { "False" }.to_owned(),
        reason: verdict.reason().to_owned(),
        message: verdict.message(),
        observed_generation: generation,
        last_transition_time: Time(now),
    };
    let valid = *verdict == Verdict::Valid;
    set_condition(&mut status.conditions, condition("Ready", valid));
    if valid {
        status.conditions.retain(|c| c.type_ != "Stalled");
    } else {
        set_condition(&mut status.conditions, condition("Stalled", true));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ConfigStatus, RemediationSpec, condition_is};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn healing(name: &str, created: i64, scope: &str) -> Arc<Remediation> {
        let spec: RemediationSpec =
            serde_yaml::from_str(&format!("project: p\nremediations: []\n{scope}")).unwrap();
        let mut object = Remediation::new(name, spec);
        object.metadata.creation_timestamp = Some(Time(at(created)));
        Arc::new(object)
    }

    fn ambiguous(older: &str) -> Verdict {
        Verdict::Ambiguous {
            older: older.to_owned(),
        }
    }

    #[test]
    fn the_older_of_two_stays_in_force() {
        let list = [
            healing("young", 2, ""),
            healing("old", 1, ""),
            healing("other", 3, "stage: qa"),
        ];
        assert_eq!(judge(&list), [ambiguous("old"), Verdict::Valid, Verdict::Valid]);
        assert_eq!(judge(&list[..1]), [Verdict::Valid]);
    }

    #[test]
    fn an_older_one_that_is_wrong_is_in_nobodys_way() {
        let wrong = "budget: {actions: 1, per: 0s}";
        let list = [healing("young", 2, ""), healing("old", 1, wrong)];
        let verdicts = judge(&list);
        assert_eq!((&verdicts[0], verdicts[1].reason()), (&Verdict::Valid, "Invalid"));
    }

    #[test]
    fn job_configs_add_up() {
        let one: JobConfig = JobConfig::new("a", serde_yaml::from_str("{project: p, actions: []}").unwrap());
        let mut two = one.clone();
        two.metadata.name = Some("b".to_owned());
        assert_eq!(
            judge(&[Arc::new(one), Arc::new(two)]),
            [Verdict::Valid, Verdict::Valid]
        );
    }

    #[test]
    fn long_lists_of_mistakes_are_cut() {
        let mistakes = (0..7)
            .map(|i| Invalid::new(format!("spec.a[{i}]"), "is wrong"))
            .collect();
        let message = Verdict::Invalid(mistakes).message();
        assert!(message.ends_with("spec.a[4]: is wrong; and 2 more"), "{message}");
    }

    #[test]
    fn an_unchanged_verdict_leaves_the_status_as_it_is() {
        let first = status::<ConfigStatus>(None, Some(1), &ambiguous("old"), at(10));
        assert!(condition_is(&first.conditions, "Ready", "False"));
        assert!(condition_is(&first.conditions, "Stalled", "True"));
        assert_eq!(first.observed_generation, Some(1));
        assert_eq!(status(Some(&first), Some(1), &ambiguous("old"), at(20)), first);
    }

    #[test]
    fn stalled_goes_when_all_is_well() {
        let first = status::<ConfigStatus>(None, Some(1), &ambiguous("old"), at(10));
        let second = status(Some(&first), Some(1), &Verdict::Valid, at(20));
        let types: Vec<_> = second
            .conditions
            .iter()
            .map(|c| (c.type_.as_str(), c.status.as_str()))
            .collect();
        assert_eq!(types, [("Ready", "True")]);
        assert_eq!(second.conditions[0].last_transition_time, Time(at(20)));
    }
}
