//! What a server or an archive may do to a fetch.

use std::{io::Write as _, path::PathBuf, time::Duration};

use flate2::{Compression, write::GzEncoder};
use proptest::{prelude::*, test_runner::TestCaseError};
use rstest::rstest;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{unpack::unpack, *};
use crate::core::fuzzing::{BY_HAND, run};

/// A directory of the test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let directory = Temporary::new().0.with_extension("d");
        fs::create_dir_all(directory.join("in")).unwrap();
        Self(directory)
    }

    /// Where files are unpacked: beside it something may be overwritten by mistake.
    fn inside(&self) -> PathBuf {
        self.0.join("in")
    }

    fn files(&self) -> Vec<String> {
        let mut found = vec![];
        list(&self.0, "", &mut found).unwrap();
        found
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An entry whose name the tar crate itself would refuse to write.
fn entry(name: &[u8], kind: EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    let field = &mut header.as_old_mut().name;
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name[..length]);
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    header.set_link_name("/etc/passwd").unwrap();
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn gz(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = GzEncoder::new(vec![], Compression::fast());
    for entry in entries {
        archive.write_all(entry).unwrap();
    }
    archive.write_all(&[0; 1024]).unwrap();
    archive.finish().unwrap()
}

fn file(name: &str) -> Vec<u8> {
    entry(name.as_bytes(), EntryType::Regular, name.as_bytes())
}

fn all() -> (Artifact, Vec<String>) {
    (Artifact::default(), vec![String::new()])
}

/// Unpacks, and returns the files that there are then, inside and outside.
fn unpacked(
    archive: &[u8],
    artifact: &Artifact,
    wanted: &[&str],
    mut budget: Budget,
) -> (anyhow::Result<usize>, Vec<String>) {
    let directory = Directory::new();
    let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
    let done = unpack(archive, artifact, &wanted, &directory.inside(), &mut budget);
    (done, directory.files())
}

#[test]
fn what_is_asked_for_is_unpacked_with_its_mode() {
    let directory = Directory::new();
    let mut script = entry(b"./deploy/charts/run.sh", EntryType::Regular, b"true");
    let plain = {
        let mut header = Header::new_ustar();
        header.set_path("deploy/charts/values.yaml").unwrap();
        header.set_size(2);
        header.set_mode(0o644);
        header.set_cksum();
        [header.as_bytes().as_slice(), b"a:", &[0; 510]].concat()
    };
    let long = format!("deploy/charts/{}", "n".repeat(150));
    let mut archive = vec![
        entry(b"deploy/", EntryType::Directory, b""),
        std::mem::take(&mut script),
        plain,
    ];
    archive.push(entry(
        b"././@LongLink",
        EntryType::GNULongName,
        format!("{long}\0").as_bytes(),
    ));
    archive.push(entry(b"cut", EntryType::Regular, b"long"));
    let pax = "40 path=deploy/charts/with-a-pax-header\n";
    archive.push(entry(b"pax", EntryType::XHeader, pax.as_bytes()));
    archive.push(entry(b"pax", EntryType::Regular, b"pax"));
    archive.push(file("deploy/charts-old/x"));
    archive.push(entry(b"link", EntryType::Symlink, b""));
    archive.push(entry(b"caf\xe9", EntryType::Regular, b""));
    let artifact = Artifact {
        from: "deploy/charts".into(),
        to: "charts".into(),
        ..Artifact::default()
    };
    let mut budget = Budget::default();
    let count = unpack(
        gz(&archive).as_slice(),
        &artifact,
        &["charts".into()],
        &directory.inside(),
        &mut budget,
    );
    assert_eq!(count.unwrap(), 4);
    let name = "n".repeat(150);
    assert_eq!(
        directory.files(),
        [
            format!("in/charts/{name}"),
            "in/charts/run.sh".into(),
            "in/charts/values.yaml".into(),
            "in/charts/with-a-pax-header".into(),
        ]
    );
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(directory.inside().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("charts/run.sh"), mode("charts/values.yaml")),
        (0o555, 0o444)
    );
    assert_eq!(budget.files, 10_000 - 4);
}

