//! Who may send what: tokens out of a mounted directory.
//!
//! The operator reads no Secrets for this: the kubelet writes them into its pod and keeps the files up to date, so a token
//! is added, rotated or taken away without a restart.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::time::Instant;

use crate::core::names::is_dns_label;

/// The files are looked at again so long after the last time, when somebody sends something.
pub const FRESH: Duration = Duration::from_secs(5);
/// A token has so many characters at least.
const SHORTEST: usize = 16;
/// A file may be so big, in bytes.
const FILE_MAX: u64 = 16 * 1024;
/// So many tokens there may be.
const MOST: usize = 256;

/// One token, without the text that is secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    /// The file's name; it is written on what was asked for by it.
    pub name: String,
    digest: [u8; 32],
    /// The namespace that it is for; None for all.
    pub namespace: Option<String>,
    /// The project that it is for; None for all.
    pub project: Option<String>,
    /// The Kubernetes user in whose name it answers questions.
    pub user: Option<String>,
}

impl Token {
    /// Stands for everybody, where nobody is asked.
    pub fn everybody() -> Self {
        Self {
            name: "anonymous".to_owned(),
            digest: [0; 32],
            namespace: None,
            project: None,
            user: None,
        }
    }

    /// The token's scope, for messages.
    pub fn scope(&self) -> String {
        let namespace = self
            .namespace
            .as_deref()
            .map_or("all namespaces".to_owned(), |n| format!("namespace {n}"));
        match &self.project {
            Some(project) => format!("project {project} in {namespace}"),
            None => namespace,
        }
    }
}

/// What stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    token: String,
    namespace: String,
    #[serde(default)]
    project: Option<String>,
    #[serde(default)]
    user: Option<String>,
}

/// The tokens of a directory.
pub struct Tokens {
    directory: PathBuf,
    read: Mutex<Option<Read>>,
}

struct Read {
    at: Instant,
    tokens: Arc<Vec<Token>>,
    complaints: Vec<String>,
}

impl Tokens {
    /// The tokens of this directory.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            read: Mutex::new(None),
        }
    }

    /// The token of this text, if there is one. It takes as long whichever it is, and how much of it is right.
    pub fn find(&self, text: &str) -> Option<Token> {
        let digest: [u8; 32] = Sha256::digest(text).into();
        let tokens = self.current();
        let mut found = u64::MAX;
        for (i, token) in (0u64..).zip(tokens.iter()) {
            let same: Choice = token.digest.ct_eq(&digest);
            found = u64::conditional_select(&found, &i, same);
        }
        tokens.get(usize::try_from(found).ok()?).cloned()
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.current().is_empty()
    }

    fn current(&self) -> Arc<Vec<Token>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = read.as_ref().filter(|r| r.at.elapsed() < FRESH) {
            return last.tokens.clone();
        }
        let (tokens, complaints) = match read_all(&self.directory) {
            Ok((tokens, complaints)) => (Arc::new(tokens), complaints),
            // What can't be looked at now is believed to be as it was.
            Err(error) => (
                read.as_ref().map(|r| r.tokens.clone()).unwrap_or_default(),
                vec![format!(
                    "{}: {error}; mount a Secret there, or name another directory with --tokens",
                    self.directory.display()
                )],
            ),
        };
        if read.as_ref().is_none_or(|r| r.complaints != complaints) {
            complaints
                .iter()
                .for_each(|complaint| tracing::warn!("{complaint}"));
        }
        *read = Some(Read {
            at: Instant::now(),
            tokens: tokens.clone(),
            complaints,
        });
        tokens
    }
}

