//! Keptn's directories: where a file lies says what it is for.
//!
//! A project's files are in the root, a stage's in `<stage>/`, a service's in `<stage>/<service>/`; a checkout of one
//! stage's branch has `<service>/` in its root, which `--stage` tells.

use super::{Kind, Scope};

/// The directory that Keptn's later versions had all stages in, instead of branches.
const STAGES: [&str; 2] = [".keptn-stages", "keptn-stages"];
/// Whose queries an sli.yaml has. Coxswain asks Prometheus.
const PROVIDERS: [&str; 5] = ["prometheus", "dynatrace", "datadog", "wavefront", "splunk"];

/// Where a file belongs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Placed {
    /// It is a file of this scope; `base` is the directory that tasks' files are looked for in.
    At { kind: Kind, scope: Scope, base: String },
    /// It is for nothing, because ...
    Nowhere(String),
}

/// The place of a file that was named: the command line says all.
pub(super) fn named(kind: Kind, flags: &Scope) -> Placed {
    let scope = if kind == Kind::Shipyard {
        project(flags)
    } else {
        flags.clone()
    };
    Placed::At {
        kind,
        scope,
        base: String::new(),
    }
}

/// The place of a file in a directory.
pub(super) fn place(kind: Kind, path: &str, flags: &Scope) -> Placed {
    let mut directories: Vec<&str> = path.split('/').collect();
    directories.pop();
    match (kind, directories.last().copied()) {
        (Kind::JobConfig, Some("job")) => {
            directories.pop();
        }
        (Kind::Indicator, Some(provider)) if PROVIDERS.contains(&provider) => {
            if provider != "prometheus" {
                let remedy = "write them as PromQL into prometheus/sli.yaml";
                return Placed::Nowhere(format!(
                    "has queries for {provider}, and Coxswain asks Prometheus; {remedy}"
                ));
            }
            directories.pop();
        }
        _ => {}
    }
    let base = directories.join("/");
    if flags.stage.is_none() && directories.first().is_some_and(|first| STAGES.contains(first)) {
        directories.remove(0);
    }
    if kind == Kind::Shipyard {
        return if directories.is_empty() {
            let scope = project(flags);
            Placed::At { kind, scope, base }
        } else {
            Placed::Nowhere("a project has one shipyard, in the root of its directory".to_owned())
        };
    }
    let mut scope = flags.clone();
    for directory in directories {
        // The flags say the first of these; directories say the others, in this order.
        let Some(open) = [&mut scope.stage, &mut scope.service]
            .into_iter()
            .find(|part| part.is_none())
        else {
            return Placed::Nowhere(format!(
                "lies deeper than {}; move it there, or name its stage and service with --stage and --service",
                deepest(flags)
            ));
        };
        *open = Some(directory.to_owned());
    }
    Placed::At { kind, scope, base }
}

fn project(flags: &Scope) -> Scope {
    Scope {
        project: flags.project.clone(),
        ..Scope::default()
    }
}

fn deepest(flags: &Scope) -> &'static str {
    match (&flags.stage, &flags.service) {
        (None, None) => "<stage>/<service>/",
        (Some(_), None) => "<service>/",
        (None, Some(_)) => "<stage>/",
        (Some(_), Some(_)) => "the directory itself",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// `project/stage/service @ base`, or why not.
    fn placed(kind: Kind, path: &str, stage: Option<&str>, service: Option<&str>) -> String {
        let owned = |part: Option<&str>| part.map(str::to_owned);
        let flags = Scope {
            project: "p".to_owned(),
            stage: owned(stage),
            service: owned(service),
        };
        match place(kind, path, &flags) {
            Placed::At { scope, base, .. } => {
                let part = |part: Option<String>| part.unwrap_or_else(|| "*".to_owned());
                format!(
                    "{}/{}/{} @ {base}",
                    scope.project,
                    part(scope.stage),
                    part(scope.service)
                )
            }
            Placed::Nowhere(why) => why,
        }
    }

    #[rstest]
    #[case(Kind::Shipyard, "shipyard.yaml", "p/*/* @ ")]
    #[case(Kind::Objective, "slo.yaml", "p/*/* @ ")]
    #[case(Kind::JobConfig, "job/config.yaml", "p/*/* @ ")]
    #[case(Kind::Indicator, "prometheus/sli.yaml", "p/*/* @ ")]
    #[case(Kind::Objective, "qa/slo.yaml", "p/qa/* @ qa")]
    #[case(Kind::JobConfig, "qa/job/config.yaml", "p/qa/* @ qa")]
    #[case(Kind::Indicator, "qa/prometheus/sli.yaml", "p/qa/* @ qa")]
    #[case(Kind::Remediation, "qa/shop/remediation.yaml", "p/qa/shop @ qa/shop")]
    #[case(Kind::JobConfig, "qa/shop/job/config.yaml", "p/qa/shop @ qa/shop")]
    #[case(Kind::Indicator, "qa/shop/prometheus/sli.yaml", "p/qa/shop @ qa/shop")]
    #[case(
        Kind::Remediation,
        ".keptn-stages/qa/shop/remediation.yaml",
        "p/qa/shop @ .keptn-stages/qa/shop"
    )]
    #[case(
        Kind::Indicator,
        "qa/shop/dynatrace/sli.yaml",
        "has queries for dynatrace, and Coxswain asks Prometheus; write them as PromQL into prometheus/sli.yaml"
    )]
    #[case(
        Kind::Shipyard,
        "qa/shipyard.yaml",
        "a project has one shipyard, in the root of its directory"
    )]
    #[case(
        Kind::Remediation,
        "qa/shop/old/remediation.yaml",
        "lies deeper than <stage>/<service>/; move it there, or name its stage and service with --stage and --service"
    )]
    fn directories_say_what_a_file_is_for(#[case] kind: Kind, #[case] path: &str, #[case] place: &str) {
        assert_eq!(placed(kind, path, None, None), place);
    }

    #[rstest]
    #[case(Kind::Remediation, "remediation.yaml", Some("qa"), None, "p/qa/* @ ")]
    #[case(
        Kind::Remediation,
        "shop/remediation.yaml",
        Some("qa"),
        None,
        "p/qa/shop @ shop"
    )]
    #[case(Kind::JobConfig, "job/config.yaml", Some("qa"), Some("shop"), "p/qa/shop @ ")]
    #[case(Kind::Objective, "slo.yaml", None, Some("shop"), "p/*/shop @ ")]
    #[case(Kind::Objective, "qa/slo.yaml", None, Some("shop"), "p/qa/shop @ qa")]
    #[case(Kind::Shipyard, "shipyard.yaml", Some("qa"), Some("shop"), "p/*/* @ ")]
    fn the_command_line_says_the_rest(
        #[case] kind: Kind,
        #[case] path: &str,
        #[case] stage: Option<&str>,
        #[case] service: Option<&str>,
        #[case] place: &str,
    ) {
        assert_eq!(placed(kind, path, stage, service), place);
    }
}
