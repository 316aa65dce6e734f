//! Debian's `docker-registry`, a real one without Amazon's quirks, and skopeo as an independent reader.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_cloud::{Anonymous, CloudErrorKind, Digest, Login, Pushed, Put, Registry, RegistryOptions};

use super::content::{blob, image, options, registry, registry_with};

const MIB: usize = 1 << 20;

/// A running registry. It ends with this process, however that ends: it waits for its standard input to close.
struct Debian {
    host: String,
    folder: tempfile::TempDir,
    _shell: Child,
}

/// Tells whether these programs are here; says what is left out where they are not.
fn here(programs: &[&str]) -> bool {
    for program in programs {
        if !run("sh", &["-c", &format!("command -v {program}")]).0 {
            let ci = variable("CI").as_deref() == Some("true");
            assert!(!ci, "{program} is not installed");
            let words = format!("{program} is not installed: tests against docker-registry are left out\n");
            std::io::stderr().write_all(words.as_bytes()).unwrap();
            return false;
        }
    }
    true
}

#[expect(clippy::disallowed_methods, reason = "the tests' one look at the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the tests' door to other programs")]
fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn must(program: &str, arguments: &[&str]) -> String {
    let (success, said) = run(program, arguments);
    assert!(success, "{program} {arguments:?}: {said}");
    said
}

impl Debian {
    fn start(more: &dyn Fn(&Path) -> (String, String)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (http, rest) = more(folder.path());
        let store = folder.path().join("store");
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: 127.0.0.1:{port}\n{http}{rest}",
            store.display()
        );
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let shell = Self::run(&path);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "docker-registry did not start");
            std::thread::sleep(Duration::from_millis(30));
        }
        Self { host: format!("127.0.0.1:{port}"), folder, _shell: shell }
    }

    #[expect(clippy::disallowed_methods, reason = "the tests' door to other programs")]
    fn run(config: &Path) -> Child {
        let script = r#"docker-registry serve "$0" >/dev/null 2>&1 </dev/null & served=$!; cat >/dev/null; kill $served"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(config).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn plain(_: &Path) -> (String, String) {
    Default::default()
}

