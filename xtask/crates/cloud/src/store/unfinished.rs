//! Finds the upload that a killed process left unfinished.
//!
//! In: a key and the first part of the file. Out: an upload for that key that has this part, with all its parts. A part is
//! used again only if its checksum is that of the file's part, never by its number alone. Where the store does not list
//! its parts, there is no upload to continue; that is not an error.

use std::collections::BTreeMap;

use aws_sdk_s3::types::ChecksumAlgorithm;
use md5::{Digest as _, Md5};
use slipway_values::digest::Digest;

use super::ObjectStore;
use super::upload::Part;
use crate::error::{CloudError, CloudErrorKind};

/// A part that the store has.
pub(super) struct UploadedPart {
    size: u64,
    etag: String,
    sha256: Option<Digest>,
}

/// The number of unfinished uploads of a key that are examined, newest first.
const CANDIDATES: usize = 5;

impl ObjectStore {
    /// Returns an upload that has the file's first part, with all its parts.
    ///
    /// Only such an upload is continued. One with other bytes may be another process's, and the two would overwrite each
    /// other's parts.
    pub(super) async fn unfinished(
        &self,
        key: &str,
        first: &Part,
    ) -> Result<Option<(String, BTreeMap<i32, UploadedPart>)>, CloudError> {
        let request = self.shared.s3().list_multipart_uploads().bucket(&self.bucket).prefix(key);
        let response = self.calls.run("ListMultipartUploads", &self.subject(key), request.send()).await;
        let page = match response {
            Ok(page) => page,
            // Credentials may upload without being allowed to list uploads, and some stores have no such list.
            Err(error) if matches!(error.kind, CloudErrorKind::AccessDenied | CloudErrorKind::Other) => {
                return Ok(None);
            }
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
            let parts = self.parts(key, id).await?;
            if parts.get(&1).is_some_and(|part| part.etag_if_same(first).is_some()) {
                return Ok(Some((id.to_owned(), parts)));
            }
        }
        Ok(None)
    }

    /// Returns the parts of an upload; none where it no longer exists or the store does not list them.
    async fn parts(&self, key: &str, id: &str) -> Result<BTreeMap<i32, UploadedPart>, CloudError> {
        let subject = self.subject(key);
        let mut parts = BTreeMap::new();
        let mut marker = None;
        loop {
            let request = self.shared.s3().list_parts().bucket(&self.bucket).key(key).upload_id(id);
            let request = request.set_part_number_marker(marker);
            let page = match self.calls.run("ListParts", &subject, request.send()).await {
                Ok(page) => page,
                // moto's response, for one, has another XML element than S3's.
                Err(error)
                    if matches!(
                        error.kind,
                        CloudErrorKind::NotFound | CloudErrorKind::AccessDenied | CloudErrorKind::Other
                    ) =>
                {
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
                parts.insert(number, UploadedPart { size, etag, sha256 });
            }
            marker = page.next_part_number_marker().map(str::to_owned);
            if page.is_truncated() != Some(true) || marker.is_none() {
                return Ok(parts);
            }
        }
    }
}

impl UploadedPart {
    /// Returns the etag of this part if it has the bytes of `part`. Where the store has no SHA-256 of it, the etag is
    /// compared with the MD5 of the bytes; the checksum of the whole object is compared at the end.
    pub(super) fn etag_if_same(&self, part: &Part) -> Option<String> {
        let same = self.size == part.bytes.len() as u64
            && match self.sha256 {
                Some(sha256) => sha256 == part.sha256,
                None => self.etag.trim_matches('"') == hex::encode(Md5::digest(&part.bytes)),
            };
        same.then(|| self.etag.clone())
    }
}
