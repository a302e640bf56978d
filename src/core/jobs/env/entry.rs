//! The entries of a task's `env`, read: what is wrong with one is found here, and nothing is wrong with what comes out.

use std::collections::BTreeSet;

use super::{event::Pattern, labels};
use crate::{
    api::jobconfig::EnvVar,
    core::{Invalid, definitions::nearest::hint, jobs::files::is_object_name, jsonpath},
};

const KINDS: [&str; 5] = ["event", "string", "secret", "configMap", "execution"];

/// One variable, or, for a whole Secret, as many as that has keys.
#[derive(Debug)]
pub(in crate::core::jobs) struct Entry<'a> {
    /// The variable's name; the Secret's, for a whole one.
    pub(super) name: &'a str,
    pub(super) origin: Origin<'a>,
}

/// Where a value comes from.
#[derive(Debug)]
pub(super) enum Origin<'a> {
    Event(OfEvent<'a>),
    Execution(Field),
    /// As the JobConfig has it.
    Text(&'a str),
    Secret {
        secret: &'a str,
        key: &'a str,
    },
    ConfigMap {
        map: &'a str,
        key: &'a str,
    },
    WholeSecret,
}

/// A value of the event, and how it is written.
#[derive(Debug)]
pub(super) struct OfEvent<'a> {
    /// The path, as the JobConfig has it.
    pub(super) path: &'a str,
    pub(super) parsed: jsonpath::Path<'a>,
    pub(super) form: Form,
    pub(super) pattern: Option<Pattern<'a>>,
    /// Whether Kubernetes expands `$(NAME)` in it.
    pub(super) expand: bool,
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Text as it is, everything else as JSON has it.
    Plain,
    Json,
    Yaml,
    /// One value: text, a number, true or false.
    Single,
}

/// A field of the execution.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Name,
    Namespace,
    Uid,
    Project,
    Stage,
    Service,
    Sequence,
    Task,
    Attempt,
    Try,
    Context,
}

const FIELDS: [(&str, Field); 11] = [
    ("name", Field::Name),
    ("namespace", Field::Namespace),
    ("uid", Field::Uid),
    ("project", Field::Project),
    ("stage", Field::Stage),
    ("service", Field::Service),
    ("sequence", Field::Sequence),
    ("task", Field::Task),
    ("attempt", Field::Attempt),
    ("try", Field::Try),
    ("context", Field::Context),
];

/// Reads a task's entries.
///
/// # Errors
/// All that is wrong with them; paths begin with `env`.
pub(in crate::core::jobs) fn read_all(entries: &[EnvVar]) -> Result<Vec<Entry<'_>>, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let mut read_so_far = Vec::with_capacity(entries.len());
    let mut names = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = |problem: Invalid| Invalid::new(format!("env[{index}].{}", problem.path), problem.message);
        match read(entry) {
            Ok(entry) => read_so_far.push(entry),
            Err(problems) => wrong.extend(problems.into_iter().map(at)),
        }
        if !names.insert((is_whole_secret(entry), &entry.name)) {
            let message = format!(
                "another entry has the name {:?} too: remove one of them",
                entry.name
            );
            wrong.push(at(Invalid::new("name", message)));
        }
    }
    if wrong.is_empty() {
        Ok(read_so_far)
    } else {
        Err(wrong)
    }
}

/// One entry; paths are below it.
fn read(entry: &EnvVar) -> Result<Entry<'_>, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let mut pattern = None;
    let mut origin = origin(entry).map_err(|problems| wrong = problems).ok();
    wrong.extend(name_problem(entry).map(|message| Invalid::new("name", message)));
    wrong.extend(only_where_read(entry));
    match entry.pattern.as_deref().map(Pattern::read).transpose() {
        Ok(read) => pattern = read,
        Err(problem) => wrong.push(Invalid::new("pattern", problem)),
    }
    if let Some(Origin::Event(value)) = &mut origin {
        value.pattern = pattern;
    }
    match origin {
        Some(origin) if wrong.is_empty() => Ok(Entry {
            name: &entry.name,
            origin,
        }),
        _ => Err(wrong),
    }
}

/// Where the value comes from, its pattern apart.
fn origin(entry: &EnvVar) -> Result<Origin<'_>, Vec<Invalid>> {
    let value = entry.value.as_deref().unwrap_or_default();
    let one = |path: &str, message: String| vec![Invalid::new(path, message)];
    match entry.value_from.as_str() {
        "event" => of_event(entry, value).map(Origin::Event),
        "string" if value.contains('\0') => Err(one(
            "value",
            "it has a NUL, which no variable can hold: leave it out".to_owned(),
        )),
        "string" => Ok(Origin::Text(value)),
        "execution" => field(value).map(Origin::Execution).ok_or_else(|| {
            let hint = hint(value, FIELDS.map(|(name, _)| name));
            one("value", format!("an execution has no field {value:?}{hint}"))
        }),
        "secret" if is_whole_secret(entry) => Ok(Origin::WholeSecret),
        "secret" => key_of(entry, "Secret").map(|(secret, key)| Origin::Secret { secret, key }),
        "configMap" => key_of(entry, "ConfigMap").map(|(map, key)| Origin::ConfigMap { map, key }),
        other => Err(one(
            "valueFrom",
            format!("unknown valueFrom {other:?}{}", hint(other, KINDS)),
        )),
    }
}

