//! A task's further volumes: those that give a Job nothing that its namespace doesn't have.

use std::{collections::BTreeSet, sync::LazyLock};

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, ImageVolumeSource, PersistentVolumeClaimVolumeSource,
    ProjectedVolumeSource, SecretVolumeSource, Volume, VolumeMount,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{build::FILES_DIR, strict};
use crate::{
    api::jobconfig::{self, JobTask},
    core::{Invalid, definitions::nearest::hint, names::is_dns_label},
};

static CONFIG_MAP: LazyLock<Value> = LazyLock::new(strict::schema::<ConfigMapVolumeSource>);
static SECRET: LazyLock<Value> = LazyLock::new(strict::schema::<SecretVolumeSource>);
static EMPTY_DIR: LazyLock<Value> = LazyLock::new(strict::schema::<EmptyDirVolumeSource>);
static PROJECTED: LazyLock<Value> = LazyLock::new(strict::schema::<ProjectedVolumeSource>);
static CLAIM: LazyLock<Value> = LazyLock::new(strict::schema::<PersistentVolumeClaimVolumeSource>);
static IMAGE: LazyLock<Value> = LazyLock::new(strict::schema::<ImageVolumeSource>);

/// What a projected volume may be made of.
const PROJECTIONS: [&str; 4] = ["configMap", "secret", "downwardAPI", "serviceAccountToken"];
/// The names of our own volumes.
const TAKEN: [&str; 2] = ["tmp", "files"];
/// Other volumes of ours have names that begin so.
const OURS: &str = "coxswain-";

/// The task's volumes, and where its container has them.
///
/// # Errors
/// All that is wrong with them; paths are below the task.
pub(super) fn volumes(task: &JobTask) -> Result<(Vec<Volume>, Vec<VolumeMount>), Vec<Invalid>> {
    let mut wrong = Vec::new();
    let mut volumes = Vec::new();
    let mut names = BTreeSet::new();
    for (index, own) in task.volumes.iter().enumerate() {
        let at = format!("volumes[{index}]");
        let name = own.name.as_str();
        if let Some(problem) = name_problem(name, names.insert(name), task) {
            wrong.push(Invalid::new(format!("{at}.name"), problem));
        }
        match volume(own, &at, task.service_account.is_some()) {
            Ok(volume) => volumes.push(volume),
            Err(problems) => wrong.extend(problems),
        }
    }
    let mut paths = BTreeSet::new();
    for (index, mount) in task.volume_mounts.iter().enumerate() {
        let at = format!("volumeMounts[{index}]");
        if !names.contains(mount.name.as_str()) {
            let message = format!(
                "the task has no volume {:?}{}",
                mount.name,
                hint(&mount.name, names.iter().copied())
            );
            wrong.push(Invalid::new(format!("{at}.name"), message));
        }
        if let Some(problem) = path_problem(&mount.mount_path) {
            wrong.push(Invalid::new(format!("{at}.mountPath"), problem));
        } else if !paths.insert(mount.mount_path.trim_end_matches('/')) {
            let message = format!("another mount has {} too: give each its own", mount.mount_path);
            wrong.push(Invalid::new(format!("{at}.mountPath"), message));
        }
        let sub_path = mount.sub_path.as_deref().unwrap_or_default();
        if sub_path.starts_with('/') || sub_path.split('/').any(|part| part == "..") {
            let message =
                format!("{sub_path:?} is refused: write a path below the volume's root, without `..`");
            wrong.push(Invalid::new(format!("{at}.subPath"), message));
        }
    }
    let mounts = task.volume_mounts.iter().map(|mount| VolumeMount {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        sub_path: mount.sub_path.clone(),
        read_only: mount.read_only,
        ..VolumeMount::default()
    });
    if wrong.is_empty() {
        Ok((volumes, mounts.collect()))
    } else {
        Err(wrong)
    }
}

fn name_problem(name: &str, is_new: bool, task: &JobTask) -> Option<String> {
    if !is_dns_label(name) {
        Some(format!(
            "{name:?} can't be a volume's name: use at most 63 of a-z, 0-9 and `-`"
        ))
    } else if TAKEN.contains(&name) || name.starts_with(OURS) {
        Some(format!("{name} is a volume that Coxswain adds: use another name"))
    } else if !is_new {
        Some(format!(
            "another volume has the name {name} too: give each its own"
        ))
    } else if !task.volume_mounts.iter().any(|mount| mount.name == name) {
        Some(format!(
            "the volume {name} is mounted nowhere: add it to volumeMounts, or remove it"
        ))
    } else {
        None
    }
}

