//! `rynxs log`: reads a log, from a directory or a bucket, and never writes to one.

mod open;
mod reader;
mod show;
mod tail;
mod verify;

use clap::{Args, Subcommand};

pub use open::open;
pub use reader::{Next, Reader};
pub use verify::{Verified, verify};

use super::exit::{Exit, Failure};
use super::output::Format;
use super::settings::BucketArgs;
use super::values::{Location, location};

/// Read an event log: verify it, show records, follow it.
///
/// LOG is the directory of a local log, a directory with copies of a bucket's keys, or
/// s3://BUCKET/PREFIX; nothing is ever written to it.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct LogCommand {
    #[command(subcommand)]
    command: LogSubcommand,
}

#[derive(Subcommand, Debug)]
enum LogSubcommand {
    Verify(verify::VerifyArgs),
    Show(show::ShowArgs),
    Tail(tail::TailArgs),
}

/// What all of them need.
#[derive(Args, Debug)]
struct LogSource {
    /// Directory, or s3://BUCKET/PREFIX
    #[arg(value_name = "LOG", value_parser = location)]
    log: Location,
    /// Form of the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    bucket: BucketArgs,
}

impl LogSource {
    fn open(&self) -> Result<Reader, Failure> {
        let bucket = match &self.log {
            Location::Directory(_) => None,
            Location::Bucket { bucket, prefix } => {
                self.bucket.must_be_set()?;
                Some(self.bucket.store(bucket, prefix))
            }
        };
        open(&self.log, bucket, self.bucket.s3_ca_bundle.as_deref())
    }
}

impl LogCommand {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let runtime = super::runtime()?;
        runtime.block_on(async {
            match &self.command {
                LogSubcommand::Verify(args) => args.run().await,
                LogSubcommand::Show(args) => args.run().await,
                LogSubcommand::Tail(args) => args.run().await,
            }
        })
    }
}
