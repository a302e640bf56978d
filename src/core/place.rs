//! A place: one service in one stage of one project.

use std::fmt;

use super::Invalid;

/// A project's, stage's or service's name may have at most so many characters, so that names built from it fit.
pub const NAME_MAX: usize = 43;

/// One service in one stage of one project; at most one run at a time holds it. The names are DNS labels of at most
/// [`NAME_MAX`] characters. The namespace is not part of it: a reference never leaves its namespace.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    project: String,
    stage: String,
    service: String,
}

impl Place {
    /// A place, if all three names are DNS labels of at most [`NAME_MAX`] characters; otherwise the first that is not.
    pub fn new(
        project: impl Into<String>,
        stage: impl Into<String>,
        service: impl Into<String>,
    ) -> Result<Self, Invalid> {
        Ok(Self {
            project: label("spec.project", project.into())?,
            stage: label("spec.stage", stage.into())?,
            service: label("spec.service", service.into())?,
        })
    }

    /// The project: the name of its Shipyard.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The stage.
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// The service.
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.project, self.stage, self.service)
    }
}

fn label(path: &str, name: String) -> Result<String, Invalid> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.is_empty() {
        return Err(Invalid::new(path, "is empty; name it"));
    }
    if name.len() > NAME_MAX {
        return Err(Invalid::new(
            path,
            format!("{name:?} has more than {NAME_MAX} characters; shorten it"),
        ));
    }
    if !name.chars().all(inner) || !name.starts_with(end) || !name.ends_with(end) {
        let message = format!(
            "{name:?} is not a DNS label; use lower-case letters, digits and '-', with a letter or digit at both ends"
        );
        return Err(Invalid::new(path, message));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn reads_as_project_stage_service() {
        let place = Place::new("fulltour", "production", "helloservice").unwrap();
        assert_eq!(place.to_string(), "fulltour/production/helloservice");
        assert_eq!(
            (place.project(), place.stage(), place.service()),
            ("fulltour", "production", "helloservice")
        );
    }

    #[rstest]
    #[case("", "qa", "s", "spec.project: is empty")]
    #[case("p", "Q", "s", "spec.stage: \"Q\" is not a DNS label")]
    #[case("p", "qa", "-s", "spec.service: \"-s\" is not a DNS label")]
    #[case("p", "qa", "s.t", "spec.service: \"s.t\" is not a DNS label")]
    #[case("p", "qa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "more than 43")]
    fn refuses_what_is_not_a_label(
        #[case] project: &str,
        #[case] stage: &str,
        #[case] service: &str,
        #[case] says: &str,
    ) {
        let refused = Place::new(project, stage, service).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}
