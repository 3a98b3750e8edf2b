//! Bounds answers before they are read, and sends what is written at the process's pace. The SDK takes the whole of every answer into memory before it looks at it, but for
//! the content of an object.

use crate::{
    limits::{MAX_ANSWER_BYTES, MAX_ERROR_BYTES},
    pace::Pace,
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut},
        },
        orchestrator::Metadata,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    error::Error,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

/// The operation whose answer is read as it comes, and bounded by its reader.
const STREAMED: &str = "GetObject";

/// An answer is larger than what is read of one.
#[derive(Debug)]
pub(super) struct AnswerTooLarge;

impl fmt::Display for AnswerTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is too large")
    }
}

impl Error for AnswerTooLarge {}

/// Whether an error comes of an answer that was too large.
pub(super) fn is_too_large(error: &(dyn Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(current) = error {
        if current.is::<AnswerTooLarge>() {
            return true;
        }
        error = current.source();
    }
    false
}

/// Bounds the answers to all requests of a client.
#[derive(Debug)]
pub(super) struct BoundedAnswers;

impl Intercept for BoundedAnswers {
    fn name(&self) -> &'static str {
        "BoundedAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let streamed = config.load::<Metadata>().is_some_and(|operation| operation.name() == STREAMED);
        let left = match response.status().is_success() {
            true if streamed => return Ok(()),
            true => MAX_ANSWER_BYTES,
            false => MAX_ERROR_BYTES,
        };
        let body = mem::replace(response.body_mut(), SdkBody::taken());
        *response.body_mut() = SdkBody::from_body_1_x(Bounded { body, left });
        Ok(())
    }
}

/// Sends the bodies of all requests of a client at a pace. They are signed as they are by then.
#[derive(Debug)]
pub(super) struct PacedBodies(pub(super) Pace);

impl Intercept for PacedBodies {
    fn name(&self) -> &'static str {
        "PacedBodies"
    }

    fn modify_before_transmit(&self, context: &mut BeforeTransmitInterceptorContextMut<'_>, _: &RuntimeComponents, _: &mut ConfigBag) -> Result<(), BoxError> {
        let request = context.request_mut();
        let body = mem::replace(request.body_mut(), SdkBody::taken());
        *request.body_mut() = self.0.body(body);
        Ok(())
    }
}

/// The body of an answer, with how many bytes are left to be read.
struct Bounded {
    body: SdkBody,
    left: u64,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(AnswerTooLarge.into()))),
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.body)
    }
}