#[rstest]
#[case::absolute(entry(b"/etc/cron.d/x", EntryType::Regular, b"x"), "it begins with /")]
#[case::up(entry(b"../out", EntryType::Regular, b"x"), "it has `..`")]
#[case::up_later(entry(b"a/../../out", EntryType::Regular, b"x"), "it has `..`")]
#[case::symlink(entry(b"a", EntryType::Symlink, b""), "a is a link")]
#[case::hard_link(entry(b"a", EntryType::Link, b""), "a is a link")]
#[case::device(
    entry(b"a", EntryType::Block, b""),
    "a is refused: it is neither a file nor a directory"
)]
#[case::character_device(entry(b"a", EntryType::Char, b""), "neither a file nor")]
#[case::pipe(entry(b"a", EntryType::Fifo, b""), "neither a file nor")]
#[case::sparse(entry(b"a", EntryType::GNUSparse, b""), "neither a file nor")]
#[case::not_utf8(entry(b"a\xff", EntryType::Regular, b""), "its name is not UTF-8")]
#[case::long_up([entry(b"l", EntryType::GNULongName, b"../../out\0"), file("in")].concat(), "it has `..`")]
#[case::pax_up([entry(b"l", EntryType::XHeader, b"18 path=../../out\n"), file("in")].concat(), "it has `..`")]
#[case::pax_null([entry(b"l", EntryType::XHeader, b"13 path=a\0bc\n"), file("in")].concat(), "null byte")]
#[case::pax_size([entry(b"l", EntryType::XHeader, b"9 size=5\n"), file("in")].concat(), "not stored plainly (size)")]
#[case::endless_name(entry(b"l", EntryType::GNULongName, &vec![b'a'; 20_000]), "a name of more than 16384 bytes")]
#[case::twice([file("a"), file("a")].concat(), "a is there twice")]
#[case::twice_in_disguise([file("a"), file("./a")].concat(), "a is there twice")]
#[case::file_and_directory([file("a"), file("a/b")].concat(), "making the directory of a/b")]
#[case::no_tar(b"hello".repeat(200).clone(), "it can't be read as tar.gz")]
fn a_bad_archive_is_refused(#[case] archive: Vec<u8>, #[case] says: &str) {
    let (artifact, _) = all();
    let (done, files) = unpacked(&gz(&[archive]), &artifact, &[""], Budget::default());
    let error = format!("{:#}", done.unwrap_err());
    assert!(error.contains(says), "{error}");
    assert!(files.iter().all(|f| f == "in/a"), "{files:?}");
}

/// A link in the way of what is asked for can't be passed over silently; one elsewhere can.
#[rstest]
#[case("charts", "charts/x", true)]
#[case("charts/x/y", "charts/x", true)]
#[case("locust", "charts/x", false)]
fn a_link_matters_where_something_is_asked_for(
    #[case] link: &str,
    #[case] wanted: &str,
    #[case] matters: bool,
) {
    let (artifact, _) = all();
    let archive = gz(&[entry(link.as_bytes(), EntryType::Symlink, b"")]);
    let (done, files) = unpacked(&archive, &artifact, &[wanted], Budget::default());
    assert_eq!(done.is_err(), matters);
    assert_eq!(files, [""; 0]);
}

#[test]
fn a_bomb_is_stopped_by_what_it_unpacks_to() {
    let bomb = gz(&[entry(b"a", EntryType::Regular, &vec![0; 2 << 20])]);
    assert!(bomb.len() < 20_000, "{}", bomb.len());
    let (artifact, _) = all();
    // Also when nobody asked for it.
    for wanted in ["a", "b"] {
        let (done, _) = unpacked(
            &bomb,
            &artifact,
            &[wanted],
            Budget {
                bytes: 1 << 20,
                files: 10,
            },
        );
        let error = format!("{:#}", done.unwrap_err());
        assert!(error.contains("MiB that are unpacked at most"), "{error}");
    }
}

