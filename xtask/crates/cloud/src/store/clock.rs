//! The store's clock: how old an object is by the date of the response that holds it.
//!
//! In: a response's `Date` header and the object's `Last-Modified`, both of the same clock. Out: seconds. This machine's clock
//! plays no part.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

/// The date of a response, in seconds since 1970; of the last attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct ResponseDate(Arc<Mutex<Option<i64>>>);

impl ResponseDate {
    /// Returns how many seconds before this response an object was written; `None` where the store does not say. It is
    /// negative if the store wrote it in its own future.
    pub(super) fn age_of(&self, modified: Option<&DateTime>) -> Option<i64> {
        let now = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(now? - modified?.secs())
    }
}

impl Intercept for ResponseDate {
    fn name(&self) -> &'static str {
        "ResponseDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date.map(|date| date.secs());
        Ok(())
    }
}
