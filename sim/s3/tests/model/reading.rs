//! GET, HEAD, ranges, checksums, buckets.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use rynxs_s3::{Dialect, Options};

use crate::client::{BUCKET, code, get, put, simple, with};

const SHA256_OF_ABC: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

#[tokio::test]
async fn right_checksum_is_kept_and_wrong_one_refused() {
    for (dialect, wrong) in
        [(Dialect::Aws, "BadDigest"), (Dialect::Minio, "XAmzContentChecksumMismatch")]
    {
        let options = Options { dialect, ..Options::simple(BUCKET, "root", "root-secret") };
        let (model, client, _) = with(options);
        let put = |bytes: &'static [u8]| {
            let put = client.put_object().bucket(BUCKET).key("k").checksum_sha256(SHA256_OF_ABC);
            put.body(ByteStream::from_static(bytes)).send()
        };
        assert_eq!(code(put(b"abd").await.unwrap_err()), wrong);
        assert!(model.objects(BUCKET).is_empty());
        put(b"abc").await.unwrap();
        let head = client.head_object().bucket(BUCKET).key("k");
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        assert_eq!(head.checksum_sha256(), Some(SHA256_OF_ABC));
        assert_eq!(head.content_length(), Some(3));
    }
}

#[tokio::test]
async fn crc32_is_verified_and_kept() {
    let (_, client, _) = simple();
    let put = |crc: &str| {
        let put = client.put_object().bucket(BUCKET).key("k").checksum_crc32(crc);
        put.body(ByteStream::from_static(b"abc")).send()
    };
    assert_eq!(code(put("AAAAAA==").await.unwrap_err()), "BadDigest");
    assert_eq!(put("NSRBwg==").await.unwrap().checksum_crc32(), Some("NSRBwg=="));
    let list = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!(list.contents()[0].checksum_algorithm()[0].as_str(), "CRC32");
}

#[tokio::test]
async fn ranges_are_cut_as_asked() {
    let (_, client, _) = simple();
    put(&client, "k", b"0123456789").await.unwrap();
    for (range, wanted) in [
        ("bytes=0-3", Ok("0123")),
        ("bytes=7-", Ok("789")),
        ("bytes=-2", Ok("89")),
        ("bytes=8-100", Ok("89")),
        ("bytes=10-", Err("InvalidRange")),
    ] {
        let got = client.get_object().bucket(BUCKET).key("k").range(range).send().await;
        match (got, wanted) {
            (Ok(output), Ok(text)) => {
                assert!(output.content_range().unwrap().ends_with("/10"));
                assert_eq!(output.body.collect().await.unwrap().to_vec(), text.as_bytes());
            }
            (Err(error), Err(wanted)) => assert_eq!(code(error), wanted),
            (got, wanted) => panic!("{range}: {got:?}, not {wanted:?}"),
        }
    }
}

#[tokio::test]
async fn missing_things_are_missed_by_name() {
    let (_, client, _) = simple();
    assert_eq!(get(&client, "k").await, Err("NoSuchKey".to_owned()));
    let head = client.head_object().bucket(BUCKET).key("k").send().await.unwrap_err();
    assert_eq!(head.raw_response().unwrap().status().as_u16(), 404);
    assert!(head.raw_response().unwrap().body().bytes().unwrap().is_empty());
    let other = client.get_object().bucket("elsewhere").key("k").send().await.unwrap_err();
    assert_eq!(code(other), "NoSuchBucket");
    let other = client.head_bucket().bucket("elsewhere").send().await.unwrap_err();
    assert_eq!(other.raw_response().unwrap().status().as_u16(), 404);
    let here = client.head_bucket().bucket(BUCKET).send().await.unwrap();
    assert_eq!(here.bucket_region(), Some("us-east-1"));
}

#[tokio::test]
async fn odd_keys_survive_the_wire() {
    let (model, client, _) = simple();
    for key in ["a b", "a+b", "ä/ö", "a%20b", "a?b", "a=b&c", "[x]"] {
        put(&client, key, key.as_bytes()).await.unwrap();
        assert_eq!(get(&client, key).await.unwrap(), key.as_bytes(), "{key}");
        assert_eq!(model.object(BUCKET, key).unwrap(), key.as_bytes());
        assert_eq!(model.history().pop().unwrap().key, key);
    }
}

#[tokio::test]
async fn buckets_are_made_and_removed() {
    let (_, client, _) = simple();
    client.create_bucket().bucket("another").send().await.unwrap();
    let again = client.create_bucket().bucket("another").send().await.unwrap_err();
    assert_eq!(code(again), "BucketAlreadyOwnedByYou");
    let all = client.list_buckets().send().await.unwrap();
    let names: Vec<_> = all.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["another", BUCKET]);
    client.delete_bucket().bucket("another").send().await.unwrap();
    put(&client, "k", b"x").await.unwrap();
    let full = client.delete_bucket().bucket(BUCKET).send().await.unwrap_err();
    assert_eq!(code(full), "BucketNotEmpty");
}
