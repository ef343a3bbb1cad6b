//! The CEL dialect of Kubernetes on top of the `cel` crate: compile once, evaluate often.
//!
//! Why not the crate as it comes: objects are read without escaping their keys (an escaped
//! `rynxs.universe.ai/stamp` would let every stale stamp pass), only the fields that an expression
//! can reach are handed over, patterns are compiled once, and Kubernetes' own functions exist.
//! An expression that calls a function unknown here does not compile: it is never guessed at.
//!
//! Limits: no `duration`, `timestamp`, `url` and `semver`; no cost budget; a comprehension over a
//! map visits the keys in no particular order, as in the reference implementation.

mod address;
mod library;
mod need;
mod quantity;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use ::cel::common::ast::IdedExpr;
use ::cel::common::types::{CelBool, CelMap, CelString};
use ::cel::common::value::Val;
use ::cel::{Context, Env, ExecutionError, Value as CelValue};
use serde_json::Value;

pub(crate) use need::{Need, Needs};

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(library::environment()));

/// How many compiled expressions are kept; a chart has some dozens.
const KEPT: usize = 1_000;

/// Expressions compiled before, by their text: a simulation starts a server for each run.
static COMPILED: LazyLock<Mutex<BTreeMap<String, Expression>>> = LazyLock::new(Mutex::default);

/// A compiled expression; clones are the same one.
#[derive(Clone)]
pub(crate) struct Expression(Arc<Compiled>);

struct Compiled {
    source: String,
    ast: IdedExpr,
    needs: Needs,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.0.source)
    }
}

impl Expression {
    /// Parses an expression; the error is for people.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let kept = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept().get(source) {
            return Ok(known.clone());
        }
        let made = Self::parse(source)?;
        let mut kept = kept();
        if kept.len() < KEPT {
            kept.insert(source.to_owned(), made.clone());
        }
        Ok(made)
    }

    fn parse(source: &str) -> Result<Self, String> {
        let mut ast = ENVIRONMENT.parser().parse(source).map_err(|e| e.to_string())?;
        need::rewrite(&mut ast, &mut |expr| {
            library::unescape_field(expr);
            library::use_compiled_patterns(expr);
        });
        if let Some(function) = library::first_unknown_function(&ast) {
            return Err(format!("undeclared reference to '{function}' (in container '')"));
        }
        let needs = Needs::of(&ast);
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), ast, needs })))
    }

    /// The text that was compiled.
    pub(crate) fn source(&self) -> &str {
        &self.0.source
    }

    /// What the expression can reach of its variables.
    pub(crate) fn needs(&self) -> &Needs {
        &self.0.needs
    }
}

/// Variables that expressions are evaluated against; values are borrowed, not copied.
pub(crate) struct Scope<'v> {
    context: Context<'v, 'v>,
}

impl<'v> Scope<'v> {
    /// A scope without variables.
    pub(crate) fn new() -> Self {
        Self { context: Context::with_env(Arc::clone(&ENVIRONMENT)) }
    }

    /// Binds a variable to as much of a JSON value as `needs` says is reachable; binds nothing if
    /// nothing is.
    pub(crate) fn bind(&mut self, name: &str, json: &'v Value, needs: &Needs) {
        if let Some(need) = needs.get(name) {
            self.context.add_variable_as_val(name, value::of_json(json, need));
        }
    }

    /// Binds a variable to a map of results.
    pub(crate) fn bind_map(&mut self, name: &str, entries: &[(String, Box<dyn Val + 'v>)]) {
        let entries = entries
            .iter()
            .map(|(key, value)| {
                let value: Box<dyn Val + 'v> = (**value).clone_as_boxed();
                (key.clone().into(), value)
            })
            .collect::<std::collections::HashMap<_, _>>(); // order: only looked up
        self.context.add_variable_as_val(name, Box::new(CelMap::from(entries)));
    }

    /// The expression's value.
    pub(crate) fn evaluate(&self, expression: &Expression) -> Result<Box<dyn Val + 'v>, String> {
        CelValue::resolve_val(&expression.0.ast, &self.context)
            .map(|value| value.into_owned())
            .map_err(|error| describe(&error))
    }

    /// The expression's value, which must be a bool.
    pub(crate) fn holds(&self, expression: &Expression) -> Result<bool, String> {
        let value = self.evaluate(expression)?;
        let bool = value.downcast_ref::<CelBool>().map(|b| *b.inner());
        bool.ok_or_else(|| format!("expected a bool, got {}", value.get_type().name()))
    }

    /// The expression's value, which must be a string.
    pub(crate) fn text(&self, expression: &Expression) -> Result<String, String> {
        let value = self.evaluate(expression)?;
        let text = value.downcast_ref::<CelString<'_>>().map(|s| s.inner().to_owned());
        text.ok_or_else(|| format!("expected a string, got {}", value.get_type().name()))
    }
}

/// An evaluation's failure in the words of the reference implementation, where they are known.
fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::UndeclaredReference(name) => {
            format!("undeclared reference to '{name}' (in container '')")
        }
        ExecutionError::IndexOutOfBounds(index) => format!("index out of bounds: {index:?}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn eval(source: &str, object: &Value) -> Result<bool, String> {
        let expression = Expression::compile(source)?;
        let mut scope = Scope::new();
        scope.bind("object", object, expression.needs());
        scope.bind("self", object, expression.needs());
        scope.holds(&expression)
    }

    #[test]
    fn a_key_with_slash_and_dots_is_found_unescaped() {
        let object = json!({"metadata": {"annotations": {"rynxs.universe.ai/stamp": "8"}}});
        let stamp = "object.metadata.annotations['rynxs.universe.ai/stamp']";
        assert_eq!(eval(&format!("{stamp} == '8'"), &object), Ok(true));
        assert_eq!(
            eval("'rynxs.universe.ai/stamp' in object.metadata.annotations", &object),
            Ok(true)
        );
        assert_eq!(eval(&format!("int({stamp}) >= int('10')"), &object), Ok(false));
        assert_eq!(eval("has(object.metadata.labels)", &object), Ok(false));
    }

    #[test]
    fn an_unknown_function_does_not_compile() {
        let error = Expression::compile("nonsense(object)").unwrap_err();
        assert_eq!(error, "undeclared reference to 'nonsense' (in container '')");
    }

    #[test]
    fn a_missing_field_is_an_error_and_not_a_value() {
        assert_eq!(eval("object.a.b == 1", &json!({"a": {}})), Err("no such key: b".to_owned()));
    }

    #[test]
    fn properties_with_special_characters_are_selected_by_their_escaped_names() {
        let object = json!({"a-b": 1, "namespace": "x", "c.d": 2});
        assert_eq!(eval("self.a__dash__b == 1", &object), Ok(true));
        assert_eq!(eval("self.__namespace__ == 'x'", &object), Ok(true));
        assert_eq!(eval("has(self.c__dot__d)", &object), Ok(true));
    }

    #[test]
    fn comprehensions_and_shadowing_see_whole_values() {
        let object = json!({"list": [{"name": "a"}, {"name": "b"}], "other": {"x": 1}});
        assert_eq!(eval("self.list.all(object, object.name in ['a', 'b'])", &object), Ok(true));
        assert_eq!(eval("self.list.exists_one(i, i.name == 'b')", &object), Ok(true));
        assert_eq!(eval("self.list.map(i, i.name) == ['a', 'b']", &object), Ok(true));
        assert_eq!(eval("size(self) == 2", &object), Ok(true));
        assert_eq!(eval("self.other == {'x': 1}", &object), Ok(true));
    }
}
