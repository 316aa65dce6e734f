use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tar::{Builder, Header};

/// The number of bytes that a scene's layers may have.
const LIMIT: u64 = 64 << 10;

/// Writes any name, also those that the crate's own writer rejects.
struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: EntryType, name: &str, mode: u32, link: &str, content: &str) -> Self {
        let mut header = Header::new_gnu();
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content.as_bytes()).unwrap();
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, name, 0o644, "", content)
    }

    fn folder(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, 0o755, "", "")
    }

    fn symlink(self, name: &str, link: &str) -> Self {
        self.entry(EntryType::Symlink, name, 0o777, link, "")
    }

    fn hard_link(self, name: &str, link: &str) -> Self {
        self.entry(EntryType::Link, name, 0o644, link, "")
    }
}

/// A root folder, and a folder beside it that must not change.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        fs::create_dir(scene.root()).unwrap();
        fs::create_dir(scene.0.path().join("outside")).unwrap();
        fs::write(scene.0.path().join("outside/precious"), "mine").unwrap();
        scene
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn apply(&self, layers: Vec<Tar>) -> Result<(), LayerError> {
        let tree = Tree::open(&self.root()).unwrap();
        let mut applied = Layers::new(&tree, LIMIT);
        layers.into_iter().try_for_each(|layer| applied.add(&layer.0.into_inner().unwrap()[..]))
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root().join(name)).ok()
    }

    fn assert_outside_is_unchanged(&self) {
        let names: Vec<_> = fs::read_dir(self.0.path().join("outside")).unwrap().flatten().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(fs::read_to_string(self.0.path().join("outside/precious")).unwrap(), "mine");
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), 2);
    }
}

#[test]
fn later_layer_replaces_hides_and_adds_files() {
    let scene = Scene::new();
    let base = Tar::new()
        .folder("etc/")
        .file("./etc/name", "base")
        .file("etc/gone", "x")
        .folder("old/")
        .file("old/a", "a")
        .file("old/sub/b", "b")
        .folder("dir/")
        .file("dir/inner", "x")
        .file("plain", "x");
    let top = Tar::new()
        .file("etc/name", "top")
        .file("etc/.wh.gone", "")
        .file("old/sub/new", "new")
        .file("old/.wh..wh..opq", "")
        .file("old/later", "later")
        .file("dir", "now a file")
        .folder("plain")
        .file("plain/inner", "now a folder")
        .file("nowhere/.wh.x", "")
        .entry(EntryType::Char, "console", 0o600, "", "");
    scene.apply(vec![base, top]).unwrap();
    assert_eq!(scene.read("etc/name").as_deref(), Some("top"));
    assert_eq!(scene.read("old/sub/new").as_deref(), Some("new"));
    assert_eq!(scene.read("old/later").as_deref(), Some("later"));
    assert_eq!(scene.read("dir").as_deref(), Some("now a file"));
    assert_eq!(scene.read("plain/inner").as_deref(), Some("now a folder"));
    for gone in ["etc/gone", "etc/.wh.gone", "old/a", "old/sub/b", "old/.wh..wh..opq", "nowhere", "console"] {
        assert!(!scene.root().join(gone).exists(), "{gone}");
    }
}

#[test]
fn layer_keeps_modes_times_and_links() {
    let scene = Scene::new();
    let layer = Tar::new()
        .entry(EntryType::Regular, "bin/run", 0o4755, "", "run")
        .entry(EntryType::Directory, "closed", 0o500, "", "")
        .file("closed/file", "x")
        .hard_link("bin/same", "/bin/run")
        .symlink("usr-bin", "/bin")
        .symlink("out", "/../../outside");
    scene.apply(vec![layer]).unwrap();
    let run = fs::metadata(scene.root().join("bin/run")).unwrap();
    // Without set-user-id.
    assert_eq!((run.permissions().mode() & 0o7777, run.mtime()), (0o755, 1_000_000_000));
    assert_eq!(fs::metadata(scene.root().join("bin/same")).unwrap().ino(), run.ino());
    assert_eq!(fs::metadata(scene.root().join("closed")).unwrap().permissions().mode() & 0o777, 0o700);
    for (name, link) in [("usr-bin", "/bin"), ("out", "/../../outside")] {
        assert_eq!(fs::read_link(scene.root().join(name)).unwrap(), Path::new(link));
    }
    // Replacing a file does not change its other names.
    scene.apply(vec![Tar::new().file("bin/same", "other")]).unwrap();
    assert_eq!(scene.read("bin/run").as_deref(), Some("run"));
}

#[test]
fn symlinks_are_followed_within_the_image_only() {
    let scene = Scene::new();
    let outside = scene.0.path().join("outside");
    let outside = outside.to_str().unwrap();
    let layer = Tar::new()
        .symlink("lib", "usr/lib")
        .file("lib/one", "1")
        .symlink("abs", outside)
        .file("abs/two", "2")
        .symlink("up", "../../../../../..")
        .file("up/three", "3")
        .symlink("precious", "../outside/precious")
        .file("precious", "4");
    scene.apply(vec![layer]).unwrap();
    assert_eq!(scene.read("usr/lib/one").as_deref(), Some("1"));
    assert_eq!(scene.read(&format!("{}/two", &outside[1..])).as_deref(), Some("2"));
    assert_eq!(scene.read("three").as_deref(), Some("3"));
    assert_eq!(scene.read("precious").as_deref(), Some("4"));
    scene.assert_outside_is_unchanged();

    // Whiteouts and opaque folders do not reach outside either.
    let layer = Tar::new()
        .symlink("away", outside)
        .file("away/.wh.precious", "")
        .file("away/.wh..wh..opq", "")
        .file(".wh.away", "");
    scene.apply(vec![layer]).unwrap();
    scene.assert_outside_is_unchanged();
}

