//! The client against Debian's `docker-registry`, a real registry without ECR's quirks, with skopeo as another client.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_cloud::{Anonymous, CloudErrorKind, Digest, Login, Pushed, Put, Registry, RegistryOptions};

use super::content::{blob, image, options, registry, registry_with};
use super::programs::find_program;
use super::skip::Missing;
use crate::require;

const MIB: usize = 1 << 20;

/// A running registry. Its shell stops it when this process ends, however that ends, since its standard input closes.
struct DockerRegistry {
    host: String,
    folder: tempfile::TempDir,
    _shell: Child,
}

/// Checks that all these programs are on the PATH.
fn find_programs(programs: &[&str]) -> Result<(), Missing> {
    programs.iter().try_for_each(|program| find_program(program).map(drop))
}

/// Runs a program that must succeed, and returns its stdout and stderr.
#[expect(clippy::disallowed_methods, reason = "other programs are clients and tools of these tests")]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {printed}");
    printed
}

impl DockerRegistry {
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
        let shell = Self::start_program(&path);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "docker-registry did not start");
            std::thread::sleep(Duration::from_millis(30));
        }
        Self { host: format!("127.0.0.1:{port}"), folder, _shell: shell }
    }

    #[expect(clippy::disallowed_methods, reason = "a server of these tests")]
    fn start_program(config: &Path) -> Child {
        let script = r#"docker-registry serve "$0" >/dev/null 2>&1 </dev/null & server=$!; cat >/dev/null; kill $server"#;
        let mut command = Command::new("sh");
        // Manifests may be deleted.
        command.env("REGISTRY_STORAGE_DELETE_ENABLED", "true");
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
async fn deleted_manifest_is_gone_with_its_tags_and_another_stays() {
    require!(find_programs(&["docker-registry"]));
    let server = DockerRegistry::start(&plain);
    let registry = registry(&server.host);
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (blob(&folder, 1000, 1), blob(&folder, 1000, 2));
    let first = registry.push_image("shop/hello", "1.0.0", &image(&[&one]), &|_| {}).await.unwrap().digest;
    registry.push_image("shop/hello", "2.0.0", &image(&[&two]), &|_| {}).await.unwrap();
    registry.delete_manifest("shop/hello", first).await.unwrap();
    for reference in ["1.0.0".to_owned(), first.to_string()] {
        assert_eq!(registry.manifest("shop/hello", &reference).await.unwrap(), None, "{reference}");
    }
    assert!(registry.manifest("shop/hello", "2.0.0").await.unwrap().is_some());
    registry.delete_manifest("shop/hello", first).await.unwrap();
}

#[tokio::test]
async fn pushed_image_is_readable_by_skopeo() {
    require!(find_programs(&["docker-registry", "skopeo"]));
    let server = DockerRegistry::start(&plain);
    let registry = registry(&server.host);
    let folder = tempfile::tempdir().unwrap();
    let (base, code) = (blob(&folder, 20 * MIB, 1), blob(&folder, MIB, 2));
    let image = image(&[&base, &code]);
    let pushed = registry.push_image("shop/hello", "1.0.0", &image, &|_| {}).await.unwrap();
    assert_eq!(pushed.put, Put::Created);
    assert!(pushed.blobs.iter().all(|(_, pushed)| *pushed == Pushed::Uploaded));

    let to = server.path("copied");
    let from = format!("docker://{}/shop/hello:1.0.0", server.host);
    run("skopeo", &["copy", "-q", "--src-tls-verify=false", &from, &format!("dir:{}", to.display())]);
    assert_eq!(std::fs::read(to.join("manifest.json")).unwrap(), image.manifest);
    assert!(std::fs::read(to.join(base.digest.hex())).unwrap() == base.bytes);
    assert!(std::fs::read(to.join(code.digest.hex())).unwrap() == code.bytes);
    let inspected = run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &from]);
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
    let fetched = server.path("fetched");
    registry.fetch_blob("shop/other", base.digest, base.size, &fetched, &|_| {}).await.unwrap();
    assert!(std::fs::read(fetched).unwrap() == base.bytes);
    assert!(!registry.has_blob("shop/other", code.digest).await.unwrap());
}

#[tokio::test]
async fn image_pushed_by_skopeo_is_copied_and_gets_attachments() {
    require!(find_programs(&["docker-registry", "skopeo"]));
    let (public, ours) = (DockerRegistry::start(&plain), DockerRegistry::start(&plain));
    let folder = tempfile::tempdir().unwrap();
    let base = blob(&folder, 5 * MIB, 3);
    registry(&public.host).push_image("base", "1", &image(&[&base]), &|_| {}).await.unwrap();
    let from = format!("docker://{}/base:1", public.host);
    let to = format!("docker://{}/base:2", public.host);
    run("skopeo", &["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", &from, &to]);
    let read = registry(&public.host).manifest("base", "2").await.unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&read.bytes).unwrap();
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let size = manifest["layers"][0]["size"].as_u64().unwrap();
    let source = registry(&public.host);
    let copied = registry(&ours.host).copy_blob("shop", layer, size, &source, "base", &|_| {}).await;
    assert_eq!(copied.unwrap(), Pushed::Uploaded);
    assert!(registry(&ours.host).has_blob("shop", layer).await.unwrap());

    // Version 2.8 has no referrers API: the index is stored under its tag, where skopeo finds it too.
    let subject = super::attachments::attach_and_list(&registry(&ours.host)).await;
    let index = format!("docker://{}/shop:sha256-{}", ours.host, subject.hex());
    let index = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &index]);
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn registry_with_password_and_private_certificate_is_usable() {
    require!(find_programs(&["docker-registry", "htpasswd", "openssl"]));
    let server = DockerRegistry::start(&|folder| {
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
        run("openssl", &[&ca[..], &new].concat());
        let leaf = ["req", "-subj", "/CN=127.0.0.1", "-keyout", &key, "-out", &request];
        run("openssl", &[&leaf[..], &new].concat());
        run(
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
        std::fs::write(&passwords, run("htpasswd", &["-Bbn", "ada", "secret"])).unwrap();
        (
            format!("  tls:\n    certificate: {certificate}\n    key: {key}\n"),
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {passwords}\n"),
        )
    });
    let login = |password: &str| Arc::new(Login::Basic { username: "ada".into(), password: password.into() });
    let certificates = std::fs::read(server.path("ca.pem")).unwrap();
    let secure = RegistryOptions { plain_http: false, certificates, ..options() };
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, 3 * MIB, 4);
    let registry = Registry::new(&server.host, login("secret"), secure.clone()).unwrap();
    let pushed = registry.push_image("shop", "1", &image(&[&layer]), &|_| {}).await.unwrap();
    assert_eq!(pushed.put, Put::Created);

    let wrong = Registry::new(&server.host, login("guess"), secure.clone()).unwrap();
    let error = wrong.manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::CredentialsMissing);
    let nobody = Registry::new(&server.host, Arc::new(Anonymous), secure.clone()).unwrap();
    assert_eq!(nobody.manifest("shop", "1").await.unwrap_err().kind, CloudErrorKind::CredentialsMissing);
    let untrusted = RegistryOptions { certificates: Vec::new(), attempts: 1, ..secure };
    let untrusted = Registry::new(&server.host, login("secret"), untrusted).unwrap();
    let error = untrusted.manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unreachable);
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    let plain = registry_with(&server.host, login("secret")).manifest("shop", "1").await.unwrap_err();
    assert!(plain.to_string().contains(&server.host), "{plain}");
}
