//! A signer in memory, with a key for one test.

use std::sync::Arc;

use async_trait::async_trait;

use crate::failure::Result;
use crate::ports::Signer;
use crate::release::{PrivateKey, PublicKey};

/// A signer with a generated key, which is not stored.
pub(crate) struct FakeSigner {
    key: PrivateKey,
    public: PublicKey,
}

impl FakeSigner {
    /// Returns a signer with a new key, and its public key.
    pub(crate) fn new() -> (Arc<Self>, PublicKey) {
        let key = PrivateKey::generate().unwrap();
        let public = key.public().unwrap();
        (Arc::new(Self { key, public: public.clone() }), public)
    }
}

#[async_trait]
impl Signer for FakeSigner {
    fn key_id(&self) -> &str {
        self.public.id()
    }

    fn public_key(&self) -> Result<Vec<u8>> {
        self.public.der()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.key.sign(message))
    }
}