#[test]
fn entry_that_points_outside_is_an_error() {
    for layer in [
        Tar::new().file("../evil", "x"),
        Tar::new().file("a/../../evil", "x"),
        Tar::new().hard_link("mine", "../outside/precious"),
        Tar::new().file("a/.wh...", ""),
        Tar::new().file(".wh.", ""),
    ] {
        let scene = Scene::new();
        let error = scene.apply(vec![layer]).unwrap_err();
        assert!(matches!(error, LayerError::Outside(_)), "{error:?}");
        scene.assert_outside_is_unchanged();
    }
    // A hard link through a symlink stays within the image.
    let scene = Scene::new();
    let outside = scene.0.path().join("outside");
    let away = Tar::new().symlink("away", outside.to_str().unwrap()).hard_link("mine", "away/precious");
    let error = scene.apply(vec![away]).unwrap_err();
    assert!(matches!(&error, LayerError::Entry(name, _) if name == "mine"), "{error:?}");
    scene.assert_outside_is_unchanged();
}

#[test]
fn circles_deep_paths_and_large_files_are_errors() {
    let entry = |layer: Tar| match Scene::new().apply(vec![layer]).unwrap_err() {
        LayerError::Entry(name, _) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(entry(Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", "")), "a/x");
    assert_eq!(entry(Tar::new().file("plain", "").file("plain/x", "")), "plain/x");
    // Each symlink points 45 folders deeper than the one before, so that names stay short.
    let folders = "d/".repeat(45);
    let mut deep = Tar::new().symlink("0", "/");
    for number in 1..6 {
        let before = format!("{}/{folders}", number - 1);
        deep = deep.folder(&before).symlink(&number.to_string(), &before);
    }
    assert_eq!(entry(deep), format!("4/{folders}"));
    let scene = Scene::new();
    let big = "x".repeat(40 << 10);
    let error = scene.apply(vec![Tar::new().file("a", &big), Tar::new().file("b", &big)]).unwrap_err();
    assert!(matches!(error, LayerError::TooLarge(LIMIT)), "{error:?}");
    let error = Layers::new(&Tree::open(&scene.root()).unwrap(), LIMIT).add(&[7; 700][..]).unwrap_err();
    assert!(matches!(error, LayerError::Tar(_)), "{error:?}");
}

#[test]
fn tar_with_more_bytes_than_the_limit_is_an_error_whatever_they_are() {
    let too_large = |tar: &[u8]| {
        let scene = Scene::new();
        let tree = Tree::open(&scene.root()).unwrap();
        let error = Layers::new(&tree, LIMIT).add(tar).unwrap_err();
        assert!(matches!(error, LayerError::TooLarge(LIMIT)), "{error:?}");
    };
    let tar = |layer: Tar| layer.0.into_inner().unwrap();
    // Many empty files, the content of an entry that is left out, bytes after the end mark.
    too_large(&tar((0..200).fold(Tar::new(), |layer, _| layer.file("a", ""))));
    too_large(&tar(Tar::new().entry(EntryType::Char, "console", 0o600, "", &"x".repeat(80 << 10))));
    let mut long = tar(Tar::new().file("a", "a"));
    long.resize(80 << 10, 0);
    too_large(&long);
    // The layers count together.
    let scene = Scene::new();
    let half = || Tar::new().file("a", &"x".repeat(40 << 10));
    let error = scene.apply(vec![half(), half()]).unwrap_err();
    assert!(matches!(error, LayerError::TooLarge(LIMIT)), "{error:?}");
    // A sparse file of a terabyte, of which the tar has no byte.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[0] = b'a';
    gnu.sparse[0].offset[..12].copy_from_slice(b"20000000000\0");
    gnu.sparse[0].numbytes[..12].copy_from_slice(b"00000000000\0");
    gnu.realsize.copy_from_slice(b"20000000000\0");
    header.set_mode(0o644);
    header.set_size(0);
    header.set_cksum();
    let mut sparse = header.as_bytes().to_vec();
    sparse.resize(1536, 0);
    too_large(&sparse);
}

#[test]
fn description_of_an_entry_that_would_fill_the_memory_is_an_error() {
    let scene = Scene::new();
    let tree = Tree::open(&scene.root()).unwrap();
    let layer = |length: usize| {
        Tar::new()
            .file("first", &"x".repeat(4 << 20))
            .entry(EntryType::GNULongName, "long", 0o644, "", &"y".repeat(length))
            .file("a", "a")
    };
    // A file before it does not count, read or not.
    let applied = |layer: Tar| Layers::new(&tree, 1 << 30).add(&layer.0.into_inner().unwrap()[..]);
    let error = applied(layer(2 << 20)).unwrap_err();
    assert!(matches!(&error, LayerError::Tar(cause) if cause.to_string().contains("described")), "{error:?}");
    // A name of 200 bytes is.
    applied(layer(200)).unwrap();
    assert!(scene.read(&"y".repeat(200)).is_some());
}