fn volume(own: &jobconfig::Volume, at: &str, has_account: bool) -> Result<Volume, Vec<Invalid>> {
    let projected: Option<ProjectedVolumeSource> = read(&PROJECTED, at, "projected", own.projected.as_ref())?;
    if let Some(fields) = &own.projected {
        check_projections(fields, &format!("{at}.projected.sources"), has_account)?;
    }
    let volume = Volume {
        name: own.name.clone(),
        config_map: read(&CONFIG_MAP, at, "configMap", own.config_map.as_ref())?,
        secret: read(&SECRET, at, "secret", own.secret.as_ref())?,
        empty_dir: read(&EMPTY_DIR, at, "emptyDir", own.empty_dir.as_ref())?,
        projected,
        persistent_volume_claim: read(
            &CLAIM,
            at,
            "persistentVolumeClaim",
            own.persistent_volume_claim.as_ref(),
        )?,
        image: read(&IMAGE, at, "image", own.image.as_ref())?,
        ..Volume::default()
    };
    let kinds = [
        own.config_map.is_some(),
        own.secret.is_some(),
        own.empty_dir.is_some(),
        own.projected.is_some(),
        own.persistent_volume_claim.is_some(),
        own.image.is_some(),
    ];
    // Without these the API server would refuse the Job, or mount nothing.
    let nameless = [
        (
            "configMap.name",
            volume.config_map.as_ref().is_some_and(|v| v.name.is_empty()),
        ),
        (
            "secret.secretName",
            volume.secret.as_ref().is_some_and(|v| v.secret_name.is_none()),
        ),
        (
            "image.reference",
            volume.image.as_ref().is_some_and(|v| v.reference.is_none()),
        ),
    ];
    let missing = nameless.iter().find(|(_, is_missing)| *is_missing);
    match (kinds.iter().filter(|is_set| **is_set).count(), missing) {
        (1, None) => Ok(volume),
        (1, Some((field, _))) => Err(vec![Invalid::new(
            format!("{at}.{field}"),
            "it is missing: add it",
        )]),
        _ => {
            let known = "configMap, secret, emptyDir, projected, persistentVolumeClaim or image";
            let message = format!("set exactly one of {known}; volumes of other kinds are refused");
            Err(vec![Invalid::new(at, message)])
        }
    }
}

fn read<T: DeserializeOwned>(
    schema: &Value,
    at: &str,
    field: &str,
    fields: Option<&Map<String, Value>>,
) -> Result<Option<T>, Vec<Invalid>> {
    let at = format!("{at}.{field}");
    fields.map(|fields| strict::read(schema, &at, fields)).transpose()
}

