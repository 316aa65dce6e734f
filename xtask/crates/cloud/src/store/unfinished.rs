//! What a killed upload left behind.
//!
//! In: a key and the first part of the file. Out: an upload for that key which has this part, with all that it
//! has. Whether a part may be kept is decided by its checksum against the file's, never by its number alone. Where the store can't tell,
//! there is nothing to go on with, which is no error.

use std::collections::BTreeMap;

use aws_sdk_s3::types::ChecksumAlgorithm;
use md5::{Digest as _, Md5};
use slipway_values::digest::Digest;

use super::ObjectStore;
use super::upload::Part;
use crate::error::{CloudError, Kind};

/// A part that the store has already.
pub(super) struct Kept {
    size: u64,
    etag: String,
    sha256: Option<Digest>,
}

/// How many unfinished uploads of one key are looked at, the newest first.
const CANDIDATES: usize = 5;

impl ObjectStore {
    /// Finds an upload that has the file's first part already, and all the parts it has.
    ///
    /// Only such an upload is gone on with: one for other bytes may be another process's at this moment, and
    /// the two would overwrite each other's parts.
    pub(super) async fn unfinished(
        &self,
        key: &str,
        first: &Part,
    ) -> Result<Option<(String, BTreeMap<i32, Kept>)>, CloudError> {
        let request = self.shared.s3().list_multipart_uploads().bucket(&self.bucket).prefix(key);
        let answer = self.calls.run("ListMultipartUploads", &self.subject(key), request.send()).await;
        let page = match answer {
            Ok(page) => page,
            // Going on is a convenience: permission to upload may come without permission to look, and some
            // stores have no such list.
            Err(error) if matches!(error.kind, Kind::AccessDenied | Kind::Other) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut ours: Vec<_> = page
            .uploads()
            .iter()
            .filter(|upload| upload.key() == Some(key))
            .filter(|upload| upload.checksum_algorithm() == Some(&ChecksumAlgorithm::Sha256))
            .collect();
        ours.sort_by_key(|upload| std::cmp::Reverse(upload.initiated().map_or(0, |time| time.secs())));
        for id in ours.into_iter().take(CANDIDATES).filter_map(|upload| upload.upload_id()) {
            let kept = self.parts(key, id).await?;
            if kept.get(&1).is_some_and(|part| part.if_it_is(first).is_some()) {
                return Ok(Some((id.to_owned(), kept)));
            }
        }
        Ok(None)
    }

    /// Lists the parts of an upload; none where it is gone or the store can't tell.
    async fn parts(&self, key: &str, id: &str) -> Result<BTreeMap<i32, Kept>, CloudError> {
        let subject = self.subject(key);
        let mut kept = BTreeMap::new();
        let mut marker = None;
        loop {
            let request = self.shared.s3().list_parts().bucket(&self.bucket).key(key).upload_id(id);
            let request = request.set_part_number_marker(marker);
            let page = match self.calls.run("ListParts", &subject, request.send()).await {
                Ok(page) => page,
                // moto's list, for one, is not in S3's words.
                Err(error) if matches!(error.kind, Kind::NotFound | Kind::AccessDenied | Kind::Other) => {
                    return Ok(BTreeMap::new());
                }
                Err(error) => return Err(error),
            };
            for part in page.parts() {
                let (Some(number), Some(etag)) = (part.part_number(), part.e_tag()) else {
                    continue;
                };
                let size = part.size().unwrap_or_default().try_into().unwrap_or_default();
                let sha256 = part.checksum_sha256().and_then(Digest::from_base64);
                let etag = etag.to_owned();
                kept.insert(number, Kept { size, etag, sha256 });
            }
            marker = page.next_part_number_marker().map(str::to_owned);
            if page.is_truncated() != Some(true) || marker.is_none() {
                return Ok(kept);
            }
        }
    }
}

impl Kept {
    /// Gives the etag of this part, if it has the bytes of that one. Without a SHA-256 in the store, an etag
    /// that is the bytes' MD5 has to do; the checksum of the whole is compared at the end.
    pub(super) fn if_it_is(&self, part: &Part) -> Option<String> {
        let same = self.size == part.bytes.len() as u64
            && match self.sha256 {
                Some(sha256) => sha256 == part.sha256,
                None => self.etag.trim_matches('"') == hex::encode(Md5::digest(&part.bytes)),
            };
        same.then(|| self.etag.clone())
    }
}
