//! The server seen from outside: requests in, answers out.

mod collection;
mod conversation;
mod conversations;
mod ownership;
mod properties;
mod verbs;
mod watches;
mod world;