fn read_all(directory: &Path) -> std::io::Result<(Vec<Token>, Vec<String>)> {
    let (mut tokens, mut complaints) = (Vec::new(), Vec::new());
    let mut paths: Vec<_> = std::fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        // The kubelet's own links begin with two dots.
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| !name.to_string_lossy().starts_with('.'))
        })
        .collect();
    paths.sort();
    for path in paths.into_iter().take(MOST) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match read_one(&path, &name) {
            Ok(token) => tokens.push(token),
            Err(wrong) => complaints.push(format!("token {name}: {wrong}")),
        }
    }
    Ok((tokens, complaints))
}

/// What is wrong must not show what stands in the file.
fn read_one(path: &Path, name: &str) -> Result<Token, String> {
    let shape = "write `token: ...` and `namespace: ...` (or `namespace: \"*\"`), and if you like `project` and `user`";
    let meta = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !meta.is_file() || meta.len() > FILE_MAX {
        return Err(format!("is no file of at most {FILE_MAX} bytes; {shape}"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| e.kind().to_string())?;
    let written: Written = serde_yaml::from_str(&text).map_err(|_| format!("can't be read; {shape}"))?;
    if written.token.len() < SHORTEST {
        return Err(format!(
            "the token is shorter than {SHORTEST} characters; make one with openssl rand -hex 32"
        ));
    }
    let namespace = match written.namespace.as_str() {
        "*" => None,
        name if is_dns_label(name) => Some(name.to_owned()),
        other => return Err(format!("namespace: {other:?} is no namespace; {shape}")),
    };
    Ok(Token {
        name: name.to_owned(),
        digest: Sha256::digest(written.token.trim()).into(),
        namespace,
        project: written.project.filter(|p| p != "*"),
        user: written.user.filter(|u| !u.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("coxswain-tokens-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.join(name), text).unwrap();
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_come_and_go_without_a_restart() {
        let directory = Directory::new("rotation");
        let tokens = Tokens::new(directory.0.clone());
        assert!(tokens.is_empty());
        directory.write(
            "ci",
            "token: 0123456789abcdef0\nnamespace: shop\nproject: cart\nuser: bot\n",
        );
        directory.write("am", "token: fedcba9876543210f\nnamespace: '*'\n");
        directory.write("..data", "token: 0000000000000000\nnamespace: '*'\n");
        tokio::time::advance(FRESH).await;
        let ci = tokens.find("0123456789abcdef0").unwrap();
        assert_eq!((ci.name.as_str(), ci.user.as_deref()), ("ci", Some("bot")));
        assert_eq!(ci.scope(), "project cart in namespace shop");
        assert_eq!(
            tokens.find("fedcba9876543210f").unwrap().scope(),
            "all namespaces"
        );
        assert_eq!(tokens.find("0000000000000000"), None);
        assert_eq!(tokens.find("0123456789abcdef"), None);
        directory.write("ci", "token: 11111111111111111\nnamespace: shop\n");
        tokio::time::advance(FRESH).await;
        assert_eq!(tokens.find("0123456789abcdef0"), None);
        assert!(tokens.find("11111111111111111").is_some());
    }

    #[rstest::rstest]
    #[case("just-the-token-without-a-scope", "can't be read; write `token: ...`")]
    #[case("token: 0123456789abcdef0", "can't be read")]
    #[case("token: short\nnamespace: shop", "the token is shorter than 16 characters")]
    #[case(
        "token: 0123456789abcdef0\nnamespace: Shop",
        "namespace: \"Shop\" is no namespace"
    )]
    #[case("token: 0123456789abcdef0\nnamespace: shop\nproyect: x", "can't be read")]
    fn what_is_wrong_with_a_file_is_said_without_its_secret(#[case] text: &str, #[case] says: &str) {
        let directory = Directory::new(&format!("wrong-{:x}", text.len() * 31 + says.len()));
        directory.write("t", text);
        let (tokens, complaints) = read_all(&directory.0).unwrap();
        assert!(tokens.is_empty() && complaints.len() == 1);
        assert!(complaints[0].contains(says), "{complaints:?}");
        assert!(!complaints[0].contains("0123456789abcdef0"));
    }
}
