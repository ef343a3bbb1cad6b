//! The server seen from outside: requests in, answers out.

mod ownership;
mod verbs;
mod watches;
mod world;
