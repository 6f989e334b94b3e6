//! Deadlines of very many connections: a hashed timer wheel with one entry per connection.
