//! What has to agree when a command has succeeded: ledger, alias, state, store, and what runs and lies on this machine. It is read
//! without Slipway; at last Slipway has to see it in the same way.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::support::sandbox::files_below;
use super::processes::left_in;
use super::world::{PASSWORD, Stack, TOKEN, World};

/// Compares everything; the error names what does not agree.
pub fn agree(world: &mut World, release: &str) -> Result<(), String> {
    nothing_is_open(world)?;
    serves(world, release)?;
    nothing_is_twice(world, release)?;
    nothing_is_left(world)?;
    status_agrees(world, release)
}

/// The alias runs the bytes of a release, which are in the store, and the ledger's last entry says so.
pub fn serves(world: &World, release: &str) -> Result<(), String> {
    let [artifacts, state] = world.project.account.buckets();
    let account = &world.project.account;
    let manifest = format!("releases/{}/{release}.json", world.function);
    if !account.keys(&artifacts).contains(&manifest) {
        return Err(format!("{manifest} is missing"));
    }
    let digest = digest_of(&read(world, &artifacts, &manifest)?);
    let version = account.alias(world.function);
    let code = account.code_of(world.function, &version);
    let expected = BASE64_STANDARD.encode(hex::decode(&digest).unwrap_or_default());
    if code != expected {
        return Err(format!("the alias runs version {version} with code {code}; {release} is {expected}"));
    }
    let stored: Vec<String> =
        account.keys(&artifacts).into_iter().filter(|key| key.contains(&digest)).collect();
    if !stored.iter().any(|key| hex::encode(Sha256::digest(account.object(&artifacts, key))) == digest) {
        return Err(format!("the bytes of {release} are not in the store: {stored:?}"));
    }
    let keys = account.keys(&state);
    let last = keys.iter().filter(|key| key.ends_with(".ended.json")).min().cloned().unwrap_or_default();
    let served = read(world, &state, &last)?["serves"][world.function].clone();
    if served["release"] != release || served["lambda_version"] != version.as_str() {
        return Err(format!("{last} says {served}, and {release} serves with version {version}"));
    }
    if served["verified"] != true {
        return Err(format!("{release} serves, and nothing says that it was verified: {served}"));
    }
    Ok(())
}

/// No lock and no deployment without an end.
fn nothing_is_open(world: &World) -> Result<(), String> {
    let [_, state] = world.project.account.buckets();
    let keys = world.project.account.keys(&state);
    if let Some(lock) = keys.iter().find(|key| key.ends_with(".tflock")) {
        return Err(format!("{lock} is left"));
    }
    let mut begun = keys.iter().filter_map(|key| key.strip_suffix(".started.json"));
    match begun.find(|key| !keys.contains(&format!("{key}.ended.json"))) {
        Some(open) => Err(format!("{open} did not end")),
        None => Ok(()),
    }
}

/// No release has two digests, nothing was published twice, and the state is the one that it was.
fn nothing_is_twice(world: &mut World, release: &str) -> Result<(), String> {
    let [artifacts, state] = world.project.account.buckets();
    let account = world.project.account.clone();
    let releases = format!("releases/{}/", world.function);
    for key in account.keys(&artifacts).into_iter().filter(|key| key.starts_with(&releases)) {
        let digest = digest_of(&read(world, &artifacts, &key)?);
        let first = world.known.digests.entry(key.clone()).or_insert_with(|| digest.clone());
        if *first != digest {
            return Err(format!("{key} was {first} and is {digest}"));
        }
    }
    // Each change of what serves publishes at most one version, also on the way back.
    let published = account.published_codes(world.function);
    let changes = world.known.changes + usize::from(world.known.serving.as_deref() != Some(release));
    if world.stack == Stack::Provider && published.len() > changes {
        return Err(format!("{changes} changes published {}: {published:?}", published.len()));
    }
    let saved = read(world, &state, &format!("{}.tfstate", world.function))?;
    let lineage = saved["lineage"].as_str().unwrap_or_default().to_owned();
    let first = world.known.lineage.get_or_insert_with(|| lineage.clone());
    match *first == lineage {
        true => Ok(()),
        false => Err(format!("the state's lineage was {first} and is {lineage}")),
    }
}

/// No process, no saved plan and no unsaved state.
fn nothing_is_left(world: &World) -> Result<(), String> {
    let running = left_in(&world.project.folder);
    if !running.is_empty() {
        return Err(format!("processes are left: {running:?}"));
    }
    let files = files_left(&world.project.folder);
    if !files.is_empty() {
        return Err(format!("files are left: {files:?}"));
    }
    Ok(())
}

fn status_agrees(world: &World, release: &str) -> Result<(), String> {
    let finished = world.run(&["status", "--env", "local", "--output", "json"]);
    if finished.code != Some(0) {
        return Err(finished.to_string());
    }
    let local = &finished.json()["data"]["environments"]["local"];
    let own = &local["functions"][world.function];
    let right = own["release"] == release && own["verified"] == true && own["as_recorded"] == true;
    let warnings = local["warnings"].as_array();
    match right && warnings.is_some_and(Vec::is_empty) {
        true => Ok(()),
        false => Err(format!("status says {local}")),
    }
}

fn read(world: &World, bucket: &str, key: &str) -> Result<Value, String> {
    serde_json::from_slice(&world.project.account.object(bucket, key))
        .map_err(|error| format!("{key}: {error}"))
}

/// Returns the digest of a manifest's artifact, in hexadecimal.
fn digest_of(manifest: &Value) -> String {
    manifest["artifact"]["sha256"].as_str().unwrap_or_default().trim_start_matches("sha256:").to_owned()
}

/// No secret was printed, and none of the environment is in a file or an object.
pub fn no_secret_is_stored(world: &World) -> Result<(), String> {
    let has = |bytes: &[u8], secret: &str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    let project = &world.project;
    let work = project.folder.join("target/slipway");
    // The home has what each command printed.
    for (folder, secrets) in
        [(&project.home, &[PASSWORD, TOKEN][..]), (&work.join("runs"), &[PASSWORD, TOKEN]), (&work, &[TOKEN])]
    {
        for file in files_below(folder) {
            let bytes = std::fs::read(&file).unwrap_or_default();
            if let Some(secret) = secrets.iter().find(|secret| has(&bytes, secret)) {
                return Err(format!("{secret} is in {}", file.display()));
            }
        }
    }
    match project.account.objects().into_iter().find(|(_, bytes)| has(bytes, TOKEN)) {
        Some((place, _)) => Err(format!("{TOKEN} is in {place:?}")),
        None => Ok(()),
    }
}

/// Lists saved plans and unsaved states below a folder.
fn files_left(folder: &Path) -> Vec<PathBuf> {
    let is_left = |path: &PathBuf| {
        path.extension().is_some_and(|kind| kind == "tfplan") || path.ends_with("errored.tfstate")
    };
    files_below(folder).into_iter().filter(is_left).collect()
}
