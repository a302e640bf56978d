//! A container's security context: v1's defaults, and the fields that a job task may replace.

use k8s_openapi::api::core::v1::{Capabilities, SeccompProfile, SecurityContext};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::core::{Invalid, definitions::nearest::hint};

const FIELDS: [&str; 9] = [
    "allowPrivilegeEscalation",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile",
];

/// The context for a job task with these fields, or everything that is wrong with them; paths begin with
/// `securityContext`.
pub(super) fn context(fields: Option<&Map<String, Value>>) -> Result<SecurityContext, Vec<Invalid>> {
    let mut context = defaults();
    let mut wrong = Vec::new();
    for (field, value) in fields.into_iter().flatten() {
        if let Err(problem) = replace(&mut context, field, value) {
            wrong.push(Invalid::new(format!("securityContext.{field}"), problem));
        }
    }
    if context.run_as_user == Some(0) && context.run_as_non_root == Some(true) {
        wrong.push(Invalid::new(
            "securityContext.runAsUser",
            "user 0 is root: set runAsNonRoot: false too, or use another user",
        ));
    }
    if wrong.is_empty() { Ok(context) } else { Err(wrong) }
}

fn defaults() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            add: None,
            drop: Some(vec!["ALL".to_owned()]),
        }),
        read_only_root_filesystem: Some(true),
        run_as_group: Some(2000),
        run_as_non_root: Some(true),
        run_as_user: Some(1000),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..SecurityContext::default()
    }
}

fn replace(context: &mut SecurityContext, field: &str, value: &Value) -> Result<(), String> {
    match field {
        "allowPrivilegeEscalation" => {
            context.allow_privilege_escalation = Some(read(value, "true or false")?);
        }
        "readOnlyRootFilesystem" => context.read_only_root_filesystem = Some(read(value, "true or false")?),
        "runAsNonRoot" => context.run_as_non_root = Some(read(value, "true or false")?),
        "runAsUser" => context.run_as_user = Some(id(value)?),
        "runAsGroup" => context.run_as_group = Some(id(value)?),
        "capabilities" => {
            only_keys(value, &["add", "drop"])?;
            context.capabilities = Some(read(value, "lists of names under add and drop")?);
        }
        "seccompProfile" => {
            only_keys(value, &["type", "localhostProfile"])?;
            context.seccomp_profile = Some(read(value, "an object such as {type: RuntimeDefault}")?);
        }
        "privileged" => {
            if read(value, "true or false")? {
                return Err("privileged containers are refused: add the one capability that is needed under capabilities.add".to_owned());
            }
            context.privileged = Some(false);
        }
        "procMount" => match read::<String>(value, "Default")?.as_str() {
            "Default" => context.proc_mount = Some("Default".to_owned()),
            other => {
                return Err(format!(
                    "procMount {other} is refused, it uncovers the node's /proc: leave the field out"
                ));
            }
        },
        other => return Err(format!("the field is not known{}", hint(other, FIELDS))),
    }
    Ok(())
}

fn read<T: DeserializeOwned>(value: &Value, expected: &str) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|_| format!("{value} is not {expected}"))
}

fn id(value: &Value) -> Result<i64, String> {
    match value.as_i64() {
        Some(id) if (0..=i64::from(i32::MAX)).contains(&id) => Ok(id),
        _ => Err(format!("{value} is not an id from 0 to {}", i32::MAX)),
    }
}

fn only_keys(value: &Value, known: &[&str]) -> Result<(), String> {
    let Value::Object(fields) = value else {
        return Err(format!("{value} is not an object with {}", known.join(", ")));
    };
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!(
            "the field {key:?} is not known{}",
            hint(key, known.iter().copied())
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn with(fields: &Value) -> Result<SecurityContext, Vec<Invalid>> {
        context(fields.as_object())
    }

    #[test]
    fn without_fields_nothing_is_allowed() {
        insta::assert_json_snapshot!(context(None).unwrap(), @r#"
        {
          "allowPrivilegeEscalation": false,
          "capabilities": {
            "drop": [
              "ALL"
            ]
          },
          "readOnlyRootFilesystem": true,
          "runAsGroup": 2000,
          "runAsNonRoot": true,
          "runAsUser": 1000,
          "seccompProfile": {
            "type": "RuntimeDefault"
          }
        }
        "#);
    }

    #[test]
    fn fields_replace_the_defaults_one_by_one() {
        let replaced =
            with(&json!({"runAsUser": 0, "runAsNonRoot": false, "capabilities": {"add": ["NET_RAW"]}}))
                .unwrap();
        assert_eq!(
            (replaced.run_as_user, replaced.run_as_group),
            (Some(0), Some(2000))
        );
        assert_eq!(replaced.read_only_root_filesystem, Some(true));
        let capabilities = Capabilities {
            add: Some(vec!["NET_RAW".to_owned()]),
            drop: None,
        };
        assert_eq!(replaced.capabilities, Some(capabilities));
        assert_eq!(
            with(&json!({"privileged": false, "procMount": "Default"}))
                .unwrap()
                .privileged,
            Some(false)
        );
    }

    #[rstest]
    #[case(json!({"privileged": true}), "securityContext.privileged: privileged containers are refused: add the one")]
    #[case(json!({"procMount": "Unmasked"}), "securityContext.procMount: procMount Unmasked is refused")]
    #[case(json!({"runAsUsr": 1}), r#"securityContext.runAsUsr: the field is not known; did you mean "runAsUser"?"#)]
    #[case(json!({"runAsUser": "root"}), r#"securityContext.runAsUser: "root" is not an id"#)]
    #[case(json!({"runAsUser": -1}), "-1 is not an id")]
    #[case(json!({"runAsUser": 0}), "user 0 is root: set runAsNonRoot: false")]
    #[case(json!({"runAsNonRoot": "no"}), r#""no" is not true or false"#)]
    #[case(json!({"capabilities": ["ALL"]}), "is not an object with add, drop")]
    #[case(json!({"capabilities": {"drop": "ALL"}}), "is not lists of names")]
    #[case(json!({"seccompProfile": {"typ": "x"}}), r#"the field "typ" is not known; did you mean "type"?"#)]
    fn what_is_refused_is_said_with_the_remedy(#[case] fields: Value, #[case] says: &str) {
        let wrong = with(&fields).unwrap_err();
        assert!(wrong[0].to_string().contains(says), "{}", wrong[0]);
    }
}
