//! Lists objects.
//!
//! In: a prefix. Out: the objects with this prefix, or the names up to the next `/`, from all pages. A prefix without
//! objects is an empty list. Errors: the bucket does not exist.

use super::ObjectStore;
use crate::error::CloudError;

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// The key.
    pub key: String,
    /// The size in bytes.
    pub size: u64,
    /// The time of its last change, in seconds since 1970.
    pub modified_epoch: i64,
    /// The store's etag of this content.
    pub etag: String,
}

impl ObjectStore {
    /// Returns the objects whose keys begin with a prefix, sorted by key, at most `limit` of them.
    pub async fn list(&self, prefix: &str, limit: Option<usize>) -> Result<Vec<ListedObject>, CloudError> {
        self.list_pages(prefix, None, limit).await
    }

    /// Returns the objects whose keys begin with a prefix and come after a key, sorted by key, at most `limit` of them.
    pub async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<ListedObject>, CloudError> {
        self.list_pages(prefix, Some(after), Some(limit)).await
    }

    async fn list_pages(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Vec<ListedObject>, CloudError> {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let wanted = limit.map_or(usize::MAX, |limit| limit - found.len()).min(1000);
            if wanted == 0 {
                return Ok(found);
            }
            let request = self.shared.s3().list_objects_v2().bucket(&self.bucket).prefix(prefix);
            let request = request.max_keys(wanted as i32).set_start_after(after.map(str::to_owned));
            let request = request.set_continuation_token(next);
            let page = self.calls.run("ListObjectsV2", &self.subject(prefix), request.send()).await?;
            found.extend(page.contents().iter().map(|object| ListedObject {
                key: object.key().unwrap_or_default().to_owned(),
                size: object.size().unwrap_or_default().try_into().unwrap_or_default(),
                modified_epoch: object.last_modified().map_or(0, |time| time.secs()),
                etag: object.e_tag().unwrap_or_default().to_owned(),
            }));
            next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns the names between a prefix and the next `/` (`["hello"]` for `releases/`), sorted.
    pub async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, CloudError> {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let request = self.shared.s3().list_objects_v2().bucket(&self.bucket).prefix(prefix);
            let request = request.delimiter("/").set_continuation_token(next);
            let page = self.calls.run("ListObjectsV2", &self.subject(prefix), request.send()).await?;
            let folders = page.common_prefixes().iter().filter_map(|folder| folder.prefix());
            found
                .extend(folders.filter_map(|folder| {
                    Some(folder.strip_prefix(prefix)?.trim_end_matches('/').to_owned())
                }));
            next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                found.sort();
                return Ok(found);
            }
        }
    }
}
