//! The releases of a scene, and their objects in the store.

use std::collections::BTreeMap;

use super::Scene;
use crate::delivery::model::random::Random;
use crate::digest::Digest;
use crate::name::{FunctionName, Version};
use crate::release::{Manifest, SmokeRecord, artifact_key, sample_manifest};

impl Scene {
    /// Makes the next release of a function answer wrongly.
    pub(in crate::delivery) fn fail_next_release(&mut self, function: &str) {
        let function: FunctionName = function.parse().unwrap();
        let next = self.release_of(&function, None);
        self.releases.get_mut(&function).unwrap().pop();
        self.lambda.bad_code.lock().unwrap().insert(next.artifact.code_sha256);
    }

    /// Removes a manifest from the store and returns its bytes.
    pub(in crate::delivery) fn remove_manifest(&self, function: &str, version: &str) -> Vec<u8> {
        let key = Manifest::key(&function.parse().unwrap(), &version.parse().unwrap());
        let bytes = self.artifacts.objects(&key).remove(&key).unwrap();
        self.artifacts.remove(&key);
        bytes
    }

    /// Puts another manifest of the same version into the store and returns the bytes of the first one.
    pub(in crate::delivery) fn replace_manifest(&self, function: &str, version: &str) -> Vec<u8> {
        let first = self.remove_manifest(function, version);
        let (function, version) = (function.parse().unwrap(), version.parse().unwrap());
        let mut other = Manifest::read(&first, &function, &version).unwrap();
        other.handler = "another".into();
        self.artifacts.set(&Manifest::key(&function, &version), other.sealed().bytes().unwrap());
        first
    }

    /// Replaces the bytes of a release by others of the same length; returns the object's key.
    pub(in crate::delivery) fn replace_artifact(&self, manifest: &Manifest) -> String {
        let key = manifest.artifact.key.clone();
        self.artifacts.set(&key, vec![b'x'; usize::try_from(manifest.artifact.size).unwrap()]);
        key
    }

    /// Replaces the bytes of a release until they are restored.
    pub(in crate::delivery::model) fn replace_artifact_for_now(&mut self, manifest: &Manifest) {
        let key = &manifest.artifact.key;
        let first = self.artifacts.objects(key).remove(key).unwrap();
        self.replaced.entry(key.clone()).or_insert(first);
        self.replace_artifact(manifest);
    }

    /// Restores the bytes of all releases.
    pub(in crate::delivery::model) fn restore_artifacts(&mut self) {
        for (key, bytes) in std::mem::take(&mut self.replaced) {
            self.artifacts.set(&key, bytes);
        }
    }

    /// Puts a manifest back.
    pub(in crate::delivery) fn restore_manifest(&self, function: &str, version: &str, bytes: Vec<u8>) {
        let key = Manifest::key(&function.parse().unwrap(), &version.parse().unwrap());
        self.artifacts.set(&key, bytes);
    }

    pub(in crate::delivery::model) fn all_have_releases(&self) -> bool {
        self.functions
            .iter()
            .all(|function| self.releases.get(function).is_some_and(|releases| !releases.is_empty()))
    }

    /// Cuts a release; once in a while its bytes are those of an earlier one, or answer wrongly.
    pub(in crate::delivery::model) fn new_release(
        &mut self,
        function: &FunctionName,
        random: &mut Random,
    ) -> Manifest {
        let same = self.some_release(function, random).filter(|_| random.one_in(5));
        let manifest = self.release_of(function, same.map(|release| release.artifact.sha256));
        if !random.one_in(4) || self.releases[function].len() == 1 {
            return manifest;
        }
        let code = &manifest.artifact.code_sha256;
        // Bytes that served well do not turn bad.
        if self.releases[function].iter().filter(|release| release.artifact.code_sha256 == *code).count() == 1
        {
            self.lambda.bad_code.lock().unwrap().insert(code.clone());
        }
        manifest
    }

    /// Cuts a release of new bytes, or of the given ones.
    pub(in crate::delivery) fn release_of(
        &mut self,
        function: &FunctionName,
        bytes: Option<Digest>,
    ) -> Manifest {
        let releases = self.releases.entry(function.clone()).or_default();
        let mut manifest = sample_manifest(function.as_str(), &format!("1.{}.0", releases.len()));
        // Always of the same length.
        let content = format!("zip of {function} {:04}", releases.len());
        let sha256 = bytes.unwrap_or_else(|| Digest::of(&content));
        manifest.artifact.size = content.len() as u64;
        manifest.artifact.sha256 = sha256;
        manifest.artifact.code_sha256 = sha256.base64();
        manifest.artifact.key = artifact_key(&sha256);
        if bytes.is_none() {
            self.artifacts.set(&manifest.artifact.key, content);
        }
        manifest.smoke = vec![SmokeRecord {
            name: "is well".into(),
            event: serde_json::json!({}),
            request: None,
            capture: BTreeMap::new(),
            expect: Some(serde_json::json!({"well": true})),
            expect_error: None,
            within_ms: 3_000,
            safe: true,
        }];
        let manifest = manifest.sealed();
        self.artifacts.set(&Manifest::key(function, &manifest.version), manifest.bytes().unwrap());
        releases.push(manifest.clone());
        manifest
    }

    /// Cuts a release of new bytes that was built from a commit, with inputs of its own.
    pub(in crate::delivery) fn release_from(&mut self, function: &FunctionName, commit: &str) -> Manifest {
        let mut manifest = self.release_of(function, None);
        manifest.source.commit = commit.to_owned();
        manifest.source.inputs_digest = Digest::of(format!("{commit} {}", manifest.version));
        let manifest = manifest.sealed();
        self.artifacts.set(&Manifest::key(function, &manifest.version), manifest.bytes().unwrap());
        *self.releases.get_mut(function).unwrap().last_mut().unwrap() = manifest.clone();
        manifest
    }

    pub(in crate::delivery::model) fn some_release(
        &self,
        function: &FunctionName,
        random: &mut Random,
    ) -> Option<Manifest> {
        let releases = self.releases.get(function).filter(|releases| !releases.is_empty())?;
        // The newer ones more often.
        let back = random.below(releases.len()).min(random.below(releases.len()));
        Some(releases[releases.len() - 1 - back].clone())
    }

    pub(in crate::delivery::model) fn manifest(
        &self,
        function: &FunctionName,
        version: &Version,
    ) -> Manifest {
        let mut releases = self.releases[function].iter();
        releases.find(|release| release.version == *version).unwrap().clone()
    }

    /// Stores an attestation that nobody made.
    pub(in crate::delivery) fn break_attestation(&self, manifest: &Manifest) {
        let digest = manifest.digest().unwrap();
        self.artifacts.set(&format!("attestations/sha256/{}.dsse.json", digest.hex()), *b"broken");
    }

    /// Returns the newest release of a function.
    pub(in crate::delivery) fn newest_release(&self, function: &FunctionName) -> Manifest {
        self.releases[function].last().unwrap().clone()
    }
}
