//! Keptn's files -> our objects.
//!
//! A file is what it holds; what it is for, its directory says, or the command line. The files that tasks ask for
//! become ConfigMaps. Nothing is left out silently.

mod changes;
mod layout;
pub(crate) mod sources;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource, ResourceExt};
use serde::Serialize;

use super::{Content, Error, Errors, Kind};
use crate::{
    api::{JobConfig, Remediation, Scope, ServiceLevelIndicator, ServiceLevelObjective, Shipyard},
    core::{
        Invalid,
        definitions::{nearest::hint, validate},
        names::{definition_name, is_dns_label},
    },
};

pub use changes::Change;
use layout::Placed;

/// The longest name of a project, stage or service.
const NAME_MAX: usize = 43;
/// `kubectl apply` keeps a copy of the object in an annotation, and annotations may have so many bytes.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// How a warning ends about an object that the operator will not take.
pub const NOT_IN_FORCE: &str = "until that is mended, nothing runs from it";

/// Files to import.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// What messages put before the paths: the directory as it was written.
    pub name: String,
    /// Whether this is one file that was named, not a directory: then it has to be one of Keptn's.
    pub named: bool,
    /// The files, by their path from the directory.
    pub files: Vec<Found>,
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Its path from the directory, parted by `/`.
    pub path: String,
    /// Its length; more than that of `content` if it was too long to be read as a whole.
    pub size: u64,
    /// Its content.
    pub content: Vec<u8>,
}

impl Tree {
    fn shown(&self, path: &str) -> String {
        match self.name.as_str() {
            "" | "." => path.to_owned(),
            name if self.named => name.to_owned(),
            name => format!("{}/{path}", name.trim_end_matches('/')),
        }
    }
}

/// An object to create.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each is what it is called")]
pub enum Definition {
    Shipyard(Shipyard),
    ConfigMap(ConfigMap),
    JobConfig(JobConfig),
    Remediation(Remediation),
    Objective(ServiceLevelObjective),
    Indicator(ServiceLevelIndicator),
}

impl Definition {
    /// Its kind and name: `Shipyard`, `fulltour`.
    pub fn id(&self) -> (String, String) {
        fn of<K: Resource<DynamicType = ()>>(object: &K) -> (String, String) {
            (K::kind(&()).into_owned(), object.name_any())
        }
        match self {
            Self::Shipyard(o) => of(o),
            Self::ConfigMap(o) => of(o),
            Self::JobConfig(o) => of(o),
            Self::Remediation(o) => of(o),
            Self::Objective(o) => of(o),
            Self::Indicator(o) => of(o),
        }
    }

    fn set_namespace(&mut self, namespace: &str) {
        let meta = match self {
            Self::Shipyard(o) => &mut o.metadata,
            Self::ConfigMap(o) => &mut o.metadata,
            Self::JobConfig(o) => &mut o.metadata,
            Self::Remediation(o) => &mut o.metadata,
            Self::Objective(o) => &mut o.metadata,
            Self::Indicator(o) => &mut o.metadata,
        };
        meta.namespace = Some(namespace.to_owned());
    }

    /// What [`validate`] says about it. What tasks' files lack is told by [`sources`], which knows the directory.
    fn invalid(&self) -> Vec<Invalid> {
        match self {
            Self::Shipyard(o) => validate::shipyard(o),
            Self::JobConfig(o) => {
                let mut wrong = validate::job_config(o);
                wrong.retain(|invalid| !invalid.path.contains(".files["));
                wrong
            }
            Self::Remediation(o) => validate::remediation(o),
            Self::Objective(o) => validate::objective(o),
            Self::Indicator(o) => validate::indicator(o),
            Self::ConfigMap(_) => Vec::new(),
        }
    }
}

/// What an import comes to.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What to create; to be left alone when there are errors.
    pub definitions: Vec<Definition>,
    /// Which file became what: lines for people.
    pub read: Vec<String>,
    /// What is not as it should be, but no reason to stop.
    pub warnings: Vec<String>,
    /// What means something else than in Keptn.
    pub changes: Vec<Change>,
    /// Files that nothing became of, and why.
    pub skipped: Vec<String>,
    /// What is wrong.
    pub errors: Vec<Error>,
}

/// Turns files into objects. `flags` is the scope as the command line has it: a stage or service that it leaves open is
/// told by the directories, as Keptn has them. Without a namespace, `kubectl` says where the objects go.
pub fn plan(trees: &[Tree], flags: &Scope, namespace: Option<&str>) -> Plan {
    let mut import = Import {
        flags,
        namespace,
        plan: Plan::default(),
        told: BTreeSet::new(),
        stages: None,
        read: Vec::new(),
    };
    import.plan.errors.extend(bad_names(flags));
    if import.plan.errors.is_empty() {
        trees.iter().for_each(|tree| import.tree(tree));
        import.known_stages();
        import.twice();
        import.finish(trees);
    }
    import.plan
}