fn field(name: &str) -> Option<Field> {
    FIELDS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, field)| *field)
}

fn of_event<'a>(entry: &'a EnvVar, path: &'a str) -> Result<OfEvent<'a>, Vec<Invalid>> {
    let parsed = jsonpath::Path::parse(path).map_err(|error| Invalid::new("value", error.to_string()));
    let form = match entry.as_.as_deref() {
        None => Ok(Form::Plain),
        Some("json") => Ok(Form::Json),
        Some("yaml") => Ok(Form::Yaml),
        Some("string") => Ok(Form::Single),
        Some(other) => {
            let message = format!("unknown form {other:?}: use json, yaml or string, or leave it out");
            Err(Invalid::new("as", message))
        }
    };
    match (parsed, form) {
        (Ok(parsed), Ok(form)) => Ok(OfEvent {
            path,
            parsed,
            form,
            pattern: None,
            expand: entry.expand == Some(true),
        }),
        (parsed, form) => Err(parsed.err().into_iter().chain(form.err()).collect()),
    }
}

/// The object and the key that an entry names.
fn key_of<'a>(entry: &'a EnvVar, object: &str) -> Result<(&'a str, &'a str), Vec<Invalid>> {
    let name = entry.value.as_deref().unwrap_or_default();
    let mut wrong = Vec::new();
    if !is_object_name(name) {
        let message =
            format!("{name:?} can't be the name of a {object}: write the name of the one that has the key");
        wrong.push(Invalid::new("value", message));
    }
    let problem = match entry.key.as_deref() {
        None => Some("it is missing: name the ConfigMap's key that has the value".to_owned()),
        Some(key) if !is_key(key) => Some(format!("{key:?} can't be the key of a {object}")),
        Some(_) => None,
    };
    wrong.extend(problem.map(|message| Invalid::new("key", message)));
    match &entry.key {
        Some(key) if wrong.is_empty() => Ok((name, key)),
        _ => Err(wrong),
    }
}

/// Fields that would be passed over. v1's files may have an `as` anywhere: v1 passed over it as well.
fn only_where_read(entry: &EnvVar) -> impl Iterator<Item = Invalid> {
    let kind = entry.value_from.as_str();
    let is_event = kind == "event";
    let has_key = matches!(kind, "secret" | "configMap");
    let known = KINDS.contains(&kind);
    let unread = [
        ("key", entry.key.is_some() && !has_key, "a secret or configMap"),
        ("pattern", entry.pattern.is_some() && !is_event, "an event"),
        ("expand", entry.expand.is_some() && !is_event, "an event"),
    ];
    let unread = unread
        .into_iter()
        .filter(move |(_, is_unread, _)| known && *is_unread);
    unread
        .map(|(field, _, of)| Invalid::new(field, format!("it is only for a value from {of}: leave it out")))
}

fn name_problem(entry: &EnvVar) -> Option<String> {
    let name = entry.name.as_str();
    if is_whole_secret(entry) {
        let is_name = is_object_name(name);
        return (!is_name).then(|| format!("{name:?} can't be the name of a Secret"));
    }
    if !is_variable(name) {
        let remedy = "use letters, digits, `_`, `-` and `.`, and no digit first";
        return Some(format!("{name:?} can't be the name of a variable: {remedy}"));
    }
    is_reserved(name).then(|| format!("{name} is a variable that Coxswain sets: use another name"))
}

/// v1's users have variables such as `KEPTN_API_TOKEN`, so of those only the three that v1 sets are taken.
fn is_reserved(name: &str) -> bool {
    matches!(name, "KEPTN_PROJECT" | "KEPTN_STAGE" | "KEPTN_SERVICE")
        || name.starts_with("COXSWAIN_")
        || name.starts_with(labels::PREFIX)
}

fn is_whole_secret(entry: &EnvVar) -> bool {
    entry.value_from == "secret" && entry.key.is_none()
}

fn is_variable(name: &str) -> bool {
    is_key(name) && !name.starts_with(|c: char| c.is_ascii_digit()) && name != "." && !name.starts_with("..")
}

/// Whether this can be a key of a ConfigMap or Secret.
fn is_key(key: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !key.is_empty() && key.len() <= 253 && key.bytes().all(inner)
}
