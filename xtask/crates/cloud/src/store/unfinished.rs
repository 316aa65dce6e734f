//! What a killed upload left behind.
//!
//! In: a key. Out: the newest upload for it that was begun as ours are, with its parts. Whether a part may be
//! kept is decided by its checksum against the file's, never by its number alone. Where the store can't tell,
//! there is nothing to go on with, which is no error.

use std::collections::BTreeMap;

use aws_sdk_s3::types::ChecksumAlgorithm;
use md5::{Digest as _, Md5};

use super::ObjectStore;
use super::upload::Part;
use crate::error::{CloudError, Kind};
use crate::sha256;

/// A part that the store has already.
pub(super) struct Kept {
    size: u64,
    etag: String,
    sha256: Option<[u8; 32]>,
}

impl ObjectStore {
    /// Finds an upload for exactly this key that was begun as we begin ours, and the parts it has.
    pub(super) async fn unfinished(
        &self,
        key: &str,
    ) -> Result<Option<(String, BTreeMap<i32, Kept>)>, CloudError> {
        let subject = self.subject(key);
        let request = self
            .shared
            .s3()
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(key);
        let page = match self
            .calls
            .run("ListMultipartUploads", &subject, request.send())
            .await
        {
            Ok(page) => page,
            // Going on is a convenience: permission to upload may come without permission to look, and some
            // stores have no such list.
            Err(error) if matches!(error.kind, Kind::AccessDenied | Kind::Other) => return Ok(None),
            Err(error) => return Err(error),
        };
        let ours = page.uploads().iter().filter(|upload| {
            upload.key() == Some(key) && upload.checksum_algorithm() == Some(&ChecksumAlgorithm::Sha256)
        });
        let newest = ours.max_by_key(|upload| upload.initiated().map_or(0, |time| time.secs()));
        let Some(id) = newest.and_then(|upload| upload.upload_id()) else {
            return Ok(None);
        };

        let mut kept = BTreeMap::new();
        let mut marker = None;
        loop {
            let request = self
                .shared
                .s3()
                .list_parts()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(id);
            let request = request.set_part_number_marker(marker);
            let page = match self.calls.run("ListParts", &subject, request.send()).await {
                Ok(page) => page,
                // Gone, or a store that can't tell (moto's list is not in S3's words): begin anew. Whatever is
                // left there may be another process's at this moment, so it is not aborted.
                Err(error) if matches!(error.kind, Kind::NotFound | Kind::AccessDenied | Kind::Other) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            for part in page.parts() {
                let (Some(number), Some(etag)) = (part.part_number(), part.e_tag()) else {
                    continue;
                };
                let size = part.size().unwrap_or_default().try_into().unwrap_or_default();
                let sha256 = part.checksum_sha256().and_then(sha256::from_base64);
                let etag = etag.to_owned();
                kept.insert(number, Kept { size, etag, sha256 });
            }
            marker = page.next_part_number_marker().map(str::to_owned);
            if page.is_truncated() != Some(true) || marker.is_none() {
                return Ok(Some((id.to_owned(), kept)));
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
