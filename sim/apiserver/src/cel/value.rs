//! JSON as CEL values that borrow their strings, cut down to what an expression can reach.

use ::cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use ::cel::common::value::Val;
use serde_json::Value;

use super::need::Need;

/// The type that the cel crate asks for; entries are only looked up.
type Fields<'v> = std::collections::HashMap<CelMapKey<'v>, Box<dyn Val + 'v>>; // order: unread

/// The value; fields of objects that `need` does not reach are left out.
pub(super) fn of_json<'v>(json: &'v Value, need: &Need) -> Box<dyn Val + 'v> {
    let Value::Object(fields) = json else { return whole(json) };
    if need.is_whole() {
        return whole(json);
    }
    let reached: Fields<'v> = fields
        .iter()
        .filter_map(|(key, value)| {
            need.field(key).map(|need| (CelMapKey::from(key.as_str()), of_json(value, need)))
        })
        .collect();
    Box::new(CelMap::from(reached))
}

fn whole(json: &Value) -> Box<dyn Val + '_> {
    match json {
        Value::Null => Box::new(CelNull),
        Value::Bool(bool) => Box::new(CelBool::from(*bool)),
        Value::Number(number) => {
            if let Some(int) = number.as_i64() {
                Box::new(CelInt::from(int))
            } else if let Some(uint) = number.as_u64() {
                Box::new(CelUInt::from(uint))
            } else {
                Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
            }
        }
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => Box::new(CelList::from(items.iter().map(whole).collect::<Vec<_>>())),
        Value::Object(fields) => {
            let entries: Fields<'_> =
                fields.iter().map(|(k, v)| (CelMapKey::from(k.as_str()), whole(v))).collect();
            Box::new(CelMap::from(entries))
        }
    }
}
