//! An archive's files, without what an archive could do beside.
//!
//! Links are never made, so no name can lead out of the directory by one; names that would by themselves, devices and the
//! like end it. What nobody asked for is passed over. Everything that is read is bounded.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};
use flate2::read::GzDecoder;
use tar::{Archive, EntryType, PaxExtensions};

use crate::core::jobs::files::artifact::Artifact;

/// All archives of a Job may have so many bytes unpacked.
const BYTES_MAX: u64 = 200 * 1024 * 1024;
/// And so many files that are asked for.
const FILES_MAX: usize = 10_000;
/// A name that needs an entry of its own may have so many bytes, with what else such an entry says.
const NAME_MAX: u64 = 16 * 1024;

/// What may still be unpacked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) bytes: u64,
    pub(super) files: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: BYTES_MAX,
            files: FILES_MAX,
        }
    }
}

/// Writes the files of a tar.gz that are asked for below `to`, and returns how many there were.
pub(super) fn unpack(
    archive: impl Read,
    artifact: &Artifact,
    wanted: &[String],
    to: &Path,
    budget: &mut Budget,
) -> anyhow::Result<usize> {
    let reader = Bounded {
        inner: GzDecoder::new(archive),
        left: &mut budget.bytes,
    };
    let mut archive = Archive::new(reader);
    let mut seen = HashSet::new();
    // The name of the next entry, when it does not fit there.
    let mut long: Option<Vec<u8>> = None;
    // Raw: names of any length would be read into memory otherwise.
    let entries = archive.entries().context("it is no tar archive")?.raw(true);
    for entry in entries {
        let mut entry = entry.context("it can't be read as tar.gz")?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                long = Some(short(&mut entry)?);
                continue;
            }
            EntryType::XHeader => {
                long = pax_name(&short(&mut entry)?)?.or(long);
                continue;
            }
            EntryType::GNULongLink | EntryType::XGlobalHeader => continue,
            _ => {}
        }
        let raw = long
            .take()
            .unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let shown = String::from_utf8_lossy(&raw).into_owned();
        let Some(name) = plain(&shown).with_context(|| format!("{shown:?} is refused"))? else {
            continue;
        };
        match kind {
            EntryType::Directory => continue,
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Symlink | EntryType::Link => {
                if concerns(artifact, &name, wanted) {
                    bail!("{name} is a link, and links are not unpacked: put the file itself there");
                }
                continue;
            }
            _ => bail!("{name} is refused: it is neither a file nor a directory"),
        }
        let Some(target) = artifact.target(&name, wanted) else {
            continue;
        };
        if std::str::from_utf8(&raw).is_err() {
            bail!("{name} is refused: its name is not UTF-8; rename it");
        }
        if !seen.insert(target.clone()) {
            bail!("{name} is there twice");
        }
        if seen.len() > budget.files {
            bail!(
                "it has more than {FILES_MAX} files that are asked for; ask for less, with sourceRef.path or files"
            );
        }
        let executable = entry.header().mode().unwrap_or_default() & 0o111 != 0;
        let path = to.join(&target);
        let parent = path.parent().unwrap_or(to);
        fs::create_dir_all(parent).with_context(|| format!("making the directory of {target}"))?;
        write(&mut entry, &path, executable)?;
    }
    budget.files -= seen.len();
    Ok(seen.len())
}

/// Writes a file that everybody may read, in place of one that is there.
pub(super) fn write(content: &mut impl Read, path: &Path, executable: bool) -> anyhow::Result<()> {
    let writing = || format!("writing {}", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(writing),
        _ => {}
    }
    // Never through a link: that would have to be there already.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .with_context(writing)?;
    io::copy(content, &mut file).with_context(writing)?;
    let mode = if executable { 0o555 } else { 0o444 };
    readable(&file, mode).with_context(writing)
}

fn readable(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

/// The path of a name, without `.`; none for the archive's own directory.
fn plain(name: &str) -> anyhow::Result<Option<String>> {
    if name.starts_with('/') {
        bail!("it begins with /");
    }
    if name.contains('\0') {
        bail!("it has a null byte");
    }
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") {
        bail!("it has `..`");
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// Whether something that is asked for would be this link, below it, or behind it.
fn concerns(artifact: &Artifact, name: &str, wanted: &[String]) -> bool {
    let within = |inner: &str, outer: &str| Path::new(inner).starts_with(outer);
    let asked = |target: &str| wanted.iter().any(|w| within(target, w) || within(w, target));
    if within(&artifact.from, name) {
        return asked(&artifact.to);
    }
    match Path::new(name).strip_prefix(&artifact.from) {
        Ok(rest) => asked(&Path::new(&artifact.to).join(rest).to_string_lossy()),
        Err(_) => false,
    }
}

/// What an entry that is about another says.
fn short(entry: &mut impl Read) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry.take(NAME_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > NAME_MAX {
        bail!("it has a name of more than {NAME_MAX} bytes");
    }
    while content.last() == Some(&0) {
        content.pop();
    }
    Ok(content)
}

/// The name in a PAX header. One that says how the content is stored is refused: readers differ in what they make of it.
fn pax_name(header: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut name = None;
    for extension in PaxExtensions::new(header) {
        let extension = extension.context("a PAX header can't be read")?;
        let key = extension.key_bytes();
        if key == b"size" || key.starts_with(b"GNU.sparse") {
            bail!(
                "it has files that are not stored plainly ({})",
                String::from_utf8_lossy(key)
            );
        }
        if key == b"path" {
            name = Some(extension.value_bytes().to_vec());
        }
    }
    Ok(name)
}

/// A reader that fails where there is more than may be read.
struct Bounded<'a, R> {
    inner: R,
    left: &'a mut u64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        *self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!(
                "it has more than the {} MiB that are unpacked at most; narrow the source, as with spec.ignore",
                BYTES_MAX >> 20
            ))
        })?;
        Ok(read)
    }
}
