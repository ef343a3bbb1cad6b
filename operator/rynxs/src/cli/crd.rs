//! `rynxs crd`: the definitions of Agent and Session, as this binary understands them.

use clap::Args;

use super::exit::{Exit, Failure};
use super::output::{Format, Output};

/// Print the CustomResourceDefinitions of Agent and Session
///
/// Helm installs them once and never changes them; to upgrade a cluster:
///
///   rynxs crd | kubectl apply --server-side -f -
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct CrdArgs {
    /// Form of the result: table and json are for reading, the default is YAML
    #[arg(long, value_enum)]
    output: Option<Format>,
}

impl CrdArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let mut output = Output::stdout(self.output.unwrap_or_default());
        let (agent, session) = (rynxs_core::crd::agent_crd(), rynxs_core::crd::session_crd());
        match self.output {
            None => output.text(&rynxs_core::crd::all_yaml())?,
            Some(Format::Json) => output.json(&serde_json::json!({
                "apiVersion": "v1",
                "kind": "List",
                "items": [agent, session],
            }))?,
            Some(Format::Jsonl) => {
                output.json(&agent)?;
                output.json(&session)?;
            }
            Some(Format::Table) => {
                let row = |crd: &serde_json::Value| {
                    let text = |pointer: &str| {
                        crd.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
                    };
                    vec![
                        text("/metadata/name"),
                        text("/spec/names/kind"),
                        text("/spec/versions/0/name"),
                    ]
                };
                output.table(&["name", "kind", "version"], &[row(&agent), row(&session)])?;
            }
        }
        Ok(Exit::Done)
    }
}
