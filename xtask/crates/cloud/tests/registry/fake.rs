//! A fake registry with ECR's quirks: PATCH is answered with 201 and its body dropped, the PUT of a manifest returns no
//! `Location`, mounts are answered with 202 unless enabled, tags may be immutable. A test's script sees each request first
//! and can respond, disconnect, hang or change the response.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use slipway_cloud::Digest;

/// A received request, without its body.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// The path with its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub length: Option<u64>,
}

/// What a script does with a request.
pub enum Action {
    /// The registry handles the request.
    Serve,
    /// This response is sent instead, after the request's body was read.
    Respond(Response),
    /// The connection is closed after that many bytes of the request's body.
    Disconnect(u64),
    /// No response is sent while the test runs.
    Hang,
    /// The registry handles the request, and the test changes its response.
    Modify(fn(&mut Response)),
}

#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Sends only that many bytes of the body.
    pub cut: Option<usize>,
}

/// What the registry supports.
#[derive(Clone, Copy, Default)]
pub struct Features {
    pub mounts: bool,
    pub immutable: bool,
    pub subjects: bool,
}

/// What the registry stores.
#[derive(Default)]
pub struct Content {
    pub blobs: BTreeMap<(String, String), Vec<u8>>,
    pub manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    pub tags: BTreeMap<(String, String), String>,
    uploads: BTreeSet<String>,
    upload_count: u64,
}

pub struct FakeRegistry {
    pub host: String,
    pub content: Arc<Mutex<Content>>,
    seen: Arc<Mutex<Vec<Request>>>,
}

type Script = dyn Fn(&Request, usize) -> Action + Send + Sync;

struct Server {
    features: Features,
    content: Arc<Mutex<Content>>,
    seen: Arc<Mutex<Vec<Request>>>,
    script: Box<Script>,
}

impl FakeRegistry {
    /// Starts a registry. The script gets the request and the number of earlier requests with the same method.
    pub fn start(
        features: Features,
        script: impl Fn(&Request, usize) -> Action + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (content, seen) = (Arc::default(), Arc::default());
        let fake = Self { host, content: Arc::clone(&content), seen: Arc::clone(&seen) };
        let server = Arc::new(Server { features, content, seen, script: Box::new(script) });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.serve(stream));
            }
        });
        fake
    }

    pub fn plain() -> Self {
        Self::start(Features::default(), |_, _| Action::Serve)
    }

    pub fn seen(&self, method: &str) -> Vec<Request> {
        self.seen.lock().unwrap().iter().filter(|request| request.method == method).cloned().collect()
    }

    pub fn has(&self, repository: &str, digest: Digest) -> bool {
        let key = (repository.to_owned(), digest.to_string());
        self.content.lock().unwrap().blobs.contains_key(&key)
    }

    pub fn put_blob(&self, repository: &str, bytes: &[u8]) {
        let key = (repository.to_owned(), Digest::of(bytes).to_string());
        self.content.lock().unwrap().blobs.insert(key, bytes.to_vec());
    }
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.path.split_once('?')?;
        let mut found = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.into_owned())
    }
}

pub fn response(status: u16, body: &str) -> Response {
    Response { status, body: body.as_bytes().to_vec(), ..Response::default() }
}

pub fn error_response(status: u16, code: &str, message: &str) -> Response {
    response(status, &serde_json::json!({ "errors": [{ "code": code, "message": message }] }).to_string())
}

