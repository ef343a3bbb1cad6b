//! One suite, every store.

use std::sync::Arc;

use rynxs_operator::store::conformance::conform;
use rynxs_operator::store::{FileLogStore, LogStore};

use crate::disk::Disk;
use crate::log::records;
use crate::wire::World;

#[tokio::test]
async fn file_store_conforms() {
    for (turns, segment_bytes) in [(0, 1500), (1, 1500), (3, 1), (2, u64::MAX)] {
        let disk = Disk::default();
        disk.delay(turns);
        let open = || async {
            let storage = Arc::new(disk.clone());
            let store = FileLogStore::open_with(storage, "log", "/log", segment_bytes).await;
            Box::new(store.unwrap()) as Box<dyn LogStore>
        };
        conform(open, &records(12)).await.unwrap();
    }
}

#[tokio::test]
async fn s3_store_conforms() {
    for (prefix, path_style) in [("events", true), ("deep/er/log", true), ("/events/", true)] {
        let world = World::new();
        let open = || async {
            Box::new(world.store_with(|settings| {
                settings.prefix = prefix.to_owned();
                settings.path_style = path_style;
            })) as Box<dyn LogStore>
        };
        conform(open, &records(12)).await.unwrap();
    }
}

#[tokio::test]
async fn suite_finds_a_store_that_ignores_the_condition() {
    use rynxs_s3::ConditionalPuts;
    for personality in [ConditionalPuts::Ignored, ConditionalPuts::Racy] {
        let world = World::with(|options| options.conditional_puts = personality);
        let open = || async { Box::new(world.store()) as Box<dyn LogStore> };
        let violation = conform(open, &records(3)).await.unwrap_err();
        assert!(
            violation.claim.contains("taken place") || violation.claim.contains("at once"),
            "{violation}"
        );
    }
}
