//! The functions that expressions may call: CEL's own, the strings extension, and those of
//! Kubernetes that policies and CRD rules here use.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use ::cel::common::ast::{Expr, IdedExpr};
use ::cel::common::types::{CelBool, CelList, CelString};
use ::cel::common::value::Val;
use ::cel::{Env, ExecutionError, add_member_overload, add_overload, extensions};
use regex::Regex;

use super::{address, quantity};

/// Patterns are compiled at most this many times; beyond it they are compiled per use.
const MAX_PATTERNS: usize = 1024;

static PATTERNS: LazyLock<Mutex<BTreeMap<String, Arc<Regex>>>> = LazyLock::new(Mutex::default);

/// Every function that an expression may name; operators are told by their first character.
const FUNCTIONS: &[&str] = &[
    // CEL
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
    // optional values
    "hasValue",
    "none",
    "of",
    "ofNonZeroValue",
    "or",
    "orValue",
    "value",
    // strings
    "charAt",
    "format",
    "indexOf",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "quote",
    "replace",
    "reverse",
    "split",
    "substring",
    "trim",
    "upperAscii",
    // Kubernetes
    "add",
    "asApproximateFloat",
    "asInteger",
    "compareTo",
    "containsIP",
    "family",
    "find",
    "findAll",
    "isCIDR",
    "isGreaterThan",
    "isIP",
    "isInteger",
    "isLessThan",
    "isQuantity",
    "quantity",
    "sign",
    "sub",
    "cidr",
    "ip",
    "prefixLength",
    COMPILED_MATCHES,
];

const COMPILED_MATCHES: &str = "matchesCompiled";

/// The environment that every expression is parsed and evaluated in.
pub(super) fn environment() -> Env {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings).expect("the standard library has none of its functions");
    register(&mut env).expect("no two functions of this file have one signature");
    quantity::register(&mut env).expect("the names are not taken");
    address::register(&mut env).expect("the names are not taken");
    env
}

fn register(env: &mut Env) -> Result<(), ::cel::DeclarationError> {
    add_overload!(env, fn matches_compiled: (CelString, CelString) -> Result<CelBool>)?;
    add_member_overload!(env, fn matches_compiled: (CelString, CelString) -> Result<CelBool>)?;
    add_member_overload!(env, fn find: (CelString, CelString) -> Result<CelString>)?;
    add_member_overload!(env, fn find_all: (CelString, CelString) -> Result<CelList>)?;
    Ok(())
}

fn pattern(function: &str, text: &str) -> Result<Arc<Regex>, ExecutionError> {
    let mut patterns = PATTERNS.lock().expect("no code panics while it holds the lock");
    if let Some(found) = patterns.get(text) {
        return Ok(Arc::clone(found));
    }
    let compiled = Regex::new(text)
        .map(Arc::new)
        .map_err(|e| ExecutionError::function_error(function, format!("invalid pattern: {e}")))?;
    if patterns.len() < MAX_PATTERNS {
        patterns.insert(text.to_owned(), Arc::clone(&compiled));
    }
    Ok(compiled)
}

fn matches_compiled(this: &CelString<'_>, text: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    Ok(CelBool::from(pattern("matches", text.inner())?.is_match(this.inner())))
}

fn find(this: &CelString<'_>, text: &CelString<'_>) -> Result<CelString<'static>, ExecutionError> {
    let found = pattern("find", text.inner())?;
    let found = found.find(this.inner()).map_or("", |m| m.as_str());
    Ok(CelString::from(found.to_owned()))
}

fn find_all(
    this: &CelString<'_>,
    text: &CelString<'_>,
) -> Result<CelList<'static>, ExecutionError> {
    let found: Vec<Box<dyn Val>> = pattern("findAll", text.inner())?
        .find_iter(this.inner())
        .map(|m| Box::new(CelString::from(m.as_str().to_owned())) as Box<dyn Val>)
        .collect();
    Ok(CelList::from(found))
}

/// `a.matches(b)` compiles its pattern at every call; the function that it becomes does not.
pub(super) fn use_compiled_patterns(expr: &mut Expr) {
    if let Expr::Call(call) = expr
        && call.func_name == "matches"
    {
        COMPILED_MATCHES.clone_into(&mut call.func_name);
    }
}

/// Properties that are no CEL identifiers are selected by escaped names: `a-b` by `a__dash__b`.
pub(super) fn unescape_field(expr: &mut Expr) {
    if let Expr::Select(select) = expr
        && select.field.contains("__")
    {
        select.field = unescape(&select.field);
    }
}

fn unescape(field: &str) -> String {
    if let Some(word) = field.strip_prefix("__").and_then(|f| f.strip_suffix("__"))
        && RESERVED.contains(&word)
    {
        return word.to_owned();
    }
    const ESCAPES: [(&str, &str); 4] =
        [("__underscores__", "__"), ("__dot__", "."), ("__dash__", "-"), ("__slash__", "/")];
    let mut rest = field;
    let mut text = String::with_capacity(field.len());
    'next: while !rest.is_empty() {
        for (escaped, plain) in ESCAPES {
            if let Some(after) = rest.strip_prefix(escaped) {
                text.push_str(plain);
                rest = after;
                continue 'next;
            }
        }
        let first = rest.chars().next().expect("the rest is not empty");
        text.push(first);
        rest = &rest[first.len_utf8()..];
    }
    text
}

/// Words that CEL reserves: a property of such a name is written `__name__`.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
];

/// The first function, by name, that nobody declares.
pub(super) fn first_unknown_function(ast: &IdedExpr) -> Option<String> {
    let references = ast.references();
    let mut functions = references.functions();
    functions.sort_unstable();
    let is_operator = |name: &str| name.starts_with(['_', '@', '!', '-', '[', '.']);
    let unknown = functions.into_iter().find(|f| !is_operator(f) && !FUNCTIONS.contains(f));
    unknown.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Expression, Scope};

    fn holds(source: &str) -> Result<bool, String> {
        Scope::new().holds(&Expression::compile(source)?)
    }

    #[test]
    fn patterns_match_as_members_and_as_functions() {
        assert_eq!(holds("'12'.matches('^[0-9]{1,18}$')"), Ok(true));
        assert_eq!(holds("matches('1x', '^[0-9]+$')"), Ok(false));
        assert!(holds("'x'.matches('(')").unwrap_err().starts_with("invalid pattern"));
        assert_eq!(holds("'abc 123'.find('[0-9]+') == '123'"), Ok(true));
        assert_eq!(holds("'1 22'.findAll('[0-9]+') == ['1', '22']"), Ok(true));
    }

    #[test]
    fn escapes_are_undone_left_to_right() {
        assert_eq!(unescape("a__dash__b__dot__c__slash__d"), "a-b.c/d");
        assert_eq!(unescape("a__underscores__b"), "a__b");
        assert_eq!(unescape("__if__"), "if");
        assert_eq!(unescape("__other__"), "__other__");
    }

    #[test]
    fn optional_syntax_is_understood() {
        assert_eq!(holds("{'a': '1'}[?'b'].orValue('') == ''"), Ok(true));
        assert_eq!(holds("optional.of(1).hasValue()"), Ok(true));
    }
}