#[test]
fn a_million_entries_are_stopped() {
    let mut archive = GzEncoder::new(vec![], Compression::fast());
    let empty = entry(b"some/file", EntryType::Regular, b"");
    for _ in 0..1_000_000 {
        archive.write_all(&empty).unwrap();
    }
    let archive = archive.finish().unwrap();
    let (artifact, _) = all();
    let (done, files) = unpacked(&archive, &artifact, &["other"], Budget::default());
    let error = format!("{:#}", done.unwrap_err());
    assert!(error.contains("more than the 200 MiB"), "{error}");
    assert_eq!(files, [""; 0]);
    let few = gz(&[file("a"), file("b"), file("c")]);
    let (done, _) = unpacked(
        &few,
        &artifact,
        &[""],
        Budget {
            bytes: 1 << 20,
            files: 2,
        },
    );
    assert!(format!("{:#}", done.unwrap_err()).contains("files that are asked for"));
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        "[a-c]{1,3}",
        "\\PC{1,4}"
    ];
    let joined = proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/").into_bytes());
    prop_oneof![joined, proptest::collection::vec(any::<u8>(), 1..100)]
}

fn any_entry() -> impl Strategy<Value = Vec<u8>> {
    let kind = proptest::sample::select(vec![
        b'0', b'0', b'0', 0, b'1', b'2', b'3', b'5', b'6', b'7', b'L', b'x', b'g', b'S', b'Z',
    ]);
    (any_name(), kind, proptest::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(name, kind, content)| entry(&name, EntryType::new(kind), &content))
}

/// What an archive is made of, and noise.
type Odd = (Vec<Vec<u8>>, u16);

fn any_archive() -> impl Strategy<Value = Odd> {
    (proptest::collection::vec(any_entry(), 0..6), any::<u16>())
}

/// Whatever is in an archive: nothing is written outside of the directory, and no link is made.
fn nothing_is_written_elsewhere((entries, noise): Odd) -> Result<(), TestCaseError> {
    let directory = Directory::new();
    let mut archive = entries.concat();
    // Some archives are broken somewhere.
    if noise.is_multiple_of(4) && !archive.is_empty() {
        let at = usize::from(noise) % archive.len();
        archive[at] ^= 0x55;
    }
    let (artifact, wanted) = all();
    let mut budget = Budget {
        bytes: 1 << 20,
        files: 100,
    };
    let _ = unpack(
        gz(&[archive]).as_slice(),
        &artifact,
        &wanted,
        &directory.inside(),
        &mut budget,
    );
    for path in directory.files() {
        prop_assert!(path.starts_with("in/"), "{}", path);
        prop_assert!(fs::symlink_metadata(directory.0.join(&path)).unwrap().is_file());
    }
    Ok(())
}

#[test]
fn nothing_is_ever_written_elsewhere() {
    run(512, any_archive(), nothing_is_written_elsewhere);
}

#[test]
#[ignore = "a million inputs: by hand (make fuzz)"]
fn of_a_million_archives_nothing_is_written_elsewhere() {
    run(BY_HAND, any_archive(), nothing_is_written_elsewhere);
}

proptest! {
    /// Bytes that are no archive at all do no harm either.
    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let (artifact, _) = all();
        let (done, files) = unpacked(&noise, &artifact, &[""], Budget::default());
        prop_assert!(done.is_err() && files.is_empty());
    }
}

/// What the server does with its one request.
enum Answer {
    Says(Vec<u8>),
    /// Headers, and then a byte now and then.
    NeverEnds,
    /// More and more, without saying how much.
    Floods,
}

async fn server(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        match answer {
            Answer::Says(bytes) => drop(stream.write_all(&bytes).await),
            Answer::NeverEnds => {
                drop(
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx")
                        .await,
                );
                std::future::pending::<()>().await;
            }
            Answer::Floods => {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
                while stream.write_all(&[0; 4096]).await.is_ok() {}
            }
        }
    });
    format!("http://{address}/a.tar.gz")
}

fn ok(body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    Answer::Says([head.as_bytes(), body].concat())
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(20),
    archive: 64 * 1024,
    allow_loopback: true,
};

/// A plan for one archive at `charts`, of which these files are asked for.
fn plan(url: String, digest: String, files: &[&str]) -> FetchPlan {
    FetchPlan {
        files: files.iter().map(|f| (*f).to_owned()).collect(),
        artifacts: vec![Artifact {
            source: "GitRepository deploy (main@sha1:1)".to_owned(),
            url,
            digest,
            from: String::new(),
            to: "charts".to_owned(),
        }],
    }
}