/// One of Keptn's files that could be read.
struct Read {
    file: String,
    scope: Scope,
    definition: Definition,
}

struct Import<'a> {
    flags: &'a Scope,
    namespace: Option<&'a str>,
    plan: Plan,
    /// The files, as they are shown, of which is said what became of them.
    told: BTreeSet<String>,
    /// The shipyard's stages.
    stages: Option<Vec<String>>,
    read: Vec<Read>,
}

impl Import<'_> {
    fn tree(&mut self, tree: &Tree) {
        for found in &tree.files {
            let file = tree.shown(&found.path);
            let placed = match Content::of(&found.path, &found.content) {
                Content::Other if tree.named => {
                    let problem = "is none of Keptn's files; name a shipyard, remediation, job config, slo or sli, \
                                   or the directory for the files that tasks need";
                    self.plan.errors.push(place_error(&file, problem));
                    continue;
                }
                // What nobody needs is told at the end.
                Content::Other => continue,
                Content::Ours => Placed::Nowhere("is an object of Coxswain's; apply it as it is".to_owned()),
                Content::Keptn(Kind::Event) => Placed::Nowhere(
                    "is an event, not a definition; to start what it starts, create a ProblemEvent with its data".to_owned(),
                ),
                Content::Keptn(kind) if tree.named => layout::named(kind, self.flags),
                Content::Keptn(kind) => layout::place(kind, &found.path, self.flags),
            };
            match placed {
                Placed::At { kind, scope, base } => self.file(tree, found, &file, kind, &scope, &base),
                Placed::Nowhere(why) => {
                    self.told.insert(file.clone());
                    self.plan.skipped.push(format!("{file}: {why}"));
                }
            }
        }
    }

    fn file(&mut self, tree: &Tree, found: &Found, file: &str, kind: Kind, scope: &Scope, base: &str) {
        self.told.insert(file.to_owned());
        let wrong: Vec<Error> = bad_names(scope)
            .map(|error| place_error(file, &error.to_string()))
            .collect();
        if !wrong.is_empty() {
            return self.plan.errors.extend(wrong);
        }
        match self.object(tree, found, file, kind, scope, base) {
            Ok(definition) => self.read.push(Read {
                file: file.to_owned(),
                scope: scope.clone(),
                definition,
            }),
            Err(Errors(wrong)) => self.plan.errors.extend(wrong),
        }
    }

    fn object(
        &mut self,
        tree: &Tree,
        found: &Found,
        file: &str,
        kind: Kind,
        scope: &Scope,
        base: &str,
    ) -> Result<Definition, Errors> {
        let bytes = &found.content;
        let name = definition_name(scope);
        Ok(match kind {
            Kind::Shipyard => {
                let spec = super::shipyard(file, bytes)?;
                self.stages = Some(spec.stages.iter().map(|stage| stage.name.clone()).collect());
                Definition::Shipyard(Shipyard::new(&scope.project, spec))
            }
            Kind::Remediation => {
                Definition::Remediation(Remediation::new(&name, super::remediation(file, bytes, scope)?))
            }
            Kind::Objective => Definition::Objective(ServiceLevelObjective::new(
                &name,
                super::objective(file, bytes, scope)?,
            )),
            Kind::Indicator => Definition::Indicator(ServiceLevelIndicator::new(
                &name,
                super::indicator(file, bytes, scope)?,
            )),
            Kind::JobConfig => {
                let mut spec = super::job_config(file, bytes, scope)?;
                let found = sources::find(file, &mut spec, base, tree)?;
                self.plan.warnings.extend(found.warnings);
                for path in found.used {
                    self.told.insert(tree.shown(&path));
                }
                for (name, config_map) in found.config_maps {
                    self.plan.read.push(format!(
                        "{file}: files of {name} -> ConfigMap {}",
                        config_map.name_any()
                    ));
                    self.plan.definitions.push(Definition::ConfigMap(config_map));
                }
                Definition::JobConfig(JobConfig::new(&name, spec))
            }
            Kind::Event => {
                return Err(place_error(file, "is an event, not a definition; leave it out").into());
            }
        })
    }

    /// A directory that is no stage was most likely meant otherwise.
    fn known_stages(&mut self) {
        let Some(stages) = &self.stages else { return };
        for read in &self.read {
            let unknown = read.scope.stage.as_ref().filter(|stage| !stages.contains(stage));
            if let Some(stage) = unknown {
                let hint = hint(stage, stages.iter().map(String::as_str));
                let problem = format!(
                    "the shipyard has no stage {stage:?}{hint} (If the directory is one stage's, name it with --stage.)"
                );
                self.plan.errors.push(place_error(&read.file, &problem));
            }
        }
    }

    /// Of two objects with one name the second would replace the first.
    fn twice(&mut self) {
        let mut first: BTreeMap<(String, String), &str> = BTreeMap::new();
        for read in &self.read {
            let id = read.definition.id();
            if let Some(other) = first.get(&id) {
                let problem = format!(
                    "is the {} of {}, and so is {other}; leave one out",
                    id.0,
                    of(&read.scope)
                );
                self.plan.errors.push(place_error(&read.file, &problem));
            }
            first.entry(id).or_insert(&read.file);
        }
    }

    fn finish(&mut self, trees: &[Tree]) {
        for tree in trees.iter().filter(|tree| !tree.named) {
            let files = tree.files.iter().map(|found| tree.shown(&found.path));
            let untold = files.filter(|file| !self.told.contains(file));
            self.plan
                .skipped
                .extend(untold.map(|file| format!("{file}: no task asks for it")));
        }
        if self.read.is_empty() && self.plan.errors.is_empty() {
            let names: Vec<&str> = trees.iter().map(|tree| tree.name.as_str()).collect();
            let problem = "there is none of Keptn's files to import: shipyard.yaml, remediation.yaml, job/config.yaml, \
                           slo.yaml, prometheus/sli.yaml; name the directory that has them";
            self.plan.errors.push(place_error(&names.join(", "), problem));
        }
        self.collect();
        for definition in &mut self.plan.definitions {
            if let Some(namespace) = self.namespace {
                definition.set_namespace(namespace);
            }
            let length = serde_json::to_string(definition).map_or(0, |json| json.len());
            if length > ANNOTATIONS_MAX {
                let (kind, name) = definition.id();
                self.plan.warnings.push(format!(
                    "{kind} {name} has {length} bytes: too many for `kubectl apply`, so add --server-side"
                ));
            }
        }
        // A project before what belongs to it, files before the Jobs that need them.
        self.plan.definitions.sort_by_key(|d| (order(d), d.id()));
    }

    /// Adds what was read to the plan.
    fn collect(&mut self) {
        let read = std::mem::take(&mut self.read);
        let judged = read
            .iter()
            .any(|r| matches!(r.definition, Definition::Objective(_)));
        for read in read {
            self.plan
                .changes
                .extend(changes::changes(&read.file, &read.definition, judged));
            let (kind, name) = read.definition.id();
            let scope = match &read.definition {
                Definition::Shipyard(_) => String::new(),
                _ => format!(" ({})", of(&read.scope)),
            };
            self.plan
                .read
                .push(format!("{} -> {kind} {name}{scope}", read.file));
            let mut definition = read.definition;
            // Which namespace is the Job's own, its JobConfig has to say.
            if let Some(namespace) = self.namespace {
                definition.set_namespace(namespace);
            }
            for invalid in definition.invalid() {
                self.plan
                    .warnings
                    .push(format!("{}: {invalid}; {NOT_IN_FORCE}", read.file));
            }
            self.plan.definitions.push(definition);
        }
    }
}

