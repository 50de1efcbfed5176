//! Tests of files, listings and lookups in a folder.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use url::Url;

use super::{listing::MAX_DEPTH, *};
use crate::{digest_map::DigestMap, files::Files};

fn root() -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("thumbnails")).unwrap();
    fs::write(root.join("thumbnails/a.jpg"), b"12345").unwrap();
    fs::write(folder.path().join("secret"), b"secret").unwrap();
    let files = Files::open(&Url::from_directory_path(&root).unwrap()).unwrap();
    (folder, files)
}

/// The same files as the kernel resolves them, and component by component, as without `openat2`.
fn both(root: &Path, inside: &str) -> [Folder; 2] {
    [true, false].map(|uses_openat2| {
        let mut place = Place::new(root.to_owned(), inside.into(), Arc::default());
        place.uses_openat2 = uses_openat2;
        Folder::new(place)
    })
}

#[tokio::test]
async fn files_over_the_limit_are_rejected() {
    let (_folder, files) = root();
    assert_eq!(files.read("thumbnails/a.jpg", 5).await.unwrap(), "12345");
    assert!(matches!(
        files.read("thumbnails/a.jpg", 4).await,
        Err(ReadError::TooLarge { bytes: 5, limit: 4, .. })
    ));
    assert!(matches!(files.read("thumbnails/b.jpg", 4).await, Err(ReadError::Missing { .. })));
    assert!(matches!(files.read("thumbnails/a.jpg/x", 4).await, Err(ReadError::Missing { .. })));
    let names = ["thumbnails/b.jpg", "thumbnails/a.jpg", "../secret"].map(str::to_owned);
    assert!(files.exists().await);
    let results = files.read_many(names.to_vec(), 5).await;
    assert!(matches!(results[0], Err(ReadError::Missing { .. })), "{results:?}");
    assert_eq!(results[1].as_ref().unwrap(), "12345");
    assert!(matches!(results[2], Err(ReadError::Refused { .. })), "{results:?}");
}

#[tokio::test]
async fn paths_outside_the_root_are_refused() {
    let (folder, files) = root();
    symlink(folder.path().join("secret"), folder.path().join("root/link")).unwrap();
    symlink("thumbnails/a.jpg", folder.path().join("root/inner")).unwrap();
    for name in ["../secret", "/etc/passwd", "", "thumbnails/../../secret", "./x", "link", "a\0b"] {
        let refused = files.read(name, 100).await;
        assert!(matches!(refused, Err(ReadError::Refused { .. })), "{name}: {refused:?}");
    }
    assert_eq!(files.read("inner", 100).await.unwrap(), "12345");
}

