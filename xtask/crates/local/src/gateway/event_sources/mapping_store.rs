//! Stores event source mappings and their checkpoints.

use super::mapping::Mapping;
use crate::gateway::persistence::PersistentMap;
use std::io;
use std::path::Path;

/// All mappings and their checkpoints.
pub(super) struct MappingStore {
    /// By UUID.
    mappings: PersistentMap<Mapping>,
    /// The last sequence number that was processed, by UUID and shard.
    checkpoints: PersistentMap<String>,
}

impl MappingStore {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            mappings: PersistentMap::open(folder.join("mappings"))?,
            checkpoints: PersistentMap::open(folder.join("progress"))?,
        })
    }

    pub(super) fn get(&self, uuid: &str) -> Option<Mapping> {
        self.mappings.get(uuid)
    }

    /// Returns all mappings, by UUID.
    pub(super) fn all(&self) -> Vec<Mapping> {
        self.mappings.all().into_iter().map(|(_, mapping)| mapping).collect()
    }

    pub(super) fn put(&self, mapping: Mapping) -> io::Result<()> {
        let uuid = mapping.uuid.clone();
        self.mappings.put(&uuid, mapping)
    }

    pub(super) fn remove(&self, uuid: &str) {
        self.mappings.remove(uuid);
    }

    /// Removes the checkpoints of all shards of a mapping.
    pub(super) fn remove_checkpoints(&self, uuid: &str) {
        for (name, _) in self.checkpoints.all() {
            if name.starts_with(uuid) {
                self.checkpoints.remove(&name);
            }
        }
    }

    /// Returns the last sequence number that was processed.
    pub(super) fn checkpoint(&self, uuid: &str, shard: &str) -> Option<String> {
        self.checkpoints.get(&format!("{uuid}.{shard}"))
    }

    /// Stores the last sequence number that was processed, unless the mapping was deleted meanwhile.
    pub(super) fn set_checkpoint(&self, uuid: &str, shard: &str, sequence_number: &str) -> io::Result<()> {
        match self.mappings.get(uuid) {
            Some(_) => self.checkpoints.put(&format!("{uuid}.{shard}"), sequence_number.to_owned()),
            None => Ok(()),
        }
    }
}