#[tokio::test]
async fn skopeo_reads_back_what_was_pushed() {
    if !here(&["docker-registry", "skopeo"]) {
        return;
    }
    let debian = Debian::start(&plain);
    let registry = registry(&debian.host);
    let folder = tempfile::tempdir().unwrap();
    let (base, code) = (blob(&folder, 20 * MIB, 1), blob(&folder, MIB, 2));
    let image = image(&[&base, &code]);
    let pushed = registry.push_image("shop/hello", "1.0.0", &image, &|_| {}).await.unwrap();
    assert_eq!(pushed.put, Put::Created);
    assert!(pushed.blobs.iter().all(|(_, pushed)| *pushed == Pushed::Uploaded));

    let to = debian.path("copied");
    let from = format!("docker://{}/shop/hello:1.0.0", debian.host);
    must("skopeo", &["copy", "-q", "--src-tls-verify=false", &from, &format!("dir:{}", to.display())]);
    assert_eq!(std::fs::read(to.join("manifest.json")).unwrap(), image.manifest);
    assert!(std::fs::read(to.join(base.digest.hex())).unwrap() == base.bytes);
    assert!(std::fs::read(to.join(code.digest.hex())).unwrap() == code.bytes);
    let inspected = must("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &from]);
    assert_eq!(inspected.trim(), pushed.digest.to_string());

    let again = registry.push_image("shop/hello", "1.0.0", &image, &|_| {}).await.unwrap();
    assert_eq!(again.put, Put::Same);
    let other = super::content::image(&[&code]);
    let taken = registry.push_image("shop/hello", "1.0.0", &other, &|_| {}).await.unwrap();
    assert_eq!(taken.put, Put::Different);
    let still = registry.manifest("shop/hello", "1.0.0").await.unwrap().unwrap();
    assert_eq!(still.digest, pushed.digest);
    let mounted =
        registry.push_blob("shop/other", base.digest, base.size, &base.path, Some("shop/hello"), &|_| {});
    assert_eq!(mounted.await.unwrap(), Pushed::Mounted);
    let fetched = debian.path("fetched");
    registry.fetch_blob("shop/other", base.digest, base.size, &fetched, &|_| {}).await.unwrap();
    assert!(std::fs::read(fetched).unwrap() == base.bytes);
    assert!(!registry.has_blob("shop/other", code.digest).await.unwrap());
}

#[tokio::test]
async fn an_image_that_skopeo_pushed_is_copied_and_attached_to() {
    if !here(&["docker-registry", "skopeo"]) {
        return;
    }
    let (public, ours) = (Debian::start(&plain), Debian::start(&plain));
    let folder = tempfile::tempdir().unwrap();
    let base = blob(&folder, 5 * MIB, 3);
    registry(&public.host).push_image("base", "1", &image(&[&base]), &|_| {}).await.unwrap();
    let from = format!("docker://{}/base:1", public.host);
    let to = format!("docker://{}/base:2", public.host);
    must("skopeo", &["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", &from, &to]);
    let read = registry(&public.host).manifest("base", "2").await.unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&read.bytes).unwrap();
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let size = manifest["layers"][0]["size"].as_u64().unwrap();
    let source = registry(&public.host);
    let copied = registry(&ours.host).copy_blob("shop", layer, size, &source, "base", &|_| {}).await;
    assert_eq!(copied.unwrap(), Pushed::Uploaded);
    assert!(registry(&ours.host).has_blob("shop", layer).await.unwrap());

    // 2.8 takes no note of subjects: the index is found under its tag, by skopeo as well.
    let subject = super::attachments::story(&registry(&ours.host)).await;
    let index = format!("docker://{}/shop:sha256-{}", ours.host, subject.hex());
    let index = must("skopeo", &["inspect", "--raw", "--tls-verify=false", &index]);
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_registry_with_a_password_and_a_certificate_of_its_own() {
    if !here(&["docker-registry", "htpasswd", "openssl"]) {
        return;
    }
    let debian = Debian::start(&|folder| {
        let at = |name: &str| folder.join(name).display().to_string();
        let (authority, authority_key) = (at("ca.pem"), at("ca.key"));
        let (certificate, key, request, names) = (at("tls.pem"), at("tls.key"), at("tls.csr"), at("names"));
        std::fs::write(&names, "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
        let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let ca = [
            "req",
            "-x509",
            "-subj",
            "/CN=test",
            "-days",
            "2",
            "-keyout",
            &authority_key,
            "-out",
            &authority,
        ];
        must("openssl", &[&ca[..], &new].concat());
        let leaf = ["req", "-subj", "/CN=127.0.0.1", "-keyout", &key, "-out", &request];
        must("openssl", &[&leaf[..], &new].concat());
        must(
            "openssl",
            &[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                &authority,
                "-CAkey",
                &authority_key,
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                &names,
                "-out",
                &certificate,
            ],
        );
        let passwords = at("passwords");
        std::fs::write(&passwords, must("htpasswd", &["-Bbn", "ada", "secret"])).unwrap();
        (
            format!("  tls:\n    certificate: {certificate}\n    key: {key}\n"),
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {passwords}\n"),
        )
    });
    let login = |password: &str| Arc::new(Login::Basic { username: "ada".into(), password: password.into() });
    let certificates = std::fs::read(debian.path("ca.pem")).unwrap();
    let secure = RegistryOptions { plain_http: false, certificates, ..options() };
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, 3 * MIB, 4);
    let registry = Registry::new(&debian.host, login("secret"), secure.clone()).unwrap();
    let pushed = registry.push_image("shop", "1", &image(&[&layer]), &|_| {}).await.unwrap();
    assert_eq!(pushed.put, Put::Created);

    let wrong = Registry::new(&debian.host, login("guess"), secure.clone()).unwrap();
    let error = wrong.manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::CredentialsMissing);
    let nobody = Registry::new(&debian.host, Arc::new(Anonymous), secure.clone()).unwrap();
    assert_eq!(nobody.manifest("shop", "1").await.unwrap_err().kind, CloudErrorKind::CredentialsMissing);
    let untrusted = RegistryOptions { certificates: Vec::new(), attempts: 1, ..secure };
    let untrusted = Registry::new(&debian.host, login("secret"), untrusted).unwrap();
    let error = untrusted.manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unreachable);
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    let plain = registry_with(&debian.host, login("secret")).manifest("shop", "1").await.unwrap_err();
    assert!(plain.to_string().contains(&debian.host), "{plain}");
}