#[tokio::test]
async fn links_within_the_root_are_followed_with_and_without_openat2() {
    let (folder, _) = root();
    let base = folder.path().canonicalize().unwrap();
    let root = base.join("root");
    fs::create_dir(root.join("other")).unwrap();
    for (link, target) in [
        ("relative", "thumbnails".into()),
        ("absolute", root.join("thumbnails")),
        ("other/up", "../thumbnails/a.jpg".into()),
        ("chain", "absolute/../relative".into()),
        ("out", base.clone()),
        ("out2", "..".into()),
        ("loop", "loop".into()),
        ("dangling", "nowhere".into()),
        ("etc", "/etc".into()),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    for (anchor, inside) in [(&root, ""), (&base, "root")] {
        for files in both(anchor, inside) {
            for name in ["thumbnails/a.jpg", "relative/a.jpg", "absolute/a.jpg", "other/up", "chain/a.jpg"] {
                assert_eq!(files.read(name, 9).await.unwrap(), "12345", "{name}");
                assert!(files.has(name).await.unwrap(), "{name}");
            }
            for name in ["etc/passwd", "etc/none", "loop/a"] {
                assert!(files.read(name, 1 << 20).await.is_err(), "{name}");
                assert!(!matches!(files.has(name).await, Ok(true)), "{name}");
            }
            // What is outside the root stays unknown: a file that exists there has the same error as one that does not.
            let [there, absent] = ["etc/passwd", "etc/none"].map(str::to_owned);
            let texts = files.read_many(vec![there, absent], 9).await;
            let texts: Vec<String> = texts
                .into_iter()
                .map(|read| read.unwrap_err().to_string().replace("none", "passwd"))
                .collect();
            assert_eq!(texts[0], texts[1]);
            assert!(matches!(files.read("dangling", 9).await, Err(ReadError::Missing { .. })));
            assert_eq!(files.read("out/secret", 9).await.is_ok(), inside == "root");
            assert_eq!(files.read("out2/secret", 9).await.is_ok(), inside == "root");
        }
    }
}

#[tokio::test]
async fn writes_stay_in_the_root() {
    let (folder, _) = root();
    let base = folder.path().canonicalize().unwrap();
    let root = base.join("root");
    fs::create_dir_all(base.join("sibling")).unwrap();
    for (link, target) in [
        ("relative", "thumbnails".into()),
        ("absolute", root.join("thumbnails")),
        ("sibling", base.join("sibling")),
        ("up", "../sibling".into()),
        ("new", "../sibling/new".into()),
        ("secret", "../secret".into()),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    for (anchor, inside) in [(&root, ""), (&base, "root")] {
        for files in both(anchor, inside) {
            for name in ["relative/b.jpg", "absolute/b.jpg", "relative/deep/er/b.jpg", "x/y/b.jpg", "b.jpg"] {
                files.write(name, Bytes::from_static(b"new")).await.unwrap();
                assert_eq!(files.read(name, 9).await.unwrap(), "new", "{name}");
                files.remove(name).await.unwrap();
                assert_eq!(files.has(name).await.ok(), Some(false), "{name}");
            }
            for name in ["sibling/b.jpg", "up/b.jpg", "up/new/b.jpg", "new/b.jpg"] {
                let written = files.write(name, Bytes::from_static(b"new")).await;
                assert!(matches!(written, Err(ReadError::Refused { .. })), "{name}: {written:?}");
                assert!(files.remove(name).await.is_err(), "{name}");
                assert!(files.try_lock(name).await.is_err(), "{name}");
            }
            assert!(files.try_lock("secret").await.is_err(), "a lock does not follow a link");
            fs::remove_dir_all(root.join("thumbnails/deep")).unwrap();
            fs::remove_dir_all(root.join("x")).unwrap();
        }
    }
    assert_eq!(fs::read_dir(base.join("sibling")).unwrap().count(), 0);
    assert_eq!(fs::read(base.join("secret")).unwrap(), b"secret");
    let left: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.as_encoded_bytes().starts_with(b".tmp")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_exchanged_for_a_link_leads_nowhere_else() {
    let (folder, _) = root();
    let base = folder.path().canonicalize().unwrap();
    let root = base.join("root");
    // `set` is in turn a folder and a link to a folder with the same file name.
    fs::create_dir(base.join("outside")).unwrap();
    fs::write(base.join("outside/a.jpg"), b"outside").unwrap();
    symlink(base.join("outside"), root.join("link")).unwrap();
    fs::rename(root.join("thumbnails"), root.join("set")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, exchanged) = (stop.clone(), root.clone());
    let exchanging = std::thread::spawn(move || {
        let (set, link) = (exchanged.join("set"), exchanged.join("link"));
        while !stopped.load(Ordering::Relaxed) {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(rustix::fs::CWD, &set, rustix::fs::CWD, &link, flags).unwrap();
        }
    });
    for files in both(&root, "") {
        let mut read = 0;
        for number in 0..1500 {
            match files.read("set/a.jpg", 100).await {
                Ok(bytes) => {
                    assert_eq!(bytes, "12345");
                    read += 1;
                }
                Err(ReadError::Refused { .. } | ReadError::Unavailable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            // Each write waits for the disk.
            if number % 15 == 0 {
                let _ = files.write(&format!("set/{number}"), Bytes::new()).await;
            }
        }
        assert!(read > 0, "no read found the folder");
    }
    stop.store(true, Ordering::Relaxed);
    exchanging.join().unwrap();
    assert_eq!(fs::read_dir(base.join("outside")).unwrap().count(), 1, "nothing was written outside");
}

#[tokio::test]
async fn only_regular_files_are_read() {
    let (folder, files) = root();
    let fifo = folder.path().join("root/fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(matches!(files.read("fifo", 100).await, Err(ReadError::Refused { .. })));
    assert!(matches!(files.read("thumbnails", 100).await, Err(ReadError::Refused { .. })));
}

#[tokio::test]
async fn written_files_are_listed_and_read() {
    let (folder, files) = root();
    files.write("parts/0.jsonl", Bytes::from_static(b"{}")).await.unwrap();
    assert!(files.write("../x", Bytes::new()).await.is_err());
    files.write("thumbnails/b.jpg", Bytes::new()).await.unwrap();
    assert_eq!(found(&files, None).await.0, ["parts/0.jsonl", "thumbnails/a.jpg", "thumbnails/b.jpg"]);
    assert_eq!(found(&files, Some("parts")).await.0, ["parts/0.jsonl"]);
    assert_eq!(found(&files, Some("nowhere")).await.0, Vec::<String>::new());
    files.write_file("copy", &folder.path().join("secret")).await.unwrap();
    assert_eq!(files.read("copy", 100).await.unwrap(), "secret");
}

/// The files of a walk, and what it refuses.
async fn found(files: &Files, subfolder: Option<&str>) -> (Vec<String>, Vec<String>) {
    let add = |(names, refused): &mut (Vec<String>, Vec<String>), found: Found<'_>| match found {
        Found::File { name, .. } => names.push(name.to_owned()),
        Found::Refused { name, reason, .. } => refused.push(format!("{name}: {reason}")),
    };
    let (mut names, mut refused) = files.walk(subfolder, (Vec::new(), Vec::new()), add).await.unwrap();
    names.sort();
    refused.sort();
    (names, refused)
}

async fn resolved(files: &Files, name: &str) -> Option<Resolved> {
    files.lookup(DigestMap::default()).resolve(vec![name.to_owned()]).await.remove(0)
}

#[tokio::test]
async fn each_file_is_found_once_and_what_is_skipped_files_is_named() {
    let (folder, files) = root();
    let root = folder.path().join("root");
    let deep = |levels: usize| format!("{}x.jpg", "d/".repeat(levels));
    let names = [".hidden.jpg", ".hidden/a.jpg", &deep(MAX_DEPTH), &deep(MAX_DEPTH + 1), "line\n.jpg"];
    for name in names {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), b"").unwrap();
    }
    fs::write(root.join(OsStr::from_bytes(b"\xf1.jpg")), b"").unwrap();
    for (link, target) in [
        ("link.jpg", "thumbnails/a.jpg"),
        ("link2.jpg", ".hidden.jpg"),
        ("linked", "thumbnails"),
        ("hidden", ".hidden"),
        ("hidden2", ".hidden"),
        ("around", ".."),
        ("cycle", "."),
        ("thumbnails/cycle", ".."),
        ("dangling", "nowhere"),
        ("secret", "../secret"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    let (names, refused) = found(&files, None).await;
    assert_eq!(names, [&deep(MAX_DEPTH), "hidden/a.jpg", "link2.jpg", "thumbnails/a.jpg"]);
    let deepest = format!("{}d: the folder is more than 8 levels deep", "d/".repeat(MAX_DEPTH));
    let want = [
        "\\xf1.jpg: the name is not UTF-8",
        "around: it is a link to a place outside",
        &deepest,
        "dangling: it is a link to a file that does not exist",
        "line\\x0a.jpg: the name has control characters",
        "secret: it is a link to a place outside",
    ];
    assert_eq!(refused.len(), want.len(), "{refused:?}");
    for (refused, want) in refused.iter().zip(want) {
        assert!(refused.starts_with(want), "{refused}: {want}");
    }
}

#[tokio::test]
async fn files_behind_links_are_resolved() {
    let (folder, files) = root();
    let root = folder.path().join("root");
    for (link, target) in [("linked", "thumbnails"), ("link.jpg", "thumbnails/a.jpg"), ("out", "..")] {
        symlink(target, root.join(link)).unwrap();
    }
    let at = |real: Option<&str>| Some(Resolved { bytes: 5, real_name: real.map(str::to_owned) });
    assert_eq!(resolved(&files, "thumbnails/a.jpg").await, at(None));
    assert_eq!(resolved(&files, "linked/a.jpg").await, at(Some("thumbnails/a.jpg")));
    assert_eq!(resolved(&files, "link.jpg").await, at(Some("thumbnails/a.jpg")));
    for name in ["out/secret", "thumbnails", "none", "none/a.jpg", ".hidden"] {
        assert_eq!(resolved(&files, name).await, None, "{name}");
    }
}

#[tokio::test]
async fn removed_files_are_gone() {
    let (_folder, files) = root();
    files.remove("thumbnails/a.jpg").await.unwrap();
    files.remove("thumbnails/a.jpg").await.unwrap();
    assert!(!files.has("thumbnails/a.jpg").await.unwrap());
    assert!(files.remove("../secret").await.is_err());
}

#[tokio::test]
async fn content_is_read_in_chunks_within_its_limit() {
    let (folder, files) = root();
    let bytes: Vec<u8> = (0..700_000_u32).map(|index| (index % 251) as u8).collect();
    fs::write(folder.path().join("root/large"), &bytes).unwrap();
    let mut content = files.open_content("large", 700_000).await.unwrap();
    let mut read = Vec::new();
    while let Some(chunk) = content.next_chunk().await.unwrap() {
        assert!(!chunk.is_empty() && chunk.len() < bytes.len());
        read.extend_from_slice(&chunk);
    }
    assert_eq!(read, bytes);
    assert!(matches!(files.open_content("large", 699_999).await, Err(ReadError::TooLarge { .. })));
    assert!(matches!(files.open_content("../secret", 9).await, Err(ReadError::Refused { .. })));
}
