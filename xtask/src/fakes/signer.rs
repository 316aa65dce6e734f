//! Signing keys in memory: a key that exists for one test, and none at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::failure::Result;
use crate::ports::{Signer, SigningKeys};
use crate::release::{PrivateKey, PublicKey};

/// A signer with a generated key, which is not stored.
pub(crate) struct FakeSigner {
    key: PrivateKey,
    public: PublicKey,
    /// Whether it is the project's release key.
    is_release_key: bool,
}

impl FakeSigner {
    /// Returns a signer with a new key, and its public key.
    pub(crate) fn new() -> (Arc<Self>, PublicKey) {
        let key = PrivateKey::generate().unwrap();
        let public = key.public().unwrap();
        (Arc::new(Self { key, public: public.clone(), is_release_key: false }), public)
    }

    /// Returns a signer that is the project's release key.
    pub(crate) fn release_key() -> Arc<Self> {
        let (signer, public) = Self::new();
        let key = signer.key.pem().and_then(|pem| PrivateKey::read(&pem, "a key")).unwrap();
        Arc::new(Self { key, public, is_release_key: true })
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

    fn is_release_key(&self) -> bool {
        self.is_release_key
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.key.sign(message))
    }
}

/// The configured signing key of a test, which counts how often it was opened.
#[derive(Default)]
pub(crate) struct FakeSigningKeys {
    key: Option<Arc<FakeSigner>>,
    opened: AtomicUsize,
}

impl FakeSigningKeys {
    /// Configures a key.
    pub(crate) fn of(key: Arc<FakeSigner>) -> Self {
        Self { key: Some(key), opened: AtomicUsize::new(0) }
    }

    /// Returns how often the key was asked for.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl SigningKeys for FakeSigningKeys {
    async fn signer(&self) -> Result<Option<Arc<dyn Signer>>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(self.key.clone().map(|key| key as Arc<dyn Signer>))
    }
}
