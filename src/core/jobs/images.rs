//! Which images Jobs may use: the administrator's lists, as v1's `allowedImageList` had them.

use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::{
    api::{execution::PinnedJobConfig, jobconfig::JobTask},
    core::labels::ALLOWED_IMAGES,
};

/// A message shows so many of a list's patterns.
const SHOWN: usize = 5;

/// Patterns of images, separated by commas: `ghcr.io/shop/*, docker.io/busybox:1.36`. `*` stands for anything, `/` too; `?` for
/// one character, `[ab]` for one of some. An image must fit one of them as it is written; an empty list, and one with `*`
/// alone, allow everything.
#[derive(Clone, Debug, Default)]
pub struct AllowedImages(Vec<GlobMatcher>);

impl std::str::FromStr for AllowedImages {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let patterns = text
            .split(',')
            .map(str::trim)
            .filter(|pattern| !pattern.is_empty());
        let patterns: Vec<Glob> = patterns.map(glob).collect::<Result<_, _>>()?;
        if patterns.iter().any(|pattern| pattern.glob() == "*") {
            return Ok(Self::default());
        }
        Ok(Self(patterns.iter().map(Glob::compile_matcher).collect()))
    }
}

fn glob(pattern: &str) -> Result<Glob, String> {
    let parsed = GlobBuilder::new(pattern).literal_separator(false).build();
    parsed.map_err(|error| {
        format!(
            "{pattern:?} is no pattern of images ({}): write one such as ghcr.io/shop/*",
            error.kind()
        )
    })
}

impl AllowedImages {
    fn allow(&self, image: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.is_match(image))
    }

    fn shown(&self) -> String {
        let patterns: Vec<&str> = self.0.iter().take(SHOWN).map(|p| p.glob().glob()).collect();
        let more = if self.0.len() > SHOWN { ", ..." } else { "" };
        format!("{}{more}", patterns.join(", "))
    }
}

/// The lists that hold in one namespace.
#[derive(Clone, Debug, Default)]
pub struct ImagePolicy {
    /// The installation's (`coxswain run --allowed-images`).
    pub installation: AllowedImages,
    /// The namespace's own, from its annotation [`ALLOWED_IMAGES`]; an image must be on both. An error: it can't be read,
    /// so nothing is allowed.
    pub namespace: Option<Result<AllowedImages, String>>,
}

impl ImagePolicy {
    /// Why a JobConfig can't be used, if one of its images is not allowed: all its tasks are looked at before any starts.
    pub fn refuses(&self, config: &PinnedJobConfig) -> Option<String> {
        for action in &config.actions {
            for task in &action.tasks {
                for image in images(task) {
                    if let Some(problem) = self.problem(image) {
                        return Some(format!(
                            "action {:?}, task {:?}: the image {image} {problem}",
                            action.name, task.name
                        ));
                    }
                }
            }
        }
        None
    }

    fn problem(&self, image: &str) -> Option<String> {
        let not_on = |list: &AllowedImages, whose: &str| {
            format!(
                "is not among those that {whose} allows ({}): use one of them, or ask the administrator to add it",
                list.shown()
            )
        };
        if !self.installation.allow(image) {
            return Some(not_on(&self.installation, "this installation"));
        }
        match &self.namespace {
            Some(Err(problem)) => Some(format!(
                "can't be allowed, because the annotation {ALLOWED_IMAGES} of the namespace is not valid: {problem}"
            )),
            Some(Ok(list)) if !list.allow(image) => Some(not_on(
                list,
                &format!("the namespace's annotation {ALLOWED_IMAGES}"),
            )),
            _ => None,
        }
    }
}

