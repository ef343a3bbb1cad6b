//! Object lock: versions that nobody may delete before their time.

use s3s::dto::{
    DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetention,
    ObjectLockRetentionMode, ObjectLockRule, Timestamp,
};
use s3s::{S3Result, s3_error};

use crate::state::{Object, timestamp};

/// A bucket with object lock, and what it puts on objects that ask for nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct LockRule {
    pub(crate) default: Option<(Mode, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Governance,
    Compliance,
}

impl Mode {
    pub(crate) fn parse(text: &str) -> S3Result<Self> {
        match text {
            ObjectLockRetentionMode::GOVERNANCE => Ok(Self::Governance),
            ObjectLockRetentionMode::COMPLIANCE => Ok(Self::Compliance),
            _ => Err(s3_error!(MalformedXML, "Unknown retention mode {text}")),
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Governance => ObjectLockRetentionMode::GOVERNANCE,
            Self::Compliance => ObjectLockRetentionMode::COMPLIANCE,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Retention {
    pub(crate) mode: Mode,
    pub(crate) until: Timestamp,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl LockRule {
    /// The retention of an object that names none.
    pub(crate) fn retention(&self, now_ms: u64) -> Option<Retention> {
        let (mode, days) = self.default?;
        Some(Retention { mode, until: timestamp(now_ms + u64::from(days) * DAY_MS) })
    }

    pub(crate) fn parse(configuration: Option<&ObjectLockConfiguration>) -> S3Result<Self> {
        let malformed = || s3_error!(MalformedXML, "The object lock configuration is not valid");
        let rule = configuration.and_then(|c| c.rule.as_ref());
        let Some(default) = rule.and_then(|r| r.default_retention.as_ref()) else {
            return Ok(Self::default());
        };
        let mode = Mode::parse(default.mode.as_ref().ok_or_else(malformed)?.as_str())?;
        let days = match (default.days, default.years) {
            (Some(days), None) => u32::try_from(days).ok(),
            // S3 counts a year of default retention as 365 days.
            (None, Some(years)) => u32::try_from(years).ok().and_then(|y| y.checked_mul(365)),
            _ => None,
        };
        match days {
            Some(days) if days > 0 => Ok(Self { default: Some((mode, days)) }),
            _ => Err(malformed()),
        }
    }

    pub(crate) fn to_dto(&self) -> ObjectLockConfiguration {
        let rule = self.default.map(|(mode, days)| ObjectLockRule {
            default_retention: Some(DefaultRetention {
                days: i32::try_from(days).ok(),
                mode: Some(ObjectLockRetentionMode::from_static(mode.as_str())),
                years: None,
            }),
        });
        let enabled = Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED));
        ObjectLockConfiguration { object_lock_enabled: enabled, rule }
    }
}

impl Retention {
    pub(crate) fn parse(retention: &ObjectLockRetention) -> S3Result<Option<Self>> {
        match (&retention.mode, &retention.retain_until_date) {
            (None, None) => Ok(None),
            (Some(mode), Some(until)) => {
                Ok(Some(Self { mode: Mode::parse(mode.as_str())?, until: until.clone() }))
            }
            _ => Err(s3_error!(MalformedXML, "Mode and RetainUntilDate must stand together")),
        }
    }

    pub(crate) fn to_dto(&self) -> ObjectLockRetention {
        ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(self.mode.as_str())),
            retain_until_date: Some(self.until.clone()),
        }
    }

    fn holds(&self, now_ms: u64) -> bool {
        self.until > timestamp(now_ms)
    }
}

/// Whether a version may be deleted for good; `bypass` is asked for and permitted.
pub(crate) fn may_delete(object: &Object, now_ms: u64, bypass: bool) -> S3Result<()> {
    let held = object.retention.as_ref().filter(|retention| retention.holds(now_ms));
    let refused = object.legal_hold
        || match held.map(|retention| retention.mode) {
            None => false,
            Some(Mode::Compliance) => true,
            Some(Mode::Governance) => !bypass,
        };
    if refused {
        return Err(s3_error!(
            AccessDenied,
            "Access Denied because object protected by object lock."
        ));
    }
    Ok(())
}

/// Whether a version's retention may be replaced: lengthening always, anything else as a delete.
pub(crate) fn may_retain(
    object: &Object,
    wanted: Option<&Retention>,
    now_ms: u64,
    bypass: bool,
) -> S3Result<()> {
    let Some(held) = object.retention.as_ref().filter(|retention| retention.holds(now_ms)) else {
        return Ok(());
    };
    let stronger = wanted.is_some_and(|wanted| {
        wanted.until >= held.until && (wanted.mode == held.mode || wanted.mode == Mode::Compliance)
    });
    if stronger || (held.mode == Mode::Governance && bypass) {
        return Ok(());
    }
    Err(s3_error!(AccessDenied, "Access Denied because object protected by object lock."))
}
