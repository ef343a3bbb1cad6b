//! Scenario files: YAML, a line a step, written so that a person reads them and a diff shows what
//! changed. What is as by default is left out.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Do, Scenario, Step, Who};

/// A file that is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be parsed.
    #[error("not a scenario: {0}; `rynxs-sim scenario` prints an example")]
    Syntax(String),
    /// A value that cannot be run.
    #[error("a scenario that cannot be run: {0}")]
    Value(String),
}

/// Reads a scenario from its file's text.
///
/// # Errors
/// The text is no scenario, or one that cannot be run; the error names the place.
pub fn read(text: &str) -> Result<Scenario, FileError> {
    let mut scenario: Scenario =
        serde_yaml_ng::from_str(text).map_err(|error| FileError::Syntax(error.to_string()))?;
    scenario.steps.sort_by_key(|step| step.at_ms);
    scenario.check().map_err(FileError::Value)?;
    Ok(scenario)
}

/// The text of a scenario's file; `comment` goes before it, as a comment.
#[must_use]
pub fn write(scenario: &Scenario, comment: &str) -> String {
    let plain = to_map(&Scenario::default());
    let mut text = String::new();
    for line in comment.lines() {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    for (field, value) in to_map(scenario) {
        if field == "steps" || plain.get(&field) == Some(&value) {
            continue;
        }
        // JSON is YAML in its flow style.
        text.push_str(&format!("{field}: {value}\n"));
    }
    text.push_str("steps:\n");
    for step in &scenario.steps {
        let step = serde_json::to_string(step).expect("a step is plain data");
        text.push_str(&format!("- {step}\n"));
    }
    text
}

fn to_map(scenario: &Scenario) -> Map<String, Value> {
    match serde_json::to_value(scenario).expect("a scenario is plain data") {
        Value::Object(map) => map,
        _ => unreachable!("a scenario is a structure"),
    }
}

#[derive(Serialize)]
struct Written<'a> {
    at_ms: u64,
    #[serde(flatten)]
    what: &'a Do,
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { at_ms: self.at_ms, what: &self.what }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Step {
    /// By hand, as serde can either flatten or refuse unknown fields.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let at_ms = match fields.remove("at_ms") {
            None => return Err(D::Error::custom("a step without at_ms")),
            Some(value) => value.as_u64().ok_or_else(|| {
                D::Error::custom(format!("at_ms: {value} is no number of milliseconds"))
            })?,
        };
        let what = serde_json::from_value(Value::Object(fields))
            .map_err(|error| D::Error::custom(format!("the step at {at_ms} ms: {error}")))?;
        Ok(Self { at_ms, what })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("leader"),
            Self::Standby => f.write_str("standby"),
            Self::All => f.write_str("all"),
            Self::Replica(index) => write!(f, "rynxs-{index}"),
        }
    }
}

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "leader" => Ok(Self::Leader),
            "standby" => Ok(Self::Standby),
            "all" => Ok(Self::All),
            _ => text
                .strip_prefix("rynxs-")
                .and_then(|index| index.parse().ok())
                .map(Self::Replica)
                .ok_or_else(|| {
                    format!("{text:?} is no replica: leader, standby, all or rynxs-0, rynxs-1, …")
                }),
        }
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{AgentShape, Clock};

    fn example() -> Scenario {
        let agent = AgentShape { value: 3, ..AgentShape::default() };
        let clocks = vec![Clock { rate_ppm: 20_000, wall_offset_ms: 0 }];
        Scenario { clocks, ..Scenario::default() }
            .at(0, Do::ApplyAgent { name: "a".into(), agent })
            .at(20_000, Do::Freeze { who: Who::Leader, for_ms: 40_000 })
    }

    #[test]
    fn a_scenario_survives_its_file() {
        let text = write(&example(), "what it shows\n\nand why");
        assert_eq!(read(&text).expect("just written"), example());
        assert!(text.contains("\n- {\"at_ms\":20000,\"do\":\"freeze\""), "{text}");
        assert!(!text.contains("replicas"), "defaults are left out: {text}");
    }

    #[test]
    fn a_mistake_names_place_value_and_what_would_do() {
        for (text, expected) in [
            ("replicas: 9\n", "replicas: 9 is not between 1 and 5"),
            ("steps:\n- {\"do\":\"compact\"}\n", "a step without at_ms"),
            ("steps:\n- {\"at_ms\":1,\"do\":\"frezze\"}\n", "unknown variant `frezze`"),
            (
                "steps:\n- {\"at_ms\":1,\"do\":\"freeze\",\"who\":\"ledr\",\"for_ms\":1}\n",
                "\"ledr\" is no replica: leader, standby, all or rynxs-0",
            ),
            (
                "steps:\n- {\"at_ms\":1,\"do\":\"freeze\",\"who\":\"rynxs-7\",\"for_ms\":1}\n",
                "steps[0].who: rynxs-7, but there are 3 replicas",
            ),
            ("stepz: []\n", "unknown field `stepz`"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