/// Every image that a task names.
fn images(task: &JobTask) -> impl Iterator<Item = &str> {
    let volumes = task
        .volumes
        .iter()
        .filter_map(|volume| volume.image.as_ref()?.get("reference")?.as_str());
    std::iter::once(task.image.as_str()).chain(volumes)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// keptn-v1's job executor, its table of image lists.
    #[rstest]
    #[case::as_v1_exact(
        "ghcr.io/my-other-user/my-other-image:*, ghcr.io/my-user/my-image:1.2.3",
        &["ghcr.io/my-user/my-image:1.2.3", "ghcr.io/my-other-user/my-other-image:3",
          "ghcr.io/my-other-user/my-other-image:latest"],
        &["any-image", "ghcr.io/my-user/my-image", "ghcr.io/my-user/my-image:1.2.5", "ghcr.io/my-user/my-image:latest",
          "ghcr.io/my-other-user/my-other-image"]
    )]
    #[case::as_v1_classes(
        "docker.io/[AB]/some-image, docker.io/my-user/my-image:1.2.3",
        &["docker.io/A/some-image", "docker.io/B/some-image", "docker.io/my-user/my-image:1.2.3"],
        &["docker.io/A/some-image:1", "A/some-image", "ghcr.io/A/some-image", "docker.io/C/some-image"]
    )]
    #[case::as_v1_registries(
        "ghcr.io/*, a.b.c.d.e.f.g.registry/*, a.registry:1337/*",
        &["a.b.c.d.e.f.g.registry/user/a", "a.registry:1337/user/a", "ghcr.io/x"],
        &["a.registry:1338/user/a", "docker.io/user/a"]
    )]
    #[case::as_v1_empty("", &["anything:1"], &[])]
    #[case::as_v1_star("ghcr.io/*, *", &["anything:1"], &[])]
    #[case::a_dot_is_a_dot("ghcr.io/a:1.2", &["ghcr.io/a:1.2"], &["ghcr.io/a:1x2", "ghcrxio/a:1.2"])]
    #[case::the_whole_image("ghcr.io/a", &["ghcr.io/a"], &["evil.io/ghcr.io/a", "ghcr.io/a/b"])]
    fn lists(#[case] list: &str, #[case] accepted: &[&str], #[case] rejected: &[&str]) {
        let list: AllowedImages = list.parse().unwrap();
        for image in accepted {
            assert!(list.allow(image), "{image}");
        }
        for image in rejected {
            assert!(!list.allow(image), "{image}");
        }
    }

    #[test]
    fn a_list_that_can_t_be_read_says_why() {
        let problem = "ghcr.io/*, docker.io/[a".parse::<AllowedImages>().unwrap_err();
        assert!(
            problem.starts_with("\"docker.io/[a\" is no pattern of images"),
            "{problem}"
        );
    }

    fn config(tasks: &str) -> PinnedJobConfig {
        let actions = format!("[{{name: scale, events: [{{name: e}}], tasks: {tasks}}}]");
        PinnedJobConfig {
            actions: serde_yaml::from_str(&actions).unwrap(),
            ..PinnedJobConfig::default()
        }
    }

    fn policy(installation: &str, namespace: Option<&str>) -> ImagePolicy {
        ImagePolicy {
            installation: installation.parse().unwrap(),
            namespace: namespace.map(str::parse),
        }
    }

    #[rstest]
    #[case::fine("ghcr.io/*", None, "[{name: a, image: ghcr.io/a}]", None)]
    #[case::no_lists("", None, "[{name: a, image: a}]", None)]
    #[case::the_second_task(
        "ghcr.io/*",
        None,
        "[{name: a, image: ghcr.io/a}, {name: b, image: evil/b}]",
        Some(
            "action \"scale\", task \"b\": the image evil/b is not among those that this installation allows (ghcr.io/*): use"
        )
    )]
    #[case::a_volume(
        "ghcr.io/*",
        None,
        "[{name: a, image: ghcr.io/a, volumes: [{name: v, image: {reference: evil/v}}]}]",
        Some("the image evil/v is not")
    )]
    #[case::both_lists(
        "ghcr.io/*",
        Some("ghcr.io/team/*"),
        "[{name: a, image: ghcr.io/a}]",
        Some("that the namespace's annotation coxswain.dev/allowed-images allows (ghcr.io/team/*)")
    )]
    #[case::a_namespace_can_t_widen(
        "ghcr.io/*",
        Some("*"),
        "[{name: a, image: evil/a}]",
        Some("this installation")
    )]
    #[case::unreadable(
        "",
        Some("[a"),
        "[{name: a, image: a}]",
        Some(
            "can't be allowed, because the annotation coxswain.dev/allowed-images of the namespace is not valid: \"[a\""
        )
    )]
    fn a_config_with_an_image_that_is_not_allowed_is_refused(
        #[case] installation: &str,
        #[case] namespace: Option<&str>,
        #[case] tasks: &str,
        #[case] says: Option<&str>,
    ) {
        let refused = policy(installation, namespace).refuses(&config(tasks));
        assert_eq!(refused.is_some(), says.is_some(), "{refused:?}");
        assert!(refused.unwrap_or_default().contains(says.unwrap_or_default()));
    }
}
