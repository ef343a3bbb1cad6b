//! Who asks, and whether they may: keys, session tokens, clock skew, policies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::{S3Request, S3Result, s3_error};

use crate::options::Identity;
use crate::policy::{AccessRequest, Verdict, evaluate};
use crate::state::{State, timestamp};

/// What the model adds to a request on its way in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) now_ms: u64,
    pub(crate) request: u64,
    /// Whether the store's own answer will be sent.
    pub(crate) answered: bool,
}

pub(crate) fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().expect("nothing panics while it holds the store")
}

/// Finds secret keys.
pub(crate) struct Keys(pub(crate) Arc<Mutex<State>>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match identity(&lock(&self.0), access_key) {
            Some((_, identity)) => Ok(SecretKey::from(identity.secret_key.as_str())),
            None => Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )),
        }
    }
}

/// Checks what a right signature does not prove: its age, and the session's.
pub(crate) struct Gate(pub(crate) Arc<Mutex<State>>);

/// S3 refuses signatures that are older, or younger, than this.
const MAX_SKEW_MS: u64 = 15 * 60 * 1000;

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let arrival = *cx.extensions_mut().get::<Arrival>().expect("inserted by S3Model::call");
        let Some(credentials) = cx.credentials() else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let header = |name: &str| cx.headers().get(name).and_then(|value| value.to_str().ok());
        check_skew(header("x-amz-date"), arrival.now_ms)?;
        let state = lock(&self.0);
        let found = identity(&state, &credentials.access_key);
        let (_, identity) = found.expect("the signature was verified with its key");
        match (&identity.session, header("x-amz-security-token")) {
            (None, None) => Ok(()),
            (Some(session), Some(token)) if session.token == token => {
                if arrival.now_ms >= session.expires_ms {
                    return Err(s3_error!(ExpiredToken, "The provided token has expired."));
                }
                Ok(())
            }
            _ => Err(s3_error!(
                InvalidToken,
                "The provided token is malformed or otherwise invalid."
            )),
        }
    }
}

fn check_skew(amz_date: Option<&str>, now_ms: u64) -> S3Result<()> {
    // Presigned URLs carry no such header; s3s checks their own expiry.
    let Some(date) = amz_date else { return Ok(()) };
    let signed = basic_to_rfc3339(date)
        .and_then(|text| Timestamp::parse(TimestampFormat::DateTime, &text).ok())
        .ok_or_else(|| s3_error!(AccessDenied, "AWS authentication requires a valid Date"))?;
    let earliest = timestamp(now_ms.saturating_sub(MAX_SKEW_MS));
    if signed < earliest || signed > timestamp(now_ms + MAX_SKEW_MS) {
        return Err(s3_error!(
            RequestTimeTooSkewed,
            "The difference between the request time and the current time is too large."
        ));
    }
    Ok(())
}

/// `20261122T101112Z` as `2026-11-22T10:11:12Z`.
fn basic_to_rfc3339(text: &str) -> Option<String> {
    if text.len() != 16 || !text.is_ascii() {
        return None;
    }
    let (date, time) = (&text[..8], &text[9..15]);
    Some(format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    ))
}

fn identity<'s>(state: &'s State, access_key: &str) -> Option<(usize, &'s Identity)> {
    let mut all = state.options.identities.iter().enumerate();
    all.find(|(_, identity)| identity.access_key == access_key)
}

/// The signer of one request, and the condition keys that policies can ask for.
pub(crate) struct Caller {
    pub(crate) arrival: Arrival,
    pub(crate) name: String,
    access_key: String,
    context: BTreeMap<&'static str, String>,
}

impl Caller {
    pub(crate) fn of<T>(state: &State, request: &S3Request<T>) -> Self {
        let arrival = *request.extensions.get::<Arrival>().expect("inserted by S3Model::call");
        let credentials = request.credentials.as_ref().expect("the gate lets no one else in");
        let (_, identity) =
            identity(state, &credentials.access_key).expect("the signature was verified");
        let mut context = BTreeMap::from([("aws:username", identity.name.clone())]);
        for (key, header) in [
            ("s3:if-none-match", "if-none-match"),
            ("s3:if-match", "if-match"),
            ("s3:x-amz-content-sha256", "x-amz-content-sha256"),
        ] {
            let value = request.headers.get(header).and_then(|value| value.to_str().ok());
            context.extend(value.map(|value| (key, value.to_owned())));
        }
        Self {
            arrival,
            name: identity.name.clone(),
            access_key: identity.access_key.clone(),
            context,
        }
    }

    /// Adds a condition key that the operation knows of.
    pub(crate) fn with(mut self, key: &'static str, value: Option<impl Into<String>>) -> Self {
        self.context.extend(value.map(|value| (key, value.into())));
        self
    }

    /// Whether the caller may do this to a bucket (`key` none) or to an object.
    pub(crate) fn may(&self, state: &State, action: &str, bucket: &str, key: Option<&str>) -> bool {
        let Some((at, identity)) = identity(state, &self.access_key) else { return false };
        let resource = match key {
            None => format!("arn:aws:s3:::{bucket}"),
            Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        };
        let request = AccessRequest {
            principal: &identity.arn(),
            action,
            resource: &resource,
            context: &self.context,
        };
        let bucket_policy = state.buckets.get(bucket).and_then(|bucket| bucket.policy.as_ref());
        // The account can always mend a policy that locks everybody out.
        if identity.root && action.ends_with("BucketPolicy") {
            return true;
        }
        match evaluate(state.identity_policies[at].iter().chain(bucket_policy), &request) {
            Verdict::Denied => false,
            Verdict::Allowed => true,
            Verdict::Silent => identity.root,
        }
    }

    /// As [`Self::may`], as S3 says it.
    pub(crate) fn authorize(
        &self,
        state: &State,
        action: &str,
        bucket: &str,
        key: Option<&str>,
    ) -> S3Result<()> {
        if self.may(state, action, bucket, key) {
            return Ok(());
        }
        Err(s3_error!(
            AccessDenied,
            "User: {} is not authorized to perform: {action} on {bucket}/{}",
            self.name,
            key.unwrap_or_default()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_live_fifteen_minutes_either_way() {
        // 2026-11-22T10:00:00Z
        let now_ms = 1_795_341_600_000;
        check_skew(Some("20261122T100000Z"), now_ms).unwrap();
        check_skew(Some("20261122T094500Z"), now_ms).unwrap();
        check_skew(Some("20261122T101500Z"), now_ms).unwrap();
        for (date, code) in [
            ("20261122T094459Z", "RequestTimeTooSkewed"),
            ("20261122T101501Z", "RequestTimeTooSkewed"),
            ("yesterday", "AccessDenied"),
        ] {
            let error = check_skew(Some(date), now_ms).unwrap_err();
            assert_eq!(error.code().as_str(), code, "{date}");
        }
    }
}
