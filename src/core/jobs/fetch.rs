//! How files get into a Job's pod: mounted as they are, or brought by an init container when some are to be fetched.
//!
//! A projected volume is read-only, so artifacts can't be unpacked into it. With one of those everything goes the same way:
//! the init container, which is the operator's own program, copies what ConfigMaps and Secrets hold into the same
//! directory.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Container, EmptyDirVolumeSource, ResourceRequirements, SecurityContext, Volume, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::{
    build::{FILES_DIR, mount as mounted},
    files::{Files, artifact::FetchPlan},
    security,
};

/// The init container's name.
pub const INIT: &str = "fetch";
/// Where what ConfigMaps and Secrets hold is mounted for the init container.
pub const MOUNTED_DIR: &str = "/coxswain/files";
/// What an emptyDir of files may hold: a little more than the init container unpacks.
const SIZE: &str = "256Mi";

/// Adds the volumes of a task's files, and their mounts in its container. Returns the init container, if one is needed.
pub(super) fn mount(
    files: Files,
    image: &str,
    volumes: &mut Vec<Volume>,
    mounts: &mut Vec<VolumeMount>,
) -> Result<Option<Container>, String> {
    let Files { volume, fetch } = files;
    let projected = volume.is_some();
    let Some(plan) = fetch else {
        if projected {
            volumes.push(Volume {
                name: "files".to_owned(),
                projected: volume,
                ..Volume::default()
            });
            mounts.push(mounted("files", FILES_DIR, true));
        }
        return Ok(None);
    };
    if image.is_empty() {
        return Err(
            "its files come from a source of Flux, which a container of the operator's own image fetches, and the operator \
             does not know its image: set COXSWAIN_IMAGE in its Deployment"
                .to_owned(),
        );
    }
    volumes.push(Volume {
        name: "files".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(SIZE.to_owned())),
            medium: None,
        }),
        ..Volume::default()
    });
    mounts.push(mounted("files", FILES_DIR, true));
    let mut own = vec![mounted("tmp", "/tmp", false), mounted("files", FILES_DIR, false)];
    if projected {
        volumes.push(Volume {
            name: "mounted-files".to_owned(),
            projected: volume,
            ..Volume::default()
        });
        own.push(mounted("mounted-files", MOUNTED_DIR, true));
    }
    let security = security::context(None).map_err(|_| "its security context can't be made".to_owned())?;
    Ok(Some(container(&plan, image, own, security)))
}

fn container(
    plan: &FetchPlan,
    image: &str,
    mounts: Vec<VolumeMount>,
    security: SecurityContext,
) -> Container {
    // Kubernetes expands `$(NAME)` in arguments, and reads `$$` as `$`.
    let literal = serde_json::to_string(plan).unwrap_or_default().replace('$', "$$");
    let amounts = |cpu: &str, memory: &str| {
        let amounts = [("cpu", cpu), ("memory", memory)];
        let amounts = amounts.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
        Some(BTreeMap::from(amounts))
    };
    Container {
        name: INIT.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(vec!["fetch".to_owned(), "--plan".to_owned(), literal]),
        resources: Some(ResourceRequirements {
            limits: amounts("1", "128Mi"),
            requests: amounts("50m", "32Mi"),
            claims: None,
        }),
        security_context: Some(security),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}