impl Response {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Server {
    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = read_head(&mut reader) {
            let before = {
                let mut seen = self.seen.lock().unwrap();
                let before = seen.iter().filter(|other| other.method == request.method).count();
                seen.push(request.clone());
                before
            };
            let action = (self.script)(&request, before);
            let length = request.length.unwrap_or_default();
            let taken = if let Action::Disconnect(after) = action { after.min(length) } else { length };
            let mut body = Vec::new();
            if reader.by_ref().take(taken).read_to_end(&mut body).is_err() || body.len() as u64 != taken {
                return;
            }
            let response = match action {
                Action::Disconnect(_) => {
                    let _closed = stream.shutdown(Shutdown::Both);
                    return;
                }
                Action::Hang => loop {
                    std::thread::park();
                },
                Action::Respond(response) => response,
                Action::Serve => self.response(&request, body),
                Action::Modify(change) => {
                    let mut response = self.response(&request, body);
                    change(&mut response);
                    response
                }
            };
            let mut head =
                format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", response.status, response.body.len());
            for (name, value) in &response.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            let sent = response.cut.unwrap_or(response.body.len());
            let body = if request.method == "HEAD" { &[][..] } else { &response.body[..sent] };
            let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
            if sent.is_err() || response.cut.is_some() {
                let _closed = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    fn response(&self, request: &Request, body: Vec<u8>) -> Response {
        let path = request.path.split('?').next().unwrap();
        let rest = path.strip_prefix("/v2/").unwrap();
        let mut content = self.content.lock().unwrap();
        if let Some((repository, upload)) = rest.split_once("/blobs/uploads/") {
            return self.upload(&mut content, request, repository, upload, body);
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            let found = content.blobs.get(&(repository.to_owned(), digest.to_owned()));
            return match found {
                Some(bytes) => Response { status: 200, body: bytes.clone(), ..Response::default() },
                None => error_response(404, "BLOB_UNKNOWN", "no such blob"),
            };
        }
        if let Some((repository, digest)) = rest.split_once("/referrers/") {
            return if self.features.subjects {
                referrers(&content, repository, digest)
            } else {
                response(404, "")
            };
        }
        let (repository, reference) = rest.split_once("/manifests/").unwrap();
        let repository = repository.to_owned();
        match request.method.as_str() {
            "PUT" => {
                let media_type = request.header("content-type").unwrap().to_owned();
                self.put_manifest(&mut content, repository, reference, media_type, body)
            }
            _ => {
                let tagged = content.tags.get(&(repository.clone(), reference.to_owned())).cloned();
                let digest = tagged.unwrap_or_else(|| reference.to_owned());
                match content.manifests.get(&(repository, digest.clone())) {
                    Some((media_type, bytes)) => {
                        Response { status: 200, body: bytes.clone(), ..Response::default() }
                            .with("Content-Type", media_type)
                            .with("Docker-Content-Digest", &digest)
                    }
                    None => error_response(404, "MANIFEST_UNKNOWN", "no such manifest"),
                }
            }
        }
    }

    fn upload(
        &self,
        content: &mut Content,
        request: &Request,
        repository: &str,
        upload: &str,
        body: Vec<u8>,
    ) -> Response {
        match request.method.as_str() {
            "POST" => {
                if let (Some(digest), Some(from), true) =
                    (request.query("mount"), request.query("from"), self.features.mounts)
                    && let Some(bytes) = content.blobs.get(&(from, digest.clone())).cloned()
                {
                    content.blobs.insert((repository.to_owned(), digest.clone()), bytes);
                    return response(201, "").with("Docker-Content-Digest", &digest);
                }
                content.upload_count += 1;
                let upload = format!("upload-{}", content.upload_count);
                let location = format!("/v2/{repository}/blobs/uploads/{upload}?state=a%2Fb");
                content.uploads.insert(upload);
                response(202, "").with("Location", &location)
            }
            "PATCH" => response(201, ""),
            "PUT" => {
                assert_eq!(
                    request.query("state").as_deref(),
                    Some("a/b"),
                    "the query of the upload's location is kept"
                );
                let digest = request.query("digest").unwrap();
                if request.length.is_none() {
                    return response(411, "");
                }
                if !content.uploads.remove(upload) {
                    return error_response(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
                }
                if Digest::of(&body).to_string() != digest {
                    return error_response(
                        400,
                        "DIGEST_INVALID",
                        "provided digest did not match uploaded content",
                    );
                }
                content.blobs.insert((repository.to_owned(), digest.clone()), body);
                response(201, "").with("Docker-Content-Digest", &digest)
            }
            _ => response(405, ""),
        }
    }

    fn put_manifest(
        &self,
        content: &mut Content,
        repository: String,
        reference: &str,
        media_type: String,
        body: Vec<u8>,
    ) -> Response {
        let digest = Digest::of(&body).to_string();
        let manifest: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let layers = manifest["layers"].as_array().into_iter().flatten().chain([&manifest["config"]]);
        for blob in layers.filter_map(|blob| blob["digest"].as_str()) {
            if !content.blobs.contains_key(&(repository.clone(), blob.to_owned())) {
                return error_response(400, "MANIFEST_BLOB_UNKNOWN", blob);
            }
        }
        if !reference.starts_with("sha256:") {
            let key = (repository.clone(), reference.to_owned());
            if self.features.immutable && content.tags.contains_key(&key) {
                let message = format!(
                    "The image tag '{reference}' already exists in the '{repository}' repository and cannot be \
                     overwritten because the tag is immutable."
                );
                return error_response(400, "ImageTagAlreadyExistsException", &message);
            }
            content.tags.insert(key, digest.clone());
        }
        content.manifests.insert((repository, digest.clone()), (media_type, body));
        let response = response(201, "").with("Docker-Content-Digest", &digest);
        match manifest["subject"]["digest"].as_str().filter(|_| self.features.subjects) {
            Some(subject) => response.with("OCI-Subject", subject),
            None => response,
        }
    }
}

fn referrers(content: &Content, repository: &str, subject: &str) -> Response {
    let mut entries = Vec::new();
    for ((in_repository, digest), (media_type, bytes)) in &content.manifests {
        let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        if in_repository == repository && manifest["subject"]["digest"] == subject {
            entries.push(serde_json::json!({
                "mediaType": media_type, "digest": digest, "size": bytes.len(),
                "artifactType": manifest["artifactType"], "annotations": manifest["annotations"],
            }));
        }
    }
    response(200, &serde_json::json!({ "schemaVersion": 2, "manifests": entries }).to_string())
}

fn read_head(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut request = Request { method, path, headers: Vec::new(), length: None };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => request.headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    request.length = request.header("content-length").and_then(|length| length.parse().ok());
    Some(request)
}
