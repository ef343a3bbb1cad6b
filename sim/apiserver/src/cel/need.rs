//! What an expression can reach of its variables: `object.metadata.annotations`, not all of
//! `object`. Found once when the expression is compiled, used for every evaluation.
//!
//! Sound because a value can only be reached through an identifier and the selections on it: a
//! chain of selections is a path, anything else that is done with an identifier needs all of it.
//! Names bound by a comprehension are counted like variables, which only ever adds paths.

use std::collections::BTreeMap;

use ::cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// How much of one value is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    whole: bool,
    fields: BTreeMap<String, Need>,
}

impl Need {
    /// Whether all of the value is needed.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// How much of a field is needed, if any of it.
    pub(crate) fn field(&self, name: &str) -> Option<&Need> {
        self.fields.get(name)
    }

    /// The fields that are needed by name.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Need)> {
        self.fields.iter().map(|(name, need)| (name.as_str(), need))
    }

    fn absorb(&mut self, other: &Need) {
        self.whole |= other.whole;
        for (name, need) in &other.fields {
            self.fields.entry(name.clone()).or_default().absorb(need);
        }
    }
}

/// What is needed of each variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs(BTreeMap<String, Need>);

impl Needs {
    /// What an expression can reach.
    pub(crate) fn of(ast: &IdedExpr) -> Self {
        let mut needs = Self::default();
        needs.collect(ast);
        needs
    }

    /// What is needed of a variable, if any of it.
    pub(crate) fn get(&self, variable: &str) -> Option<&Need> {
        self.0.get(variable)
    }

    /// Adds what another expression needs.
    pub(crate) fn absorb(&mut self, other: &Needs) {
        for (name, need) in &other.0 {
            self.0.entry(name.clone()).or_default().absorb(need);
        }
    }

    /// The fields of a variable that are needed by name, for example of `variables`.
    pub(crate) fn fields_of(&self, variable: &str) -> impl Iterator<Item = &str> {
        self.0.get(variable).into_iter().flat_map(|n| n.fields.keys().map(String::as_str))
    }

    fn collect(&mut self, ast: &IdedExpr) {
        if let Some(path) = path(&ast.expr) {
            let (root, fields) = path.split_first().expect("a path starts with an identifier");
            let mut need = self.0.entry((*root).to_owned()).or_default();
            for field in fields {
                need = need.fields.entry((*field).to_owned()).or_default();
            }
            need.whole = true;
            return;
        }
        for_each_child(&ast.expr, &mut |child| self.collect(child));
    }
}

/// `a.b.c` as its segments, `has(a.b.c)` too; nothing for any other expression.
fn path(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Ident(name) => Some(vec![name.strip_prefix('.').unwrap_or(name)]),
        Expr::Select(select) => {
            let mut segments = path(&select.operand.expr)?;
            segments.push(&select.field);
            Some(segments)
        }
        _ => None,
    }
}

fn for_each_child<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e IdedExpr)) {
    match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => {
            call.target.iter().for_each(|target| visit(target));
            call.args.iter().for_each(visit);
        }
        Expr::Comprehension(loop_) => {
            visit(&loop_.iter_range);
            visit(&loop_.accu_init);
            visit(&loop_.loop_cond);
            visit(&loop_.loop_step);
            visit(&loop_.result);
        }
        Expr::List(list) => list.elements.iter().for_each(visit),
        Expr::Map(map) => map.entries.iter().for_each(|e| visit_entry(&e.expr, visit)),
        Expr::Struct(literal) => literal.entries.iter().for_each(|e| visit_entry(&e.expr, visit)),
        Expr::Select(select) => visit(&select.operand),
    }
}

fn visit_entry<'e>(entry: &'e EntryExpr, visit: &mut dyn FnMut(&'e IdedExpr)) {
    match entry {
        EntryExpr::StructField(field) => visit(&field.value),
        EntryExpr::MapEntry(entry) => {
            visit(&entry.key);
            visit(&entry.value);
        }
    }
}

/// Applies a change to every node, innermost first.
pub(super) fn rewrite(ast: &mut IdedExpr, change: &mut dyn FnMut(&mut Expr)) {
    match &mut ast.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| rewrite(target, change));
            call.args.iter_mut().for_each(|arg| rewrite(arg, change));
        }
        Expr::Comprehension(loop_) => {
            rewrite(&mut loop_.iter_range, change);
            rewrite(&mut loop_.accu_init, change);
            rewrite(&mut loop_.loop_cond, change);
            rewrite(&mut loop_.loop_step, change);
            rewrite(&mut loop_.result, change);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(|e| rewrite(e, change)),
        Expr::Map(map) => {
            map.entries.iter_mut().for_each(|e| rewrite_entry(&mut e.expr, change));
        }
        Expr::Struct(literal) => {
            literal.entries.iter_mut().for_each(|e| rewrite_entry(&mut e.expr, change));
        }
        Expr::Select(select) => rewrite(&mut select.operand, change),
    }
    change(&mut ast.expr);
}

fn rewrite_entry(entry: &mut EntryExpr, change: &mut dyn FnMut(&mut Expr)) {
    match entry {
        EntryExpr::StructField(field) => rewrite(&mut field.value, change),
        EntryExpr::MapEntry(entry) => {
            rewrite(&mut entry.key, change);
            rewrite(&mut entry.value, change);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cel::Expression;

    #[test]
    fn a_chain_of_selections_needs_its_end_and_an_identifier_alone_needs_all() {
        let expression =
            Expression::compile("has(object.metadata.labels) && object.spec['x'] == other")
                .unwrap();
        let object = expression.needs().get("object").unwrap();
        assert!(!object.is_whole());
        assert!(object.field("metadata").unwrap().field("labels").unwrap().is_whole());
        assert!(object.field("metadata").unwrap().field("name").is_none());
        assert!(object.field("spec").unwrap().is_whole());
        assert!(expression.needs().get("other").unwrap().is_whole());
        assert!(expression.needs().get("oldObject").is_none());
    }
}