fn order(definition: &Definition) -> u8 {
    match definition {
        Definition::Shipyard(_) => 0,
        Definition::ConfigMap(_) => 1,
        Definition::JobConfig(_) => 2,
        Definition::Remediation(_) => 3,
        Definition::Objective(_) => 4,
        Definition::Indicator(_) => 5,
    }
}

/// A scope in words: `project fulltour, every stage, service helloservice`.
fn of(scope: &Scope) -> String {
    let part = |what: &str, name: Option<&String>| {
        name.map_or_else(|| format!("every {what}"), |name| format!("{what} {name}"))
    };
    let (stage, service) = (
        part("stage", scope.stage.as_ref()),
        part("service", scope.service.as_ref()),
    );
    format!("project {}, {stage}, {service}", scope.project)
}

fn place_error(file: &str, problem: &str) -> Error {
    Error::Place {
        file: file.to_owned(),
        problem: problem.to_owned(),
    }
}

/// Names that can't be a project's, stage's or service's.
fn bad_names(scope: &Scope) -> impl Iterator<Item = Error> {
    let parts = [
        ("project", Some(&scope.project)),
        ("stage", scope.stage.as_ref()),
        ("service", scope.service.as_ref()),
    ];
    let parts = parts.into_iter().filter_map(|(what, name)| Some((what, name?)));
    let bad = parts.filter(|(_, name)| !is_dns_label(name) || name.len() > NAME_MAX);
    bad.map(|(what, name)| {
        let remedy =
            format!("use at most {NAME_MAX} of a-z, 0-9 and -, beginning and ending with a letter or digit");
        place_error(&format!("{what} {name:?}"), &format!("can't be a name; {remedy}"))
    })
}