async fn run_in(directory: &Directory, plan: &FetchPlan, limits: Limits) -> Result<Vec<String>, String> {
    let mounted = directory.0.join("mounted");
    let done = fetch(plan, &mounted, &directory.inside(), limits, Budget::default()).await;
    done.map_err(|error| format!("{error:#}"))
}

#[tokio::test]
async fn an_archive_and_what_is_mounted_come_together() {
    let archive = gz(&[file("a"), file("b"), file("other/c")]);
    let directory = Directory::new();
    // As a kubelet makes it, and as a first run that was cut short left it.
    let data = directory.0.join("mounted/..data/charts");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("b"), "of a ConfigMap").unwrap();
    std::os::unix::fs::symlink("..data/charts", directory.0.join("mounted/charts")).unwrap();
    fs::create_dir_all(directory.inside().join("charts/half")).unwrap();
    let plan = plan(
        server(ok(&archive)).await,
        digest(&archive),
        &["charts/a", "charts/other"],
    );
    let told = run_in(&directory, &plan, LIMITS).await.unwrap();
    assert_eq!(told, ["GitRepository deploy (main@sha1:1): 2 files"]);
    let mut found = vec![];
    list(&directory.inside(), "", &mut found).unwrap();
    assert_eq!(found, ["charts/a", "charts/b", "charts/other/c"]);
    let b = fs::read_to_string(directory.inside().join("charts/b")).unwrap();
    assert_eq!(b, "of a ConfigMap");
}

#[tokio::test]
async fn what_is_not_in_the_archive_is_named() {
    let archive = gz(&[file("values.yaml")]);
    let directory = Directory::new();
    let plan = plan(
        server(ok(&archive)).await,
        digest(&archive),
        &["charts/values.yaml", "charts/value.yaml"],
    );
    let error = run_in(&directory, &plan, LIMITS).await.unwrap_err();
    assert_eq!(
        error,
        r#"GitRepository deploy (main@sha1:1) has not charts/value.yaml; did you mean "charts/values.yaml"?"#
    );
}

#[rstest]
#[case::wrong_digest(ok(b"else"), "instead of sha256:")]
#[case::not_there(Answer::Says(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()), "is not there any more (404)")]
#[case::redirect(
    Answer::Says(b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n".to_vec()),
    "redirects are not followed"
)]
#[case::error(Answer::Says(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_vec()), "answers 500")]
#[case::says_too_much(Answer::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_vec()), "MiB that are fetched at most")]
#[case::too_much(Answer::Floods, "MiB that are fetched at most")]
#[case::cut(Answer::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec()), "reading http://")]
#[tokio::test]
async fn a_server_that_does_not_deliver_is_told(#[case] answer: Answer, #[case] says: &str) {
    let directory = Directory::new();
    let plan = plan(server(answer).await, digest(&gz(&[file("a")])), &["charts"]);
    let error = run_in(&directory, &plan, LIMITS).await.unwrap_err();
    assert!(error.contains(says), "{error}");
    assert_eq!(directory.files(), [""; 0]);
}

#[tokio::test]
async fn a_server_that_never_ends_is_left() {
    let directory = Directory::new();
    let plan = plan(server(Answer::NeverEnds).await, digest(b""), &["charts"]);
    let limits = Limits {
        timeout: Duration::from_millis(300),
        ..LIMITS
    };
    let error = run_in(&directory, &plan, limits).await.unwrap_err();
    assert!(error.contains("did not answer in full within 300ms"), "{error}");
}

#[rstest]
#[case("http://169.254.169.254/a", "link-local")]
#[case("http://127.0.0.1:1/a", "the pod itself")]
#[case("http://[::1]:1/a", "the pod itself")]
#[case("http://localhost:1/a", "the pod itself")]
#[case("nonsense", "is no URL")]
#[tokio::test]
async fn what_must_not_be_asked_is_not(#[case] url: &str, #[case] says: &str) {
    let directory = Directory::new();
    let plan = plan(url.to_owned(), digest(b""), &["charts"]);
    let limits = Limits {
        allow_loopback: false,
        ..LIMITS
    };
    let error = run_in(&directory, &plan, limits).await.unwrap_err();
    assert!(error.contains(says), "{error}");
}