/// A token is the right to act as somebody: only with a service account whose owner agreed.
fn check_projections(fields: &Map<String, Value>, at: &str, has_account: bool) -> Result<(), Vec<Invalid>> {
    let sources = fields.get("sources").and_then(Value::as_array);
    let keys = sources
        .into_iter()
        .flatten()
        .enumerate()
        .flat_map(|(index, source)| {
            let keys = source.as_object().into_iter().flat_map(Map::keys);
            keys.map(move |key| (index, key.as_str()))
        });
    let problem = |(index, key): (usize, &str)| {
        let message = if !PROJECTIONS.contains(&key) {
            format!("it is refused: use {}", PROJECTIONS.join(", "))
        } else if key == "serviceAccountToken" && !has_account {
            "without serviceAccount a Job gets no token: name an account whose owner annotated it \
             coxswain.dev/allowed: \"true\""
                .to_owned()
        } else {
            return None;
        };
        Some(Invalid::new(format!("{at}[{index}].{key}"), message))
    };
    let wrong: Vec<_> = keys.filter_map(problem).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Why nothing can be mounted there.
fn path_problem(path: &str) -> Option<String> {
    let plain = path.trim_end_matches('/');
    let at_or_below = |of: &str| {
        plain
            .strip_prefix(of)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    if !path.starts_with('/') || plain[plain.len().min(1)..].split('/').any(odd) || path.contains([':', '\0'])
    {
        Some(format!(
            "{path:?} is refused: write an absolute path without `.`, `..`, `//` and `:`, and not `/`"
        ))
    } else if at_or_below(FILES_DIR) {
        Some(format!(
            "{FILES_DIR} is where the task's files are: mount it elsewhere"
        ))
    } else if plain == "/tmp" {
        Some("there is a volume at /tmp already: mount it elsewhere, below /tmp if need be".to_owned())
    } else if at_or_below("/proc") || at_or_below("/sys") || matches!(plain, "/dev" | "/dev/termination-log")
    {
        Some(format!("{plain} is the system's: mount it elsewhere"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{super::testing::task, *};

    /// One volume, `v`, with these fields, mounted at `/v`.
    fn with_volume(fields: Value) -> JobTask {
        let mut volume = json!({"name": "v"});
        volume
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        task(json!({"volumes": [volume], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}))
    }

    #[rstest]
    #[case(json!({"configMap": {"name": "c", "items": [{"key": "a", "path": "b"}], "defaultMode": 0o555, "optional": true}}))]
    #[case(json!({"secret": {"secretName": "s"}}))]
    #[case(json!({"emptyDir": {}}))]
    #[case(json!({"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}))]
    #[case(json!({"projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}))]
    #[case(json!({"persistentVolumeClaim": {"claimName": "cache", "readOnly": true}}))]
    #[case(json!({"image": {"reference": "registry/charts:1", "pullPolicy": "IfNotPresent"}}))]
    fn a_volume_of_the_safe_list(#[case] fields: Value) {
        let (volumes, mounts) = volumes(&with_volume(fields.clone())).unwrap();
        let mut expected = fields;
        expected["name"] = json!("v");
        assert_eq!(serde_json::to_value(volumes).unwrap(), json!([expected]));
        assert_eq!(
            serde_json::to_value(mounts).unwrap(),
            json!([{"name": "v", "mountPath": "/v"}])
        );
    }

    #[test]
    fn a_token_needs_a_service_account() {
        let token =
            json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]}});
        let mut task = with_volume(token);
        let wrong = volumes(&task).unwrap_err();
        let says =
            "volumes[0].projected.sources[0].serviceAccountToken: without serviceAccount a Job gets no token";
        assert!(wrong[0].to_string().starts_with(says), "{}", wrong[0]);
        task.service_account = Some("deployer".to_owned());
        assert!(volumes(&task).is_ok());
    }

    #[rstest]
    #[case(json!({}), "volumes[0]: set exactly one of configMap, secret, emptyDir")]
    #[case(json!({"emptyDir": {}, "secret": {"secretName": "s"}}), "volumes[0]: set exactly one of")]
    #[case(json!({"hostPath": {"path": "/"}}), "volumes of other kinds are refused")]
    #[case(json!({"secret": {"name": "s"}}), "volumes[0].secret.name: there is no such field; there is \"defaultMode\", \"items\", \"optional\", \"secretName\"")]
    #[case(json!({"secret": {}}), "volumes[0].secret.secretName: it is missing")]
    #[case(json!({"configMap": {}}), "volumes[0].configMap.name: it is missing")]
    #[case(json!({"image": {}}), "volumes[0].image.reference: it is missing")]
    #[case(json!({"persistentVolumeClaim": {}}), "volumes[0].persistentVolumeClaim.claimName: it is missing: add it")]
    #[case(json!({"emptyDir": {"sizelimit": "1Gi"}}), r#"volumes[0].emptyDir.sizelimit: there is no such field; did you mean "sizeLimit"?"#)]
    #[case(json!({"projected": {"sources": [{"clusterTrustBundle": {"path": "x"}}]}}), "projected.sources[0].clusterTrustBundle: it is refused")]
    fn a_volume_that_is_refused(#[case] fields: Value, #[case] says: &str) {
        let wrong = volumes(&with_volume(fields)).unwrap_err();
        assert!(
            wrong.len() == 1 && wrong[0].to_string().contains(says),
            "{wrong:?}"
        );
    }

    #[rstest]
    #[case(json!({"volumes": [{"name": "V", "emptyDir": {}}], "volumeMounts": [{"name": "V", "mountPath": "/v"}]}), r#"volumes[0].name: "V" can't be"#)]
    #[case(json!({"volumes": [{"name": "tmp", "emptyDir": {}}], "volumeMounts": [{"name": "tmp", "mountPath": "/v"}]}), "volumes[0].name: tmp is a volume that Coxswain adds")]
    #[case(json!({"volumes": [{"name": "v", "emptyDir": {}}]}), "volumes[0].name: the volume v is mounted nowhere")]
    #[case(json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}), "volumes[1].name: another volume has the name v too")]
    #[case(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}), r#"volumeMounts[0].name: the task has no volume "v""#)]
    #[case(json!({"volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/v/"}]}), "volumeMounts[1].mountPath: another mount has /v/ too")]
    #[case(json!({"volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "../x"}]}), "volumeMounts[0].subPath: \"../x\" is refused")]
    fn names_and_mounts_must_fit(#[case] fields: Value, #[case] says: &str) {
        let wrong = volumes(&task(fields)).unwrap_err();
        assert!(
            wrong.len() == 1 && wrong[0].to_string().contains(says),
            "{wrong:?}"
        );
    }

    #[rstest]
    #[case("/data", true)]
    #[case("/data/", true)]
    #[case("/tmp/cache", true)]
    #[case("/dev/shm", true)]
    #[case("/keptn-cache", true)]
    #[case("/", false)]
    #[case("//", false)]
    #[case("data", false)]
    #[case("/a/../keptn", false)]
    #[case("/a//b", false)]
    #[case("/a:b", false)]
    #[case("/keptn", false)]
    #[case("/keptn/charts", false)]
    #[case("/tmp", false)]
    #[case("/tmp/", false)]
    #[case("/proc/1", false)]
    #[case("/dev/termination-log", false)]
    fn where_a_volume_can_be(#[case] path: &str, #[case] is: bool) {
        assert_eq!(path_problem(path).is_none(), is);
    }
}
