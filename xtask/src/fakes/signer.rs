//! A signer in memory: a key that exists for one test.

use std::sync::Arc;

use async_trait::async_trait;

use crate::failure::Result;
use crate::ports::Signer;
use crate::release::{PrivateKey, PublicKey};

/// A key that nobody keeps.
pub(crate) struct FakeSigner {
    key: PrivateKey,
    public: PublicKey,
}

impl FakeSigner {
    /// Makes a new key, and returns its public half with it.
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
