//! Checksums: what a client claims about its bytes, verified and kept.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{ChecksumAlgorithm, PutObjectInput};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::options::Dialect;

/// Checksums by algorithm, base64; as claimed by a client, or as kept with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksums {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
}

impl Checksums {
    /// What the headers of a PUT claim, and the trailers of its body.
    pub(crate) fn claimed(input: &PutObjectInput, trailers: Option<&http::HeaderMap>) -> Self {
        let trailer = |name: &str| {
            let value = trailers?.get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let claim = |header: &Option<String>, name: &str| header.clone().or_else(|| trailer(name));
        Self {
            crc32: claim(&input.checksum_crc32, "x-amz-checksum-crc32"),
            crc32c: claim(&input.checksum_crc32c, "x-amz-checksum-crc32c"),
            crc64nvme: claim(&input.checksum_crc64nvme, "x-amz-checksum-crc64nvme"),
            sha1: claim(&input.checksum_sha1, "x-amz-checksum-sha1"),
            sha256: claim(&input.checksum_sha256, "x-amz-checksum-sha256"),
        }
    }

    pub(crate) fn any(&self) -> bool {
        *self != Self::default()
    }

    fn entries(&self) -> [(&'static str, &Option<String>); 5] {
        [
            (ChecksumAlgorithm::CRC32, &self.crc32),
            (ChecksumAlgorithm::CRC32C, &self.crc32c),
            (ChecksumAlgorithm::CRC64NVME, &self.crc64nvme),
            (ChecksumAlgorithm::SHA1, &self.sha1),
            (ChecksumAlgorithm::SHA256, &self.sha256),
        ]
    }

    /// The algorithms present, as listings tell them.
    pub(crate) fn algorithms(&self) -> Vec<ChecksumAlgorithm> {
        let present = self.entries().into_iter().filter(|(_, value)| value.is_some());
        present.map(|(name, _)| ChecksumAlgorithm::from_static(name)).collect()
    }

    /// Checks every claim against the bytes; what holds is what will be kept.
    pub(crate) fn verify(&self, bytes: &[u8], dialect: Dialect) -> S3Result<()> {
        let mut hasher = ChecksumHasher {
            crc32: self.crc32.as_ref().map(|_| Crc32::new()),
            crc32c: self.crc32c.as_ref().map(|_| Crc32c::new()),
            crc64nvme: self.crc64nvme.as_ref().map(|_| Crc64Nvme::new()),
            sha1: self.sha1.as_ref().map(|_| Sha1::new()),
            sha256: self.sha256.as_ref().map(|_| Sha256::new()),
        };
        hasher.update(bytes);
        let found = hasher.finalize();
        let found = Self {
            crc32: found.checksum_crc32,
            crc32c: found.checksum_crc32c,
            crc64nvme: found.checksum_crc64nvme,
            sha1: found.checksum_sha1,
            sha256: found.checksum_sha256,
        };
        for ((name, claimed), (_, found)) in self.entries().into_iter().zip(found.entries()) {
            if claimed != found {
                return Err(mismatch(name, dialect));
            }
        }
        Ok(())
    }
}

fn mismatch(algorithm: &str, dialect: Dialect) -> S3Error {
    match dialect {
        Dialect::Aws => s3_error!(
            BadDigest,
            "The {algorithm} you specified did not match the calculated checksum."
        ),
        Dialect::Minio => {
            let mut error = S3Error::with_message(
                S3ErrorCode::Custom("XAmzContentChecksumMismatch".into()),
                "The provided 'x-amz-checksum' header does not match what was computed.",
            );
            error.set_status_code(http::StatusCode::BAD_REQUEST);
            error
        }
    }
}

/// Checks `Content-MD5`.
pub(crate) fn verify_md5(claimed: Option<&str>, md5: &[u8]) -> S3Result<()> {
    let Some(claimed) = claimed else { return Ok(()) };
    match BASE64_STANDARD.decode(claimed) {
        Err(_) => Err(s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid.")),
        Ok(bytes) if bytes.len() != 16 => {
            Err(s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))
        }
        Ok(bytes) if bytes != md5 => Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received."
        )),
        Ok(_) => Ok(()),
    }
}

/// MD5, the entity tag of an object put in one piece.
pub(crate) fn md5(bytes: &[u8]) -> Vec<u8> {
    Md5::checksum(bytes).as_ref().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_claim_is_refused_in_each_dialects_words() {
        let right = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        let claim = Checksums { sha256: Some(right.to_owned()), ..Checksums::default() };
        claim.verify(b"abc", Dialect::Aws).unwrap();
        let code = |dialect| claim.verify(b"abd", dialect).unwrap_err().code().as_str().to_owned();
        assert_eq!(code(Dialect::Aws), "BadDigest");
        assert_eq!(code(Dialect::Minio), "XAmzContentChecksumMismatch");
    }

    #[test]
    fn content_md5_must_be_sixteen_right_bytes() {
        let digest = md5(b"abc");
        assert_eq!(hex(&digest), "900150983cd24fb0d6963f7d28e17f72");
        verify_md5(Some("kAFQmDzST7DWlj99KOF/cg=="), &digest).unwrap();
        let code = |claim| verify_md5(Some(claim), &digest).unwrap_err().code().as_str().to_owned();
        assert_eq!(code("AAAAAAAAAAAAAAAAAAAAAA=="), "BadDigest");
        assert_eq!(code("AAAA"), "InvalidDigest");
        assert_eq!(code("%"), "InvalidDigest");
    }
}
